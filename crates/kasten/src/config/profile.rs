//! `Profile`: a place outside the cluster, and the Secret that opens it.
//!
//! The live form is followed: `type` and `objectStore` straight under `locationSpec`. The older
//! `location` and `locationType`, which K10's documentation still shows, are kept, and read by
//! whoever uses a profile. Whether a type can take events is not decided here.

use apiserver::Resource;
use schemars::JsonSchema;
use serde::Deserialize;

use super::resource as of_config;
use crate::domain::PROFILE;
use crate::schema;

/// What kind of place it is, and where.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProfileSpec {
    /// Location or Infra.
    #[serde(rename = "type")]
    #[schemars(extend("minLength" = 1))]
    pub kind: String,
    /// The place, of a profile of type Location.
    pub location_spec: Option<LocationSpec>,
}

/// A place that data is written to.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocationSpec {
    /// What opens it.
    pub credential: Option<Credential>,
    /// `ObjectStore`, `FileStore` or `VBR`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The bucket.
    pub object_store: Option<ObjectStore>,
    /// The volume.
    pub file_store: Option<FileStore>,
    /// The Veeam repository.
    pub vbr: Option<Vbr>,
    /// Whether it can be used from other infrastructure.
    pub infra_portable: Option<bool>,
}

/// What opens a place.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// `AwsAccessKey`, `GcpServiceAccountKey`, `AzStorageAccount`, `VBRKey`, `VeeamVault` or
    /// `VeeamVaultAzure`.
    pub secret_type: Option<String>,
    /// The Secret with the keys.
    pub secret: Option<SecretReference>,
}

/// Names a Secret.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Such as `v1`.
    pub api_version: Option<String>,
    /// `Secret`.
    pub kind: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its namespace; empty stands for the profile's own.
    pub namespace: Option<String>,
}

/// A bucket.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStore {
    /// `S3`, `GCS`, `Azure`, `VeeamVault`, `VeeamVaultAzure` or `VeeamVaultAWS`.
    pub object_store_type: Option<String>,
    /// Name of the bucket.
    pub name: Option<String>,
    /// Where it is served; empty stands for the provider's own address.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// Whether certificates go unchecked.
    #[serde(rename = "skipSSLVerify")]
    pub skip_ssl_verify: Option<bool>,
    /// The folder of K10's own data in the bucket. Events do not go there.
    pub path: Option<String>,
    /// What the path names.
    pub path_type: Option<String>,
    /// How long objects are locked, such as `240h`.
    pub protection_period: Option<String>,
}

/// A volume.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileStore {
    /// The claim.
    pub claim_name: Option<String>,
    /// The folder in the volume.
    pub path: Option<String>,
}

/// A Veeam repository.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Vbr {
    /// The server.
    pub server_address: Option<String>,
    /// Its port.
    pub server_port: Option<i32>,
    /// Name of the repository.
    pub repo_name: Option<String>,
    /// Its identity.
    pub repo_id: Option<String>,
    /// What kind it is.
    pub repo_type: Option<String>,
    /// Whether certificates go unchecked.
    #[serde(rename = "skipSSLVerify")]
    pub skip_ssl_verify: Option<bool>,
}

/// Whether the place can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct ProfileStatus {
    /// Success, Failed or Pending.
    pub validation: Option<String>,
    /// What is wrong, for people.
    pub error: Option<Vec<String>>,
    /// Tells whether the spec changed since this was written.
    pub hash: Option<i64>,
}

/// The kind, ready to be served.
pub fn resource() -> Resource {
    of_config(
        PROFILE,
        schema::object::<ProfileSpec, ProfileStatus>(
            "Profile is a place outside the cluster that K10 writes to.",
        ),
    )
}
