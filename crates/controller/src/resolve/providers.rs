//! The table of object stores that a profile can name.

mod azure;
mod gcp;
mod s3;

use objectstore::{Credentials, Provider};

use super::credentials::SecretReader;
use super::equals_ignore_case;
use crate::objects::SecretData;
use crate::settings::Settings;

/// The object store of a profile.
pub(super) struct StoreSpec<'a> {
    /// The normalized endpoint.
    pub(super) endpoint: Option<String>,
    /// The region; often empty.
    pub(super) region: String,
    /// The Secret that it references.
    pub(super) secret: Option<&'a SecretData>,
}

/// An object store that a profile can name.
pub(super) struct ProfileProvider {
    /// Value of `spec.locationSpec.objectStore.objectStoreType`.
    pub(super) object_store_type: &'static str,
    /// Value of `spec.locationSpec.credential.secretType`.
    pub(super) secret_type: &'static str,
    /// The provider of the destination.
    pub(super) provider: fn(StoreSpec<'_>) -> Provider,
    /// The credentials in the Secret, or the server's own.
    pub(super) credentials: fn(&mut SecretReader<'_>, &Settings) -> Credentials,
    /// Whether a host, in lower case, belongs to the provider and may receive the server's own
    /// credentials.
    pub(super) is_own_host: fn(&str) -> bool,
}

/// All providers.
static ALL: [&ProfileProvider; 3] = [&s3::S3, &gcp::GCS, &azure::AZURE];

/// The provider of an `objectStoreType`.
pub(super) fn find(object_store_type: &str) -> Option<&'static ProfileProvider> {
    ALL.into_iter()
        .find(|provider| equals_ignore_case(Some(object_store_type), provider.object_store_type))
}

/// A list of the values of `objectStoreType` for messages.
pub(super) fn names() -> String {
    let names = ALL.map(|provider| provider.object_store_type);
    match names.as_slice() {
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
        [] => String::new(),
    }
}

/// Whether a label of a host name can be a region.
fn is_region(label: &str) -> bool {
    label.contains('-') && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
