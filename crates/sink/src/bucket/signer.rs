//! Who signs the requests to a destination: AWS's way or Azure's. Google needs nobody.

use object_store::client::HttpRequest;

use super::credentials::KeysError;
use super::{azure, sigv4};

/// Signs requests.
#[derive(Debug)]
pub(super) enum Signer {
    Aws(sigv4::Signer),
    Azure(Box<azure::Signer>),
}

impl Signer {
    /// Adds what is to be signed, and the signature.
    pub(super) async fn sign(&self, request: &mut HttpRequest) -> Result<(), KeysError> {
        match self {
            Self::Aws(signer) => signer.sign(request).await,
            Self::Azure(signer) => signer.sign(request).ok_or(KeysError::Malformed),
        }
    }

    /// Other keys may help: whether there are any.
    pub(super) async fn renew(&self) -> bool {
        match self {
            Self::Aws(signer) => signer.renew().await,
            Self::Azure(_) => false,
        }
    }

    /// Takes the store's word for the time, when it complains about ours.
    pub(super) fn learn(&self, code: &str, server_time: Option<i64>) {
        match self {
            Self::Aws(signer) => signer.learn(code, server_time),
            Self::Azure(_) => {}
        }
    }
}
