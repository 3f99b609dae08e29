//! What was read of each content, as it is stored with the events.
//!
//! A position is an object of the store. It is written in the transaction of the events before it,
//! so that after a crash each line is read exactly once. Positions of contents that no file has any
//! more are kept up to a limit, because a file can appear again under another name.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use bytes::Bytes;
use event::Timestamp;
use event::limit::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::file::Offset;
use crate::limits::LOG_POSITIONS_MAX;
use crate::splitter::{DIGEST_LEN, Digest};

/// Where the positions of all logs are stored.
const STATE_PREFIX: &str = "internal/audit-logs/";
/// The rest of the key of the object that exists once a log was read.
const START: &str = "start";

/// What was read of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// The lines before an offset.
    At(Offset),
    /// All that will be read.
    Done,
}

/// The body of the object of a position.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Body {
    /// In bytes; absent if nothing more will be read.
    offset: Option<u64>,
    /// The digest of the bytes before.
    #[serde(default)]
    tail: String,
    /// When it was written, in microseconds since the Unix epoch.
    time: i64,
}

/// The positions in the files of one log.
#[derive(Debug)]
pub(super) struct Positions {
    prefix: String,
    is_started: bool,
    by_content: HashMap<Digest, (Position, Timestamp)>,
}

impl Positions {
    /// The prefix of the keys of a log.
    pub(super) fn prefix(cluster: &str, path: &Path) -> String {
        let path = hex(&Sha256::digest(path.as_os_str().as_bytes())[..DIGEST_LEN]);
        format!("{STATE_PREFIX}{cluster}/{path}/")
    }

    /// The key of the object that exists once a log was read.
    pub(super) fn start_key(&self) -> String {
        format!("{}{START}", self.prefix)
    }

    /// Reads stored objects. One that cannot be read is ignored: lines that are read again are
    /// better than lines that are not.
    pub(super) fn read(prefix: String, objects: &[(String, Bytes)]) -> Self {
        let (mut by_content, mut is_started) = (HashMap::new(), false);
        for (key, body) in objects {
            if key.strip_prefix(&prefix) == Some(START) {
                is_started = true;
                continue;
            }
            let content = key.strip_prefix(&prefix).and_then(digest);
            let body: Option<Body> = serde_json::from_slice(body).ok();
            let (Some(content), Some(body)) = (content, body) else {
                tracing::warn!(key, "cannot read the position in a log; its file is read again");
                continue;
            };
            let at = |bytes| Position::At(Offset { bytes, tail: digest(&body.tail) });
            let position = body.offset.map_or(Position::Done, at);
            by_content.insert(content, (position, Timestamp::from_micros(body.time)));
        }
        Self { prefix, is_started, by_content }
    }

    /// Whether the log was read before.
    pub(super) fn is_started(&self) -> bool {
        self.is_started
    }

    pub(super) fn get(&self, content: Digest) -> Option<Position> {
        self.by_content.get(&content).map(|(position, _)| *position)
    }

    pub(super) fn set(&mut self, content: Digest, position: Position, now: Timestamp) {
        self.by_content.insert(content, (position, now));
    }

    /// The object of a position.
    pub(super) fn object(
        &self,
        content: Digest,
        position: Position,
        now: Timestamp,
    ) -> (String, Bytes) {
        let mut body = Body { time: now.as_micros(), ..Body::default() };
        if let Position::At(Offset { bytes, tail }) = position {
            body.offset = Some(bytes);
            body.tail = tail.map(|tail| hex(&tail)).unwrap_or_default();
        }
        let body = serde_json::to_vec(&body).unwrap_or_default();
        (format!("{}{}", self.prefix, hex(&content)), Bytes::from(body))
    }

    /// Forgets the oldest positions of contents that no file has, and returns their keys.
    pub(super) fn forget(&mut self, present: &HashSet<Digest>) -> Vec<String> {
        let excess = self.by_content.len().saturating_sub(LOG_POSITIONS_MAX);
        if excess == 0 {
            return Vec::new();
        }
        let absent = self.by_content.iter().filter(|(content, _)| !present.contains(*content));
        let mut absent: Vec<(Timestamp, Digest)> =
            absent.map(|(content, (_, time))| (*time, *content)).collect();
        absent.sort_unstable();
        absent.truncate(excess);
        for (_, content) in &absent {
            self.by_content.remove(content);
        }
        absent.iter().map(|(_, content)| format!("{}{}", self.prefix, hex(content))).collect()
    }
}

fn digest(text: &str) -> Option<Digest> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    if pairs.len() != DIGEST_LEN {
        return None;
    }
    let mut digest = Digest::default();
    for (byte, pair) in digest.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(7);

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let prefix = Positions::prefix("prod", Path::new("/var/log/audit.log"));
        let mut positions = Positions::read(prefix.clone(), &[]);
        let tail = Some([5; DIGEST_LEN]);
        let mut objects = Vec::new();
        for (content, position) in [
            ([1; DIGEST_LEN], Position::At(Offset { bytes: 7, tail })),
            ([2; DIGEST_LEN], Position::At(Offset { bytes: u64::MAX, tail: None })),
            ([3; DIGEST_LEN], Position::Done),
        ] {
            positions.set(content, position, NOW);
            objects.push(positions.object(content, position, NOW));
        }
        objects.push((format!("{prefix}zz"), Bytes::new()));
        objects.push((positions.start_key(), Bytes::new()));
        let read = Positions::read(prefix, &objects);
        assert_eq!(read.by_content, positions.by_content);
        assert_eq!((read.is_started(), positions.is_started()), (true, false));
    }

    #[test]
    fn the_oldest_positions_without_a_file_are_forgotten() {
        let mut positions = Positions::read(String::new(), &[]);
        let content = |number: usize| {
            let mut content = Digest::default();
            content[..8].copy_from_slice(&number.to_be_bytes());
            content
        };
        for number in 0..LOG_POSITIONS_MAX + 3 {
            let time = i64::try_from(number).unwrap();
            positions.set(content(number), Position::Done, Timestamp::from_micros(time));
        }
        let present = HashSet::from([content(0), content(2)]);
        let forgotten = positions.forget(&present);
        assert_eq!(forgotten.len(), 3);
        assert_eq!(positions.by_content.len(), LOG_POSITIONS_MAX);
        let remaining = [0, 1, 2, 3, 4, 5].map(|number| positions.get(content(number)).is_some());
        assert_eq!(remaining, [true, false, true, false, false, true]);
        assert_eq!(positions.forget(&present), Vec::<String>::new());
    }
}
