//! A future whose work continues in a task after the future is dropped.
//!
//! hyper drops the future of a request when the client disconnects. The request must still be
//! completed and recorded, so the remaining work moves to a task that shutdown waits for. While the
//! client stays connected, there is no extra task and no overhead.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A future that runs to completion even if it is dropped.
pub(crate) struct DetachOnDrop<T: Send + 'static> {
    /// `None` once the work is complete.
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    tracker: TaskTracker,
    runtime: Handle,
    /// Cancelled if the future is dropped before its end, so that work which only the client waits
    /// for can stop.
    abandoned: Option<CancellationToken>,
}

impl<T: Send + 'static> DetachOnDrop<T> {
    pub(crate) fn new(
        work: impl Future<Output = T> + Send + 'static,
        tracker: TaskTracker,
        runtime: Handle,
        abandoned: Option<CancellationToken>,
    ) -> Self {
        Self { work: Some(Box::pin(work)), tracker, runtime, abandoned }
    }
}

impl<T: Send + 'static> Future for DetachOnDrop<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let done = work.as_mut().poll(context);
        if done.is_ready() {
            self.work = None;
        }
        done
    }
}

impl<T: Send + 'static> Drop for DetachOnDrop<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            if let Some(abandoned) = &self.abandoned {
                abandoned.cancel();
            }
            let rest = async move { drop(work.await) };
            self.tracker.spawn_on(rest, &self.runtime);
        }
    }
}
