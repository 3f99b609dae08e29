//! A notation for what users and K10 do to backups, and the requests that it describes.
//!
//! A line is `TIMES STEP [| STEP]…`: its steps in order, repeated TIMES times. A step is
//! `USER VERB RESOURCE NAMESPACE/NAME` and options: `dry` (dry run), the expected status code,
//! `group=G` (`none`: no permissions), `as=USER` (impersonation), `agent=A` (user agent), `of=N`,
//! and a spec as JSON without blanks. `{n}` counts the repetitions from 1, `{k}` counts from 1 to N
//! and starts again, and `{soon}` is a time in an hour. The users `k10`, `executor` and `jobs` are
//! K10's service accounts in earlier and later releases.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use event::Timestamp;
use serde_json::{Value, json};

/// The group of K10's administrators.
const ADMINISTRATORS: &str = "k10:admins";
const MASTERS: &str = "system:masters";
/// The group of K10's own service accounts.
const ACCOUNTS: &str = "system:serviceaccounts:kasten-io";
const CONFIG: &str = "config.kio.kasten.io";
const SIEM: &str = "siem.keepwatch.io";

/// Plural, kind and group of the resources in scripts.
#[rustfmt::skip]
const KINDS: [(&str, &str, &str); 17] = [
    ("namespaces", "Namespace", ""),
    ("restorepoints", "RestorePoint", "apps.kio.kasten.io"),
    ("restorepointcontents", "RestorePointContent", "apps.kio.kasten.io"),
    ("clusterrestorepoints", "ClusterRestorePoint", "apps.kio.kasten.io"),
    ("applications", "Application", "apps.kio.kasten.io"),
    ("backupactions", "BackupAction", "actions.kio.kasten.io"),
    ("restoreactions", "RestoreAction", "actions.kio.kasten.io"),
    ("cancelactions", "CancelAction", "actions.kio.kasten.io"),
    ("retireactions", "RetireAction", "actions.kio.kasten.io"),
    ("passkeys", "Passkey", "vault.kio.kasten.io"),
    ("storagerepositories", "StorageRepository", "repositories.kio.kasten.io"),
    ("auditconfigs", "AuditConfig", CONFIG),
    ("profiles", "Profile", CONFIG),
    ("signals", "Signal", SIEM),
    ("suppressions", "Suppression", SIEM),
    ("detectionrules", "DetectionRule", SIEM),
    ("notifiers", "Notifier", SIEM),
];

/// The user of a client certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ScriptUser {
    /// Common name.
    pub(super) name: String,
    /// Organizations.
    pub(super) groups: Vec<&'static str>,
}

/// An object that a script names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Object {
    pub(super) resource: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// A request, and the objects it needs.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) user: ScriptUser,
    pub(super) impersonates: Option<String>,
    pub(super) agent: String,
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    /// The expected status code.
    pub(super) code: u16,
    /// Objects that must exist before, in this order.
    pub(super) required_objects: Vec<Object>,
    /// The backup that the request cancels.
    pub(super) cancels: Option<Object>,
    /// The namespace that the request deletes.
    pub(super) removes: Option<Object>,
}

/// The requests of a script, in order.
pub(super) fn requests(script: &str) -> Vec<Request> {
    script.lines().filter(|line| !line.trim().is_empty()).flat_map(parse_line).collect()
}

fn parse_line(line: &str) -> Vec<Request> {
    let (times, steps) = line.trim().split_once(' ').unwrap();
    let times: usize = times.parse().unwrap();
    let repetition = |n: usize| steps.split(" | ").map(move |text| parse_step(text, n, times));
    (1..=times).flat_map(repetition).collect()
}

