//! Elasticsearch's profiles and field names.
//!
//! Each profile has a file of mappings: fields of bodies can be searched only if they are mapped,
//! and ES|QL rejects unmapped fields.

use serde_json::{Map, Value, json};

use crate::export::condition::Attribute;
use crate::export::profile::{Bodies, Column, DryRun, Kind, OWN_RECORDS, Profile};
use crate::export::target::File;
use crate::field;

/// The profiles, the default first.
pub(super) static PROFILES: [Profile; 2] = [
    Profile {
        name: "kasten",
        title: "Lines of Keepwatch or K10 through Filebeat's ndjson parser with `target: kasten`",
        column: kasten,
        lacks: &[],
        bodies: Bodies::All,
        dry_run: DryRun::Wildcards,
    },
    Profile {
        name: "kubernetes.audit",
        title: "The cluster's own audit log, by Elastic's Kubernetes integration",
        column: kubernetes_audit,
        lacks: &[OWN_RECORDS],
        bodies: Bodies::NotOfAggregated,
        dry_run: DryRun::Wildcards,
    },
];

/// The mapped fields of bodies, relative to the body.
const BODY_FIELDS: [(&str, &str); 13] = [
    ("dryRun", "keyword"),
    ("path", "keyword"),
    ("spec.backgroundProcessTimeout", "keyword"),
    ("spec.disableMaintenance", "keyword"),
    ("spec.enabled", "keyword"),
    ("spec.expiresAt", "date"),
    ("spec.overrideLocation.name", "keyword"),
    ("spec.rules", "keyword"),
    ("spec.subject.kind", "keyword"),
    ("spec.subject.name", "keyword"),
    ("spec.subject.namespace", "keyword"),
    ("spec.targetNamespacePrefix", "keyword"),
    ("spec.targetNamespaceSuffix", "keyword"),
];
/// Maximum length of an indexed text. 32,766 bytes would be an error.
const IGNORE_ABOVE: u32 = 8191;

/// The index of a profile's events.
pub(super) fn index(profile: &Profile) -> &'static str {
    if profile.name == "kasten" { "logs-keepwatch-*" } else { "logs-kubernetes.audit_logs-*" }
}

/// Whether events contain the impersonated user. Behind kube-apiserver's aggregator an impersonated
/// user arrives as the user.
pub(super) fn has_impersonation(profile: &Profile) -> bool {
    profile.name == "kubernetes.audit"
}

fn kasten(attribute: &Attribute) -> Column {
    match attribute.keys().as_slice() {
        ["cluster"] => Column::text("orchestrator.cluster.name"),
        keys if !is_mapped(keys) => Column::Missing,
        keys => Column::Named(format!("kasten.{}", field::k10_name(keys)), kind(attribute)),
    }
}

/// Whether a field of a body is mapped.
fn is_mapped(keys: &[&str]) -> bool {
    let ["requestObject" | "responseObject", below @ ..] = keys else { return true };
    let below = below.join(".");
    BODY_FIELDS.iter().any(|(known, _)| *known == below)
}

fn kubernetes_audit(attribute: &Attribute) -> Column {
    let keys = attribute.keys();
    match keys.as_slice() {
        ["cluster"] => return Column::text("orchestrator.cluster.name"),
        ["sourceIPs"] => return Column::Named("source.ip".to_owned(), Kind::List),
        // Analyzed as text there, so a whole name does not match.
        ["user" | "impersonatedUser", "groups"] => return Column::Missing,
        keys if !is_mapped(keys) => return Column::Missing,
        ["annotations", key] => {
            let key = key.replace('.', "_");
            return Column::text(format!("kubernetes.audit.annotations.{key}"));
        }
        _ => {}
    }
    Column::Named(format!("kubernetes.audit.{}", keys.join(".")), kind(attribute))
}

fn kind(attribute: &Attribute) -> Kind {
    match attribute.keys().as_slice() {
        ["responseStatus", "code"] => Kind::Number,
        ["requestReceivedTimestamp" | "stageTimestamp"] | [_, "spec", "expiresAt"] => Kind::Time,
        ["requestObject" | "responseObject"] => Kind::Object,
        _ if attribute.is_of_body() => Kind::Any,
        _ if attribute.is_list() => Kind::List,
        _ => Kind::Text,
    }
}

