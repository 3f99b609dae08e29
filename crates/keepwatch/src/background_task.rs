//! The type of the tasks that run alongside the server.

use futures::future::BoxFuture;

/// A task that runs alongside the server and is aborted first on shutdown.
pub(crate) type BackgroundTask = BoxFuture<'static, ()>;
