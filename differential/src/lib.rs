//! Rules and events for comparing the detector with another Sigma engine.
//!
//! Events derive from a seed: a cluster with constant requests of controllers, the work of K10, and
//! occasional requests of users. Both engines read the rules as the same Sigma documents.

use event::{Event, Json, Level, ObjectReference, Stage, Status, Timestamp, UserInfo};

/// 2026-11-29T12:00:00Z. Microseconds.
pub const START: i64 = 1_795_953_600_000_000;

/// A deterministic random generator (xorshift).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Creates a generator. The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// An item of a list.
    pub fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

/// API groups and resources of rules and users.
const RESOURCES: [(&str, &str); 30] = [
    ("apps.kio.kasten.io", "restorepoints"),
    ("apps.kio.kasten.io", "restorepointcontents"),
    ("apps.kio.kasten.io", "clusterrestorepoints"),
    ("vault.kio.kasten.io", "passkeys"),
    ("actions.kio.kasten.io", "cancelactions"),
    ("actions.kio.kasten.io", "retireactions"),
    ("actions.kio.kasten.io", "backupactions"),
    ("actions.kio.kasten.io", "exportactions"),
    ("actions.kio.kasten.io", "restoreactions"),
    ("config.kio.kasten.io", "policies"),
    ("config.kio.kasten.io", "profiles"),
    ("config.kio.kasten.io", "auditconfigs"),
    ("", "pods"),
    ("", "secrets"),
    ("", "configmaps"),
    ("", "services"),
    ("", "serviceaccounts"),
    ("", "namespaces"),
    ("", "nodes"),
    ("", "persistentvolumeclaims"),
    ("", "events"),
    ("apps", "deployments"),
    ("apps", "daemonsets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("rbac.authorization.k8s.io", "roles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("snapshot.storage.k8s.io", "volumesnapshots"),
];
const VERBS: [&str; 6] = ["delete", "create", "patch", "update", "get", "list"];

/// This many rules. Every fifth is a correlation of the rules before it.
pub fn rules(count: usize) -> String {
    let mut documents = Vec::new();
    for number in 0..count {
        if number % 5 == 4 {
            documents.push(correlation(number));
        } else {
            documents.push(detection(number));
        }
    }
    documents.join("---\n")
}

fn detection(number: usize) -> String {
    let (group, resource) = RESOURCES[number % RESOURCES.len()];
    let verb = VERBS[number / RESOURCES.len() % VERBS.len()];
    // After all combinations are used, further rules are about one namespace each.
    let namespace = match number / (RESOURCES.len() * VERBS.len()) {
        0 => String::new(),
        round => format!("    objectRef.namespace: team-{round}\n"),
    };
    let (more, condition) = match number % 4 {
        0 => ("    responseStatus.code: 200\n", "selection"),
        1 => (
            "  own:\n    user.username|startswith: 'system:serviceaccount:kasten-io:'\n",
            "selection and not own",
        ),
        2 => (
            "  tools:\n    userAgent|contains:\n      - kubectl\n      - curl\n",
            "selection and tools",
        ),
        _ => ("  system:\n    user.username|startswith: 'system:'\n", "selection and not system"),
    };
    let group =
        if group.is_empty() { String::new() } else { format!("    objectRef.apiGroup: {group}\n") };
    format!(
        "title: Rule {number}\nid: rule-{number}\nname: rule-{number}\nstatus: test\n\
         logsource: {{product: kubernetes, service: audit}}\nlevel: medium\ndetection:\n  selection:\n    \
         verb: {verb}\n    objectRef.resource: {resource}\n{group}{namespace}{more}  condition: {condition}\n"
    )
}

fn correlation(number: usize) -> String {
    let list = |rules: &[usize]| {
        rules.iter().map(|rule| format!("    - rule-{rule}\n")).collect::<String>()
    };
    let (kind, rules, condition) = match number / 5 % 4 {
        0 => ("event_count", list(&[number - 1]), "  condition:\n    gte: 3\n"),
        1 => (
            "value_count",
            list(&[number - 4, number - 3]),
            "  condition:\n    field: objectRef.name\n    gte: 3\n",
        ),
        2 => ("temporal", list(&[number - 4, number - 2]), "  condition:\n    gte: 2\n"),
        _ => ("temporal_ordered", list(&[number - 3, number - 2, number - 1]), ""),
    };
    format!(
        "title: Rule {number}\nid: rule-{number}\nstatus: test\nlevel: high\ncorrelation:\n  type: {kind}\n  \
         rules:\n{rules}  group-by:\n    - user.username\n  timespan: 601s\n{condition}"
    )
}

/// Generates events in order.
#[derive(Clone, Debug)]
pub struct Cluster {
    random: Random,
    number: u64,
    time: i64,
}

impl Cluster {
    /// Creates a generator. The same seed gives the same events.
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), number: 0, time: START }
    }

    /// The next event. There are a few thousand per second.
    pub fn next_event(&mut self) -> Event {
        self.time += 200 + self.random.below(400) as i64;
        match self.random.below(1000) {
            0..400 => self.lease(),
            400..600 => self.controller(),
            600..700 => self.status(),
            700..780 => self.core("create", "events", "system:kube-controller-manager"),
            780..860 => self.core("get", "secrets", "system:apiserver"),
            860..910 => self.review(),
            910..960 => self.k10(),
            960..990 => self.person(&["get", "list", "watch"]),
            _ => self.person(&VERBS),
        }
    }

    fn lease(&mut self) -> Event {
        let node = self.random.below(200);
        let mut event =
            self.event("update", &format!("system:node:node-{node}"), "kubelet/v1.37.0");
        event.user.groups.push("system:nodes".to_owned());
        let name = format!("node-{node}");
        self.about(event, ("coordination.k8s.io", "leases"), "kube-node-lease", &name)
    }

    fn controller(&mut self) -> Event {
        let verb = *self.random.one_of(&["get", "list", "update"]);
        let what = *self.random.one_of(&[
            ("", "configmaps"),
            ("", "pods"),
            ("discovery.k8s.io", "endpointslices"),
            ("apps", "replicasets"),
        ]);
        let user = *self.random.one_of(&[
            "system:kube-controller-manager",
            "system:kube-scheduler",
            "system:serviceaccount:kube-system:generic-garbage-collector",
        ]);
        let event = self.event(
            verb,
            user,
            "kube-controller-manager/v1.37.0 (linux/amd64) kubernetes/0000000",
        );
        let name = format!("object-{}", self.random.below(5000));
        let namespace = format!("app-{}", self.random.below(60));
        self.about(event, what, &namespace, &name)
    }

    fn status(&mut self) -> Event {
        let node = self.random.below(200);
        let mut event = self.event("patch", &format!("system:node:node-{node}"), "kubelet/v1.37.0");
        event.level = Level::RequestResponse;
        let name = format!("pod-{}", self.random.below(5000));
        event.request_object = Some(body(&name, 3));
        event.response_object = Some(body(&name, 8));
        self.about(event, ("", "pods"), &format!("app-{}", node % 60), &name)
    }

    fn core(&mut self, verb: &str, resource: &str, user: &str) -> Event {
        let event =
            self.event(verb, user, "kube-apiserver/v1.37.0 (linux/amd64) kubernetes/0000000");
        let namespace = format!("app-{}", self.random.below(60));
        let name = format!("object-{}", self.random.below(5000));
        self.about(event, ("", resource), &namespace, &name)
    }

    fn review(&mut self) -> Event {
        let event = self.event(
            "create",
            "system:serviceaccount:kasten-io:aggregatedapis-svc",
            "keepwatch/0.1.0",
        );
        self.about(event, ("authorization.k8s.io", "subjectaccessreviews"), "", "")
    }

    fn k10(&mut self) -> Event {
        let verb = *self.random.one_of(&["create", "get", "list", "delete"]);
        let what = RESOURCES[self.random.below(9) as usize];
        let mut event =
            self.event(verb, "system:serviceaccount:kasten-io:k10-k10", "executor-svc/8.0.4");
        event.level = Level::RequestResponse;
        let name = format!("scheduled-{}", self.random.below(5000));
        event.response_object = Some(body(&name, 4));
        let namespace = format!("app-{}", self.random.below(60));
        self.about(event, what, &namespace, &name)
    }

    fn person(&mut self, verbs: &[&'static str]) -> Event {
        let verb = *self.random.one_of(verbs);
        let what = *self.random.one_of(&RESOURCES);
        let user = format!("user-{}@example.com", self.random.below(300));
        let mut event = self.event(verb, &user, "kubectl/v1.37.0 (linux/amd64) kubernetes/0000000");
        event.user.groups.push("k10:admins".to_owned());
        let name = format!("object-{}", self.random.below(5000));
        let namespace = format!("app-{}", self.random.below(60));
        self.about(event, what, &namespace, &name)
    }

    fn event(&mut self, verb: &str, user: &str, agent: &str) -> Event {
        self.number += 1;
        let time = Timestamp::from_micros(self.time);
        let mut event = Event::internal(Stage::ResponseComplete, verb, time);
        event.audit_id =
            format!("{:08x}-0000-4000-8000-{:012x}", self.random.below(1 << 32), self.number);
        event.user = UserInfo {
            username: user.to_owned(),
            groups: vec!["system:authenticated".to_owned()],
            ..UserInfo::default()
        };
        event.user_agent = agent.to_owned();
        event.source_ips =
            vec![format!("10.0.{}.{}", self.random.below(8), self.random.below(250))];
        event.response_status = Some(Status { code: 200, ..Status::default() });
        event.annotations.insert("authorization.k8s.io/decision".to_owned(), "allow".to_owned());
        event.annotations.insert(
            "authorization.k8s.io/reason".to_owned(),
            "RBAC: allowed by ClusterRoleBinding \"system:node\"".to_owned(),
        );
        event
    }

    fn about(
        &mut self,
        mut event: Event,
        what: (&str, &str),
        namespace: &str,
        name: &str,
    ) -> Event {
        let (group, resource) = what;
        event.request_uri =
            format!("/apis/{group}/v1/namespaces/{namespace}/{resource}/{name}?timeout=10s");
        event.object_ref = Some(ObjectReference {
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            api_group: group.to_owned(),
            api_version: "v1".to_owned(),
            ..ObjectReference::default()
        });
        event
    }
}

/// An object with this many conditions.
fn body(name: &str, conditions: usize) -> Json {
    let condition = r#"{"type":"Ready","status":"True","lastTransitionTime":"2026-11-29T12:00:00Z","reason":"Done","message":"all containers are ready"}"#;
    let text = format!(
        r#"{{"metadata":{{"name":"{name}","labels":{{"app":"shop","tier":"web"}}}},"status":{{"phase":"Running","conditions":[{}]}}}}"#,
        vec![condition; conditions].join(",")
    );
    Json::from_normalized(bytes::Bytes::from(text))
}
