//! The bytes of one file, object or pipe, counted, and decompressed if they are gzip or zstd.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use source::envelopes;

/// Bytes per read.
const BUFFER_BYTES: usize = 64 << 10;

/// The number of bytes that have been read, for the progress bar.
pub(super) type Meter = Arc<AtomicU64>;

/// Opens a file.
pub(super) fn file(path: &Path, meter: &Meter) -> io::Result<Box<dyn BufRead>> {
    decompressed(File::open(path)?, meter)
}

/// Standard input.
pub(super) fn stdin(meter: &Meter) -> io::Result<Box<dyn BufRead>> {
    decompressed(io::stdin(), meter)
}

/// The content of `from`, decompressed if it is gzip or zstd, in up to two layers. Its name is
/// ignored.
pub(super) fn decompressed(
    from: impl Read + Send + 'static,
    meter: &Meter,
) -> io::Result<Box<dyn BufRead>> {
    let from = Metered { from, meter: Arc::clone(meter) };
    let mut content =
        envelopes::decompressed(Box::new(BufReader::with_capacity(BUFFER_BYTES, from)));
    // A file that cannot be read is reported when it is opened.
    content.fill_buf()?;
    Ok(Box::new(content))
}

struct Metered<R> {
    from: R,
    meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.meter.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn check(bytes: Vec<u8>, expected: &str) {
        let meter = Meter::default();
        let length = bytes.len() as u64;
        let mut text = String::new();
        let mut decompressed = decompressed(Cursor::new(bytes), &meter).unwrap();
        decompressed.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), meter.load(Ordering::Relaxed)), (expected, length));
    }

    #[test]
    fn gzip_of_any_number_of_members_is_recognized_by_its_first_bytes() {
        check(Vec::new(), "");
        check(b"{".to_vec(), "{");
        check(b"plain\n".to_vec(), "plain\n");
        check(gzip("one\n"), "one\n");
        check([gzip("one\n"), gzip(""), gzip("two\n")].concat(), "one\ntwo\n");
    }

    #[test]
    fn corrupt_gzip_is_reported() {
        let mut truncated = gzip("one\n");
        truncated.truncate(15);
        let mut text = String::new();
        let opened = decompressed(Cursor::new(truncated), &Meter::default());
        let read = opened.and_then(|mut opened| opened.read_to_string(&mut text));
        assert!(read.is_err());
    }
}
