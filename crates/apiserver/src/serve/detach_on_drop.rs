//! Work that goes on when nobody waits for it any more.
//!
//! hyper drops the future of a request when its client goes away. The request must still be carried
//! out and recorded, so the rest of the work then moves to a task that shutdown waits for. As long
//! as the client stays, there is no task of its own and nothing is paid for it.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// A future that cannot be dropped half done.
pub(crate) struct DetachOnDrop<T: Send + 'static> {
    /// Empty once it is done.
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    tracker: TaskTracker,
    runtime: Handle,
}

impl<T: Send + 'static> DetachOnDrop<T> {
    pub(crate) fn new(
        work: impl Future<Output = T> + Send + 'static,
        tracker: TaskTracker,
        runtime: Handle,
    ) -> Self {
        Self { work: Some(Box::pin(work)), tracker, runtime }
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
            let rest = async move { drop(work.await) };
            self.tracker.spawn_on(rest, &self.runtime);
        }
    }
}
