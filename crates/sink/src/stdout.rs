//! Writes lines to standard output, for a log agent, a pipe or a person.
//!
//! A reader that stops reading, for example a stopped pager, blocks only the writing thread. The
//! thread is not joined at the end of the process, because a blocked write cannot be interrupted. A
//! closed pipe ends the sink. Lines can be repeated after a crash, because a pipe does not report
//! which lines were read.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use async_trait::async_trait;
use bytes::{Buf as _, Bytes};
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::{mpsc, oneshot};

use crate::{Batch, DeliverError, Delivered, Encoding, Sink};

/// Maximum number of batches in the queue of the writing thread.
const QUEUED_BATCHES_MAX: usize = 1;

/// Writes lines to a file descriptor, which may block for any time.
#[derive(Debug)]
pub struct StdoutSink {
    encoding: Encoding,
    requests: mpsc::Sender<WriteRequest>,
    /// The write whose outcome the caller has not received yet, with its number of records.
    pending: Option<(usize, oneshot::Receiver<Outcome>)>,
    /// The rest of a batch after a failed write. It may begin in the middle of a line.
    rest: Bytes,
}

struct WriteRequest {
    lines: Bytes,
    result_sender: oneshot::Sender<Outcome>,
}

/// The error, and the bytes that were not written.
type Outcome = Result<(), (io::Error, Bytes)>;

impl StdoutSink {
    /// A sink for the standard output of this process.
    pub fn open(encoding: Encoding) -> io::Result<Self> {
        Self::from_fd(io::stdout().as_fd().try_clone_to_owned()?, encoding)
    }

    /// A sink for any file descriptor.
    pub fn from_fd(fd: OwnedFd, encoding: Encoding) -> io::Result<Self> {
        let (requests, mut receiver) = mpsc::channel::<WriteRequest>(QUEUED_BATCHES_MAX);
        thread::Builder::new().name("stdout".to_owned()).spawn(move || {
            let mut out = File::from(fd);
            while let Some(WriteRequest { lines, result_sender }) = receiver.blocking_recv() {
                // The receiver is dropped when the server stops.
                drop(result_sender.send(write_all(&mut out, lines)));
            }
        })?;
        Ok(Self { encoding, requests, pending: None, rest: Bytes::new() })
    }

    /// Waits for the running write. Dropping the future does not lose the outcome.
    async fn outcome(&mut self) -> Result<usize, DeliverError> {
        let Some((records, result)) = &mut self.pending else { return Ok(0) };
        let (records, written) = (*records, result.await);
        self.pending = None;
        match written {
            Ok(Ok(())) => Ok(records),
            Ok(Err((error, _))) if error.kind() == ErrorKind::BrokenPipe => {
                Err(DeliverError::Closed)
            }
            Ok(Err((error, rest))) => {
                self.rest = rest;
                Err(DeliverError::Retry { after: None, source: error.into() })
            }
            Err(_) => Err(DeliverError::Closed),
        }
    }
}

#[async_trait]
impl Sink for StdoutSink {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    async fn resume(&mut self, _state: &str) -> Result<(), DeliverError> {
        Ok(())
    }

    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliverError> {
        if self.pending.is_none() && !batch.is_empty() {
            let (result_sender, outcome) = oneshot::channel();
            let rest = std::mem::take(&mut self.rest);
            let lines = if rest.is_empty() { batch.to_bytes() } else { rest };
            let request = WriteRequest { lines, result_sender };
            self.requests.send(request).await.map_err(|_| DeliverError::Closed)?;
            self.pending = Some((batch.len(), outcome));
        }
        let records = self.outcome().await?;
        Ok(Delivered { records, ..Delivered::default() })
    }
}

/// Does the same as `write_all`, and waits if a descriptor that is shared with a terminal is in
/// non-blocking mode.
fn write_all(out: &mut File, mut lines: Bytes) -> Outcome {
    while !lines.is_empty() {
        let result = match out.write(&lines) {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                lines.advance(written);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(out, PollFlags::OUT)], None).map(drop).map_err(Into::into)
            }
            Err(error) => Err(error),
        };
        result.map_err(|error| (error, lines.clone()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    fn batch(line: &str) -> Batch {
        let mut builder = crate::BatchBuilder::default();
        builder.push(1, |lines| lines.extend_from_slice(line.as_bytes()));
        builder.finish()
    }

    #[test]
    fn lines_are_written_and_a_closed_pipe_closes_the_sink() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut sink = StdoutSink::from_fd(writer.into(), Encoding::V1).unwrap();
        let delivered = runtime().block_on(sink.deliver(&batch("one"))).unwrap();
        assert_eq!(delivered.records, 1);
        let mut read = [0; 4];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"one\n");
        drop(reader);
        let closed = runtime().block_on(sink.deliver(&batch("two")));
        assert!(matches!(closed, Err(DeliverError::Closed)), "{closed:?}");
    }

    #[test]
    fn a_reader_that_does_not_read_blocks_only_the_sink() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut sink = StdoutSink::from_fd(writer.into(), Encoding::V1).unwrap();
        let long = "x".repeat(1 << 20);
        let batch = batch(&long);
        let runtime = runtime();
        runtime.block_on(async {
            // The pipe holds less than the line: the delivery blocks, but this task continues.
            let blocked_delivery =
                tokio::time::timeout(std::time::Duration::ZERO, sink.deliver(&batch));
            assert!(blocked_delivery.await.is_err());
        });
        let all = thread::spawn(move || {
            let mut read = vec![0; (1 << 20) + 1];
            reader.read_exact(&mut read).unwrap();
            read
        });
        // A repeated call does not write the line twice.
        assert_eq!(runtime.block_on(sink.deliver(&batch)).unwrap().records, 1);
        assert!(all.join().unwrap().ends_with(b"x\n"));
        drop(sink);
    }
}
