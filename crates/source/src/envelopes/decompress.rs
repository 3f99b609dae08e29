//! Decompresses a stream that arrives in portions: up to two layers of gzip or zstd.
//!
//! A reader without bytes returns [`io::ErrorKind::WouldBlock`], and continues when bytes were
//! added. The decoders keep their state then.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf as _, Bytes};
use flate2::bufread::MultiGzDecoder;

use crate::limits::{
    EXPANSION_BYTES_MIN, EXPANSION_MAX, INNER_EXPANSION_BYTES_MIN, INNER_EXPANSION_MAX, LAYERS_MAX,
    ZSTD_WINDOW_LOG_MAX,
};

/// Bytes of decompressed content that are held.
const BUFFER_BYTES: usize = 64 << 10;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

type Stream = Box<dyn BufRead + Send>;

/// The portions that are not read yet. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Feed(Arc<Mutex<Portions>>);

#[derive(Debug, Default)]
struct Portions {
    waiting: VecDeque<Bytes>,
    is_end: bool,
}

impl Feed {
    pub(super) fn push(&self, portion: Bytes) {
        self.lock(|portions| portions.waiting.push_back(portion));
    }

    pub(super) fn end(&self) {
        self.lock(|portions| portions.is_end = true);
    }

    pub(super) fn reader(&self) -> FeedReader {
        FeedReader { feed: self.clone(), portion: Bytes::new(), consumed: Arc::default() }
    }

    fn lock<T>(&self, act: impl FnOnce(&mut Portions) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads the portions one after the other.
#[derive(Debug)]
pub(super) struct FeedReader {
    feed: Feed,
    portion: Bytes,
    /// Number of bytes that were read.
    consumed: Arc<AtomicU64>,
}

impl BufRead for FeedReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.portion.is_empty() {
            let next = self.feed.lock(|portions| match portions.waiting.pop_front() {
                None if portions.is_end => Ok(None),
                None => Err(io::Error::from(io::ErrorKind::WouldBlock)),
                portion => Ok(portion),
            })?;
            match next {
                Some(portion) => self.portion = portion,
                None => return Ok(&[]),
            }
        }
        Ok(&self.portion)
    }

    fn consume(&mut self, amount: usize) {
        self.portion.advance(amount.min(self.portion.len()));
        self.consumed.fetch_add(amount as u64, Ordering::Relaxed);
    }
}

impl Read for FeedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

/// A stream whose bytes are counted.
pub(super) struct Counted<S> {
    stream: S,
    consumed: Arc<AtomicU64>,
}

impl<S> Counted<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, consumed: Arc::default() }
    }

    /// Number of bytes that were read.
    pub(super) fn consumed(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.consumed)
    }
}

impl<S: BufRead> BufRead for Counted<S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.stream.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.consumed.fetch_add(amount as u64, Ordering::Relaxed);
        self.stream.consume(amount);
    }
}

impl<S: BufRead> Read for Counted<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

/// A compressed stream in another one. It may be a multiple of the object only, because a decoder
/// reads all of it although it may have no content.
struct Inner {
    stream: Stream,
    /// Bytes of the object that were read.
    consumed: Arc<AtomicU64>,
    bytes: u64,
}

impl BufRead for Inner {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let limits = (INNER_EXPANSION_MAX, INNER_EXPANSION_BYTES_MIN);
        check_expansion(self.bytes, &self.consumed, limits)?;
        self.stream.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.bytes += amount as u64;
        self.stream.consume(amount);
    }
}

