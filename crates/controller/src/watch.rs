//! Watches the objects of one kind with `kube::runtime::watcher`, which lists them once, resumes a watch
//! that ends, uses bookmarks, and lists again when its version has expired.
//!
//! Added here is what the watcher leaves to its caller or lacks:
//!
//! - Delays that grow while kube-apiserver cannot be read. The back-off of `kube::runtime` does not grow: the
//!   event before each list resets it.
//! - Objects that cannot be read are an update, because status must say so.
//! - A watch that is refused is replaced by a list. The watcher would ask for the same version forever.
//! - A watch that ends at once is repeated after a delay. The watcher would repeat it without any.
//!
//! Deliberately absent: a store of the objects; see [`object_cache`](crate::object_cache).

use std::fmt::Debug;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};
use http::{Request, Response};
use kube::api::Api;
use kube::client::Body;
use kube::runtime::watcher::{self, Error, Event, watcher};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tower_service::Service;

pub use kube::runtime::watcher::Config;

use crate::backoff::Backoff;

/// A watch that ends sooner counts as a failure, whichever side ended it.
const WATCH_TIME_MIN: Duration = Duration::from_secs(5);

/// A change of the watched objects.
#[derive(Debug)]
pub enum Update<K> {
    /// All objects. Others do not exist.
    Listed(Vec<K>),
    /// A new or changed object.
    Applied(K),
    /// A deleted object.
    Deleted(K),
    /// The objects cannot be read, and why.
    Unavailable(String),
}

/// What can be watched.
pub trait Watchable: Resource + Clone + Debug + DeserializeOwned + Send + 'static {}

impl<K: Resource + Clone + Debug + DeserializeOwned + Send + 'static> Watchable for K {}

/// Watches the objects that `api` names and `config` selects. The stream does not end, and it may be dropped
/// between two updates at any time.
pub fn watch<K: Watchable>(
    client: &Client,
    config: Config,
    api: impl FnOnce(Client) -> Api<K>,
) -> BoxStream<'static, Update<K>> {
    let paced = PacedWatches { client: client.clone(), last: Arc::default() };
    let watch = Watch::new(api(Client::new(paced, client.default_namespace())), config);
    let updates = stream::unfold(watch, |mut watch| async {
        let update = watch.next().await;
        Some((update, watch))
    });
    updates.boxed()
}

struct Watch<K> {
    api: Api<K>,
    config: Config,
    events: BoxStream<'static, watcher::Result<Event<K>>>,
    /// The objects of a list that is not complete yet.
    listing: Vec<K>,
    /// When the current attempt began.
    start: Instant,
    backoff: Backoff,
    /// When the next attempt may begin, after a failure.
    retry_at: Option<Instant>,
    /// The failure that was logged last.
    is_forbidden: bool,
}

impl<K: Watchable> Watch<K> {
    fn new(api: Api<K>, config: Config) -> Self {
        let events = watcher(api.clone(), config.clone()).boxed();
        Self {
            api,
            config,
            events,
            listing: Vec::new(),
            start: Instant::now(),
            backoff: Backoff::default(),
            retry_at: None,
            is_forbidden: false,
        }
    }

    async fn next(&mut self) -> Update<K> {
        loop {
            if let Some(retry_at) = self.retry_at {
                tokio::time::sleep_until(retry_at).await;
                (self.retry_at, self.start) = (None, Instant::now());
            }
            match self.events.next().await {
                Some(Ok(Event::Init)) => self.listing.clear(),
                Some(Ok(Event::InitApply(object))) => self.listing.push(object),
                Some(Ok(Event::InitDone)) => {
                    self.is_forbidden = false;
                    return Update::Listed(std::mem::take(&mut self.listing));
                }
                Some(Ok(Event::Apply(object))) => return Update::Applied(object),
                Some(Ok(Event::Delete(object))) => return Update::Deleted(object),
                Some(Err(error)) => {
                    if let Some(reason) = self.after_failure(&error) {
                        return Update::Unavailable(reason.to_owned());
                    }
                }
                None => self.list_again(),
            }
        }
    }

    fn list_again(&mut self) {
        self.events = watcher(self.api.clone(), self.config.clone()).boxed();
    }

    /// Schedules the next attempt. Returns why the objects cannot be read, if that is known.
    fn after_failure(&mut self, error: &Error) -> Option<&'static str> {
        if self.start.elapsed() >= WATCH_TIME_MIN {
            self.backoff.succeeded();
        }
        let delay = self.backoff.failed();
        self.retry_at = Some(Instant::now() + delay);
        let code = match error {
            Error::InitialListFailed(kube::Error::Api(status)) => status.code,
            Error::WatchStartFailed(kube::Error::Api(status)) | Error::WatchError(status) => {
                self.list_again();
                status.code
            }
            _ => 0,
        };
        let kind = self.api.resource_url();
        match code {
            403 => {
                if !std::mem::replace(&mut self.is_forbidden, true) {
                    tracing::warn!(
                        kind,
                        "objects cannot be watched; grant this account list and watch"
                    );
                }
                Some("this server has no right to")
            }
            // The definitions may be installed later.
            404 => Some("its definition is not installed"),
            _ => {
                tracing::debug!(kind, %error, ?delay, "a watch failed");
                None
            }
        }
    }
}

/// Sends the requests of one [`Watch`], and delays a watch if the last one was short.
struct PacedWatches {
    client: Client,
    last: Arc<Mutex<LastWatch>>,
}

#[derive(Default)]
struct LastWatch {
    /// When it began; `None` if it was refused, which the caller sees.
    start: Option<Instant>,
    backoff: Backoff,
}

impl LastWatch {
    async fn pace(&mut self) {
        let Some(start) = self.start else { return };
        if start.elapsed() >= WATCH_TIME_MIN {
            self.backoff.succeeded();
            return;
        }
        let delay = self.backoff.failed();
        tracing::debug!(?delay, "a watch ended early");
        tokio::time::sleep(delay).await;
    }
}

impl Service<Request<Body>> for PacedWatches {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = BoxFuture<'static, kube::Result<Response<Body>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<kube::Result<()>> {
        // The inner client waits when a request is sent.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (client, last) = (self.client.clone(), Arc::clone(&self.last));
        let send = async move {
            let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            if !is_watch {
                return client.send(request).await;
            }
            let mut last = last.lock().await;
            last.pace().await;
            let response = client.send(request).await?;
            last.start = response.status().is_success().then(Instant::now);
            Ok(response)
        };
        send.boxed()
    }
}
