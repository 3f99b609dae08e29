//! One request to an issuer of credentials.

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use object_store::client::{HttpClient, HttpRequest};

use super::keys::CredentialsError;
use crate::http::{NO_RESPONSE, ResponseSlot};

/// Bytes of a response with credentials.
const RESPONSE_BYTES_MAX: usize = 64 << 10;
/// Time for the whole request.
const RESPONSE_TIME_MAX: Duration = Duration::from_secs(10);

/// Sends a request and returns the body of the response. `from` names the issuer in errors.
pub(super) async fn send(
    client: &HttpClient,
    from: &'static str,
    mut request: HttpRequest,
) -> Result<String, CredentialsError> {
    let slot = ResponseSlot::default();
    request.extensions_mut().insert(slot.clone());
    let no_response = |why: String| CredentialsError::NoResponse { from, why };
    let exchange = async {
        let sent = client.execute(request).await;
        let response = sent.map_err(|_| no_response(slot.info().failure))?;
        let status = response.status();
        if !status.is_success() {
            let (status, code) = (status.as_u16(), slot.info().code);
            return Err(CredentialsError::Refused { from, status, code });
        }
        let read = Limited::new(response.into_body(), RESPONSE_BYTES_MAX).collect().await;
        let read = read.map_err(|_| CredentialsError::Response { from })?.to_bytes();
        String::from_utf8(read.to_vec()).map_err(|_| CredentialsError::Response { from })
    };
    let late = || {
        tracing::warn!(from, "no credentials within {} s", RESPONSE_TIME_MAX.as_secs());
        no_response(NO_RESPONSE.to_owned())
    };
    tokio::time::timeout(RESPONSE_TIME_MAX, exchange).await.map_err(|_| late())?
}

/// Reads the token in a file. Called for each request, so that a rotated token is used at once.
pub(super) async fn read_token(path: &PathBuf) -> Result<String, CredentialsError> {
    let read = tokio::fs::read_to_string(path).await;
    let read = read.map_err(|source| CredentialsError::File { path: path.clone(), source })?;
    Ok(read.trim().to_owned())
}
