//! The interface between the HTTP client and the providers: a signer adds credentials to a request.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::ObjectStore;
use object_store::client::HttpRequest;
use sink::BoxError;

use crate::config::OpenError;

/// Signs the requests to one destination.
#[async_trait]
pub(crate) trait RequestSigner: fmt::Debug + Send + Sync {
    /// Adds the headers that have to be signed, and the signature.
    async fn sign(&self, request: &mut HttpRequest) -> Result<(), BoxError>;

    /// Discards the credentials that a store has just refused. Returns whether another attempt may
    /// use others.
    async fn refresh(&self) -> bool {
        false
    }

    /// Corrects the clock by the store's clock, if the error `code` reports a clock skew.
    /// `server_time` is the store's time in seconds since 1970.
    fn observe_clock_skew(&self, _code: &str, _server_time: Option<i64>) {}
}

/// The client of a store, and the signer of its requests if this crate signs them.
pub(crate) struct Client {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) signer: Option<Arc<dyn RequestSigner>>,
}

/// The client, or the error in the destination.
pub(crate) type OpenResult = Result<Client, OpenError>;
