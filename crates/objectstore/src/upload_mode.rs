//! The upload mode of a store: the checksum, and whether the upload has a precondition.
//!
//! The default is the safest: SHA-256 and `If-None-Match`. If a store refuses one of them with a
//! code that has no other meaning, the other modes are tried once: by the check of a destination,
//! or by the first upload. The mode that works is used from then on.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use ::http::StatusCode;
use object_store::PutMode;

use crate::http::ResponseInfo;

/// The checksum of an upload to a store that speaks S3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// `x-amz-checksum-sha256`.
    #[default]
    Sha256,
    /// `Content-MD5`.
    Md5,
    /// Only the hash in the signature.
    None,
}

/// A combination of checksum and precondition for uploads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UploadMode {
    pub(crate) checksum: Checksum,
    /// The store refuses `If-None-Match`.
    pub(crate) lacks_conditional_put: bool,
}

impl UploadMode {
    pub(crate) fn put_mode(self) -> PutMode {
        if self.lacks_conditional_put { PutMode::Overwrite } else { PutMode::Create }
    }
}

/// All modes, in the order in which they are tried.
const ALL: [UploadMode; 6] = [
    UploadMode { checksum: Checksum::Sha256, lacks_conditional_put: false },
    UploadMode { checksum: Checksum::Sha256, lacks_conditional_put: true },
    UploadMode { checksum: Checksum::Md5, lacks_conditional_put: false },
    UploadMode { checksum: Checksum::None, lacks_conditional_put: false },
    UploadMode { checksum: Checksum::Md5, lacks_conditional_put: true },
    UploadMode { checksum: Checksum::None, lacks_conditional_put: true },
];

/// The mode that a store was found to accept.
#[derive(Debug, Default)]
pub(crate) struct DetectedMode {
    /// Index in [`ALL`].
    index: AtomicU8,
    /// No mode works, so they are not tried again with each upload.
    is_exhausted: AtomicBool,
}

impl DetectedMode {
    pub(crate) fn get(&self) -> UploadMode {
        ALL.get(usize::from(self.index.load(Ordering::Relaxed))).copied().unwrap_or_default()
    }

    pub(crate) fn set(&self, mode: UploadMode) {
        let index = ALL.iter().position(|candidate| *candidate == mode).unwrap_or_default();
        self.index.store(u8::try_from(index).unwrap_or_default(), Ordering::Relaxed);
    }

    /// The modes to try after the current one was refused.
    pub(crate) fn alternatives(&self) -> Vec<UploadMode> {
        if self.is_exhausted.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let current = self.get();
        ALL.into_iter().filter(|mode| *mode != current).collect()
    }

    /// Records whether all modes were refused.
    pub(crate) fn set_exhausted(&self, is_exhausted: bool) {
        self.is_exhausted.store(is_exhausted, Ordering::Relaxed);
    }
}

/// Whether the store may have refused a header of the upload: its code names no other cause.
pub(crate) fn may_reject_header(response: &ResponseInfo) -> bool {
    match response.status {
        Some(StatusCode::NOT_IMPLEMENTED) => true,
        Some(StatusCode::BAD_REQUEST) => {
            let code = response.code.as_str();
            !OTHER_CAUSES.contains(&code) && !code.starts_with("KMS") && !code.contains("Token")
        }
        _ => false,
    }
}

/// Codes of status 400 that are not about a header.
const OTHER_CAUSES: [&str; 20] = [
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
    "InvalidTag",
    "KeyTooLong",
    "KeyTooLongError",
    "MaxMessageLengthExceeded",
    "MetadataTooLarge",
    "PathStyleRequestForbidden",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "SignatureDoesNotMatch",
    "UserProjectMissing",
];
