//! One request to an issuer of credentials.

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use object_store::client::{HttpClient, HttpRequest};

use super::keys::CredentialsError;
use crate::http::{NO_RESPONSE, ResponseSlot};

/// Maximum length of a response with credentials, in bytes.
const RESPONSE_BYTES_MAX: usize = 64 << 10;
/// Time for the whole request.
const RESPONSE_TIME_MAX: Duration = Duration::from_secs(10);

/// Sends a request and returns the body of the response. `issuer` names the issuer in errors.
pub(super) async fn send(
    client: &HttpClient,
    issuer: &'static str,
    mut request: HttpRequest,
) -> Result<String, CredentialsError> {
    let slot = ResponseSlot::default();
    request.extensions_mut().insert(slot.clone());
    let no_response = |why: String| CredentialsError::NoResponse { issuer, why };
    let send_and_read = async {
        let sent = client.execute(request).await;
        let response = sent.map_err(|_| no_response(slot.info().failure))?;
        let status = response.status();
        if !status.is_success() {
            let (status, code) = (status.as_u16(), slot.info().code);
            return Err(CredentialsError::Refused { issuer, status, code });
        }
        let body = Limited::new(response.into_body(), RESPONSE_BYTES_MAX).collect().await;
        let body = body.map_err(|_| CredentialsError::Response { issuer })?.to_bytes();
        String::from_utf8(body.to_vec()).map_err(|_| CredentialsError::Response { issuer })
    };
    let on_timeout = || {
        tracing::warn!(issuer, "no credentials within {} s", RESPONSE_TIME_MAX.as_secs());
        no_response(NO_RESPONSE.to_owned())
    };
    tokio::time::timeout(RESPONSE_TIME_MAX, send_and_read).await.map_err(|_| on_timeout())?
}

/// Reads the token in a file. Called for each request, so that a rotated token is used immediately.
pub(super) async fn read_token(path: &PathBuf) -> Result<String, CredentialsError> {
    let token = tokio::fs::read_to_string(path).await;
    let token = token.map_err(|source| CredentialsError::File { path: path.clone(), source })?;
    Ok(token.trim().to_owned())
}
