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
    K10,
    Unauthorized,
    User,
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
    fn new(sender: Sender, method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), content_type: JSON, body: Bytes::new(), sender }
    }

    fn with(self, body: &Value) -> Self {
        let content_type = if self.method == "PATCH" { MERGE_PATCH } else { JSON };
        Self { body: body.to_string().into(), content_type, ..self }
    }
}

/// The next request of a client.
pub(super) fn next_request(client: usize, number: u64, random: &mut StdRng) -> TestRequest {
    use Sender::{K10, Unauthorized, User};
    let name = format!("repository-{client}-{}", random.random_range(0..NAMES));
    let object = format!("{COLLECTION}/{name}");
    let create = json!({
        "apiVersion": "repositories.kio.kasten.io/v1alpha1",
        "kind": "StorageRepository",
        "metadata": {"name": name, "namespace": "kasten-io", "labels": {"number": number.to_string()}},
        "spec": {"disableMaintenance": false},
    });
    match random.random_range(0..100) {
        0..30 => TestRequest::new(K10, "POST", COLLECTION).with(&create),
        30..52 => {
            let patch = json!({"spec": {"disableMaintenance": random.random_bool(0.5)}});
            let sender = if random.random_ratio(1, 5) { User } else { K10 };
            TestRequest::new(sender, "PATCH", object).with(&patch)
        }
        52..66 => TestRequest::new(K10, "DELETE", object),
        66..74 => TestRequest::new(K10, "GET", object),
        74..78 => TestRequest::new(K10, "GET", format!("{COLLECTION}?limit=10")),
        78..82 => TestRequest::new(Unauthorized, "POST", COLLECTION).with(&create),
        _ => backup_request(client, random),
    }
}

/// Requests of K10, and of users about its backups.
fn backup_request(client: usize, random: &mut StdRng) -> TestRequest {
    use Sender::{K10, User};
    let name = format!("backup-{client}-{}", random.random_range(0..NAMES));
    let object = |group: &str, kind: &str, spec: Value| {
        json!({"apiVersion": format!("{group}.kio.kasten.io/v1alpha1"), "kind": kind,
            "metadata": {"name": name}, "spec": spec})
    };
    match random.random_range(0..24) {
        0..4 => {
            let content = object("apps", "RestorePointContent", json!({}));
            TestRequest::new(K10, "POST", CONTENTS).with(&content)
        }
        4..7 => {
            let spec = json!({"restorePointContentRef": {"name": name}});
            TestRequest::new(K10, "POST", POINTS).with(&object("apps", "RestorePoint", spec))
        }
        7 => {
            let point = object("apps", "ClusterRestorePoint", json!({}));
            TestRequest::new(K10, "POST", CLUSTER_POINTS).with(&point)
        }
        8 => {
            let passkey = object("vault", "Passkey", json!({"awscmkkeyid": "k"}));
            TestRequest::new(K10, "POST", PASSKEYS).with(&passkey)
        }
        9..11 => TestRequest::new(User, "DELETE", format!("{POINTS}/{name}")),
        11 => TestRequest::new(User, "DELETE", format!("{CONTENTS}/{name}")),
        12 => TestRequest::new(User, "DELETE", format!("{CLUSTER_POINTS}/{name}")),
        13..16 => TestRequest::new(User, "GET", format!("{PASSKEYS}/{name}")),
        16..18 => {
            let patch = json!({"spec": {"usenow": true}});
            TestRequest::new(User, "PATCH", format!("{PASSKEYS}/{name}")).with(&patch)
        }
        18..20 => {
            let past = json!({"spec": {"expiresAt": "2020-01-01T00:00:00Z"}});
            TestRequest::new(User, "PATCH", format!("{CONTENTS}/{name}")).with(&past)
        }
        20 => TestRequest::new(User, "POST", RETIREMENTS).with(&object(
            "actions",
            "RetireAction",
            json!({}),
        )),
        21 => TestRequest::new(User, "DELETE", POINTS),
        _ => {
            let content = object("apps", "RestorePointContent", json!({}));
            TestRequest::new(User, "POST", CONTENTS).with(&content)
        }
    }
}
