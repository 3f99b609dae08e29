//! Generates events of a cluster with K10: forty applications, their backups, and their users.
//!
//! IDs, times, versions and addresses are unique. Users, programs, verbs and kinds have a realistic
//! distribution, so that lines compress like real ones (between 8:1 and 12:1). An event is a
//! function of its number.

use event::{Event, Json, Level, ObjectReference, Stage, Status, Timestamp, UserInfo};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Time of the first event, in microseconds since the Unix epoch.
const START_MICROS: i64 = 1_795_566_600_000_000;
/// Mean time between events, in microseconds.
const STEP_MICROS: i64 = 1_000;

/// Verbs, with their percentages.
const VERBS: [(&str, u8); 4] = [("get", 70), ("create", 16), ("delete", 9), ("patch", 5)];
/// API group, resource, kind.
const KINDS: [(&str, &str, &str); 6] = [
    ("apps", "restorepoints", "RestorePoint"),
    ("apps", "restorepointcontents", "RestorePointContent"),
    ("actions", "restoreactions", "RestoreAction"),
    ("actions", "retireactions", "RetireAction"),
    ("actions", "runactions", "RunAction"),
    ("repositories", "storagerepositories", "StorageRepository"),
];
/// Name stems of applications.
const APPS: [&str; 8] =
    ["shop", "billing", "ledger", "wiki", "mail", "search", "identity", "warehouse"];
/// K10's own service accounts.
const SERVICES: [&str; 4] = ["executor-svc", "controllermanager-svc", "catalog-svc", "k10-k10"];
/// Names of human users.
const USERS: [&str; 8] = ["alice", "bob", "carol", "dan", "erin", "frank", "grace", "heidi"];
/// User agents of human users.
const USER_AGENTS: [&str; 4] = [
    "kubectl/v1.37.2 (linux/amd64) kubernetes/0123456",
    "kubectl/v1.36.5 (darwin/arm64) kubernetes/89abcde",
    "k9s/v0.50.16 (linux/amd64) kubernetes/$Format",
    "argocd-application-controller/v0.0.0 (linux/amd64) kubernetes/$Format",
];
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The event with this number.
pub(super) fn event(number: u64) -> Event {
    let mut random = EventRandom::new(number);
    let (group, resource, kind) = random.choose(&KINDS);
    let verb = random.weighted(&VERBS);
    let namespace = format!("{}-{}", random.choose(&APPS), random.below(5));
    let name = format!("scheduled-{}", random.letters(10));
    let group = format!("{group}.kio.kasten.io");
    let time = START_MICROS + i64::try_from(number).unwrap_or(0) * STEP_MICROS + random.micros();
    let uri = format!("/apis/{group}/v1alpha1/namespaces/{namespace}/{resource}");
    let code = if random.below(50) == 0 { 404 } else { 200 };
    let object = object(&mut random, (&group, kind), (&namespace, &name), time);
    let (user, user_agent, reason) = caller(&mut random, &namespace);
    let sent = match verb {
        "create" => Some(object.clone()),
        "patch" => Some(json!({"metadata": {"labels": {"team": random.letters(6)}}})),
        _ => None,
    };
    Event {
        level: Level::RequestResponse,
        audit_id: random.uuid(),
        stage: Stage::ResponseComplete,
        request_uri: if verb == "create" { uri } else { format!("{uri}/{name}") },
        verb: verb.to_owned(),
        user,
        impersonated_user: None,
        authentication_metadata: None,
        source_ips: vec![format!(
            "10.{}.{}.{}",
            random.below(4),
            random.below(32),
            random.below(256)
        )],
        user_agent,
        object_ref: Some(ObjectReference {
            resource: resource.to_owned(),
            namespace,
            name,
            api_group: group,
            api_version: "v1alpha1".to_owned(),
            ..ObjectReference::default()
        }),
        response_status: Some(Status { code, ..Status::default() }),
        request_object: sent.and_then(|sent| Json::serialize(&sent).ok()),
        response_object: Json::serialize(&object).ok(),
        request_received_timestamp: Timestamp::from_micros(time),
        stage_timestamp: Timestamp::from_micros(time + random.micros() / 16),
        annotations: [
            ("authorization.k8s.io/decision".to_owned(), "allow".to_owned()),
            ("authorization.k8s.io/reason".to_owned(), reason),
        ]
        .into(),
    }
}

