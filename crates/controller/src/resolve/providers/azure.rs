//! Azure Blob Storage in profiles.

use objectstore::{Credentials, Provider};
use secrecy::ExposeSecret as _;

use super::{ProfileProvider, StoreSpec};
use crate::objects::SecretData;
use crate::resolve::credentials::SecretReader;
use crate::settings::Settings;

const ACCOUNT: &str = "azure_storage_account_id";
const KEY: &str = "azure_storage_key";
const ENVIRONMENT: &str = "azure_storage_environment";

/// Names of Azure's clouds, and the domains of their stores.
const CLOUDS: [(&str, &str); 3] = [
    ("AzureUSGovernmentCloud", "blob.core.usgovcloudapi.net"),
    ("AzureChinaCloud", "blob.core.chinacloudapi.cn"),
    ("AzureGermanCloud", "blob.core.cloudapi.de"),
];

/// The domains of the stores. A host is the name of an account with one of them.
const DOMAINS: [&str; 4] = [
    ".blob.core.windows.net",
    ".blob.core.usgovcloudapi.net",
    ".blob.core.chinacloudapi.cn",
    ".blob.core.cloudapi.de",
];

pub(super) static AZURE: ProfileProvider = ProfileProvider {
    object_store_type: "Azure",
    secret_type: "AzStorageAccount",
    provider,
    credentials,
    is_own_host,
};

fn provider(StoreSpec { endpoint, secret, .. }: StoreSpec<'_>) -> Provider {
    let endpoint = endpoint.or_else(|| cloud_endpoint(secret?));
    Provider::Azure(objectstore::Azure { endpoint })
}

/// URL of the storage account in the cloud that the Secret names.
fn cloud_endpoint(secret: &SecretData) -> Option<String> {
    let text = |key: &str| Some(secret.values.get(key)?.as_ref()?.expose_secret().to_owned());
    let environment = text(ENVIRONMENT)?;
    let (_, domain) = CLOUDS.iter().find(|(name, _)| *name == environment)?;
    Some(format!("https://{}.{domain}", text(ACCOUNT)?))
}

fn credentials(secret: &mut SecretReader<'_>, _: &Settings) -> Credentials {
    secret.check_keys(&[ACCOUNT, KEY, ENVIRONMENT]);
    match (secret.text(ACCOUNT), secret.secret(KEY)) {
        (Some(account), Some(key)) => Credentials::AzureAccountKey { account, key },
        (Some(account), None) => Credentials::AzureManagedIdentity { account },
        (None, _) => secret.missing(ACCOUNT),
    }
}

fn is_own_host(host: &str) -> bool {
    let account = DOMAINS.iter().find_map(|domain| host.strip_suffix(domain));
    account.is_some_and(|account| {
        !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}
