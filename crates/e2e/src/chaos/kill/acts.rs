//! The requests of the kill test: changes of repositories, which are compared with their events,
//! and requests of users about backups, which raise signals of many rules.

use bytes::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// The collection that the clients change; no other client writes to it.
const COLLECTION: &str =
    "/apis/repositories.kio.kasten.io/v1alpha1/namespaces/kasten-io/storagerepositories";
const CONTENTS: &str = "/apis/apps.kio.kasten.io/v1alpha1/restorepointcontents";
const CLUSTER_POINTS: &str = "/apis/apps.kio.kasten.io/v1alpha1/clusterrestorepoints";
const POINTS: &str = "/apis/apps.kio.kasten.io/v1alpha1/namespaces/shop/restorepoints";
const PASSKEYS: &str = "/apis/vault.kio.kasten.io/v1alpha1/passkeys";
const RETIREMENTS: &str = "/apis/actions.kio.kasten.io/v1alpha1/retireactions";
/// Names that each client creates, changes and deletes repeatedly.
const NAMES: u32 = 8;
const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// The user of a request.
#[derive(Clone, Copy)]
pub(super) enum Sender {
    Writer,
    Refused,
    Person,
}

/// One request.
pub(super) struct TestRequest {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
    pub(super) sender: Sender,
}

impl TestRequest {
    fn of(sender: Sender, method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), content_type: JSON, body: Bytes::new(), sender }
    }

    fn with(self, body: &Value) -> Self {
        let content_type = if self.method == "PATCH" { MERGE_PATCH } else { JSON };
        Self { body: body.to_string().into(), content_type, ..self }
    }
}

/// The next request of a client.
pub(super) fn act(client: usize, number: u64, random: &mut StdRng) -> TestRequest {
    use Sender::{Person, Refused, Writer};
    let name = format!("repository-{client}-{}", random.random_range(0..NAMES));
    let object = format!("{COLLECTION}/{name}");
    let create = json!({
        "apiVersion": "repositories.kio.kasten.io/v1alpha1",
        "kind": "StorageRepository",
        "metadata": {"name": name, "namespace": "kasten-io", "labels": {"number": number.to_string()}},
        "spec": {"disableMaintenance": false},
    });
    match random.random_range(0..100) {
        0..30 => TestRequest::of(Writer, "POST", COLLECTION).with(&create),
        30..52 => {
            let patch = json!({"spec": {"disableMaintenance": random.random_bool(0.5)}});
            let sender = if random.random_ratio(1, 5) { Person } else { Writer };
            TestRequest::of(sender, "PATCH", object).with(&patch)
        }
        52..66 => TestRequest::of(Writer, "DELETE", object),
        66..74 => TestRequest::of(Writer, "GET", object),
        74..78 => TestRequest::of(Writer, "GET", format!("{COLLECTION}?limit=10")),
        78..82 => TestRequest::of(Refused, "POST", COLLECTION).with(&create),
        _ => backup_request(client, random),
    }
}

/// Requests of K10, and of users about its backups.
fn backup_request(client: usize, random: &mut StdRng) -> TestRequest {
    use Sender::{Person, Writer};
    let name = format!("backup-{client}-{}", random.random_range(0..NAMES));
    let made = |group: &str, kind: &str, spec: Value| {
        json!({"apiVersion": format!("{group}.kio.kasten.io/v1alpha1"), "kind": kind,
            "metadata": {"name": name}, "spec": spec})
    };
    match random.random_range(0..24) {
        0..4 => {
            let content = made("apps", "RestorePointContent", json!({}));
            TestRequest::of(Writer, "POST", CONTENTS).with(&content)
        }
        4..7 => {
            let spec = json!({"restorePointContentRef": {"name": name}});
            TestRequest::of(Writer, "POST", POINTS).with(&made("apps", "RestorePoint", spec))
        }
        7 => {
            let point = made("apps", "ClusterRestorePoint", json!({}));
            TestRequest::of(Writer, "POST", CLUSTER_POINTS).with(&point)
        }
        8 => {
            let passkey = made("vault", "Passkey", json!({"awscmkkeyid": "k"}));
            TestRequest::of(Writer, "POST", PASSKEYS).with(&passkey)
        }
        9..11 => TestRequest::of(Person, "DELETE", format!("{POINTS}/{name}")),
        11 => TestRequest::of(Person, "DELETE", format!("{CONTENTS}/{name}")),
        12 => TestRequest::of(Person, "DELETE", format!("{CLUSTER_POINTS}/{name}")),
        13..16 => TestRequest::of(Person, "GET", format!("{PASSKEYS}/{name}")),
        16..18 => {
            let patch = json!({"spec": {"usenow": true}});
            TestRequest::of(Person, "PATCH", format!("{PASSKEYS}/{name}")).with(&patch)
        }
        18..20 => {
            let past = json!({"spec": {"expiresAt": "2020-01-01T00:00:00Z"}});
            TestRequest::of(Person, "PATCH", format!("{CONTENTS}/{name}")).with(&past)
        }
        20 => TestRequest::of(Person, "POST", RETIREMENTS).with(&made(
            "actions",
            "RetireAction",
            json!({}),
        )),
        21 => TestRequest::of(Person, "DELETE", POINTS),
        _ => {
            let content = made("apps", "RestorePointContent", json!({}));
            TestRequest::of(Person, "POST", CONTENTS).with(&content)
        }
    }
}
