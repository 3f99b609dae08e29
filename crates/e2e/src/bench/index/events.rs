//! Events of a large cluster over months, and selectors that find them. There are many users,
//! namespaces, addresses and names, most of them rare. An event is a function of its number.

use std::collections::BTreeMap;

use event::{Event, Level, ObjectReference, Stage, Status, Timestamp, UserInfo};

/// Time of the first event, in microseconds since the Unix epoch.
const START_MICROS: i64 = 1_782_000_000_000_000;
/// Time between events, in microseconds: ten million events are about four months.
const STEP_MICROS: i64 = 1_000_000;
/// One in this many events has rare values.
const RARE: u64 = 100_003;

const SERVICES: [&str; 5] =
    ["executor-svc", "controllermanager-svc", "catalog-svc", "dashboardbff-svc", "k10-k10"];
/// API group and resource.
const KINDS: [(&str, &str); 10] = [
    ("apps", "restorepoints"),
    ("apps", "restorepointcontents"),
    ("apps", "applications"),
    ("actions", "backupactions"),
    ("actions", "exportactions"),
    ("actions", "retireactions"),
    ("actions", "runactions"),
    ("actions", "restoreactions"),
    ("repositories", "storagerepositories"),
    ("vault", "passkeys"),
];
/// Verbs with their percentages.
const VERBS: [(&str, u64); 7] = [
    ("get", 52),
    ("list", 22),
    ("watch", 4),
    ("create", 9),
    ("update", 6),
    ("patch", 4),
    ("delete", 3),
];

/// A field selector to measure.
pub(super) struct Selector {
    pub(super) name: &'static str,
    /// Whether it matches very few events.
    pub(super) is_rare: bool,
    /// The field selector of page `n` in a journal with this many events.
    pub(super) fields: fn(u64, u64) -> String,
}

/// The selectors. Their values are from events all over the journal.
pub(super) const SELECTORS: [Selector; 18] = [
    Selector { name: "user", is_rare: false, fields: |all, n| selector_for(all, n, &["user"]) },
    Selector { name: "rare user", is_rare: true, fields: |all, n| rare_selector(all, n, "user") },
    Selector { name: "verb", is_rare: false, fields: |all, n| selector_for(all, n, &["verb"]) },
    Selector {
        name: "resource",
        is_rare: false,
        fields: |all, n| selector_for(all, n, &["resource"]),
    },
    Selector { name: "group", is_rare: false, fields: |all, n| selector_for(all, n, &["group"]) },
    Selector {
        name: "verb and resource",
        is_rare: false,
        fields: |all, n| selector_for(all, n, &["verb", "group", "resource"]),
    },
    Selector {
        name: "namespace",
        is_rare: false,
        fields: |all, n| selector_for(all, n, &["namespace"]),
    },
    Selector {
        name: "rare namespace",
        is_rare: true,
        fields: |all, n| rare_selector(all, n, "namespace"),
    },
    Selector { name: "name", is_rare: false, fields: |all, n| selector_for(all, n, &["name"]) },
    Selector { name: "code", is_rare: false, fields: |all, n| selector_for(all, n, &["code"]) },
    Selector {
        name: "sourceIP",
        is_rare: false,
        fields: |all, n| selector_for(all, n, &["sourceIP"]),
    },
    Selector {
        name: "rare sourceIP",
        is_rare: true,
        fields: |all, n| rare_selector(all, n, "sourceIP"),
    },
    Selector {
        name: "auditID",
        is_rare: true,
        fields: |all, n| selector_for(all, n, &["auditID"]),
    },
    Selector {
        name: "user and namespace",
        is_rare: false,
        fields: |all, n| selector_for(all, n, &["user", "namespace"]),
    },
    Selector {
        name: "user and verb",
        is_rare: false,
        fields: |all, n| selector_for(all, n, &["user", "verb"]),
    },
    Selector {
        name: "an hour of a verb",
        is_rare: false,
        fields: |all, n| format!("{},{}", selector_for(all, n, &["verb"]), window(all, n, 3_600)),
    },
    Selector {
        name: "an hour without a user",
        is_rare: false,
        fields: |all, n| {
            format!(
                "{},{}",
                selector_for(all, n, &["user"]).replace('=', "!="),
                window(all, n, 3_600)
            )
        },
    },
    Selector {
        name: "a user that is not there",
        is_rare: true,
        fields: |_, n| format!("user=no-{n}"),
    },
];

/// A selector that an event of the journal matches.
fn selector_for(all: u64, n: u64, fields: &[&str]) -> String {
    let event = event(random_number(all, n));
    let fields: Vec<String> =
        fields.iter().map(|field| format!("{field}={}", value(&event, field))).collect();
    fields.join(",")
}

/// A selector that only few events match.
fn rare_selector(all: u64, n: u64, field: &str) -> String {
    let turns = (all / RARE).max(1);
    let event = event((random_number(turns, n) * RARE).min(all));
    format!("{field}={}", value(&event, field))
}

