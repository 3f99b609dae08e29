//! The Secrets of K10's profiles, as Kanister reads them.
//!
//! Unknown keys are refused, as K10 does: a misspelt `role` must not be ignored. Without a Secret the
//! server's own identity is used: a projected token, or a metadata service.

use objectstore::{Credentials, Provider, Role};
use secrecy::{ExposeSecret as _, SecretString};

use crate::objects::SecretData;
use crate::settings::Settings;

const AWS_ID: &str = "aws_access_key_id";
const AWS_KEY: &str = "aws_secret_access_key";
const AWS_TOKEN: &str = "aws_session_token";
const AWS_ROLE: &str = "role";
const GCP_PROJECT: &str = "project-id";
const GCP_JSON: &str = "service-account.json";
const AZURE_ACCOUNT: &str = "azure_storage_account_id";
const AZURE_KEY: &str = "azure_storage_key";
const AZURE_ENVIRONMENT: &str = "azure_storage_environment";

/// Names of Azure's clouds, and the domains of their stores.
const AZURE_CLOUDS: [(&str, &str); 3] = [
    ("AzureUSGovernmentCloud", "blob.core.usgovcloudapi.net"),
    ("AzureChinaCloud", "blob.core.chinacloudapi.cn"),
    ("AzureGermanCloud", "blob.core.cloudapi.de"),
];

/// The credentials in a profile's Secret. Errors about the Secret begin with `key`.
pub(super) fn of(
    provider: &Provider,
    secret_type: Option<&str>,
    keys: Option<&SecretData>,
    settings: &Settings,
) -> Result<Credentials, Vec<String>> {
    let expected = match provider {
        Provider::S3 { .. } => "AwsAccessKey",
        Provider::Gcs { .. } => "GcpServiceAccountKey",
        Provider::Azure { .. } => "AzStorageAccount",
        Provider::File { .. } => return Ok(Credentials::None),
    };
    if let Some(given) = secret_type.filter(|given| !given.is_empty() && *given != expected) {
        return Err(vec![format!(
            "spec.locationSpec.credential.secretType is {given:?}, and this kind of store takes \
             {expected}"
        )]);
    }
    let none = SecretData::default();
    let mut reading = Reading { keys: keys.unwrap_or(&none), errors: Vec::new() };
    let credentials = match provider {
        Provider::S3 { .. } => aws(&mut reading, settings),
        Provider::Gcs { .. } => gcp(&mut reading),
        Provider::Azure { .. } | Provider::File { .. } => azure(&mut reading),
    };
    if reading.errors.is_empty() { Ok(credentials) } else { Err(reading.errors) }
}

/// URL of the storage account in the cloud that the Secret names.
pub(super) fn azure_endpoint(keys: &SecretData) -> Option<String> {
    let text = |key: &str| Some(keys.values.get(key)?.as_ref()?.expose_secret().to_owned());
    let environment = text(AZURE_ENVIRONMENT)?;
    let (_, domain) = AZURE_CLOUDS.iter().find(|(name, _)| *name == environment)?;
    Some(format!("https://{}.{domain}", text(AZURE_ACCOUNT)?))
}

fn aws(reading: &mut Reading<'_>, settings: &Settings) -> Credentials {
    reading.check_keys(&[AWS_ID, AWS_KEY, AWS_TOKEN, AWS_ROLE]);
    let role = reading.text(AWS_ROLE).map(|arn| {
        if !arn.starts_with("arn:") {
            reading.errors.push(format!("key {AWS_ROLE} is no ARN of a role"));
        }
        Role { arn, external_id: None, sts_endpoint: settings.sts_endpoint.clone() }
    });
    let (id, key) = (reading.text(AWS_ID), reading.secret(AWS_KEY));
    match (id, key) {
        (Some(access_key_id), Some(secret_access_key)) => Credentials::AwsAccessKey {
            access_key_id,
            secret_access_key,
            session_token: reading.secret(AWS_TOKEN),
            role,
        },
        (None, None) => Credentials::AwsDefaultChain { role },
        (Some(_), None) => reading.missing(AWS_KEY),
        (None, Some(_)) => reading.missing(AWS_ID),
    }
}

fn gcp(reading: &mut Reading<'_>) -> Credentials {
    reading.check_keys(&[GCP_PROJECT, GCP_JSON]);
    match reading.secret(GCP_JSON) {
        Some(json) => Credentials::GcpServiceAccount { json },
        None if reading.keys.values.is_empty() => Credentials::GcpMetadataServer,
        None => reading.missing(GCP_JSON),
    }
}

fn azure(reading: &mut Reading<'_>) -> Credentials {
    reading.check_keys(&[AZURE_ACCOUNT, AZURE_KEY, AZURE_ENVIRONMENT]);
    match (reading.text(AZURE_ACCOUNT), reading.secret(AZURE_KEY)) {
        (Some(account), Some(key)) => Credentials::AzureAccountKey { account, key },
        (Some(account), None) => Credentials::AzureManagedIdentity { account },
        (None, _) => reading.missing(AZURE_ACCOUNT),
    }
}

/// Reads a Secret and collects what is wrong with it.
struct Reading<'a> {
    keys: &'a SecretData,
    errors: Vec<String>,
}

impl Reading<'_> {
    fn check_keys(&mut self, known: &[&str]) {
        for key in self.keys.values.keys().filter(|key| !known.contains(&key.as_str())) {
            let known = known.join(", ");
            self.errors.push(format!("key {key:?} is not known; {known} are"));
        }
    }

    /// The value of a key. An empty one counts as missing.
    fn secret(&mut self, key: &str) -> Option<SecretString> {
        let Some(value) = self.keys.values.get(key)? else {
            self.errors.push(format!("key {key} holds no text"));
            return None;
        };
        Some(value.clone()).filter(|value| !value.expose_secret().is_empty())
    }

    /// A value that is not secret.
    fn text(&mut self, key: &str) -> Option<String> {
        self.secret(key).map(|value| value.expose_secret().to_owned())
    }

    fn missing(&mut self, key: &str) -> Credentials {
        self.errors.push(format!("key {key} is missing"));
        Credentials::None
    }
}
