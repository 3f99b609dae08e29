//! Observes the frames of an HTTP/2 connection in both directions.
//!
//! The library resets a stream whose path exceeds its limit, and no audit event is written. So this
//! module shortens the path in the header block before the library reads it, and `serve` responds
//! with 414. Only a block of several frames can contain such a path, and only such blocks are
//! buffered until they are complete; everything else passes unchanged. After unexpected input, all
//! further bytes pass unchanged, because rejecting it is the library's task. Streams that the
//! library resets as malformed are counted, and so are header blocks that are too long: the library
//! responds to them with 431.

mod header_block;
mod huffman;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits::{HEADER_BYTES_MAX, HELD_HEADERS_BYTES_MAX};

/// Length of the HTTP/2 connection preface of the client.
const PREFACE_LEN: usize = 24;
const HEADER_LEN: usize = 9;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
/// Error codes of malformed requests: `PROTOCOL_ERROR`, `COMPRESSION_ERROR`.
const MALFORMED: [[u8; 4]; 2] = [[0, 0, 0, 1], [0, 0, 0, 9]];
/// Maximum length of a buffered block, with frame headers, in bytes. The library rejects longer
/// ones.
const BLOCK_BYTES_MAX: usize = HEADER_BYTES_MAX as usize + (8 << 10);
/// Size of a read while a block is buffered, in bytes.
const PIECE_BYTES: usize = 16 << 10;

/// Total bytes buffered by all connections.
pub(super) type TotalBuffered = Arc<AtomicUsize>;

/// A frame header.
#[derive(Clone, Copy)]
struct FrameHeader {
    len: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl FrameHeader {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let [high, middle, low, kind, flags, stream @ ..] = bytes.first_chunk::<HEADER_LEN>()?;
        let len = usize::try_from(u32::from_be_bytes([0, *high, *middle, *low])).ok()?;
        let stream = u32::from_be_bytes(*stream) & (u32::MAX >> 1);
        Some(Self { len, kind: *kind, flags: *flags, stream })
    }

    /// Whether a header block begins that continues in other frames.
    fn begins_long_block(self) -> bool {
        self.kind == HEADERS && self.flags & END_HEADERS == 0
    }
}

/// A connection whose frames are observed.
pub(super) struct Frames<S, C> {
    stream: S,
    incoming: Incoming,
    outgoing: Outgoing,
    /// Called for each stream or connection that ends because a request is malformed.
    count: C,
}

impl<S, C> Frames<S, C> {
    pub(super) fn new(stream: S, total_buffered: TotalBuffered, count: C) -> Self {
        let incoming = Incoming::new(total_buffered);
        Self { stream, incoming, outgoing: Outgoing::default(), count }
    }
}

/// State of the incoming direction.
struct Incoming {
    /// Bytes to pass before the next frame header.
    passing: usize,
    /// Buffered bytes: a partial frame header, or an incomplete header block.
    buffered: BytesMut,
    /// Offset of the next frame header in a buffered block; 0 if none has been parsed. A client may
    /// send a block byte by byte, and parsing must not restart each time.
    parsed: usize,
    /// Bytes to deliver before anything else.
    ready: Bytes,
    /// Whether all bytes pass unchanged from now on.
    is_off: bool,
    /// Whether a header block was too long, until it is counted.
    is_too_long: bool,
    total_buffered: TotalBuffered,
    /// Bytes of `total_buffered` that belong to this connection.
    share: usize,
    /// Number of frame headers parsed in buffered blocks.
    #[cfg(test)]
    steps: usize,
}

/// Classification of the buffered bytes.
enum Buffered {
    /// This many bytes may pass.
    Passes(usize),
    /// A complete header block of this many bytes.
    Block(usize),
    /// More bytes are needed.
    More,
    /// Unexpected input.
    Unexpected,
}

