//! Watches the ConfigMap in which kube-apiserver publishes its CAs and header names.
//!
//! It is read once before serving, then watched. A broken watch restarts with a fresh read, so a
//! rotation is noticed even if its watch event is lost. Invalid content is reported, and the last
//! valid content stays in use.
//!
//! `kube::runtime::watcher` is not used: it resumes a watch that ends instead of reading again.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use http::HeaderName;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, WatchEvent, WatchParams};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::trust::{
    CaBundle, RequestHeaderConfig, RequestHeaderNames, Trust, TrustError, TrustSnapshot,
};

/// Origin of the CA bundles in errors.
const CLIENT_CA: &str = "ConfigMap kube-system/extension-apiserver-authentication, client-ca-file";
/// See [`CLIENT_CA`].
const REQUEST_HEADER_CA: &str =
    "ConfigMap kube-system/extension-apiserver-authentication, requestheader-client-ca-file";
/// Namespace of the ConfigMap.
const NAMESPACE: &str = "kube-system";
/// Name of the ConfigMap.
const NAME: &str = "extension-apiserver-authentication";
/// Duration of one watch, in seconds. After it, the ConfigMap and the files are read again.
const WATCH_SECONDS: u32 = 60;
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// The ConfigMap and the content last read from it.
pub struct AuthenticationConfigMap {
    api: Api<ConfigMap>,
    trust: Arc<Trust>,
}

impl AuthenticationConfigMap {
    /// Creates a reader that updates `trust` after each read.
    pub fn new(client: kube::Client, trust: Arc<Trust>) -> Self {
        Self { api: Api::namespaced(client, NAMESPACE), trust }
    }

    /// Reads the ConfigMap and applies it. Call before serving, so that the server does not start
    /// by rejecting every request. On an error the caller decides whether to start without it.
    pub async fn load(&self) -> Result<(), TrustError> {
        self.read().await.map(drop)
    }

    async fn read(&self) -> Result<String, TrustError> {
        let config_map = self.api.get(NAME).await.map_err(|e| TrustError::Lookup(Box::new(e)))?;
        self.trust.replace(Some(&snapshot_of(&config_map)?))?;
        Ok(config_map.metadata.resource_version.unwrap_or_default())
    }

    /// Watches the ConfigMap until `closing` is cancelled.
    pub async fn run(self, closing: CancellationToken) {
        while !closing.is_cancelled() {
            let watch = self.watch();
            let outcome = tokio::select! {
                () = closing.cancelled() => return,
                outcome = watch => outcome,
            };
            if let Err(error) = outcome {
                warn!(error = %Chain(&error), "cannot read the authentication ConfigMap");
                tokio::select! {
                    () = closing.cancelled() => return,
                    () = tokio::time::sleep(RETRY_PAUSE) => {}
                }
            }
        }
    }

    /// Reads the ConfigMap once, then watches it.
    async fn watch(&self) -> Result<(), TrustError> {
        let version = self.read().await?;
        let parameters =
            WatchParams::default().fields(&format!("metadata.name={NAME}")).timeout(WATCH_SECONDS);
        let lookup = |error| TrustError::Lookup(Box::new(error));
        let events = self.api.watch(&parameters, &version).await.map_err(lookup)?;
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            match event.map_err(lookup)? {
                WatchEvent::Added(map) | WatchEvent::Modified(map) => {
                    self.trust.replace(Some(&snapshot_of(&map)?))?;
                    info!("reloaded the authentication ConfigMap");
                }
                WatchEvent::Deleted(_) => {
                    warn!(
                        "the authentication ConfigMap was deleted; its last content stays in use"
                    );
                }
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(_) => return Ok(()),
            }
        }
        Ok(())
    }
}

/// Converts the ConfigMap to a snapshot. A request-header CA without header names gets the default
/// names.
fn snapshot_of(map: &ConfigMap) -> Result<TrustSnapshot, TrustError> {
    let text = |key: &str| map.data.as_ref().and_then(|data| data.get(key)).map(String::as_str);
    let clients = match text("client-ca-file") {
        Some(pem) if !pem.is_empty() => Some(CaBundle::from_pem(pem.as_bytes(), CLIENT_CA)?),
        _ => None,
    };
    let front_proxy = match text("requestheader-client-ca-file") {
        Some(pem) if !pem.is_empty() => Some(RequestHeaderConfig {
            ca: CaBundle::from_pem(pem.as_bytes(), REQUEST_HEADER_CA)?,
            allowed_names: list("requestheader-allowed-names", text)?.unwrap_or_default(),
            headers: headers(text)?,
        }),
        _ => None,
    };
    Ok(TrustSnapshot { clients, front_proxy })
}