fn parse_step(text: &str, n: usize, times: usize) -> Request {
    let words: Vec<&str> = text.split_whitespace().collect();
    let flag = |name: &str| words.iter().find_map(|word| word.strip_prefix(name));
    let k = (n - 1) % flag("of=").map_or(times, |count| count.parse().unwrap()) + 1;
    let expanded = text
        .replace("{n}", &n.to_string())
        .replace("{k}", &k.to_string())
        .replace("{soon}", &in_an_hour());
    let words: Vec<&str> = expanded.split_whitespace().collect();
    let [user, verb, resource, object_path, flags @ ..] = words.as_slice() else {
        panic!("{text}")
    };
    let (namespace, name) = object_path.split_once('/').unwrap();
    let object = Object::new(resource, namespace, name);
    let flag = |name: &str| flags.iter().find_map(|word| word.strip_prefix(name));
    let spec = flags.iter().find(|word| word.starts_with('{'));
    let spec = spec.map(|text| serde_json::from_str::<Value>(text).unwrap());
    let default_code = if *verb == "create" { 201 } else { 200 };
    let code = flags.iter().find_map(|word| word.parse().ok()).unwrap_or(default_code);
    let is_dry_run = flags.contains(&"dry");
    let is_allowed = code < 300;
    let cancels = is_allowed && *resource == "cancelactions";
    Request {
        user: ScriptUser::new(user, flag("group=")),
        impersonates: flag("as=").map(|user| ScriptUser::new(user, None).name),
        agent: flag("agent=").unwrap_or("keepwatch-playbook/1").to_owned(),
        method: method(verb),
        path: path(verb, &object, is_dry_run),
        body: body(verb, &object, spec.clone()),
        code,
        required_objects: required_objects(verb, &object, spec.as_ref(), is_allowed),
        cancels: cancels.then(|| Object::new("backupactions", namespace, name)),
        removes: (*resource == "namespaces").then_some(object),
    }
}

#[expect(clippy::disallowed_methods, reason = "the server compares with the clock of the machine")]
fn in_an_hour() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_hours(1);
    Timestamp::from_micros(now.as_micros().try_into().unwrap()).to_string()
}

fn method(verb: &str) -> &'static str {
    match verb {
        "create" => "POST",
        "update" => "PUT",
        "patch" => "PATCH",
        "delete" | "deletecollection" => "DELETE",
        _ => "GET",
    }
}

fn path(verb: &str, object: &Object, is_dry_run: bool) -> String {
    let is_collection = ["create", "list", "deletecollection"].contains(&verb);
    let name = if is_collection { String::new() } else { format!("/{}", object.name) };
    let query = if is_dry_run { "?dryRun=All" } else { "" };
    format!("{}{name}{query}", object.collection())
}

fn body(verb: &str, object: &Object, spec: Option<Value>) -> Option<Value> {
    match verb {
        "create" | "update" => Some(object.manifest(spec)),
        "patch" => Some(json!({"spec": spec})),
        _ => None,
    }
}

/// The objects without which the request cannot succeed.
fn required_objects(
    verb: &str,
    object: &Object,
    spec: Option<&Value>,
    is_allowed: bool,
) -> Vec<Object> {
    let mut required_objects = Vec::new();
    if !object.namespace.is_empty() {
        required_objects.push(Object::new("namespaces", "", &object.namespace));
    }
    let must_exist = !["create", "list", "deletecollection"].contains(&verb);
    if !is_allowed {
        return required_objects;
    }
    if must_exist && object.resource != "detectionrules" {
        required_objects.extend(object.with_content());
    }
    match object.resource.as_str() {
        "restorepoints" if verb == "create" => {
            required_objects.extend(object.with_content().into_iter().rev().skip(1));
        }
        "restoreactions" => {
            let text = |field: &str| spec.unwrap()["subject"][field].as_str().unwrap();
            let point = Object::new("restorepoints", text("namespace"), text("name"));
            required_objects.push(Object::new("namespaces", "", &point.namespace));
            required_objects.extend(point.with_content());
        }
        // The last passkey cannot be deleted.
        "passkeys" => required_objects.push(Object::new("passkeys", "", "the-last")),
        _ => {}
    }
    required_objects
}