impl Incoming {
    fn new(total_buffered: TotalBuffered) -> Self {
        Self {
            passing: PREFACE_LEN,
            buffered: BytesMut::new(),
            parsed: 0,
            ready: Bytes::new(),
            is_off: false,
            is_too_long: false,
            total_buffered,
            share: 0,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Returns how many of these bytes pass. The remaining ones must be buffered.
    fn passes(&mut self, bytes: &[u8]) -> usize {
        if self.is_off {
            return bytes.len();
        }
        let mut at = 0;
        loop {
            let step = self.passing.min(bytes.len() - at);
            self.passing -= step;
            at += step;
            let rest = bytes.get(at..).unwrap_or_default();
            match FrameHeader::parse(rest) {
                Some(header) if !header.begins_long_block() => {
                    self.passing = HEADER_LEN + header.len;
                }
                _ => return at,
            }
        }
    }

    fn classify(&mut self) -> Buffered {
        let Some(first) = FrameHeader::parse(&self.buffered) else { return Buffered::More };
        if !first.begins_long_block() {
            let buffered = std::mem::take(&mut self.buffered);
            let passes = self.passes(&buffered);
            self.buffered = buffered;
            return Buffered::Passes(passes);
        }
        self.parsed = self.parsed.max(HEADER_LEN + first.len);
        loop {
            #[cfg(test)]
            {
                self.steps += 1;
            }
            let rest = self.buffered.get(self.parsed..).unwrap_or_default();
            let Some(next) = FrameHeader::parse(rest) else { return Buffered::More };
            if next.kind != CONTINUATION || next.stream != first.stream {
                return Buffered::Unexpected;
            }
            let end = self.parsed + HEADER_LEN + next.len;
            if next.flags & END_HEADERS != 0 {
                return if end <= self.buffered.len() {
                    Buffered::Block(end)
                } else {
                    Buffered::More
                };
            }
            self.parsed = end;
        }
    }

    /// Moves buffered bytes to `ready`. Returns false if more bytes are needed.
    fn advance(&mut self) -> bool {
        match self.classify() {
            Buffered::Passes(len) => self.ready = self.buffered.split_to(len).freeze(),
            Buffered::Block(len) => {
                let block = self.buffered.split_to(len).freeze();
                self.ready = header_block::shortened(&block).unwrap_or(block);
            }
            Buffered::More if self.buffered.len() <= BLOCK_BYTES_MAX && self.take_share() => {
                return false;
            }
            Buffered::More if self.buffered.len() > BLOCK_BYTES_MAX => {
                // Its remaining frames pass one by one, as other frames do.
                let len = self.parsed.min(self.buffered.len());
                self.passing = self.parsed - len;
                self.ready = self.buffered.split_to(len).freeze();
                self.is_too_long = true;
            }
            Buffered::More | Buffered::Unexpected => {
                self.is_off = true;
                self.ready = std::mem::take(&mut self.buffered).freeze();
            }
        }
        self.parsed = 0;
        self.take_share();
        true
    }

    /// Updates the shared total. Returns whether it is within [`HELD_HEADERS_BYTES_MAX`].
    fn take_share(&mut self) -> bool {
        let (before, now) = (self.share, self.buffered.len());
        self.share = now;
        self.total_buffered.fetch_add(now, Ordering::Relaxed);
        let all = self.total_buffered.fetch_sub(before, Ordering::Relaxed) - before;
        all <= HELD_HEADERS_BYTES_MAX
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.total_buffered.fetch_sub(self.share, Ordering::Relaxed);
    }
}

impl<S: AsyncRead + Unpin, C: Fn() + Unpin> AsyncRead for Frames<S, C> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, incoming, count, .. } = self.get_mut();
        loop {
            if !incoming.ready.is_empty() {
                let len = incoming.ready.len().min(buffer.remaining());
                buffer.put_slice(incoming.ready.get(..len).unwrap_or_default());
                incoming.ready.advance(len);
                return Poll::Ready(Ok(()));
            }
            if incoming.buffered.is_empty() {
                let before = buffer.filled().len();
                ready!(Pin::new(&mut *stream).poll_read(context, buffer))?;
                let bytes = buffer.filled().get(before..).unwrap_or_default();
                let passes = incoming.passes(bytes);
                if passes == bytes.len() {
                    return Poll::Ready(Ok(()));
                }
                incoming.buffered.extend_from_slice(bytes.get(passes..).unwrap_or_default());
                buffer.set_filled(before + passes);
                if passes > 0 {
                    return Poll::Ready(Ok(()));
                }
            }
            if incoming.advance() {
                if std::mem::take(&mut incoming.is_too_long) {
                    count();
                }
                continue;
            }
            let mut piece = [0; PIECE_BYTES];
            let mut piece = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut piece))?;
            if piece.filled().is_empty() {
                // End of the stream: deliver the incomplete block to the library.
                incoming.is_off = true;
                incoming.ready = std::mem::take(&mut incoming.buffered).freeze();
                if incoming.ready.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
            incoming.buffered.extend_from_slice(piece.filled());
        }
    }
}

/// State of the outgoing direction.
#[derive(Default)]
struct Outgoing {
    /// Bytes before the next frame header.
    passing: usize,
    /// Frame header, and the part of the payload up to the error code.
    start: Vec<u8>,
}

impl Outgoing {
    /// Observes outgoing bytes. Returns the number of `RST_STREAM` and `GOAWAY` frames with an
    /// error code of [`MALFORMED`].
    fn watch(&mut self, mut bytes: &[u8]) -> u32 {
        let mut ends = 0;
        while !bytes.is_empty() {
            let step = self.passing.min(bytes.len());
            self.passing -= step;
            bytes = bytes.get(step..).unwrap_or_default();
            if self.passing > 0 || bytes.is_empty() {
                break;
            }
            let len = FrameHeader::parse(&self.start).map_or(HEADER_LEN, Self::collected_len);
            let step = (len - self.start.len()).min(bytes.len());
            self.start.extend_from_slice(bytes.get(..step).unwrap_or_default());
            bytes = bytes.get(step..).unwrap_or_default();
            let Some(header) = FrameHeader::parse(&self.start) else { continue };
            let len = Self::collected_len(header);
            if self.start.len() < len {
                continue;
            }
            let is_malformed = MALFORMED.iter().any(|code| self.start.ends_with(code));
            ends += u32::from(len > HEADER_LEN && is_malformed);
            self.passing = HEADER_LEN + header.len - self.start.len();
            self.start.clear();
        }
        ends
    }

