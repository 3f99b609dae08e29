//! The position of the sink in its file, and the lines beyond it that are found after a crash.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Maximum number of lines beyond the recorded position that are remembered. The cursor is never
/// this far behind; further lines are treated as lines of other programs.
const REPLAYED_LINES_MAX: usize = 1 << 20;

/// An offset in a file that is identified by device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FilePosition {
    device: u64,
    inode: u64,
    /// Bytes before it are written by this sink or known to it.
    pub(super) offset: u64,
}

impl FilePosition {
    /// Parses the output of `Display`.
    pub(super) fn parse(state: &str) -> Option<Self> {
        let mut numbers = state.split(':').map(|number| number.parse().ok());
        let position =
            Self { device: numbers.next()??, inode: numbers.next()??, offset: numbers.next()?? };
        numbers.next().is_none().then_some(position)
    }

    pub(super) fn is_same_file(self, other: Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    fn from_metadata(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), offset: metadata.len() }
    }
}

impl fmt::Display for FilePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.device, self.inode, self.offset)
    }
}

/// Opens the file for appending, and creates it and its folder if they are missing. The position is
/// its end.
pub(super) fn open(path: &Path) -> io::Result<(File, FilePosition)> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        let message = format!("{} is not a regular file", path.display());
        return Err(io::Error::new(ErrorKind::InvalidInput, message));
    }
    let position = FilePosition::from_metadata(&metadata);
    if position.offset == 0
        && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty())
    {
        // A new name survives a crash only if its folder is synced.
        File::open(folder)?.sync_all()?;
    }
    Ok((file, position))
}

/// Whether `path` still names the file of `position`.
pub(super) fn is_at(path: &Path, position: FilePosition) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(FilePosition::from_metadata(&metadata).is_same_file(position)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Completes the last line if it has no newline. Returns the length of the file.
pub(super) fn complete_last_line(file: &mut File) -> io::Result<u64> {
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

/// Fingerprints of the lines that are in the file although the cursor is before them, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplayedLines(VecDeque<u64>);

impl ReplayedLines {
    /// Whether `line` is the next one in the file, so that it need not be written. After the first
    /// difference all lines are written: a duplicate is better than a loss.
    pub(super) fn is_next(&mut self, line: &[u8]) -> bool {
        let Some(next) = self.0.pop_front() else { return false };
        let is_next = next == fingerprint(line);
        if !is_next {
            tracing::warn!(lines = self.0.len() + 1, "the audit file has lines of another program");
            self.0.clear();
        }
        is_next
    }

    /// Adds the complete lines from `offset` on, and returns the offset after the last one.
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
            if self.0.len() < REPLAYED_LINES_MAX {
                self.0.push_back(fingerprint(&line));
            }
        }
    }

    /// Adds the lines beyond `recorded` in a file that was renamed in its folder.
    pub(super) fn read_moved(&mut self, path: &Path, recorded: FilePosition) -> io::Result<()> {
        let Some(folder) = path.parent() else { return Ok(()) };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file() && FilePosition::from_metadata(&metadata).is_same_file(recorded) {
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
    fn a_position_is_parsed_as_it_is_written() {
        let position = FilePosition { device: 1, inode: 2, offset: 3 };
        assert_eq!(FilePosition::parse(&position.to_string()), Some(position));
        for invalid in ["", "1", "1:2", "1:2:3:4", "a:2:3", "1:2:-3"] {
            assert_eq!(FilePosition::parse(invalid), None, "{invalid}");
        }
    }
}
