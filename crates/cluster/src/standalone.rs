//! `keepwatch up` with an `AuditConfig` that leads to a bucket, for proofs of delivery.
//!
//! Everything is asked for as a user would: over the API, as the administrator of its kubeconfig.
//! Nothing here judges what is delivered; [`crate::archive`] does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use serde_json::{Value, json};
use testkit::pki::{Authority, Identity};

use crate::archive::{self, Compared};
use crate::load::{Endpoint, Lane, Protocol};
use crate::process::Process;
use crate::wait::PATIENCE;
use crate::{keepwatch, kept, kubeconfig};

/// The namespace that counts for delivery.
pub const NAMESPACE: &str = "kasten-io";
/// The bucket that proofs use.
pub const BUCKET: &str = "archive";
/// Its Secret, its Profile and its `AuditConfig`.
pub const NAME: &str = "proof";
/// Everything at the highest level, so that nothing is exempt from the comparison.
const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\n\
rules:\n- level: RequestResponse\n";
/// What the authority of the server is called.
pub(crate) const AUTHORITY: &str = "keepwatch-ca";
/// How often something is looked for.
const LOOK_PERIOD: Duration = Duration::from_millis(50);

/// The group of the kinds that say where events go.
const CONFIG: &str = "config.kio.kasten.io/v1alpha1";

/// A running server, and its administrator.
pub struct Standalone {
    /// The server.
    pub process: Process,
    /// As whom it is told what to do.
    pub admin: Endpoint,
    /// As whom it is kept busy: K10's own account.
    pub worker: Endpoint,
    home: PathBuf,
}

/// What the server says of its delivery.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Events that are in the bucket.
    pub delivered: u64,
    /// Events that are not.
    pub lag: u64,
}

/// The keys of a Secret for a bucket.
pub fn keys(id: &str, secret: &str) -> Value {
    json!({"aws_access_key_id": id, "aws_secret_access_key": secret})
}

impl Standalone {
    /// Starts it in `folder` and waits until it serves.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        Self::start_with(folder, &[], &[]).await
    }

    /// The same with more arguments, and variables in its environment.
    pub async fn start_with(
        folder: &Path,
        more: &[&str],
        environment: &[(String, String)],
    ) -> anyhow::Result<Self> {
        std::fs::write(folder.join("policy.yaml"), POLICY)?;
        let home = folder.join("home");
        let mut arguments = vec![
            "up".to_owned(),
            format!("--dir={}", home.display()),
            "--listen=127.0.0.1:0".to_owned(),
        ];
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        if !more.iter().any(|argument| argument.starts_with("--policy")) {
            arguments.push(format!("--policy={}", folder.join("policy.yaml").display()));
        }
        let binary = keepwatch::binary()?;
        let mut process = Process::start_in("keepwatch", &binary, &arguments, folder, environment)?;
        let admin = wait("the server serves", async || {
            process.check()?;
            let Ok(admin) = kubeconfig::read(&home).and_then(|known| known.endpoint("admin"))
            else {
                return Ok(None);
            };
            let path = format!("/api/v1/namespaces/{NAMESPACE}");
            let code = send(&admin, "GET", &path, None).await.map(|reply| reply.0);
            Ok((code.ok() == Some(200)).then_some(admin))
        })
        .await?;
        let worker = kubeconfig::read(&home)?.endpoint("kasten")?;
        Ok(Self { process, admin, worker, home })
    }

    /// The folder with everything it keeps.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The server as another user, in at most two groups, with a certificate of its own authority.
    pub fn endpoint_of(&self, name: &str, groups: &[&str]) -> anyhow::Result<Endpoint> {
        let read = |file: &str| {
            let path = self.home.join("pki").join(file);
            std::fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))
        };
        let certificate = read("ca.crt")?;
        let authority = Authority::existing(AUTHORITY, &certificate, &read("ca.key")?);
        let Identity { certificate: own, key } = authority.client(name, groups);
        Endpoint::new(self.admin.address, &self.admin.server_name, &certificate, &own, &key)
    }

    /// Makes Secret, Profile and `AuditConfig` for a bucket of S3, which may be wrong.
    pub async fn deliver_to(
        &self,
        endpoint: &str,
        bucket: &str,
        keys: &Value,
    ) -> anyhow::Result<()> {
        let store = json!({"objectStoreType": "S3", "name": bucket, "region": "us-east-1",
            "endpoint": endpoint});
        self.deliver("AwsAccessKey", keys, &store).await
    }

    /// The same for any store, as a Profile describes it.
    pub async fn deliver(
        &self,
        secret_type: &str,
        keys: &Value,
        store: &Value,
    ) -> anyhow::Result<()> {
        let kind = if secret_type == "AwsAccessKey" { "secrets.kanister.io/aws" } else { "Opaque" };
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME},
            "type": kind, "stringData": keys});
        self.make("/api/v1", "secrets", &secret).await?;
        let profile = profile(secret_type, store);
        self.make(&format!("/apis/{CONFIG}"), "profiles", &profile).await?;
        let config = json!({"apiVersion": CONFIG, "kind": "AuditConfig",
            "metadata": {"name": NAME}, "spec": {"profile": {"name": NAME, "namespace": ""}}});
        self.make(&format!("/apis/{CONFIG}"), "auditconfigs", &config).await
    }

    /// Makes an object in [`NAMESPACE`].
    pub async fn make(&self, group: &str, plural: &str, body: &Value) -> anyhow::Result<()> {
        let path = format!("{group}/namespaces/{NAMESPACE}/{plural}");
        let (code, said) = send(&self.admin, "POST", &path, Some(body)).await?;
        ensure!(code == 201, "POST {path}: {code} {said}");
        Ok(())
    }

    /// Changes one of the objects named [`NAME`].
    pub async fn change(&self, plural: &str, patch: &Value) -> anyhow::Result<()> {
        let group = if plural == "secrets" { "/api/v1" } else { &format!("/apis/{CONFIG}") };
        let object = format!("{group}/namespaces/{NAMESPACE}/{plural}/{NAME}");
        let (code, said) = send(&self.admin, "PATCH", &object, Some(patch)).await?;
        ensure!(code == 200, "PATCH {object}: {code} {said}");
        Ok(())
    }

    /// Waits until the `AuditConfig` has this status; what its errors say.
    pub async fn wait_status(&self, validation: &str) -> anyhow::Result<String> {
        let path = format!("/apis/{CONFIG}/namespaces/{NAMESPACE}/auditconfigs/{NAME}");
        let mut last = Value::Null;
        wait(&format!("the AuditConfig is {validation}"), async || {
            last = send(&self.admin, "GET", &path, None).await?.1;
            let is_so = last["status"]["validation"] == validation;
            Ok(is_so.then(|| last["status"]["error"].to_string()))
        })
        .await
        .with_context(|| format!("its status is {}", last["status"]))
    }

    /// Deletes the `AuditConfig` and waits until it is gone.
    pub async fn leave(&self) -> anyhow::Result<()> {
        let object = format!("/apis/{CONFIG}/namespaces/{NAMESPACE}/auditconfigs/{NAME}");
        let (code, said) = send(&self.admin, "DELETE", &object, None).await?;
        ensure!(code == 200, "DELETE {object}: {code} {said}");
        wait("the AuditConfig is gone", async || {
            Ok((send(&self.admin, "GET", &object, None).await?.0 == 404).then_some(()))
        })
        .await
    }

    /// What `/metrics` says of the bucket.
    pub async fn progress(&self) -> anyhow::Result<Progress> {
        let text = metrics(&self.admin).await?;
        let value = |name: &str| value_of(&text, name, "auditconfig/");
        Ok(Progress {
            delivered: value("keepwatch_delivery_delivered_total").unwrap_or(0),
            lag: value(LAG).context("no lag in the metrics")?,
        })
    }

    /// Ends the server, which delivers what is there, and compares the archive with the journal.
    pub async fn stop_and_compare(
        mut self,
        objects: impl FnOnce() -> anyhow::Result<BTreeMap<String, Vec<u8>>>,
    ) -> anyhow::Result<(Compared, u64)> {
        tokio::task::block_in_place(|| self.process.stop())?;
        let store = kept::open(&self.home)?;
        let journal = store.journal();
        let compared = archive::compare(&*journal, &objects()?).await;
        let last = journal.last_seq();
        store.close().await;
        Ok((compared?, last))
    }
}