impl Read for Inner {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

/// Checks the number of bytes that an object is decompressed to.
fn check_expansion(
    bytes: u64,
    consumed: &AtomicU64,
    (multiple, min): (u64, u64),
) -> io::Result<()> {
    let consumed = consumed.load(Ordering::Relaxed);
    if bytes > consumed.saturating_mul(multiple).saturating_add(min) {
        let text = format!(
            "it expands to more than {EXPANSION_MAX} times its size, or {INNER_EXPANSION_MAX} times if \
             it is compressed twice"
        );
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(())
}

/// The content of an object.
pub(super) struct Content {
    stream: Layer,
    /// Bytes of the object that were read.
    consumed: Arc<AtomicU64>,
    /// Bytes of the content that were read.
    bytes: u64,
}

impl Content {
    pub(super) fn new(from: FeedReader, is_plain: bool) -> Self {
        let consumed = Arc::clone(&from.consumed);
        let layers = if is_plain { 0 } else { LAYERS_MAX };
        let stream = Layer::new(Box::new(from), layers, Arc::clone(&consumed));
        Self { stream, consumed, bytes: 0 }
    }

    /// Whether the object is compressed, as far as is known.
    pub(super) fn is_compressed(&self) -> bool {
        self.stream.is_compressed
    }

    /// Bytes of the content that were read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let limits = (EXPANSION_MAX, EXPANSION_BYTES_MIN);
        check_expansion(self.bytes, &self.consumed, limits)?;
        self.stream.fill_buf()
    }

    pub(super) fn consume(&mut self, amount: usize) {
        self.bytes += amount as u64;
        self.stream.consume(amount);
    }
}

/// A stream that may be compressed, which its first bytes say.
pub(super) struct Layer {
    state: State,
    /// Layers of compression that are still allowed.
    layers: u32,
    is_compressed: bool,
    /// Bytes of the object that were read.
    consumed: Arc<AtomicU64>,
}

enum State {
    /// The first bytes are being read. The stream is taken when they are complete.
    Start {
        magic: Vec<u8>,
        stream: Option<Stream>,
    },
    Open(Stream),
}

impl Layer {
    pub(super) fn new(stream: Stream, layers: u32, consumed: Arc<AtomicU64>) -> Self {
        let state = match layers {
            0 => State::Open(stream),
            _ => State::Start { magic: Vec::new(), stream: Some(stream) },
        };
        Self { state, layers, is_compressed: false, consumed }
    }

    /// Reads the first bytes, and chooses the decoder.
    fn open(&mut self) -> io::Result<()> {
        let State::Start { magic, stream: from } = &mut self.state else { return Ok(()) };
        let Some(stream) = from else { return Err(io::ErrorKind::BrokenPipe.into()) };
        while magic.len() < ZSTD.len() {
            let buffer = stream.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            let consumed = buffer.len().min(ZSTD.len() - magic.len());
            magic.extend_from_slice(&buffer[..consumed]);
            stream.consume(consumed);
        }
        let (magic, stream) = (std::mem::take(magic), from.take());
        let Some(stream) = stream else { return Ok(()) };
        let (is_gzip, is_zstd) = (magic.starts_with(&GZIP), magic.starts_with(&ZSTD));
        let is_inner = (is_gzip || is_zstd) && self.layers < LAYERS_MAX;
        let stream: Stream = if is_inner {
            Box::new(Inner { stream, consumed: Arc::clone(&self.consumed), bytes: 0 })
        } else {
            stream
        };
        let stream = Read::chain(Cursor::new(magic), stream);
        let inner: Stream = if is_gzip {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(stream)))
        } else if is_zstd {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, zstd(stream)?))
        } else {
            self.state = State::Open(Box::new(stream));
            return Ok(());
        };
        self.is_compressed = true;
        self.state =
            State::Open(Box::new(Self::new(inner, self.layers - 1, Arc::clone(&self.consumed))));
        Ok(())
    }
}

fn zstd(
    stream: Chain<Cursor<Vec<u8>>, Stream>,
) -> io::Result<zstd::Decoder<'static, Chain<Cursor<Vec<u8>>, Stream>>> {
    let mut decoder = zstd::Decoder::with_buffer(stream)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

impl BufRead for Layer {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.open()?;
        match &mut self.state {
            State::Open(stream) => stream.fill_buf(),
            State::Start { .. } => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn consume(&mut self, amount: usize) {
        if let State::Open(stream) = &mut self.state {
            stream.consume(amount);
        }
    }
}

impl Read for Layer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

fn read_buffered(from: &mut impl BufRead, buffer: &mut [u8]) -> io::Result<usize> {
    let available = from.fill_buf()?;
    let length = available.len().min(buffer.len());
    buffer[..length].copy_from_slice(&available[..length]);
    from.consume(length);
    Ok(length)
}
