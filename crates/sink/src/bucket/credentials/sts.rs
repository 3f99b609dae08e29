//! AWS's Security Token Service: a role for keys, or for a token.

use event::Timestamp;
use http::header::CONTENT_TYPE;
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::destination::Role;
use super::super::sigv4::authorize;
use super::{AwsKeys, KeysError, WebIdentity, ask, read_token};

const FROM: &str = "STS";
/// How the session is called in the records of the role's owner.
const SESSION: &str = "keepwatch";
/// An hour: what every role allows.
const DURATION_SECONDS: &str = "3600";

/// The role for whoever has these keys.
pub(super) async fn assume_role(
    client: &HttpClient,
    role: &Role,
    keys: &AwsKeys,
    region: &str,
    now: Timestamp,
) -> Result<AwsKeys, KeysError> {
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
    let mut request = form(role.sts_endpoint.as_deref(), region, &fields)?;
    authorize(&mut request, keys, now, region, "sts").ok_or(KeysError::Malformed)?;
    read(&ask(client, FROM, request).await?)
}

/// The role that a token stands for.
pub(super) async fn assume_role_with_token(
    client: &HttpClient,
    identity: &WebIdentity,
    region: &str,
) -> Result<AwsKeys, KeysError> {
    let token = read_token(&identity.token_file).await?;
    let fields = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("DurationSeconds", DURATION_SECONDS),
        ("RoleArn", identity.role_arn.as_str()),
        ("RoleSessionName", SESSION),
        ("WebIdentityToken", token.as_str()),
    ];
    let request = form(identity.sts_endpoint.as_deref(), region, &fields)?;
    read(&ask(client, FROM, request).await?)
}

fn form(
    endpoint: Option<&str>,
    region: &str,
    fields: &[(&str, &str)],
) -> Result<HttpRequest, KeysError> {
    let endpoint = match endpoint {
        Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
        None if region.starts_with("cn-") => format!("https://sts.{region}.amazonaws.com.cn"),
        None => format!("https://sts.{region}.amazonaws.com"),
    };
    let spell = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", spell(value))).collect();
    http::Request::post(format!("{endpoint}/"))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(HttpRequestBody::from(fields.join("&")))
        .map_err(|_| KeysError::Malformed)
}

fn read(answer: &str) -> Result<AwsKeys, KeysError> {
    let malformed = || KeysError::Answer { from: FROM };
    let field = |name: &str| {
        let after = answer.split_once(&format!("<{name}>"))?.1;
        Some(after.split_once(&format!("</{name}>"))?.0.trim().to_owned())
    };
    let needed = |name: &str| field(name).filter(|text| !text.is_empty()).ok_or_else(malformed);
    let expires = Timestamp::parse(&needed("Expiration")?).map_err(|_| malformed())?;
    Ok(AwsKeys {
        id: needed("AccessKeyId")?,
        secret: needed("SecretAccessKey")?.into(),
        session_token: Some(needed("SessionToken")?.into()),
        expires: Some(expires),
    })
}
