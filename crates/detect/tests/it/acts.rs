//! Requests of users, K10 and Kubernetes about backups, as events.

use std::collections::BTreeMap;

use event::{Event, Json, Level, ObjectReference, Stage, Status, Timestamp, UserInfo};
use serde_json::Value;

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;
/// 2026-11-01T00:00:00Z
pub(crate) const START: i64 = 1_793_491_200 * SECOND;

pub(crate) const K10: &str = "system:serviceaccount:kasten-io:k10-k10";
pub(crate) const EXECUTOR: &str = "system:serviceaccount:kasten-io:executor-svc";
/// The group of Kubernetes' own kinds, whose name is empty in events.
pub(crate) const CORE: &str = "core";
pub(crate) const NAMESPACES: &str = "system:serviceaccount:kube-system:namespace-controller";
/// The user agent of the namespace controller.
pub(crate) const NAMESPACES_AGENT: &str = "kube-controller-manager/v1.33.1 (linux/amd64) \
     kubernetes/8adc0f0/system:serviceaccount:kube-system:namespace-controller";

/// One request. Empty fields have default values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Act {
    /// Microseconds after the start.
    pub(crate) at: i64,
    pub(crate) user: String,
    pub(crate) acts_as: String,
    pub(crate) verb: String,
    /// The API group. Empty: that of a kind of K10 or Keepwatch, by the resource.
    pub(crate) group: &'static str,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// 0 is success.
    pub(crate) code: u16,
    pub(crate) is_dry_run: bool,
    pub(crate) agent: String,
    pub(crate) body: Option<Value>,
    /// The response, if it differs from the request.
    pub(crate) response: Option<Value>,
    /// Whether the log has no bodies.
    pub(crate) is_bodyless: bool,
}

impl Act {
    pub(crate) fn event(&self, id: usize) -> Event {
        let time = Timestamp::from_micros(START + self.at);
        let group = if self.group.is_empty() { group(&self.resource) } else { self.group };
        let (group, prefix) = match group {
            CORE => ("", "/api/v1".to_owned()),
            group => (group, format!("/apis/{group}/v1alpha1")),
        };
        let usual = if self.verb == "create" { 201 } else { 200 };
        let code = if self.code == 0 { usual } else { self.code };
        let query = if self.is_dry_run { "?dryRun=All" } else { "" };
        let json = |body: &Value| Json::serialize(body).unwrap();
        let (mut request, mut response) = (self.body.as_ref(), self.response.as_ref());
        response = response.or(request);
        if self.is_bodyless {
            (request, response) = (None, None);
        }
        let is_controller = self.agent.is_empty() && self.user == NAMESPACES;
        let agent = if is_controller { NAMESPACES_AGENT } else { &self.agent };
        Event {
            level: if self.is_bodyless { Level::Metadata } else { Level::RequestResponse },
            audit_id: format!("act-{id}"),
            request_uri: format!("{prefix}{}{query}", self.path()),
            user: user(&self.user),
            impersonated_user: (!self.acts_as.is_empty()).then(|| user(&self.acts_as)),
            source_ips: vec!["192.0.2.7".to_owned()],
            user_agent: agent.to_owned(),
            object_ref: Some(ObjectReference {
                resource: self.resource.clone(),
                namespace: self.namespace.clone(),
                name: self.name.clone(),
                api_group: group.to_owned(),
                api_version: "v1alpha1".to_owned(),
                subresource: self.subresource.clone(),
                ..ObjectReference::default()
            }),
            response_status: Some(Status { code, ..Status::default() }),
            response_object: response.map(json),
            request_object: request.map(json),
            ..Event::internal(Stage::ResponseComplete, &self.verb, time)
        }
    }

    /// The path of the object. A create has no name in its path.
    fn path(&self) -> String {
        let name = if self.verb == "create" { "" } else { self.name.as_str() };
        let namespaces = if self.namespace.is_empty() { "" } else { "namespaces" };
        let parts = ["", namespaces, &self.namespace, &self.resource, name, &self.subresource];
        let parts = parts.iter().enumerate().filter(|(at, part)| *at == 0 || !part.is_empty());
        parts.map(|(_, part)| *part).collect::<Vec<_>>().join("/")
    }
}

pub(crate) fn heartbeat(at: i64) -> Event {
    let time = Timestamp::from_micros(START + at);
    let annotations = [("keepwatch.io/heartbeat".to_owned(), "1".to_owned())];
    Event {
        audit_id: format!("keepwatch-heartbeat-{at}"),
        user: UserInfo { username: "system:keepwatch".to_owned(), ..UserInfo::default() },
        annotations: BTreeMap::from(annotations),
        ..Event::internal(Stage::ResponseComplete, "heartbeat", time)
    }
}

fn user(name: &str) -> UserInfo {
    UserInfo {
        username: name.to_owned(),
        groups: vec!["system:authenticated".to_owned()],
        ..UserInfo::default()
    }
}

fn group(resource: &str) -> &'static str {
    match resource {
        "restorepoints" | "restorepointcontents" | "clusterrestorepoints" | "applications" => {
            "apps.kio.kasten.io"
        }
        "passkeys" => "vault.kio.kasten.io",
        "storagerepositories" => "repositories.kio.kasten.io",
        "auditconfigs" | "profiles" => "config.kio.kasten.io",
        "suppressions" | "detectionrules" | "notifiers" => "siem.keepwatch.io",
        _ => "actions.kio.kasten.io",
    }
}
