//! Keys: made of numbers and names that the server made, below a prefix that an operator chose.
//!
//! ```text
//! <prefix>cluster=<c>/source=<s>/date=YYYY-MM-DD/hour=HH/<epoch>-<first>-<last>-<hash16>.json.gz
//! ```
//!
//! The name is a function of what is inside, so that a repeated upload meets itself; a listing shows
//! gaps. The epoch tells the numbers of one opening of the journal from those of another, since they
//! repeat after an older copy of it was restored. Words that make the Datadog Forwarder take an
//! object for something else never get into a key.

use std::fmt;

use event::Timestamp;

use super::sigv4::hex;

/// Bytes of a prefix.
pub const PREFIX_BYTES_MAX: usize = 200;
/// Where events of K10 have always been.
pub const PREFIX_DEFAULT: &str = "k10audit/";
/// Bytes of a name within a key.
const WORD_BYTES_MAX: usize = 100;

/// What stands before every key: empty, or names with a slash behind each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

/// Why a text cannot be a prefix.
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
    /// Letters, digits, `.`, `_`, `-` and single slashes; a missing slash at the end is added.
    pub fn parse(text: &str) -> Result<Self, PrefixError> {
        let refused = |what: String| Err(PrefixError { prefix: text.to_owned(), what });
        if text.len() > PREFIX_BYTES_MAX {
            return refused(format!("is longer than {PREFIX_BYTES_MAX} bytes"));
        }
        if let Some(odd) = text.chars().find(|one| !is_plain(*one) && *one != '/') {
            return refused(format!(
                "contains {odd:?}; letters, digits, '.', '_', '-', '/' may be"
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

/// What distinguishes one stream of objects from all others below a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The cluster, as a word.
    cluster: String,
    /// The reader, as a word.
    source: String,
}

impl Stream {
    /// The stream of a reader of a cluster's journal. Whatever cannot stand in a key becomes `_`.
    pub fn of(cluster: &str, reader: &str) -> Self {
        let cluster = if cluster.is_empty() { "unnamed" } else { cluster };
        Self { cluster: word(cluster), source: word(&reader.replace('/', ".")) }
    }
}

/// What a key is made of beside prefix and stream.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// Which numbering of the journal.
    pub epoch: u64,
    /// The first record.
    pub first: u64,
    /// The last record.
    pub last: u64,
    /// When the first record was committed.
    pub time: Timestamp,
}

/// The key of an object.
pub(super) fn key(prefix: &Prefix, stream: &Stream, range: Range, digest: &[u8; 32]) -> String {
    let time = range.time.to_string();
    let (date, hour) = (time.get(..10).unwrap_or_default(), time.get(11..13).unwrap_or_default());
    let Range { epoch, first, last, .. } = range;
    let hash = hex(&digest[..8]);
    format!(
        "{}date={date}/hour={hour}/{epoch:016}-{first:016}-{last:016}-{hash}.json.gz",
        folder(prefix, stream)
    )
}

/// Where the keys of a stream are.
pub(crate) fn folder(prefix: &Prefix, stream: &Stream) -> String {
    format!("{prefix}cluster={}/source={}/", stream.cluster, stream.source)
}

fn word(text: &str) -> String {
    let plain = text.chars().map(|one| if is_plain(one) { one } else { '_' });
    let mut word: String = plain.take(WORD_BYTES_MAX).collect();
    if word.chars().all(|one| one == '.') {
        "_".clone_into(&mut word);
    }
    while let Some(found) = misleading(&word) {
        word = word.to_ascii_lowercase().replace(found, "_");
    }
    word
}

fn is_plain(one: char) -> bool {
    one.is_ascii_alphanumeric() || matches!(one, '.' | '_' | '-')
}

/// A word by which the Forwarder chooses another parser.
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
    fn a_prefix_is_plain_names_between_single_slashes() {
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
    fn a_key_tells_stream_hour_range_and_content() {
        let stream = Stream::of("prod eu/1", "auditconfig/kasten-io/k10");
        let range = Range {
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
    fn no_name_leads_out_of_its_place_or_misleads_the_forwarder() {
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
            let found = folder(&Prefix::default(), &Stream::of(name, name));
            assert!(
                found.starts_with("k10audit/cluster=") && found.matches('/').count() == 3,
                "{found}"
            );
            assert!(misleading(&found).is_none(), "{found}");
            assert!(!found.contains("=..") || found.contains("=.._"), "{found}");
        }
    }
}
