//! Flags about destinations of events: what profiles may request, and how large the objects are.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use sink::http::Network;

use super::values::{bytes, duration};

/// What an operator decides about destinations.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Destinations")]
pub(crate) struct DestinationArgs {
    /// Namespaces whose `AuditConfigs`, Profiles and Secrets are used; * is all [default: K10's
    /// namespace]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) audit_config_namespaces: Vec<String>,
    /// Hosts, with or without a port, that Profiles may use as endpoints [default: any]
    #[arg(long, value_name = "HOSTS", value_delimiter = ',')]
    pub(crate) audit_endpoints: Vec<String>,
    /// Hosts, with or without a port, that may receive the pod's own cloud credentials, in addition
    /// to the provider's hosts
    #[arg(long, value_name = "HOSTS", value_delimiter = ',')]
    pub(crate) audit_own_credentials_endpoints: Vec<String>,
    /// Networks to which connections are allowed although they are loopback, link-local or refused
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',')]
    pub(crate) audit_allowed_networks: Vec<Network>,
    /// Networks to which connections are refused, such as the cluster's pod and service networks
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',')]
    pub(crate) audit_refused_networks: Vec<Network>,
    /// Allow endpoints without TLS
    #[arg(long, value_name = "BOOL", default_value_t = false, default_missing_value = "true",
          num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub(crate) audit_plain_http: bool,
    /// STS endpoint for AWS roles [default: AWS's own in the bucket's region]
    #[arg(long, value_name = "URL")]
    pub(crate) audit_sts_endpoint: Option<String>,
    /// Additional CA certificates for destinations, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_ca_file: Option<PathBuf>,
    /// Folder in which the claims of `FileStore` Profiles are mounted under their names
    #[arg(long, value_name = "DIR")]
    pub(crate) audit_volumes: Option<PathBuf>,
    /// Time between heartbeat events, whose absence reveals that delivery stopped; 0 turns them off
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    pub(crate) heartbeat: Duration,
    /// Size of its lines at which an object is written
    #[arg(long, value_name = "SIZE", default_value = "16Mi", value_parser = bytes)]
    pub(crate) audit_seal_size: u64,
    /// Time that an event waits for others in the same object
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    pub(crate) audit_seal_age: Duration,
}
