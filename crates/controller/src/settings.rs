//! What an operator decides about destinations, beyond what stands in the objects.

use std::path::PathBuf;
use std::time::Duration;

use objectstore::{Limits, Prefix};
use tokio::sync::watch;

/// Decisions of the operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Why nothing is uploaded; `None` if it is.
    pub switched_off: Option<String>,
    /// Namespaces whose `AuditConfig`s, `Profile`s and Secrets count; empty for all.
    pub namespaces: Vec<String>,
    /// Whether objects in other namespaces are looked at too, to say that they do not count. Needs
    /// rights in all namespaces.
    pub sees_all: bool,
    /// Stands before every key in a bucket.
    pub prefix: Prefix,
    /// Folder below which the claims of profiles of type `FileStore` are mounted, by name.
    pub volumes: Option<PathBuf>,
    /// Hosts, with or without a port, that endpoints may name; any if empty.
    pub endpoints: Vec<String>,
    /// Hosts, with or without a port, that the server's own cloud credentials may go to beside the
    /// provider's.
    pub own_credentials_endpoints: Vec<String>,
    /// Whether endpoints may do without TLS.
    pub plain_http: bool,
    /// Where roles are assumed; AWS's own in the bucket's region if `None`.
    pub sts_endpoint: Option<String>,
    /// Certificates, PEM, that destinations may be signed by, beside the system's. They may change
    /// at any time.
    pub ca_pem: watch::Receiver<Option<Vec<u8>>>,
    /// The portions in which events leave.
    pub limits: Limits,
    /// How long a deleted `AuditConfig` may take to deliver what was recorded before.
    pub leave_time: Duration,
    /// Whether the status of profiles is ours to write: where K10 does not do it.
    pub reports_profiles: bool,
}

/// How long the last delivery of a deleted `AuditConfig` may take.
pub const LEAVE_TIME: Duration = Duration::from_mins(1);

impl Default for Settings {
    fn default() -> Self {
        Self {
            switched_off: None,
            namespaces: vec![kasten::domain::K10_NAMESPACE.to_owned()],
            sees_all: false,
            prefix: Prefix::default(),
            volumes: None,
            endpoints: Vec::new(),
            own_credentials_endpoints: Vec::new(),
            plain_http: false,
            sts_endpoint: None,
            ca_pem: watch::channel(None).1,
            limits: Limits::default(),
            leave_time: LEAVE_TIME,
            reports_profiles: false,
        }
    }
}

impl Settings {
    /// Whether objects in this namespace count.
    pub fn allows(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|allowed| allowed == namespace)
    }
}
