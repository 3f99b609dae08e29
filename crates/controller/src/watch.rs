//! Watches the objects of one kind with `kube::runtime::watcher`, which lists them once, resumes a
//! watch that ends, uses bookmarks, and lists again when its version has expired.
//!
//! This module adds behavior that the watcher lacks:
//!
//! - Delays that grow while kube-apiserver cannot be read. The back-off of `kube::runtime` does not grow: the
//!   event before each list resets it.
//! - A failed read is an update too, because it must be reported in the status.
//! - A rejected watch is replaced by a list. The watcher would request the same version forever.
//! - A watch that ends immediately is repeated after a delay. The watcher would not delay it.
//! - After an event that cannot be decoded, the objects are listed again. The watcher would skip the event.
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

/// A type of objects that can be watched.
pub trait Watchable: Resource + Clone + Debug + DeserializeOwned + Send + 'static {}

impl<K: Resource + Clone + Debug + DeserializeOwned + Send + 'static> Watchable for K {}

/// Watches the objects that `api` names and `config` selects. The stream does not end, and it may
/// be dropped between two updates at any time.
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
    warned: Warned,
}

/// The status codes of the failures that were logged as warnings last, for requests that have not
/// worked since then. 0 is a failure without a response.
#[derive(Default)]
struct Warned {
    list: Option<u16>,
    watch: Option<u16>,
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
            warned: Warned::default(),
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
                    self.warned.list = None;
                    return Update::Listed(std::mem::take(&mut self.listing));
                }
                Some(Ok(Event::Apply(object))) => {
                    self.warned.watch = None;
                    return Update::Applied(object);
                }
                Some(Ok(Event::Delete(object))) => {
                    self.warned.watch = None;
                    return Update::Deleted(object);
                }
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
            // An event that cannot be decoded. kube decodes some of them as a status without
            // fields.
            Error::WatchFailed(kube::Error::SerdeError(_) | kube::Error::Api(_)) => {
                self.list_again();
                0
            }
            _ => 0,
        };
        self.log_failure(error, code, delay);
        match code {
            403 => Some("this server has no right to"),
            404 => Some("its definition is not installed"),
            _ => None,
        }
    }

    /// Logs a failure: as a warning if an administrator may have to act and the same failure was
    /// not the last warning.
    fn log_failure(&mut self, error: &Error, code: u16, delay: Duration) {
        let kind = self.api.resource_url();
        let is_list = matches!(error, Error::InitialListFailed(_));
        let is_warning = match code {
            403 => true,
            // The definitions may be installed later.
            404 => false,
            // A watch that fails is resumed.
            _ => is_list,
        };
        let warned = if is_list { &mut self.warned.list } else { &mut self.warned.watch };
        if !is_warning || warned.replace(code) == Some(code) {
            tracing::debug!(kind, %error, ?delay, "a list or a watch failed");
        } else if code == 403 {
            tracing::warn!(kind, "objects cannot be watched; grant this account list and watch");
        } else {
            tracing::warn!(kind, %error, ?delay, "objects cannot be listed; trying again");
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
    /// Start time; `None` if the watch was rejected, which the caller reports.
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
