//! Events as Elasticsearch documents: flat field names with dots, several values per field, mapped
//! fields only.

use std::collections::{BTreeMap, BTreeSet};

use event::{Event, EventRef, k10, v1};
use serde_json::{Value, json};

/// Fields of Elastic's Kubernetes integration that rules use.
const INTEGRATION: [&str; 14] = [
    "@timestamp",
    "orchestrator.cluster.name",
    "kubernetes.audit.verb",
    "kubernetes.audit.stage",
    "kubernetes.audit.requestURI",
    "kubernetes.audit.userAgent",
    "kubernetes.audit.user.username",
    "kubernetes.audit.impersonatedUser.username",
    "kubernetes.audit.objectRef.apiGroup",
    "kubernetes.audit.objectRef.resource",
    "kubernetes.audit.objectRef.subresource",
    "kubernetes.audit.objectRef.namespace",
    "kubernetes.audit.objectRef.name",
    "kubernetes.audit.responseStatus.code",
];
/// Time fields of the integration.
const TIMES: [&str; 2] =
    ["kubernetes.audit.stageTimestamp", "kubernetes.audit.requestReceivedTimestamp"];

/// A document.
pub(super) struct Document {
    /// Microseconds.
    pub(super) time: i64,
    fields: BTreeMap<String, Vec<Value>>,
}

/// The mapped fields, and which of them are times.
pub(super) struct Mapping {
    pub(super) known: BTreeSet<String>,
    pub(super) times: BTreeSet<String>,
}

impl Mapping {
    /// Parses the mappings that are exported with the rules.
    pub(super) fn read(text: &str) -> Self {
        let json: Value = serde_json::from_str(text).unwrap();
        let mut mapping = Self { known: BTreeSet::new(), times: BTreeSet::new() };
        mapping.collect(&json["template"]["mappings"], "");
        let integration = json.get("index_patterns").is_none();
        if integration {
            mapping.known.extend(INTEGRATION.iter().chain(&TIMES).map(|field| (*field).to_owned()));
            mapping.times.extend(TIMES.iter().map(|field| (*field).to_owned()));
        }
        mapping
    }

    fn collect(&mut self, mapping: &Value, path: &str) {
        let Some(properties) = mapping["properties"].as_object() else {
            self.known.insert(path.to_owned());
            if mapping["type"] == "date" {
                self.times.insert(path.to_owned());
            }
            return;
        };
        for (name, inner) in properties {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            self.collect(inner, &path);
        }
    }
}

impl Document {
    pub(super) fn of(event: &Event, cluster: &str, profile: &str, mapping: &Mapping) -> Self {
        let (view, mut line) = (EventRef::from(event), Vec::new());
        let mut fields = BTreeMap::new();
        let prefix = if profile == "kasten" {
            k10::write(&view, &k10::LineContext::default(), &mut line);
            "kasten"
        } else {
            v1::write(&view, &mut line);
            "kubernetes.audit"
        };
        let mut event_json: Value = serde_json::from_slice(&line).unwrap();
        if profile != "kasten" {
            without_bodies(&mut event_json);
        }
        flatten(&event_json, prefix, &mut fields);
        fields.retain(|path, _| {
            let path = path.to_lowercase();
            let is_of_body = path.contains(".requestobject.") || path.contains(".responseobject.");
            !is_of_body || mapping.known.iter().any(|known| known.to_lowercase() == path)
        });
        fields.insert("orchestrator.cluster.name".to_owned(), vec![json!(cluster)]);
        Self { time: event.stage_timestamp.as_micros(), fields }
    }

    /// The values of a field.
    pub(super) fn values(&self, field: &str) -> &[Value] {
        self.fields.get(field).map(Vec::as_slice).unwrap_or_default()
    }

    /// The single text of a field.
    pub(super) fn text(&self, field: &str) -> Option<String> {
        self.values(field).first().map(text_of)
    }
}

/// The fields that at least one event has.
pub(in crate::export) fn fields(
    profile: &str,
    cluster: &str,
    events: &[Event],
) -> BTreeSet<String> {
    let target = detect::export::named("elastic").unwrap();
    let target_profile = target.profiles().iter().find(|known| known.name == profile).unwrap();
    let options = detect::LoadOptions::default();
    let choice = detect::export::Choice {
        profile: target_profile,
        format: &target.formats()[0],
        options: &options,
        has_suppressions: false,
    };
    let rules = crate::pack::all();
    let mapping = Mapping::read(&target.package(&rules, &[], &choice)[0].text);
    let of = |event| Document::of(event, cluster, profile, &mapping).fields.into_keys();
    let mut fields: BTreeSet<String> = events.iter().flat_map(of).collect();
    // Set by the agent, and by the integration's pipeline from `sourceIPs`.
    fields.insert("@timestamp".to_owned());
    if profile == "kubernetes.audit" {
        fields.insert("source.ip".to_owned());
    }
    fields
}

/// kube-apiserver does not record bodies of requests that it proxies.
pub(in crate::export) fn without_bodies(event: &mut Value) {
    let group = event["objectRef"]["apiGroup"].as_str().unwrap_or_default();
    let is_of_k10 = group.ends_with(".kio.kasten.io") && group != "config.kio.kasten.io";
    if is_of_k10 || group == "siem.keepwatch.io" {
        for body in ["requestObject", "responseObject"] {
            event.as_object_mut().unwrap().remove(body);
        }
    }
}

/// The keyword of a value.
pub(super) fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn flatten(value: &Value, path: &str, fields: &mut BTreeMap<String, Vec<Value>>) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (name, inner) in members {
                let name = if path.ends_with(".annotations") {
                    name.replace('.', "_")
                } else {
                    name.clone()
                };
                flatten(inner, &format!("{path}.{name}"), fields);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| flatten(item, path, fields)),
        single => fields.entry(path.to_owned()).or_default().push(single.clone()),
    }
}
