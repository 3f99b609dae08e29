//! Credentials from the environment of the server: of the pod, of the task, of the instance.

use ::http::header::AUTHORIZATION;
use ::http::request::Builder;
use event::Timestamp;
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use serde::Deserialize;

use super::keys::{AwsCredential, CredentialsError};
use super::request::{read_token, send};
use crate::config::ContainerCredentials;

const INSTANCE: &str = "the instance metadata service";
const CONTAINER: &str = "the container credentials endpoint";

/// Temporary credentials, as both services write them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TemporaryCredentials {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: String,
}

/// Credentials of a pod's identity (EKS Pod Identity) or of a task's role (ECS).
pub(super) async fn container(
    client: &HttpClient,
    container: &ContainerCredentials,
) -> Result<AwsCredential, CredentialsError> {
    let mut request = ::http::Request::get(&container.uri);
    if let Some(file) = &container.token_file {
        request = request.header(AUTHORIZATION, read_token(file).await?);
    }
    parse(CONTAINER, &send(client, CONTAINER, without_body(request)?).await?)
}

/// Credentials of an instance's role, by version 2 of the protocol (`IMDSv2`), which needs a session.
pub(super) async fn instance(
    client: &HttpClient,
    endpoint: &str,
) -> Result<AwsCredential, CredentialsError> {
    let latest = format!("{}/latest", endpoint.trim_end_matches('/'));
    let request = ::http::Request::put(format!("{latest}/api/token"))
        .header("x-aws-ec2-metadata-token-ttl-seconds", "300");
    let session = send(client, INSTANCE, without_body(request)?).await?;
    let get = |path: &str| {
        let uri = format!("{latest}/meta-data/iam/security-credentials/{path}");
        without_body(::http::Request::get(uri).header("x-aws-ec2-metadata-token", session.trim()))
    };
    let roles = send(client, INSTANCE, get("")?).await?;
    let role = roles.lines().next().unwrap_or_default().trim();
    parse(INSTANCE, &send(client, INSTANCE, get(role)?).await?)
}

fn without_body(request: Builder) -> Result<HttpRequest, CredentialsError> {
    request.body(HttpRequestBody::empty()).map_err(|_| CredentialsError::Malformed)
}

fn parse(issuer: &'static str, body: &str) -> Result<AwsCredential, CredentialsError> {
    let invalid_response = || CredentialsError::Response { issuer };
    let credentials: TemporaryCredentials =
        serde_json::from_str(body).map_err(|_| invalid_response())?;
    let expires = Timestamp::parse(&credentials.expiration).map_err(|_| invalid_response())?;
    Ok(AwsCredential {
        access_key_id: credentials.access_key_id,
        secret_access_key: credentials.secret_access_key.into(),
        session_token: Some(credentials.token.into()),
        expires: Some(expires),
    })
}