/// A time window that starts at an event of the journal.
fn window(all: u64, n: u64, seconds: i64) -> String {
    let start = event(random_number(all, n)).stage_timestamp;
    let end = Timestamp::from_micros(start.as_micros() + seconds * 1_000_000);
    format!("since={start},until={end}")
}

fn random_number(all: u64, n: u64) -> u64 {
    EventRandom(n + 1_000_003).below(all) + 1
}

fn value(event: &Event, field: &str) -> String {
    let object = event.object_ref.clone().unwrap_or_default();
    match field {
        "user" => event.user.username.clone(),
        "verb" => event.verb.clone(),
        "group" => object.api_group,
        "resource" => object.resource,
        "namespace" => object.namespace,
        "name" => object.name,
        "code" => event.response_status.as_ref().map_or(0, |status| status.code).to_string(),
        "sourceIP" => event.source_ips.first().cloned().unwrap_or_default(),
        _ => event.audit_id.clone(),
    }
}

/// The event with this number.
pub(super) fn event(number: u64) -> Event {
    let mut random = EventRandom(number);
    let is_rare = number.is_multiple_of(RARE);
    let (group, resource) = KINDS[usize::try_from(random.skewed(10)).unwrap_or_default()];
    let group = format!("{group}.kio.kasten.io");
    let verb = random.weighted(&VERBS);
    let namespace =
        if is_rare { format!("trial-{number}") } else { format!("team-{}", random.skewed(400)) };
    let name = match verb {
        "list" | "watch" => String::new(),
        "create" => format!("scheduled-{:x}", random.next()),
        _ => format!("{resource}-{}", random.skewed(30_000)),
    };
    let uri = format!("/apis/{group}/v1alpha1/namespaces/{namespace}/{resource}/{name}");
    let micros = START_MICROS + number.cast_signed() * STEP_MICROS;
    let time = Timestamp::from_micros(micros + random.below(1_000_000).cast_signed());
    let (username, groups) = user(&mut random, number, is_rare);
    let id = [random.next(), random.next()];
    let code = match random.below(1_000) {
        0..15 => 404,
        15..22 => 403,
        22..26 => 409,
        26 => 500,
        _ if verb == "create" => 201,
        _ => 200,
    };
    Event {
        level: Level::Metadata,
        audit_id: format!("{:016x}-{:016x}", id[0], id[1]),
        request_uri: uri,
        user: UserInfo { username, groups, ..UserInfo::default() },
        source_ips: vec![address(&mut random, number, is_rare)],
        user_agent: "kubectl/v1.37.2 (linux/amd64) kubernetes/0123456".to_owned(),
        object_ref: Some(ObjectReference {
            resource: resource.to_owned(),
            namespace,
            name,
            api_group: group,
            api_version: "v1alpha1".to_owned(),
            ..ObjectReference::default()
        }),
        response_status: Some(Status { code, ..Status::default() }),
        request_received_timestamp: time,
        annotations: BTreeMap::from([
            ("authorization.k8s.io/decision".to_owned(), "allow".to_owned()),
            ("authorization.k8s.io/reason".to_owned(), REASON.to_owned()),
        ]),
        ..Event::internal(Stage::ResponseComplete, verb, time)
    }
}

const REASON: &str =
    "RBAC: allowed by ClusterRoleBinding \"kasten-io-k10-k10-admin\" of ClusterRole \"k10-admin\"";

/// Half of the events are from K10 itself, half from many users.
fn user(random: &mut EventRandom, number: u64, is_rare: bool) -> (String, Vec<String>) {
    if is_rare {
        return (format!("contractor-{number}"), vec!["system:authenticated".to_owned()]);
    }
    let name = match random.below(100) {
        0..50 => {
            let service = SERVICES[usize::try_from(random.skewed(5)).unwrap_or_default()];
            format!("system:serviceaccount:kasten-io:{service}")
        }
        50..80 => format!("system:serviceaccount:team-{}:deployer", random.skewed(200)),
        _ => format!("oidc:user-{}@example.com", random.skewed(2_000)),
    };
    (name, vec!["platform".to_owned(), "system:authenticated".to_owned()])
}

fn address(random: &mut EventRandom, number: u64, is_rare: bool) -> String {
    if is_rare {
        return format!("2001:db8::{number:x}");
    }
    if random.below(100) < 60 {
        return format!("10.0.0.{}", random.below(24));
    }
    let client = random.skewed(5_000);
    format!("192.168.{}.{}", client / 250, client % 250)
}

/// A deterministic random generator.
struct EventRandom(u64);

impl EventRandom {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A skewed distribution: low numbers are many times as frequent as high ones.
    fn skewed(&mut self, end: u64) -> u64 {
        let first = self.below(end);
        let second = self.below(first + 1);
        self.below(second + 1)
    }

    fn weighted<T: Copy>(&mut self, all: &[(T, u64)]) -> T {
        let mut remaining = self.below(100);
        for (item, weight) in all {
            match remaining.checked_sub(*weight) {
                Some(rest) => remaining = rest,
                None => return *item,
            }
        }
        all[0].0
    }
}