    /// Number of bytes of a frame to collect: up to its error code, if it has one.
    fn collected_len(header: FrameHeader) -> usize {
        let code_end = match header.kind {
            RST_STREAM => 4,
            GOAWAY => 8,
            _ => 0,
        };
        HEADER_LEN + header.len.min(code_end)
    }
}

impl<S: AsyncWrite + Unpin, C: Fn() + Unpin> AsyncWrite for Frames<S, C> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(context, bytes))?;
        let ends = this.outgoing.watch(bytes.get(..written).unwrap_or_default());
        (0..ends).for_each(|_| (this.count)());
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(context, slices))?;
        let mut remaining = written;
        for slice in slices {
            let len = remaining.min(slice.len());
            let ends = this.outgoing.watch(slice.get(..len).unwrap_or_default());
            (0..ends).for_each(|_| (this.count)());
            remaining -= len;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[a, b, c, kind, flags, 0, 0, 0, 1][..], payload].concat()
    }

    /// Sends a block of `frames` frames in pieces, checks the output, and returns the number of
    /// parsed headers.
    fn check(frames: usize, piece: usize) -> usize {
        let mut block = frame(HEADERS, 0, &[0x82]);
        for at in 1..frames {
            let flags = if at + 1 == frames { END_HEADERS } else { 0 };
            block.extend(frame(CONTINUATION, flags, b"x"));
        }
        let mut incoming = Incoming::new(TotalBuffered::default());
        incoming.passing = 0;
        for piece in block.chunks(piece) {
            assert!(incoming.ready.is_empty(), "nothing passes before the block is complete");
            incoming.buffered.extend_from_slice(piece);
            incoming.advance();
        }
        assert_eq!(incoming.ready, block, "a block whose path is not too long is not changed");
        assert_eq!(incoming.total_buffered.load(Ordering::Relaxed), 0);
        incoming.steps
    }

    /// Regression test: parsing restarted at the beginning of the block for each piece, so a client
    /// that sent it byte by byte made the server parse millions of frames.
    #[test]
    fn a_split_header_block_is_scanned_once() {
        const FRAMES: usize = 4000;
        let bytes = HEADER_LEN * FRAMES + FRAMES;
        assert_eq!(check(FRAMES, bytes), FRAMES - 1);
        for piece in [1, 7, 10, 1000] {
            let pieces = bytes.div_ceil(piece);
            let steps = check(FRAMES, piece);
            assert!(
                steps <= FRAMES + pieces,
                "{steps} looks at {FRAMES} frames in {pieces} pieces"
            );
        }
    }

    /// Reads blocks of these lengths in frames of 16,000 bytes and pieces of `piece` bytes, and
    /// returns how many were counted. All bytes pass unchanged.
    async fn counted(lens: &[usize], piece: usize) -> usize {
        let mut sent = vec![0; PREFACE_LEN];
        for len in lens {
            let payload = vec![b'x'; *len];
            let count = payload.chunks(16_000).count();
            for (at, chunk) in payload.chunks(16_000).enumerate() {
                let kind = if at == 0 { HEADERS } else { CONTINUATION };
                let flags = if at + 1 == count { END_HEADERS } else { 0 };
                sent.extend(frame(kind, flags, chunk));
            }
        }
        let stream = sent
            .chunks(piece)
            .fold(Box::new(tokio::io::empty()) as Box<dyn AsyncRead + Unpin>, |stream, piece| {
                Box::new(stream.chain(std::io::Cursor::new(piece.to_vec())))
            });
        let count = AtomicUsize::new(0);
        let count_one = || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        let total = TotalBuffered::default();
        let mut frames = Frames::new(stream, Arc::clone(&total), count_one);
        let mut read = Vec::new();
        frames.read_to_end(&mut read).await.unwrap();
        assert!(read == sent, "{lens:?} {piece}: {} bytes passed", read.len());
        assert_eq!(total.load(Ordering::Relaxed), 0);
        count.load(Ordering::Relaxed)
    }

    /// Regression: the library's responses 431 were not counted as malformed requests.
    #[tokio::test]
    async fn header_blocks_that_are_too_long_are_counted() {
        for piece in [1_000, 16_009, 150_000] {
            assert_eq!(counted(&[100, 40_000, 120_000], piece).await, 0);
            assert_eq!(counted(&[200_000, 40_000, 300_000, 100, 200_000], piece).await, 3);
        }
    }
}
