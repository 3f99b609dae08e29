//! The error codes of stores, and what a user can do about each.
//!
//! The table of each provider is in its folder. Sources: the error references of Amazon S3, Google
//! Cloud Storage and Azure Blob Storage, and of stores that speak S3 (`MinIO`, Ceph, Alibaba OSS,
//! Tencent COS, Huawei OBS, versitygw). A code that is in no table is reported unchanged. The
//! crate's module `diagnose` fills in the placeholders.

/// The message for some codes. Codes are compared case-insensitively; a code that ends in `*` is a
/// prefix.
pub(crate) struct Advice {
    codes: &'static [&'static str],
    /// With placeholders `{bucket}`, `{region}`, `{actual_region}`, `{identity}`,
    /// `{destination}` and `{code}`.
    pub(crate) message: &'static str,
}

impl Advice {
    fn matches(&self, code: &str) -> bool {
        self.codes.iter().any(|expected_code| match expected_code.strip_suffix('*') {
            Some(start) => {
                code.get(..start.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(start))
            }
            None => code.eq_ignore_ascii_case(expected_code),
        })
    }
}

/// The message for a code, from the table or the common table.
pub(crate) fn find(table: &'static [Advice], code: &str) -> Option<&'static str> {
    [table, COMMON]
        .into_iter()
        .flatten()
        .find(|advice| advice.matches(code))
        .map(|advice| advice.message)
}

/// An entry of a table.
pub(crate) const fn advice(codes: &'static [&'static str], message: &'static str) -> Advice {
    Advice { codes, message }
}

/// A code to append to a text, if there is one.
pub(crate) fn code_suffix(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!(" ({code})") }
}

/// Codes of status 400 for an upload that arrived too slowly, incomplete or damaged. The same
/// upload may succeed immediately.
const TRANSIENT: &[&str] = &["BadDigest", "IncompleteBody", "RequestTimeout"];

/// Whether the code is about this one upload, whatever its status is.
pub(crate) fn is_transient(code: &str) -> bool {
    TRANSIENT.iter().any(|transient| transient.eq_ignore_ascii_case(code))
}

/// Codes that all providers share.
static COMMON: &[Advice] = &[
    advice(
        &["RequestTimeTooSkewed", "RequestExpired", "RequestTimestampTooSkewed"],
        "the clocks of this server and of the store at {destination} differ by more than 15 minutes \
         ({code}): set this server's clock (NTP)",
    ),
    advice(
        &["KMS*", "KeyVault*", "InvalidEncryptionKey", "CloudKms*"],
        "the key that encrypts {destination} cannot be used ({code}): enable it, and let {identity} \
         encrypt and decrypt with it (AWS: kms:GenerateDataKey and kms:Decrypt)",
    ),
    advice(
        &["ServiceUnavailable", "SlowDown", "ServerBusy"],
        "the store at {destination} is overloaded ({code}): the request is retried later",
    ),
    advice(
        TRANSIENT,
        "an upload did not reach {destination} complete ({code}): it is repeated; if this goes on, \
         check the network between this server and the store, and proxies in it",
    ),
];
