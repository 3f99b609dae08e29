//! A writer for HTTP/2 connections that coalesces responses that become ready together.
//!
//! One commit completes many requests. Their responses reach the connection one after the other,
//! and each would require a TLS record and a system call. So a flush yields once, until all tasks
//! that are ready now have run. It uses no timer and adds no other delay.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};

/// Buffer size, in bytes: four TLS records. A full buffer is written without a flush.
const BUFFER_BYTES: usize = 64 << 10;

/// See the module documentation.
pub(super) struct CoalescingWriter<S> {
    stream: BufWriter<S>,
    /// Whether the current flush has yielded.
    has_yielded: bool,
}

impl<S: AsyncWrite> CoalescingWriter<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream: BufWriter::with_capacity(BUFFER_BYTES, stream), has_yielded: false }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for CoalescingWriter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CoalescingWriter<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.stream.buffer().is_empty() && !self.has_yielded {
            self.has_yielded = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.has_yielded = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Sends `pieces` through a pipe that takes `width` bytes at a time, and checks the result.
    async fn check(width: usize, pieces: &[&[u8]]) {
        let (server, mut client) = tokio::io::duplex(width);
        let writing = async move {
            let mut stream = CoalescingWriter::new(server);
            for piece in pieces {
                stream.write_all(piece).await.unwrap();
                if piece.is_empty() {
                    stream.flush().await.unwrap();
                }
            }
            stream.shutdown().await.unwrap();
        };
        let mut arrived = Vec::new();
        let (read, ()) = tokio::join!(client.read_to_end(&mut arrived), writing);
        read.unwrap();
        assert!(arrived == pieces.concat(), "{width}: {} bytes arrived", arrived.len());
    }

    #[tokio::test]
    async fn everything_arrives_in_order() {
        let long: Vec<u8> = (0..=u8::MAX).cycle().take(3 * BUFFER_BYTES + 5).collect();
        for width in [1 << 10, 100_000, 1 << 20] {
            check(width, &[b"a", b"", b"bc", b"def"]).await;
            check(width, &[b"a", &long, b"", b"b", &long]).await;
        }
    }

    #[tokio::test]
    async fn a_flush_yields_to_other_writers() {
        let (server, mut client) = tokio::io::duplex(1 << 10);
        let mut stream = CoalescingWriter::new(server);
        stream.write_all(b"one").await.unwrap();
        assert!(futures::poll!(std::pin::pin!(stream.flush())).is_pending());
        stream.write_all(b"two").await.unwrap();
        stream.flush().await.unwrap();
        let mut arrived = [0; 8];
        assert_eq!(client.read(&mut arrived).await.unwrap(), 6);
    }
}