/// The user of a request: two thirds are K10 itself, one third are others.
fn caller(random: &mut EventRandom, namespace: &str) -> (UserInfo, String, String) {
    if random.below(3) > 0 {
        let service = random.choose(&SERVICES);
        let user = UserInfo {
            username: format!("system:serviceaccount:kasten-io:{service}"),
            uid: "5f7c2f0e-0c1b-4f6e-9d2a-2f8b7f3f9a10".to_owned(),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                "system:serviceaccounts:kasten-io".to_owned(),
                "system:authenticated".to_owned(),
            ],
            ..UserInfo::default()
        };
        let reason = format!(
            "RBAC: allowed by ClusterRoleBinding \"kasten-io-k10-k10-admin\" of ClusterRole \"k10-admin\" \
             to ServiceAccount \"{service}/kasten-io\""
        );
        return (user, format!("{service}/v0.0.0 (linux/amd64) kubernetes/$Format"), reason);
    }
    let user_name = random.choose(&USERS);
    let user = UserInfo {
        username: format!("oidc:{user_name}@example.com"),
        groups: vec!["oidc:platform".to_owned(), "system:authenticated".to_owned()],
        ..UserInfo::default()
    };
    let reason = format!(
        "RBAC: allowed by RoleBinding \"k10-basic/{namespace}\" of ClusterRole \"k10-basic\" to Group \
         \"oidc:platform\""
    );
    (user, random.choose(&USER_AGENTS).to_owned(), reason)
}

fn object(
    random: &mut EventRandom,
    (group, kind): (&str, &str),
    (namespace, name): (&str, &str),
    time: i64,
) -> Value {
    json!({
        "kind": kind, "apiVersion": format!("{group}/v1alpha1"),
        "metadata": {
            "name": name, "namespace": namespace, "uid": random.uuid(),
            "resourceVersion": (400_000_000 + time / 1024 % 400_000_000).to_string(),
            "creationTimestamp": Timestamp::from_micros(time - random.micros() * 40_000).to_string(),
            "labels": {
                "k10.kasten.io/appName": namespace, "k10.kasten.io/appNamespace": namespace,
            },
        },
        "status": {"state": if random.below(4) == 0 { "Unbound" } else { "Bound" }},
    })
}

/// A deterministic random generator: the bytes of a hash, in sequence.
struct EventRandom {
    bytes: [u8; 32],
    position: usize,
}

impl EventRandom {
    fn new(number: u64) -> Self {
        Self { bytes: Sha256::digest(number.to_be_bytes()).into(), position: 0 }
    }

    fn byte(&mut self) -> u8 {
        let Some(byte) = self.bytes.get(self.position).copied() else {
            *self = Self { bytes: Sha256::digest(self.bytes).into(), position: 0 };
            return self.byte();
        };
        self.position += 1;
        byte
    }

    fn below(&mut self, end: u16) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()]) % end
    }

    fn micros(&mut self) -> i64 {
        i64::from(u16::from_be_bytes([self.byte(), self.byte()]))
    }

    fn choose<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.byte()) % all.len()]
    }

    fn weighted<T: Copy>(&mut self, all: &[(T, u8)]) -> T {
        let mut remaining = self.below(100);
        for (item, weight) in all {
            match remaining.checked_sub(u16::from(*weight)) {
                Some(rest) => remaining = rest,
                None => return *item,
            }
        }
        all[0].0
    }

    fn letters(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(LETTERS[usize::from(self.byte()) % LETTERS.len()])).collect()
    }

    fn uuid(&mut self) -> String {
        let part = |random: &mut Self, bytes: usize| {
            let number = (0..bytes).fold(0_u64, |all, _| all << 8 | u64::from(random.byte()));
            format!("{number:0digits$x}", digits = 2 * bytes)
        };
        [4, 2, 2, 2, 6].map(|bytes| part(self, bytes)).join("-")
    }
}
