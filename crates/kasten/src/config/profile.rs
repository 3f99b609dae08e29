//! `Profile`: a location outside the cluster, and the Secret with its credential.
//!
//! The schema follows K10's current form: `type` and `objectStore` directly in `locationSpec`. The
//! older `location` and `locationType`, which K10's documentation still shows, are kept as unknown
//! fields, and the controller reads them. The controller also decides whether events can be
//! delivered to a type.

use apiserver::Resource;
use schemars::JsonSchema;
use serde::Deserialize;

use super::resource as config_resource;
use crate::kinds::PROFILE;
use crate::schema;

/// The spec of a profile.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProfileSpec {
    /// Location or Infra.
    #[serde(rename = "type")]
    #[schemars(extend("minLength" = 1))]
    pub kind: String,
    /// The location, if the type is Location.
    pub location_spec: Option<LocationSpec>,
}

/// A location that data is written to.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocationSpec {
    /// The credential for it.
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
    /// Whether other infrastructure can use it.
    pub infra_portable: Option<bool>,
}

/// The credential of a location.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// `AwsAccessKey`, `GcpServiceAccountKey`, `AzStorageAccount`, `VBRKey`, `VeeamVault` or
    /// `VeeamVaultAzure`.
    pub secret_type: Option<String>,
    /// The Secret with the keys.
    pub secret: Option<SecretReference>,
}

/// Refers to a Secret.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// API version, for example `v1`.
    pub api_version: Option<String>,
    /// `Secret`.
    pub kind: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its namespace; by default the profile's.
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
    /// Endpoint; by default the provider's own.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// Whether verification of the server's certificate is skipped.
    #[serde(rename = "skipSSLVerify")]
    pub skip_ssl_verify: Option<bool>,
    /// The folder of K10's own data in the bucket. Events are not written to it.
    pub path: Option<String>,
    /// The type of the path.
    pub path_type: Option<String>,
    /// Duration of the object lock, for example `240h`.
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
    /// The type of the repository.
    pub repo_type: Option<String>,
    /// Whether verification of the server's certificate is skipped.
    #[serde(rename = "skipSSLVerify")]
    pub skip_ssl_verify: Option<bool>,
}

/// The status of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct ProfileStatus {
    /// Success, Failed or Pending.
    pub validation: Option<String>,
    /// Error messages.
    pub error: Option<Vec<String>>,
    /// Hash of the spec that this status is about.
    pub hash: Option<i64>,
}

/// The resource that serves the kind.
pub fn resource() -> Resource {
    config_resource(
        PROFILE,
        schema::object::<ProfileSpec, ProfileStatus>(
            "Profile is a location outside the cluster that K10 writes to.",
        ),
    )
}