/// The mappings of a profile, as the body of an Elasticsearch request.
pub(super) fn mappings(profile: &Profile) -> File {
    let is_kasten = profile.name == "kasten";
    let mut properties = Map::new();
    for (name, kind) in BODY_FIELDS {
        for body in ["requestObject", "responseObject"] {
            let keys = std::iter::once(body).chain(name.split('.')).map(str::to_owned).collect();
            if let Column::Named(path, _) = (profile.column)(&Attribute::of(keys)) {
                set(&mut properties, &path, &mapping(kind));
            }
        }
    }
    let (name, body) = if is_kasten {
        for body in ["kasten.RequestObject", "kasten.ResponseObject"] {
            only_mapped(&mut properties, body);
        }
        for path in LINE_FIELDS {
            set(&mut properties, path, &mapping("keyword"));
        }
        set(&mut properties, "kasten.ResponseStatus.code", &json!({"type": "integer"}));
        for path in ["@timestamp", "kasten.StageTimestamp", "kasten.RequestReceivedTimestamp"] {
            set(&mut properties, path, &json!({"type": "date"}));
        }
        let mappings = json!({
            "dynamic_templates": [{"texts": {
                "match_mapping_type": "string",
                "mapping": mapping("keyword"),
            }}],
            "properties": properties,
        });
        let template = json!({
            "index_patterns": [index(profile)],
            "data_stream": {},
            "priority": 300,
            "template": {"mappings": mappings},
        });
        ("_index_template/logs-keepwatch.json", template)
    } else {
        let template = json!({"template": {"mappings": {"properties": properties}}});
        ("_component_template/logs-kubernetes.audit_logs@custom.json", template)
    };
    let text = serde_json::to_string_pretty(&body).unwrap_or_default();
    File { name: name.to_owned(), text: text + "\n" }
}

/// Fields that rules use and that may have no value in an index.
const LINE_FIELDS: [&str; 18] = [
    "kasten.Annotations.authorization.k8s.io/decision",
    "kasten.Annotations.authorization.k8s.io/reason",
    "kasten.Annotations.keepwatch.io/cursor",
    "kasten.Annotations.keepwatch.io/gap",
    "kasten.Annotations.keepwatch.io/heartbeat",
    "kasten.Annotations.keepwatch.io/source-events",
    "orchestrator.cluster.name",
    "kasten.Verb",
    "kasten.Stage",
    "kasten.RequestURI",
    "kasten.UserAgent",
    "kasten.User.username",
    "kasten.ImpersonatedUser.username",
    "kasten.ObjectRef.APIGroup",
    "kasten.ObjectRef.Resource",
    "kasten.ObjectRef.Subresource",
    "kasten.ObjectRef.Namespace",
    "kasten.ObjectRef.Name",
];

fn mapping(kind: &str) -> Value {
    match kind {
        "date" => json!({"type": "date", "ignore_malformed": true}),
        _ => json!({"type": "keyword", "ignore_above": IGNORE_ABOVE}),
    }
}

/// Sets the mapping of a field and creates its parent objects.
fn set(properties: &mut Map<String, Value>, path: &str, mapping: &Value) {
    let Some((first, rest)) = path.split_once('.') else {
        properties.insert(path.to_owned(), mapping.clone());
        return;
    };
    let object = properties.entry(first).or_insert_with(|| json!({"properties": {}}));
    if let Some(inner) = object.get_mut("properties").and_then(Value::as_object_mut) {
        set(inner, rest, mapping);
    }
}

/// Disables dynamic mapping below a path: a body can have any field.
fn only_mapped(properties: &mut Map<String, Value>, path: &str) {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let Some(object) = properties.get_mut(first) else { return };
    if rest.is_empty() {
        object["dynamic"] = json!(false);
    } else if let Some(inner) = object.get_mut("properties").and_then(Value::as_object_mut) {
        only_mapped(inner, rest);
    }
}
