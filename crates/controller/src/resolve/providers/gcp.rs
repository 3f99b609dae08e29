//! Google Cloud Storage in profiles.

use objectstore::{Credentials, Provider};

use super::{ProfileProvider, StoreSpec, is_region};
use crate::resolve::credentials::SecretReader;
use crate::settings::Settings;

const PROJECT: &str = "project-id";
const JSON: &str = "service-account.json";

pub(super) static GCS: ProfileProvider = ProfileProvider {
    object_store_type: "GCS",
    secret_type: "GcpServiceAccountKey",
    provider,
    credentials,
    is_own_host,
};

fn provider(StoreSpec { endpoint, .. }: StoreSpec<'_>) -> Provider {
    Provider::Gcs(objectstore::Gcs { endpoint })
}

fn credentials(secret: &mut SecretReader<'_>, _: &Settings) -> Credentials {
    secret.check_keys(&[PROJECT, JSON]);
    match secret.secret(JSON) {
        Some(json) => Credentials::GcpServiceAccount { json },
        None if secret.is_empty() => Credentials::GcpMetadataServer,
        None => secret.missing(JSON),
    }
}

fn is_own_host(host: &str) -> bool {
    let regional =
        host.strip_prefix("storage.").and_then(|rest| rest.strip_suffix(".rep.googleapis.com"));
    host == "storage.googleapis.com" || regional.is_some_and(is_region)
}
