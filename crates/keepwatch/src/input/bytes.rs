//! The bytes of one file, object or pipe, counted, and decompressed if they are gzip.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

/// Bytes per read.
const BUFFER_BYTES: usize = 64 << 10;
/// The magic number of gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The magic number of Zstandard.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The length of the longest magic number.
const MAGIC_BYTES: u64 = 4;

/// How many bytes have been read, for the progress bar.
pub(super) type Meter = Arc<AtomicU64>;

/// Opens a file.
pub(super) fn file(path: &Path, meter: &Meter) -> io::Result<Box<dyn BufRead>> {
    decompressed(File::open(path)?, meter)
}

/// Standard input.
pub(super) fn stdin(meter: &Meter) -> io::Result<Box<dyn BufRead>> {
    decompressed(io::stdin(), meter)
}

/// The content of `from`, decompressed if it is gzip, of any number of members. Its name does not matter.
pub(super) fn decompressed(
    from: impl Read + 'static,
    meter: &Meter,
) -> io::Result<Box<dyn BufRead>> {
    let mut from = Metered { from, meter: Arc::clone(meter) };
    let mut magic = Vec::new();
    Read::take(&mut from, MAGIC_BYTES).read_to_end(&mut magic)?;
    if magic.starts_with(&ZSTD) {
        return Err(io::Error::other(
            "it is compressed by Zstandard: decompress it with `zstd -dc` and pass it as -",
        ));
    }
    let is_gzip = magic.starts_with(&GZIP);
    let content = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(magic).chain(from));
    if is_gzip {
        let decoder = MultiGzDecoder::new(content);
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder)));
    }
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
    use std::io::Write as _;

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
        let zstd = decompressed(Cursor::new(ZSTD.to_vec()), &Meter::default());
        assert!(zstd.err().unwrap().to_string().contains("zstd -dc"));
        let mut truncated = gzip("one\n");
        truncated.truncate(15);
        let mut text = String::new();
        let mut opened = decompressed(Cursor::new(truncated), &Meter::default()).unwrap();
        assert!(opened.read_to_string(&mut text).is_err());
    }
}
