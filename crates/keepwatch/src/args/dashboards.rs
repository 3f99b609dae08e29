//! Flags of `keepwatch dashboards`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::EXIT_CODES;

/// Commands about dashboards.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum DashboardsCommand {
    /// Write dashboards for import
    ///
    /// For Datadog: the requests of users, from logs. For Grafana: the same from Loki and
    /// Elasticsearch, and the server's own metrics from Prometheus. Each dashboard is one file.
    #[command(after_help = EXIT_CODES)]
    Export(DashboardExportArgs),
}

/// Which dashboards are exported, and where they are written.
#[derive(Clone, Debug, Args)]
pub(crate) struct DashboardExportArgs {
    /// Target: datadog or grafana
    #[arg(long, value_name = "SYSTEM")]
    pub(crate) to: String,
    /// Source of the events, as for rules: kasten (lines of Keepwatch or K10) or kubernetes.audit
    /// (the cluster's own audit log) [default: kasten]
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// Folder for the files [default: standard output]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}
