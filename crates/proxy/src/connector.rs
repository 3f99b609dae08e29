//! Connections to the upstream that are established in a bounded time.
//!
//! The time limit of a long-running request is lifted before it is sent, so nothing else ends a TLS
//! handshake that the upstream never answers. What happens on an established connection is not
//! limited here.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use tower_service::Service;

/// Time to establish a connection to the upstream: its address, TCP and the TLS handshake. As long as
/// that of Go's clients for the handshake.
pub const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Establishes connections, each within [`CONNECTION_TIME_MAX`].
#[derive(Clone)]
pub(crate) struct BoundedConnector(HttpsConnector<HttpConnector>);

impl BoundedConnector {
    pub(crate) fn new(connector: HttpsConnector<HttpConnector>) -> Self {
        Self(connector)
    }
}

impl Service<Uri> for BoundedConnector {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            tokio::time::timeout(CONNECTION_TIME_MAX, connecting).await.unwrap_or_else(|_| {
                let seconds = CONNECTION_TIME_MAX.as_secs();
                Err(format!("no TLS connection within {seconds} seconds").into())
            })
        })
    }
}
