//! Keys of objects: names and numbers below a prefix that an operator chooses.
//!
//! ```text
//! <prefix>cluster=<c>/source=<s>/date=YYYY-MM-DD/hour=HH/<epoch>-<first>-<last>-<hash16>.json.gz
//! ```
//!
//! A key is a function of the object's content, so a repeated upload has the same key, and a listing
//! shows gaps. Sequence numbers repeat after an older copy of the journal is restored; the epoch tells
//! them apart. A key contains no word by which the Datadog Forwarder would choose another parser.

use std::fmt;

use event::Timestamp;

use sink::hex;

/// Bytes of a prefix.
pub const PREFIX_BYTES_MAX: usize = 200;
/// The prefix that K10 uses.
pub const PREFIX_DEFAULT: &str = "k10audit/";
/// Bytes of a cluster's or source's name in a key.
const WORD_BYTES_MAX: usize = 100;

/// The beginning of every key: empty, or names with a slash after each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

/// The text cannot be a prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("prefix {prefix:?} {what}")]
pub struct PrefixError {
    prefix: String,
    what: String,
}

impl Default for Prefix {
    fn default() -> Self {
        Self(PREFIX_DEFAULT.to_owned())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Prefix {
    /// Parses a prefix of letters, digits, `.`, `_`, `-` and single slashes. A missing slash at the end
    /// is added.
    pub fn parse(text: &str) -> Result<Self, PrefixError> {
        let refused = |what: String| Err(PrefixError { prefix: text.to_owned(), what });
        if text.len() > PREFIX_BYTES_MAX {
            return refused(format!("is longer than {PREFIX_BYTES_MAX} bytes"));
        }
        if let Some(odd) = text.chars().find(|character| !is_plain(*character) && *character != '/')
        {
            return refused(format!(
                "contains {odd:?}; letters, digits, '.', '_', '-', '/' are allowed"
            ));
        }
        let names = text.strip_suffix('/').unwrap_or(text);
        if names.is_empty() {
            return if text.is_empty() {
                Ok(Self(String::new()))
            } else {
                refused("is only a slash".to_owned())
            };
        }
        if names.split('/').any(|name| name.is_empty() || name == "." || name == "..") {
            return refused("has an empty name, '.' or '..' between its slashes".to_owned());
        }
        if let Some(word) = misleading(names) {
            return refused(format!(
                "contains {word:?}, which the Datadog Forwarder takes for other logs"
            ));
        }
        Ok(Self(format!("{names}/")))
    }
}

/// The objects of one reader of one cluster's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Name of the cluster, sanitized.
    cluster: String,
    /// Name of the reader, sanitized.
    source: String,
}

impl Stream {
    /// The stream of a reader of a cluster's journal. Characters that a key must not have become `_`.
    pub fn new(cluster: &str, reader: &str) -> Self {
        let cluster = if cluster.is_empty() { "unnamed" } else { cluster };
        Self { cluster: sanitize(cluster), source: sanitize(&reader.replace('/', ".")) }
    }
}

/// The records in an object.
#[derive(Clone, Copy, Debug)]
pub struct ObjectRange {
    /// Epoch of the sequence numbers, see `store::Journal::epoch`.
    pub epoch: u64,
    /// Sequence number of the first record.
    pub first: u64,
    /// Sequence number of the last record.
    pub last: u64,
    /// When the first record was committed.
    pub time: Timestamp,
}

/// The key of an object. `digest` is the SHA-256 of its lines.
pub(crate) fn key(
    prefix: &Prefix,
    stream: &Stream,
    range: ObjectRange,
    digest: &[u8; 32],
) -> String {
    let time = range.time.to_string();
    let (date, hour) = (time.get(..10).unwrap_or_default(), time.get(11..13).unwrap_or_default());
    let ObjectRange { epoch, first, last, .. } = range;
    let hash = hex(&digest[..8]);
    format!(
        "{}date={date}/hour={hour}/{epoch:016}-{first:016}-{last:016}-{hash}.json.gz",
        folder(prefix, stream)
    )
}

/// The common beginning of the keys of a stream.
pub(crate) fn folder(prefix: &Prefix, stream: &Stream) -> String {
    format!("{prefix}cluster={}/source={}/", stream.cluster, stream.source)
}

fn sanitize(text: &str) -> String {
    let plain = text.chars().map(|character| if is_plain(character) { character } else { '_' });
    let mut word: String = plain.take(WORD_BYTES_MAX).collect();
    if word.chars().all(|character| character == '.') {
        "_".clone_into(&mut word);
    }
    while let Some(found) = misleading(&word) {
        word = word.to_ascii_lowercase().replace(found, "_");
    }
    word
}

fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

/// A word in the text by which the Datadog Forwarder would choose another parser.
fn misleading(text: &str) -> Option<&'static str> {
    const WORDS: [&str; 6] = [
        "aws-waf-logs",
        "waflogs",
        "amazon_kinesis",
        "vpcflowlogs",
        "cloudtrail",
        "vpcdnsquerylogs",
    ];
    let text = text.to_ascii_lowercase();
    WORDS.into_iter().find(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let found = Prefix::parse(text).map(|prefix| prefix.to_string());
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
            (Err(found), Err(part)) => assert!(found.to_string().contains(part), "{text}: {found}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn a_prefix_consists_of_plain_names_between_single_slashes() {
        check("k10audit/", Ok("k10audit/"));
        check("a.b/c_d-e", Ok("a.b/c_d-e/"));
        check("", Ok(""));
        for odd in ["/a", "a//b", "a/../b", "./a", "..", "a/..", "/", "//"] {
            check(odd, Err(if odd == "/" { "slash" } else { "between" }));
        }
        for odd in ["a b", "a%2f", "a+b", "a\\b", "ä", "a\nb", "a?b", "a#b"] {
            check(odd, Err("contains"));
        }
        check(&"a".repeat(201), Err("longer"));
        check("x/VpcFlowLogs/", Err("Forwarder"));
    }

    #[test]
    fn a_key_contains_stream_hour_range_and_hash() {
        let stream = Stream::new("prod eu/1", "auditconfig/kasten-io/k10");
        let range = ObjectRange {
            epoch: 7,
            first: 1,
            last: 20,
            time: Timestamp::from_micros(3_600_000_000 * 25),
        };
        assert_eq!(
            key(&Prefix::default(), &stream, range, &[0xab; 32]),
            "k10audit/cluster=prod_eu_1/source=auditconfig.kasten-io.k10/date=1970-01-02/hour=01/\
             0000000000000007-0000000000000001-0000000000000020-abababababababab.json.gz"
        );
    }

    #[test]
    fn no_name_escapes_its_folder_or_misleads_the_forwarder() {
        for name in [
            "..",
            "../..",
            "a/../../b",
            "vpcflowlogs",
            "xCloudTrailx",
            "",
            "%2e%2e",
            "ä",
            "aws-waf-logs",
        ] {
            let found = folder(&Prefix::default(), &Stream::new(name, name));
            assert!(
                found.starts_with("k10audit/cluster=") && found.matches('/').count() == 3,
                "{found}"
            );
            assert!(misleading(&found).is_none(), "{found}");
            assert!(!found.contains("=..") || found.contains("=.._"), "{found}");
        }
    }
}
