//! The Security Token Service of AWS: temporary credentials of a role.

use ::http::header::CONTENT_TYPE;
use event::Timestamp;
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::keys::{AwsCredential, CredentialsError};
use super::request::{read_token, send};
use super::sigv4::sign;
use crate::config::WebIdentity;
use crate::credentials::Role;

const ISSUER: &str = "STS";
/// Name of the session in the `CloudTrail` records of the role's owner.
const SESSION: &str = "keepwatch";
/// Duration of a session: one hour, which every role permits.
const DURATION_SECONDS: &str = "3600";

/// `AssumeRole`: the role, by an access key that may assume it.
pub(super) async fn assume_role(
    client: &HttpClient,
    role: &Role,
    credential: &AwsCredential,
    region: &str,
    now: Timestamp,
) -> Result<AwsCredential, CredentialsError> {
    let mut fields = vec![
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("DurationSeconds", DURATION_SECONDS),
        ("RoleArn", role.arn.as_str()),
        ("RoleSessionName", SESSION),
    ];
    if let Some(id) = &role.external_id {
        fields.push(("ExternalId", id));
    }
    let mut request = form_request(role.sts_endpoint.as_deref(), region, &fields)?;
    sign(&mut request, credential, now, region, "sts").ok_or(CredentialsError::Malformed)?;
    parse(&send(client, ISSUER, request).await?)
}

/// `AssumeRoleWithWebIdentity`: the role, by a token.
pub(super) async fn assume_role_with_web_identity(
    client: &HttpClient,
    identity: &WebIdentity,
    region: &str,
) -> Result<AwsCredential, CredentialsError> {
    let token = read_token(&identity.token_file).await?;
    let fields = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("DurationSeconds", DURATION_SECONDS),
        ("RoleArn", identity.role_arn.as_str()),
        ("RoleSessionName", SESSION),
        ("WebIdentityToken", token.as_str()),
    ];
    let request = form_request(identity.sts_endpoint.as_deref(), region, &fields)?;
    parse(&send(client, ISSUER, request).await?)
}

fn form_request(
    endpoint: Option<&str>,
    region: &str,
    fields: &[(&str, &str)],
) -> Result<HttpRequest, CredentialsError> {
    let endpoint = match endpoint {
        Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
        None if region.starts_with("cn-") => format!("https://sts.{region}.amazonaws.com.cn"),
        None => format!("https://sts.{region}.amazonaws.com"),
    };
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    ::http::Request::post(format!("{endpoint}/"))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(HttpRequestBody::from(fields.join("&")))
        .map_err(|_| CredentialsError::Malformed)
}

fn parse(body: &str) -> Result<AwsCredential, CredentialsError> {
    let invalid_response = || CredentialsError::Response { issuer: ISSUER };
    let field = |name: &str| {
        let rest = body.split_once(&format!("<{name}>"))?.1;
        Some(rest.split_once(&format!("</{name}>"))?.0.trim().to_owned())
    };
    let required =
        |name: &str| field(name).filter(|text| !text.is_empty()).ok_or_else(invalid_response);
    let expires = Timestamp::parse(&required("Expiration")?).map_err(|_| invalid_response())?;
    Ok(AwsCredential {
        access_key_id: required("AccessKeyId")?,
        secret_access_key: required("SecretAccessKey")?.into(),
        session_token: Some(required("SessionToken")?.into()),
        expires: Some(expires),
    })
}
