//! Flags about destinations of events: what profiles may ask for, and in which portions.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use sink::http::Network;

use super::values::{bytes, duration};

/// What an operator decides about destinations.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Destinations")]
pub(crate) struct DestinationArgs {
    /// Namespaces whose `AuditConfigs`, Profiles and Secrets count; * for all, K10's own if none is
    /// given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) audit_config_namespaces: Vec<String>,
    /// Hosts, with or without a port, that endpoints of Profiles may name; any if none is given
    #[arg(long, value_name = "HOSTS", value_delimiter = ',')]
    pub(crate) audit_endpoints: Vec<String>,
    /// Hosts, with or without a port, that the pod's own cloud credentials may go to beside the
    /// provider's own
    #[arg(long, value_name = "HOSTS", value_delimiter = ',')]
    pub(crate) audit_own_credentials_endpoints: Vec<String>,
    /// Networks that may be dialled although they are loopback, link-local or refused
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',')]
    pub(crate) audit_allowed_networks: Vec<Network>,
    /// Networks that may not be dialled, such as those of the cluster's pods and services
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',')]
    pub(crate) audit_refused_networks: Vec<Network>,
    /// Let endpoints do without TLS
    #[arg(long, value_name = "BOOL", default_value_t = false, default_missing_value = "true",
          num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub(crate) audit_plain_http: bool,
    /// Where AWS roles are assumed; AWS's own STS in the bucket's region if not given
    #[arg(long, value_name = "URL")]
    pub(crate) audit_sts_endpoint: Option<String>,
    /// Certificates that destinations may be signed by beside the system's, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_ca_file: Option<PathBuf>,
    /// Folder below which the claims of Profiles of type `FileStore` are mounted, by name
    #[arg(long, value_name = "DIR")]
    pub(crate) audit_volumes: Option<PathBuf>,
    /// Time between heartbeats: events of our own that make silence visible; 0 for none
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    pub(crate) heartbeat: Duration,
    /// Size of its lines at which an object is sealed
    #[arg(long, value_name = "SIZE", default_value = "16Mi", value_parser = bytes)]
    pub(crate) audit_seal_size: u64,
    /// Time that an event waits for others to share an object with
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    pub(crate) audit_seal_age: Duration,
}
