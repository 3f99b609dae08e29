//! Azure's environment variables, as its command line reads them.

use objectstore::Credentials;

/// The account's key in `AZURE_STORAGE_KEY`, or else the managed identity of the pod or the machine.
#[expect(clippy::disallowed_methods, reason = "the one place where Azure's variables are read")]
pub(crate) fn credentials(account: &str) -> Credentials {
    let account = account.to_owned();
    match std::env::var("AZURE_STORAGE_KEY").ok().filter(|key| !key.is_empty()) {
        Some(key) => Credentials::AzureAccountKey { account, key: key.into() },
        None => Credentials::AzureManagedIdentity { account },
    }
}
