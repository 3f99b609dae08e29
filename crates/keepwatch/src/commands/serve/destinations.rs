//! The controller and the notifiers of a server in a cluster.

use std::time::Duration;

use anyhow::{Context as _, Result};
use controller::Settings;
use kasten::Installation;
use objectstore::{Limits, Prefix};
use sink::http::EgressPolicy;
use tokio::sync::watch;

use crate::app::App;
use crate::args::destinations::DestinationArgs;
use crate::args::serve::AuditArgs;
use crate::aws;
use crate::background_task::BackgroundTask;
use crate::delivery_control::{Environment, controller_task};
use crate::notifications;

/// Interval at which the file with authorities is read.
const AUTHORITIES_PERIOD: Duration = Duration::from_secs(1);

/// The current authorities, in PEM.
pub(super) type Authorities = watch::Receiver<Option<Vec<u8>>>;

/// The controller's settings, from the flags.
pub(super) fn settings(
    audit: &AuditArgs,
    args: &DestinationArgs,
    installation: &Installation,
    ca_pem: Authorities,
) -> Result<Settings> {
    let switched_off = (!audit.enable_k10_audit_cloud_aws_s3).then(|| {
        "uploads are switched off: siem.logging.cloud.awsS3.enabled is false \
         (--enable-k10-audit-cloud-aws-s3)"
            .to_owned()
    });
    Ok(Settings {
        // A check writes to the destination, which is not allowed while uploads are disabled.
        reports_profiles: switched_off.is_none(),
        switched_off,
        namespaces: namespaces(&args.audit_config_namespaces, installation),
        prefix: Prefix::parse(&audit.audit_cloud_path).context("--audit-cloud-path")?,
        volumes: args.audit_volumes.clone(),
        endpoints: args.audit_endpoints.clone(),
        own_credentials_endpoints: args.audit_own_credentials_endpoints.clone(),
        plain_http: args.audit_plain_http,
        sts_endpoint: args.audit_sts_endpoint.clone(),
        ca_pem,
        limits: Limits {
            seal_bytes: usize::try_from(args.audit_seal_size).unwrap_or(usize::MAX),
            seal_age: args.audit_seal_age,
            ..Limits::default()
        },
        ..Settings::default()
    })
}

/// The authorities of destinations, and a task that rereads their file: a mounted `ConfigMap`
/// changes while the server runs.
pub(super) fn authorities(args: &DestinationArgs) -> Result<(Authorities, Option<BackgroundTask>)> {
    let Some(file) = args.audit_ca_file.clone() else { return Ok((watch::channel(None).1, None)) };
    let read = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let (sender, receiver) = watch::channel(Some(read));
    let reading = async move {
        loop {
            tokio::time::sleep(AUTHORITIES_PERIOD).await;
            match tokio::fs::read(&file).await {
                Ok(read) => {
                    sender.send_if_modified(|current| {
                        let is_new = current.as_ref() != Some(&read);
                        if is_new {
                            tracing::info!(file = %file.display(), "the CA certificates of destinations changed");
                            *current = Some(read);
                        }
                        is_new
                    });
                }
                Err(error) => {
                    let file = file.display();
                    tracing::warn!(%file, %error, "cannot read the CA certificates; the last ones stay in use");
                }
            }
        }
    };
    Ok((receiver, Some(Box::pin(reading))))
}

/// The given namespaces, or K10's own.
fn namespaces(configured: &[String], installation: &Installation) -> Vec<String> {
    if configured.iter().any(|namespace| namespace == "*") {
        return Vec::new();
    }
    if !configured.is_empty() {
        return configured.to_vec();
    }
    vec![installation.namespace().to_owned()]
}

/// The task that reconciles `AuditConfig` and `Profile` objects.
pub(super) fn controller(
    app: &App,
    client: kube::Client,
    settings: Settings,
    audit: &AuditArgs,
    args: &DestinationArgs,
) -> BackgroundTask {
    let labels = audit.labels();
    let environment = Environment {
        cluster: labels.cluster_name.clone(),
        labels,
        egress: egress(args),
        workload_identity: aws::workload_identity(args.audit_sts_endpoint.as_deref()),
        resume_from: audit.audit_log_resume_from,
        creates_claims: false,
    };
    controller_task(app, client, settings, environment)
}

/// The egress policy.
fn egress(args: &DestinationArgs) -> EgressPolicy {
    EgressPolicy {
        allowed: args.audit_allowed_networks.clone(),
        denied: args.audit_refused_networks.clone(),
        plain_http: args.audit_plain_http,
        ..EgressPolicy::default()
    }
}

/// A task that runs the notifiers. Their Secrets are in the namespaces of those of profiles.
pub(super) fn notifiers(
    app: &App,
    client: kube::Client,
    settings: &Settings,
    args: &DestinationArgs,
) -> BackgroundTask {
    app.notify(notifications::NotifierConfig {
        client,
        namespaces: settings.namespaces.clone(),
        egress: egress(args),
        ca_pem: settings.ca_pem.clone(),
    })
}
