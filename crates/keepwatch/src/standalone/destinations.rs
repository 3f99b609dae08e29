//! What the controller of a standalone server is made of.
//!
//! The machine's owner is the only one who writes profiles, so loopback and plain HTTP may be used,
//! as a local S3 server needs them. Claims of profiles of type `FileStore` are folders below
//! `volumes`, made when they are first named.

use std::sync::Arc;
use std::time::Duration;

use apiserver::Clock as _;
use controller::{Controller, Settings};
use objectstore::{BucketConfig, Limits, WorkloadIdentity};
use sink::http::{EgressPolicy, Network};
use tokio::sync::watch;

use super::data_dir::DataDir;
use super::kubeconfig;
use crate::app::{App, BackgroundTask, labels};
use crate::clock::SystemClock;
use crate::delivery_control::LocalDelivery;
use crate::notifications;
use crate::reader_places::ResumeFrom;

/// How long an event waits for others: somebody is watching.
const SEAL_AGE: Duration = Duration::from_secs(2);
/// Where a local server is.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// Somebody who follows the objects and moves delivery.
pub(crate) fn controller(app: &App, client: kube::Client, data_dir: &DataDir) -> BackgroundTask {
    let settings = Settings {
        sees_all: true,
        volumes: Some(data_dir.volumes()),
        plain_http: true,
        limits: Limits { seal_age: SEAL_AGE, ..Limits::default() },
        reports_profiles: true,
        ..Settings::default()
    };
    let hand = LocalDelivery {
        delivery: app.delivery(),
        store: app.store(),
        resume_from: ResumeFrom::default(),
        parts: BucketConfig {
            cluster: kubeconfig::CLUSTER.to_owned(),
            encoding: sink::Encoding::Kasten(labels("")),
            egress: egress(),
            workload_identity: WorkloadIdentity::default(),
            clock: Arc::new(|| SystemClock.now()),
        },
        makes_claims: true,
        volumes: settings.volumes.clone(),
    };
    let clock: controller::Clock = Arc::new(|| SystemClock.now());
    Box::pin(Controller::new(client, Arc::new(hand), settings, clock).run())
}

/// Where may be dialled.
fn egress() -> EgressPolicy {
    let allowed = LOOPBACK.iter().filter_map(|network| network.parse::<Network>().ok()).collect();
    EgressPolicy { allowed, plain_http: true, ..EgressPolicy::default() }
}

/// A task that runs the notifiers.
pub(crate) fn notifiers(app: &App, client: kube::Client) -> BackgroundTask {
    app.notify(notifications::Parts {
        client,
        namespaces: Vec::new(),
        egress: egress(),
        ca_pem: watch::channel(None).1,
    })
}