impl ScriptUser {
    fn new(user_name: &str, group: Option<&str>) -> Self {
        let k10 = match user_name {
            "k10" => Some("k10-k10"),
            "executor" => Some("executor-svc"),
            "jobs" => Some("jobs-svc"),
            _ => None,
        };
        if let Some(account) = k10 {
            let name = format!("system:serviceaccount:kasten-io:{account}");
            return Self { name, groups: vec![ACCOUNTS, MASTERS] };
        }
        let groups = match group {
            None => vec![ADMINISTRATORS],
            Some("masters") => vec![MASTERS],
            // An administrator who issues certificates can put any user into the group of K10's
            // accounts.
            Some("accounts") => vec![ACCOUNTS, MASTERS],
            Some(_) => vec!["system:nothing"],
        };
        Self { name: user_name.to_owned(), groups }
    }

    /// K10's account, which creates the objects that scripts delete.
    pub(super) fn k10() -> Self {
        Self::new("k10", None)
    }

    /// The cluster's administrator.
    pub(super) fn admin() -> Self {
        Self::new("admin", Some("masters"))
    }
}

impl Object {
    pub(super) fn new(resource: &str, namespace: &str, name: &str) -> Self {
        let [resource, namespace, name] = [resource, namespace, name].map(str::to_owned);
        Self { resource, namespace, name }
    }

    /// The object, and before it the content that a restore point references.
    fn with_content(&self) -> Vec<Self> {
        let content = format!("{}-{}", self.namespace, self.name);
        let content = Self::new("restorepointcontents", "", &content);
        let is_restore_point = self.resource == "restorepoints";
        is_restore_point.then_some(content).into_iter().chain([self.clone()]).collect()
    }

    fn kind(&self) -> (&'static str, &'static str) {
        let entry = KINDS.iter().find(|(plural, ..)| *plural == self.resource);
        entry.map(|(_, kind, group)| (*kind, *group)).unwrap()
    }

    /// The path of the object's collection.
    pub(super) fn collection(&self) -> String {
        let group = match self.kind().1 {
            "" => "/api/v1".to_owned(),
            group => format!("/apis/{group}/v1alpha1"),
        };
        let Self { resource, namespace, .. } = self;
        match namespace.as_str() {
            "" => format!("{group}/{resource}"),
            namespace => format!("{group}/namespaces/{namespace}/{resource}"),
        }
    }

    /// The manifest that creates the object.
    pub(super) fn manifest(&self, spec: Option<Value>) -> Value {
        let (kind, group) = self.kind();
        let version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1alpha1") };
        let mut metadata = json!({"name": self.name});
        if self.resource == "cancelactions" || self.name.is_empty() {
            metadata = json!({"generateName": "made-"});
        }
        if !self.namespace.is_empty() {
            metadata["namespace"] = self.namespace.clone().into();
        }
        let spec = spec.unwrap_or_else(|| self.default_spec());
        json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
    }

    fn default_spec(&self) -> Value {
        let Self { namespace, name, .. } = self;
        match self.resource.as_str() {
            "restorepoints" => {
                json!({"restorePointContentRef": {"name": format!("{namespace}-{name}")}})
            }
            "backupactions" => json!({"subject": {"name": namespace, "namespace": namespace}}),
            "cancelactions" => json!({"subject": {
                "kind": "BackupAction", "name": name, "namespace": namespace}}),
            "passkeys" => json!({"awscmkkeyid": name}),
            "storagerepositories" => json!({"disableMaintenance": false}),
            "auditconfigs" => json!({"profile": {"name": "archive", "namespace": ""}}),
            "profiles" => json!({"type": "Location", "locationSpec": {
                "type": "FileStore", "fileStore": {"claimName": name}}}),
            "notifiers" => json!({"type": "Webhook", "url": "https://192.0.2.1/signals"}),
            _ => json!({}),
        }
    }
}