fn profile(secret_type: &str, store: &Value) -> Value {
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "name": NAME, "namespace": NAMESPACE});
    json!({"apiVersion": CONFIG, "kind": "Profile", "metadata": {"name": NAME}, "spec": {
        "type": "Location", "locationSpec": {
            "type": "ObjectStore",
            "credential": {"secretType": secret_type, "secret": secret},
            "objectStore": store}}})
}

/// Waits until the detector has read the whole journal.
pub(crate) async fn wait_detected(endpoint: &Endpoint) -> anyhow::Result<()> {
    wait("the detector has read everything", async || {
        let lag = value_of(&metrics(endpoint).await?, LAG, "detector");
        Ok((lag.context("no lag of the detector in the metrics")? == 0).then_some(()))
    })
    .await
}

/// Records that a reader of the journal has before it, by its name.
const LAG: &str = "keepwatch_delivery_lag_events";

async fn metrics(endpoint: &Endpoint) -> anyhow::Result<String> {
    let mut lane = endpoint.lanes(Protocol::Http1, 1).await?.remove(0);
    let reply = lane.send(endpoint, "GET", "/metrics", &[], Bytes::new()).await?;
    Ok(String::from_utf8_lossy(&reply.expect(200)?.body).into_owned())
}

/// The value of a metric for the first sink whose name begins so.
fn value_of(metrics: &str, name: &str, sink: &str) -> Option<u64> {
    let label = format!("sink=\"{sink}");
    let found = metrics.lines().find(|line| line.starts_with(name) && line.contains(&label))?;
    found.rsplit_once(' ')?.1.parse().ok()
}

/// One request of JSON; code and body.
pub async fn send(
    endpoint: &Endpoint,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<(u16, Value)> {
    let mut lane: Lane = endpoint.lanes(Protocol::Http1, 1).await?.remove(0);
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let reply = lane.send(endpoint, method, path, &[("content-type", kind)], body).await?;
    Ok((reply.code, serde_json::from_slice(&reply.body).unwrap_or_default()))
}

/// Looks for something, for at most [`PATIENCE`].
pub async fn wait<T>(
    what: &str,
    mut probe: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe().await.with_context(|| format!("while waiting: {what}"))? {
            return Ok(found);
        }
        ensure!(tokio::time::Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(LOOK_PERIOD).await;
    }
}