fn headers<'m>(
    text: impl Fn(&str) -> Option<&'m str> + Copy,
) -> Result<RequestHeaderNames, TrustError> {
    let default = RequestHeaderNames::default();
    let names =
        |key: &'static str, default: Vec<HeaderName>| -> Result<Vec<HeaderName>, TrustError> {
            let Some(list) = list(key, text)? else { return Ok(default) };
            list.iter()
                .map(|name| HeaderName::try_from(name.as_str()))
                .collect::<Result<_, _>>()
                .map_err(|_| TrustError::NotAList { key })
        };
    let prefixes = list("requestheader-extra-headers-prefix", text)?
        .map(|list| list.iter().map(|prefix| prefix.to_ascii_lowercase()).collect());
    Ok(RequestHeaderNames {
        username: names("requestheader-username-headers", default.username)?,
        uid: names("requestheader-uid-headers", default.uid)?,
        group: names("requestheader-group-headers", default.group)?,
        extra_prefix: prefixes.unwrap_or(default.extra_prefix),
    })
}

/// Parses a JSON list; `None` if the key is missing.
fn list<'m>(
    key: &'static str,
    text: impl Fn(&str) -> Option<&'m str>,
) -> Result<Option<Vec<String>>, TrustError> {
    match text(key) {
        None | Some("") => Ok(None),
        Some(value) => {
            serde_json::from_str(value).map(Some).map_err(|_| TrustError::NotAList { key })
        }
    }
}

/// Formats an error with its causes for one log field.
struct Chain<'e>(&'e dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        let data = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        ConfigMap { data: Some(data), ..ConfigMap::default() }
    }

    #[test]
    fn an_empty_config_map_trusts_no_client() {
        let snapshot = snapshot_of(&map(&[])).unwrap();
        assert!(snapshot.clients.is_none() && snapshot.front_proxy.is_none());
    }

    #[test]
    fn header_names_come_from_the_config_map() {
        let pem = testkit::pki::Authority::new("front-proxy").pem();
        let snapshot = snapshot_of(&map(&[
            ("requestheader-client-ca-file", &pem),
            ("requestheader-allowed-names", r#"["front-proxy-client"]"#),
            ("requestheader-username-headers", r#"["X-Other-User"]"#),
            ("requestheader-uid-headers", r#"["X-Remote-Uid"]"#),
            ("requestheader-extra-headers-prefix", r#"["X-Other-Extra-"]"#),
        ]))
        .unwrap();
        let front_proxy = snapshot.front_proxy.unwrap();
        assert_eq!(front_proxy.allowed_names, ["front-proxy-client"]);
        assert_eq!(front_proxy.headers.username, ["x-other-user"]);
        assert_eq!(front_proxy.headers.uid, ["x-remote-uid"]);
        assert_eq!(front_proxy.headers.group, ["x-remote-group"]);
        assert_eq!(front_proxy.headers.extra_prefix, ["x-other-extra-"]);
    }

    #[test]
    fn invalid_values_are_rejected_by_name() {
        for (key, value, message) in [
            ("client-ca-file", "nonsense", "client-ca-file contains no valid CA certificate"),
            (
                "requestheader-client-ca-file",
                "-",
                "requestheader-client-ca-file contains no valid CA certificate",
            ),
        ] {
            let error = snapshot_of(&map(&[(key, value)])).err().unwrap();
            assert!(error.to_string().ends_with(message), "{error}");
        }
        let pem = testkit::pki::Authority::new("front-proxy").pem();
        let error = snapshot_of(&map(&[
            ("requestheader-client-ca-file", &pem),
            ("requestheader-allowed-names", "front-proxy-client"),
        ]));
        let message = "key requestheader-allowed-names of the ConfigMap is not a JSON list of header names or names";
        assert_eq!(error.err().unwrap().to_string(), message);
    }
}
