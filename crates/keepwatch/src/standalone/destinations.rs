//! The controller and the notifiers of a standalone server.
//!
//! Only the machine's owner writes profiles, so loopback and plain HTTP are allowed, as a local S3
//! server needs them. The claims of profiles of type `FileStore` are folders below `volumes`,
//! created when they are first used.

use std::time::Duration;

use controller::Settings;
use objectstore::{Limits, WorkloadIdentity};
use sink::http::{EgressPolicy, Network};
use tokio::sync::watch;

use super::data_dir::DataDir;
use super::kubeconfig;
use crate::app::App;
use crate::background_task::BackgroundTask;
use crate::delivery_control::{Environment, controller_task};
use crate::line_labels::labels;
use crate::notifications;
use crate::reader_positions::ResumeFrom;

/// Maximum age of an object before it is sealed; short, because a user is watching.
const SEAL_AGE: Duration = Duration::from_secs(2);
/// The network of a local server.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// The task that reconciles `AuditConfig` and `Profile` objects.
pub(crate) fn controller(app: &App, client: kube::Client, data_dir: &DataDir) -> BackgroundTask {
    let settings = Settings {
        sees_all: true,
        volumes: Some(data_dir.volumes()),
        plain_http: true,
        limits: Limits { seal_age: SEAL_AGE, ..Limits::default() },
        reports_profiles: true,
        ..Settings::default()
    };
    let environment = Environment {
        cluster: kubeconfig::CLUSTER.to_owned(),
        labels: labels(""),
        egress: egress(),
        workload_identity: WorkloadIdentity::default(),
        resume_from: ResumeFrom::default(),
        creates_claims: true,
    };
    controller_task(app, client, settings, environment)
}

/// The egress policy.
fn egress() -> EgressPolicy {
    let allowed = LOOPBACK.iter().filter_map(|network| network.parse::<Network>().ok()).collect();
    EgressPolicy { allowed, plain_http: true, ..EgressPolicy::default() }
}

/// A task that runs the notifiers.
pub(crate) fn notifiers(app: &App, client: kube::Client) -> BackgroundTask {
    app.notify(notifications::NotifierConfig {
        client,
        namespaces: Vec::new(),
        egress: egress(),
        ca_pem: watch::channel(None).1,
    })
}
