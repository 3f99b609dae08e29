//! The type of the tasks that run beside the server.

use futures::future::BoxFuture;

/// A task that runs beside the server and is aborted first on shutdown.
pub(crate) type BackgroundTask = BoxFuture<'static, ()>;
