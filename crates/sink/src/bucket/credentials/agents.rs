//! Agents that lend keys to whatever runs beside them: of the pod, of the task, of the instance.

use event::Timestamp;
use http::header::AUTHORIZATION;
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use serde::Deserialize;

use super::{AwsKeys, Container, KeysError, ask, read_token};

const INSTANCE: &str = "the instance's metadata service";
const CONTAINER: &str = "the container's agent";

/// The form in which agents lend.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Lent {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: String,
}

/// Keys of a pod's identity or of a task's role.
pub(super) async fn container(
    client: &HttpClient,
    container: &Container,
) -> Result<AwsKeys, KeysError> {
    let mut request = http::Request::get(&container.uri);
    if let Some(file) = &container.token_file {
        request = request.header(AUTHORIZATION, read_token(file).await?);
    }
    read(CONTAINER, &ask(client, CONTAINER, empty(request)?).await?)
}

/// Keys of an instance's role, by the protocol that needs a session.
pub(super) async fn instance(client: &HttpClient, endpoint: &str) -> Result<AwsKeys, KeysError> {
    let latest = format!("{}/latest", endpoint.trim_end_matches('/'));
    let request = http::Request::put(format!("{latest}/api/token"))
        .header("x-aws-ec2-metadata-token-ttl-seconds", "300");
    let session = ask(client, INSTANCE, empty(request)?).await?;
    let get = |path: &str| {
        let uri = format!("{latest}/meta-data/iam/security-credentials/{path}");
        empty(http::Request::get(uri).header("x-aws-ec2-metadata-token", session.trim()))
    };
    let roles = ask(client, INSTANCE, get("")?).await?;
    let role = roles.lines().next().unwrap_or_default().trim();
    read(INSTANCE, &ask(client, INSTANCE, get(role)?).await?)
}

fn empty(request: http::request::Builder) -> Result<HttpRequest, KeysError> {
    request.body(HttpRequestBody::empty()).map_err(|_| KeysError::Malformed)
}

fn read(from: &'static str, answer: &str) -> Result<AwsKeys, KeysError> {
    let lent: Lent = serde_json::from_str(answer).map_err(|_| KeysError::Answer { from })?;
    let expires = Timestamp::parse(&lent.expiration).map_err(|_| KeysError::Answer { from })?;
    Ok(AwsKeys {
        id: lent.access_key_id,
        secret: lent.secret_access_key.into(),
        session_token: Some(lent.token.into()),
        expires: Some(expires),
    })
}
