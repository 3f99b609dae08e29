//! How a store takes uploads: with which checksum, and with or without a condition.
//!
//! What is not refused stays as it is best: SHA-256 and `If-None-Match`. A store that refuses one of
//! them with a code that blames nothing else is tried with less, once: by the check of a destination, or
//! by the first upload. What it took is what it is sent from then on.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use http::StatusCode;
use object_store::PutMode;

use super::transport::Seen;

/// The checksum that goes with an upload to a store that speaks S3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// `x-amz-checksum-sha256`.
    #[default]
    Sha256,
    /// `Content-MD5`.
    Md5,
    /// None but that of the signature.
    None,
}

/// One way to upload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) checksum: Checksum,
    /// Without `If-None-Match`.
    pub(super) is_unconditional: bool,
}

impl Manner {
    pub(super) fn mode(self) -> PutMode {
        if self.is_unconditional { PutMode::Overwrite } else { PutMode::Create }
    }
}

/// All ways, in the order in which they are tried.
const ALL: [Manner; 6] = [
    Manner { checksum: Checksum::Sha256, is_unconditional: false },
    Manner { checksum: Checksum::Sha256, is_unconditional: true },
    Manner { checksum: Checksum::Md5, is_unconditional: false },
    Manner { checksum: Checksum::None, is_unconditional: false },
    Manner { checksum: Checksum::Md5, is_unconditional: true },
    Manner { checksum: Checksum::None, is_unconditional: true },
];

/// What was found out.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The place in [`ALL`].
    place: AtomicU8,
    /// None of them is taken: it is not tried with every upload.
    is_hopeless: AtomicBool,
}

impl Found {
    pub(super) fn manner(&self) -> Manner {
        ALL.get(usize::from(self.place.load(Ordering::Relaxed))).copied().unwrap_or_default()
    }

    pub(super) fn keep(&self, manner: Manner) {
        let place = ALL.iter().position(|known| *known == manner).unwrap_or_default();
        self.place.store(u8::try_from(place).unwrap_or_default(), Ordering::Relaxed);
    }

    /// The ways that are left after the present one was refused.
    pub(super) fn others(&self) -> Vec<Manner> {
        if self.is_hopeless.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let present = self.manner();
        ALL.into_iter().filter(|manner| *manner != present).collect()
    }

    /// Whether it is worth while to look for another way again.
    pub(super) fn set_hopeless(&self, is_hopeless: bool) {
        self.is_hopeless.store(is_hopeless, Ordering::Relaxed);
    }
}

/// Whether a refusal may be about a header of the upload, as it blames nothing else.
pub(super) fn may_be_about_headers(seen: &Seen) -> bool {
    match seen.status {
        Some(StatusCode::NOT_IMPLEMENTED) => true,
        Some(StatusCode::BAD_REQUEST) => {
            let code = seen.code.as_str();
            !OTHERS.contains(&code) && !code.starts_with("KMS") && !code.contains("Token")
        }
        _ => false,
    }
}

/// Codes of 400 that say what they are about, and that is no header.
const OTHERS: [&str; 16] = [
    "AuthorizationHeaderMalformed",
    "BadDigest",
    "EntityTooLarge",
    "EntityTooSmall",
    "IllegalLocationConstraintException",
    "IncompleteBody",
    "InvalidAccessKeyId",
    "InvalidBucketName",
    "InvalidDNSBucketName",
    "InvalidLocationConstraint",
    "KeyTooLongError",
    "PathStyleRequestForbidden",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "SignatureDoesNotMatch",
    "UserProjectMissing",
];
