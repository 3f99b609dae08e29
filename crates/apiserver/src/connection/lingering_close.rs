//! A connection that says goodbye before it hangs up.
//!
//! A socket that is closed while something unread lies in it is reset, and a reset can take away
//! from the client what was sent last: the very answer after which the connection was closed. So
//! the closing side stops writing, and reads on until the client has closed too or a second is over.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long the client gets to close its side.
const LINGER_TIME_MAX: Duration = Duration::from_secs(1);
/// What is read and thrown away at a time.
const SCRAP_LEN: usize = 1024;

/// See the head of this file.
pub(super) struct LingeringClose<S> {
    stream: S,
    /// Set when writing has ended.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<S> LingeringClose<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, patience: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LingeringClose<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for LingeringClose<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.patience.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        }
        let patience =
            this.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER_TIME_MAX)));
        loop {
            if patience.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut scrap = [0; SCRAP_LEN];
            let mut scrap = ReadBuf::new(&mut scrap);
            match ready!(Pin::new(&mut this.stream).poll_read(context, &mut scrap)) {
                Ok(()) if !scrap.filled().is_empty() => {}
                // The client has closed, one way or the other.
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
