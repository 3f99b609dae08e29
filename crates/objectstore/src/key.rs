//! Keys of objects: names and numbers below a prefix that an operator chooses.
//!
//! ```text
//! <prefix>cluster=<c>/source=<s>/date=YYYY-MM-DD/hour=HH/<epoch>-<first>-<last>-<hash16>.json.gz
//! ```
//!
//! A key is a function of the object's content, so a repeated upload has the same key, and a
//! listing shows gaps. Sequence numbers repeat after an older copy of the journal is restored; the
//! epoch tells them apart. A key contains no word by which the Datadog Forwarder would select
//! another parser.

use std::fmt;

use event::Timestamp;

use sink::hex;

/// Maximum length of a prefix, in bytes.
pub const PREFIX_BYTES_MAX: usize = 200;
/// The prefix that K10 uses.
pub const PREFIX_DEFAULT: &str = "k10audit/";
/// Maximum length of a cluster's or source's name in a key, in bytes.
const NAME_BYTES_MAX: usize = 100;

/// The beginning of every key: empty, or names with a slash after each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

/// The text cannot be a prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("prefix {prefix:?} {reason}")]
pub struct PrefixError {
    prefix: String,
    reason: String,
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
    /// Parses a prefix of letters, digits, `.`, `_`, `-` and single slashes. A missing slash at the
    /// end is added.
    pub fn parse(text: &str) -> Result<Self, PrefixError> {
        let invalid_prefix = |reason: String| Err(PrefixError { prefix: text.to_owned(), reason });
        if text.len() > PREFIX_BYTES_MAX {
            return invalid_prefix(format!("is longer than {PREFIX_BYTES_MAX} bytes"));
        }
        if let Some(invalid) =
            text.chars().find(|character| !is_plain(*character) && *character != '/')
        {
            return invalid_prefix(format!(
                "contains {invalid:?}; letters, digits, '.', '_', '-', '/' are allowed"
            ));
        }
        let names = text.strip_suffix('/').unwrap_or(text);
        if names.is_empty() {
            return if text.is_empty() {
                Ok(Self(String::new()))
            } else {
                invalid_prefix("is only a slash".to_owned())
            };
        }
        if names.split('/').any(|name| name.is_empty() || name == "." || name == "..") {
            return invalid_prefix("has an empty name, '.' or '..' between its slashes".to_owned());
        }
        if let Some(word) = parser_keyword(names) {
            return invalid_prefix(format!(
                "contains {word:?}, by which the Datadog Forwarder selects another parser"
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
    /// The stream of a reader of a cluster's journal. Characters that are invalid in a key are
    /// replaced by `_`.
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
    let mut name: String = plain.take(NAME_BYTES_MAX).collect();
    if name.chars().all(|character| character == '.') {
        "_".clone_into(&mut name);
    }
    while let Some(keyword) = parser_keyword(&name) {
        name = name.to_ascii_lowercase().replace(keyword, "_");
    }
    name
}

fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

/// A word in the text by which the Datadog Forwarder would select another parser.
fn parser_keyword(text: &str) -> Option<&'static str> {
    const KEYWORDS: [&str; 6] = [
        "aws-waf-logs",
        "waflogs",
        "amazon_kinesis",
        "vpcflowlogs",
        "cloudtrail",
        "vpcdnsquerylogs",
    ];
    let text = text.to_ascii_lowercase();
    KEYWORDS.into_iter().find(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let result = Prefix::parse(text).map(|prefix| prefix.to_string());
        match (result, expected) {
            (Ok(result), Ok(expected)) => assert_eq!(result, expected, "{text}"),
            (Err(result), Err(part)) => {
                assert!(result.to_string().contains(part), "{text}: {result}");
            }
            (result, _) => panic!("{text}: {result:?}"),
        }
    }

    #[test]
    fn a_prefix_consists_of_plain_names_between_single_slashes() {
        check("k10audit/", Ok("k10audit/"));
        check("a.b/c_d-e", Ok("a.b/c_d-e/"));
        check("", Ok(""));
        for invalid in ["/a", "a//b", "a/../b", "./a", "..", "a/..", "/", "//"] {
            check(invalid, Err(if invalid == "/" { "slash" } else { "between" }));
        }
        for invalid in ["a b", "a%2f", "a+b", "a\\b", "ä", "a\nb", "a?b", "a#b"] {
            check(invalid, Err("contains"));
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
            let folder_name = folder(&Prefix::default(), &Stream::new(name, name));
            assert!(
                folder_name.starts_with("k10audit/cluster=")
                    && folder_name.matches('/').count() == 3,
                "{folder_name}"
            );
            assert!(parser_keyword(&folder_name).is_none(), "{folder_name}");
            assert!(!folder_name.contains("=..") || folder_name.contains("=.._"), "{folder_name}");
        }
    }
}
