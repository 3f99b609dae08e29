//! Flags of `keepwatch dashboards`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::EXIT_CODES;

/// Commands about dashboards.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum DashboardsCommand {
    /// Write dashboards, ready to be imported
    ///
    /// For Datadog: what users did, from logs. For Grafana: the same from Loki and from Elasticsearch,
    /// and the server's own metrics from Prometheus. Each dashboard becomes a file of its own.
    #[command(after_help = EXIT_CODES)]
    Export(DashboardExportArgs),
}

/// Which dashboards go where.
#[derive(Clone, Debug, Args)]
pub(crate) struct DashboardExportArgs {
    /// The system that shows them: datadog or grafana
    #[arg(long, value_name = "SYSTEM")]
    pub(crate) to: String,
    /// The way on which events reach it, as for rules: kasten (lines of Keepwatch or K10) or
    /// kubernetes.audit (the cluster's own audit log); kasten if not given
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// Folder for the files; standard output if not given
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}
