//! Where in which file the sink stands, and what it finds there after a crash.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Lines that are remembered of a file beyond the recorded place. More than the cursor can ever
/// be behind; what is found beyond them is not taken for ours.
const FOUND_MAX: usize = 1 << 20;

/// A file on its device, and a place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    device: u64,
    inode: u64,
    /// Bytes up to here are known.
    pub(super) offset: u64,
}

impl Place {
    /// Reads what `Display` writes.
    pub(super) fn parse(state: &str) -> Option<Self> {
        let mut numbers = state.split(':').map(|number| number.parse().ok());
        let place =
            Self { device: numbers.next()??, inode: numbers.next()??, offset: numbers.next()?? };
        numbers.next().is_none().then_some(place)
    }

    pub(super) fn is_same_file(self, other: Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    fn of(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), offset: metadata.len() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.device, self.inode, self.offset)
    }
}

/// Opens the file for appending, and makes it and its folder where they are missing. The place is
/// its end.
pub(super) fn open(path: &Path) -> io::Result<(File, Place)> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        let message = format!("{} is not a regular file", path.display());
        return Err(io::Error::new(ErrorKind::InvalidInput, message));
    }
    let place = Place::of(&metadata);
    if place.offset == 0
        && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty())
    {
        // A new name lasts only when its folder is on disk.
        File::open(folder)?.sync_all()?;
    }
    Ok((file, place))
}

/// Whether `path` still names the file of `place`.
pub(super) fn is_at(path: &Path, place: Place) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Place::of(&metadata).is_same_file(place)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Ends the last line if somebody left it open. Returns the length of the file.
pub(super) fn end_line(file: &mut File) -> io::Result<u64> {
    let len = file.metadata()?.len();
    if len == 0 {
        return Ok(0);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(len - 1))?;
    io::Read::read_exact(file, &mut last)?;
    if last == *b"\n" {
        return Ok(len);
    }
    file.write_all(b"\n")?;
    Ok(len + 1)
}

/// Fingerprints of lines that are in the file already, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Found(VecDeque<u64>);

impl Found {
    /// Whether `line` is the next one found, and need not be written. A line that is not ends the
    /// matter: writing a line twice is better than not at all.
    pub(super) fn is_next(&mut self, line: &[u8]) -> bool {
        let Some(next) = self.0.pop_front() else { return false };
        let is_next = next == fingerprint(line);
        if !is_next {
            tracing::warn!(lines = self.0.len() + 1, "lines in the audit file are not ours");
            self.0.clear();
        }
        is_next
    }

    /// Adds the whole lines from `offset` on, and returns where the last of them ends.
    pub(super) fn read(&mut self, file: &mut File, offset: u64) -> io::Result<u64> {
        let len = file.metadata()?.len();
        let mut end = offset.min(len);
        file.seek(SeekFrom::Start(end))?;
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            lines.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                return Ok(end);
            }
            end += line.len() as u64;
            if self.0.len() < FOUND_MAX {
                self.0.push_back(fingerprint(&line));
            }
        }
    }

    /// Adds the lines beyond `recorded` in a file that has been given another name in its folder.
    pub(super) fn read_moved(&mut self, path: &Path, recorded: Place) -> io::Result<()> {
        let Some(folder) = path.parent() else { return Ok(()) };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file() && Place::of(&metadata).is_same_file(recorded) {
                self.read(&mut File::open(entry.path())?, recorded.offset)?;
                return Ok(());
            }
        }
        Ok(())
    }
}

fn fingerprint(line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written_and_nothing_else_is() {
        let place = Place { device: 1, inode: 2, offset: 3 };
        assert_eq!(Place::parse(&place.to_string()), Some(place));
        for bad in ["", "1", "1:2", "1:2:3:4", "a:2:3", "1:2:-3"] {
            assert_eq!(Place::parse(bad), None, "{bad}");
        }
    }
}
