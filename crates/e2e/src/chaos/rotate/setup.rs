//! Keepwatch on a control plane with `AuditConfig` objects for buckets.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::bench;
use crate::fixtures::control_plane::ControlPlane;
use crate::fixtures::keepwatch::{ExtraArgs, Keepwatch};
use crate::fixtures::load_client::{Endpoint, Protocol};
use crate::fixtures::wait::until;
use crate::fixtures::{archive, stopped_store};

const DEFINITIONS: &str =
    include_str!("../../../../../charts/keepwatch/crds/config.kio.kasten.io.yaml");
const NAMESPACE: &str = "kasten-io";
/// The highest level for everything, so that the comparison covers all requests.
const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\n\
rules:\n- level: RequestResponse\n";

/// The objects of a bucket, by key.
pub(super) type Objects = BTreeMap<String, Vec<u8>>;

/// The request headers with the user of the front proxy.
pub(super) const ADMIN_HEADERS: [(&str, &str); 3] = [
    ("x-remote-user", "system:serviceaccount:kasten-io:executor-svc"),
    ("x-remote-group", "system:serviceaccounts:kasten-io"),
    ("x-remote-group", "system:masters"),
];

/// The control plane, the server and its front proxy.
pub(super) struct Setup {
    plane: ControlPlane,
    server: Keepwatch,
    /// The front proxy's endpoint at the server.
    pub(super) proxy: Endpoint,
}

impl Setup {
    /// Starts the control plane and the server. It assumes roles at `sts` with the token in a file.
    pub(super) fn start(folder: &Path, sts: &str, token: &Path) -> anyhow::Result<Self> {
        let plane = ControlPlane::start(&folder.join("plane"))?;
        plane.apply(DEFINITIONS)?;
        let definition = "customresourcedefinition auditconfigs.config.kio.kasten.io";
        let line = format!("wait --for=condition=Established {definition} --timeout=60s");
        plane.admin().kubectl(&line)?;
        let extra = ExtraArgs {
            arguments: vec![
                "--audit-plain-http".to_owned(),
                "--audit-allowed-networks=127.0.0.0/8".to_owned(),
                "--audit-own-credentials-endpoints=127.0.0.1".to_owned(),
                format!("--audit-ca-file={}", folder.join("ca.crt").display()),
                format!("--audit-sts-endpoint={sts}"),
            ],
            environment: vec![
                ("AWS_ROLE_ARN".to_owned(), "arn:aws:iam::1:role/audit".to_owned()),
                ("AWS_WEB_IDENTITY_TOKEN_FILE".to_owned(), token.display().to_string()),
            ],
        };
        let server = Keepwatch::start_with(&plane, POLICY, extra)?;
        let proxy = bench::front_proxy(&plane, &server.extension, server.address())?;
        Ok(Self { plane, server, proxy })
    }

    /// Creates a Secret, a Profile and an `AuditConfig` with this name, for the bucket with this
    /// name.
    pub(super) fn create_destination(
        &self,
        name: &str,
        endpoint: &str,
        keys: Option<(&str, &str)>,
    ) -> anyhow::Result<()> {
        let group = "config.kio.kasten.io/v1alpha1";
        let metadata = json!({"name": name, "namespace": NAMESPACE});
        let mut location = json!({"type": "ObjectStore", "objectStore": {
            "objectStoreType": "S3", "name": name, "region": "us-east-1", "endpoint": endpoint}});
        let mut items = Vec::new();
        if let Some((id, secret)) = keys {
            items.push(json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata,
                "type": "secrets.kanister.io/aws",
                "stringData": {"aws_access_key_id": id, "aws_secret_access_key": secret}}));
            location["credential"] = json!({"secretType": "AwsAccessKey", "secret": {
                "apiVersion": "v1", "kind": "Secret", "name": name, "namespace": NAMESPACE}});
        }
        items.push(json!({"apiVersion": group, "kind": "Profile", "metadata": metadata,
            "spec": {"type": "Location", "locationSpec": location}}));
        items.push(json!({"apiVersion": group, "kind": "AuditConfig", "metadata": metadata,
            "spec": {"profile": {"name": name}}}));
        let all = json!({"apiVersion": "v1", "kind": "List", "items": items});
        self.plane.apply(&all.to_string())
    }

    /// Waits until an `AuditConfig` has this status.
    pub(super) fn wait_status(&self, name: &str, validation: &str) -> anyhow::Result<()> {
        let mut last = Value::Null;
        until(&format!("AuditConfig {name} is {validation}"), || {
            let line = format!("get auditconfig {name} -n {NAMESPACE}");
            last = self.plane.admin().json(&line)?;
            Ok((last["status"]["validation"] == validation).then_some(()))
        })
        .with_context(|| format!("its status is {}", last["status"]))
    }

    /// Changes a Secret.
    pub(super) fn change_secret(&self, name: &str, patch: &Value) -> anyhow::Result<()> {
        let line = format!("patch secret {name} -n {NAMESPACE} --type=merge -p {patch}");
        self.plane.admin().kubectl(&line).map(drop)
    }

    /// The number of events that were delivered to the bucket of an `AuditConfig`, by the server's
    /// metrics.
    pub(super) async fn delivered(&self, name: &str) -> anyhow::Result<u64> {
        let mut connection = self.proxy.connections(Protocol::Http1, 1).await?.remove(0);
        let reply =
            connection.send(&self.proxy, "GET", "/metrics", &ADMIN_HEADERS, Bytes::new()).await?;
        let text = String::from_utf8_lossy(&reply.expect(200)?.body).into_owned();
        let label = format!("sink=\"auditconfig/{NAMESPACE}/{name}/");
        let line = text.lines().find(|line| {
            line.starts_with("keepwatch_delivery_delivered_total") && line.contains(&label)
        });
        Ok(line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or(0))
    }

    /// The end of the server's log.
    pub(super) fn log_tail(&self) -> String {
        self.server.process.log_tail()
    }

    /// Stops the server, which delivers the remaining events, and compares each bucket with the
    /// journal.
    pub(super) async fn stop_and_compare(
        mut self,
        buckets: impl FnOnce() -> anyhow::Result<Vec<(&'static str, Objects)>>,
    ) -> anyhow::Result<()> {
        tokio::task::block_in_place(|| self.server.process.stop())?;
        let store = stopped_store::open(&self.server.data())?;
        for (name, objects) in buckets()? {
            let journal = store.journal();
            let comparison = archive::compare(&*journal, &objects).await?;
            let (last, end) = (comparison.last, journal.last_seq());
            ensure!(last == end, "{name} ends at {last}, the journal at {end}");
            println!(
                "{name}: {} events in {} objects, each once, in order, equal to the journal",
                comparison.events(),
                comparison.objects
            );
        }
        store.close().await;
        Ok(())
    }
}
