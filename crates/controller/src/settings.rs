//! The operator's settings for destinations, in addition to those in the objects.

use std::path::PathBuf;
use std::time::Duration;

use objectstore::{Limits, Prefix};
use tokio::sync::watch;

/// The operator's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Why uploads are switched off; `None` if they are not.
    pub switched_off: Option<String>,
    /// Namespaces whose `AuditConfig`s, `Profile`s and Secrets may be used; empty for all.
    pub namespaces: Vec<String>,
    /// Whether objects in other namespaces are watched too, so that their status reports that they
    /// are not used. Needs permissions in all namespaces.
    pub sees_all: bool,
    /// The beginning of every key in a bucket.
    pub prefix: Prefix,
    /// Folder in which the claims of profiles of type `FileStore` are mounted, by name.
    pub volumes: Option<PathBuf>,
    /// Hosts, with or without a port, that are allowed as endpoints; all if empty.
    pub endpoints: Vec<String>,
    /// Hosts, with or without a port, that may receive requests with the server's own cloud
    /// credentials, in addition to the provider's.
    pub own_credentials_endpoints: Vec<String>,
    /// Whether endpoints may use plain HTTP.
    pub plain_http: bool,
    /// Endpoint of STS; AWS's in the bucket's region if `None`.
    pub sts_endpoint: Option<String>,
    /// CA certificates, PEM, that are trusted for destinations in addition to the system's. They
    /// may change at any time.
    pub ca_pem: watch::Receiver<Option<Vec<u8>>>,
    /// The limits on objects and lines.
    pub limits: Limits,
    /// Time for the last delivery of a deleted `AuditConfig`.
    pub drain_time: Duration,
    /// Whether this controller writes the status of profiles, because there is no K10.
    pub reports_profiles: bool,
}

/// Default of [`Settings::drain_time`].
pub const DRAIN_TIME: Duration = Duration::from_mins(1);

impl Default for Settings {
    fn default() -> Self {
        Self {
            switched_off: None,
            namespaces: vec![kasten::names::K10_NAMESPACE.to_owned()],
            sees_all: false,
            prefix: Prefix::default(),
            volumes: None,
            endpoints: Vec::new(),
            own_credentials_endpoints: Vec::new(),
            plain_http: false,
            sts_endpoint: None,
            ca_pem: watch::channel(None).1,
            limits: Limits::default(),
            drain_time: DRAIN_TIME,
            reports_profiles: false,
        }
    }
}

impl Settings {
    /// Whether objects in this namespace may be used.
    pub fn allows(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|allowed| allowed == namespace)
    }
}
