//! Decodes the YAML tree of a policy into a draft: its types are checked, its values are not.
//!
//! Null is the zero value of every type, as in Go. The last occurrence of a duplicate field wins.

use std::collections::HashSet;

use crate::yaml::{Key, Node, Value};
use crate::{FieldError, LoadError, object_meta};

/// A decoded policy whose values are not validated.
pub(crate) struct Draft {
    pub(crate) rules: Vec<DraftRule>,
    pub(crate) omit_stages: Texts,
    pub(crate) omit_managed_fields: Option<bool>,
}

pub(crate) struct DraftRule {
    pub(crate) level: Text,
    pub(crate) users: Texts,
    pub(crate) user_groups: Texts,
    pub(crate) verbs: Texts,
    pub(crate) resources: Vec<DraftResources>,
    pub(crate) namespaces: Texts,
    pub(crate) non_resource_urls: Texts,
    pub(crate) omit_stages: Texts,
    pub(crate) omit_managed_fields: Option<bool>,
}

pub(crate) struct DraftResources {
    pub(crate) group: Text,
    pub(crate) resources: Texts,
    pub(crate) resource_names: Texts,
}

/// A string and its line in the file.
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// A list of strings and its line in the file.
pub(crate) struct Texts {
    pub(crate) items: Vec<Text>,
    pub(crate) line: usize,
}

impl Texts {
    pub(crate) fn into_strings(self) -> Vec<String> {
        self.items.into_iter().map(|item| item.text).collect()
    }
}

const POLICY: &[&str] =
    &["kind", "apiVersion", "metadata", "rules", "omitStages", "omitManagedFields"];
const RULE: &[&str] = &[
    "level",
    "users",
    "userGroups",
    "verbs",
    "resources",
    "namespaces",
    "nonResourceURLs",
    "omitStages",
    "omitManagedFields",
];
const RESOURCES: &[&str] = &["group", "resources", "resourceNames"];
/// Decodes a policy. Returns the draft and a warning for each unknown or duplicate field.
pub(crate) fn draft(root: Option<Node>) -> Result<(Draft, Vec<FieldError>), LoadError> {
    let mut warnings = Vec::new();
    let root = root.unwrap_or_else(Node::absent);
    let fields = Fields::new(&root, String::new(), POLICY, &mut warnings)?;
    let (api_version, kind) = (fields.text("apiVersion")?, fields.text("kind")?);
    // As in Go, a document without `kind` gets the expected kind, which has one version only.
    let is_policy = matches!(kind.text.as_str(), "" | "Policy");
    if api_version.text != "audit.k8s.io/v1" || !is_policy {
        return Err(LoadError::Kind { api_version: api_version.text, kind: kind.text });
    }
    if let Some(metadata) = fields.get("metadata") {
        object_meta::check(metadata, &mut warnings)?;
    }
    let mut rules = Vec::new();
    for (index, node) in fields.list("rules")?.iter().enumerate() {
        rules.push(rule(node, format!("rules[{index}]"), &mut warnings)?);
    }
    let draft = Draft {
        rules,
        omit_stages: fields.texts("omitStages")?,
        omit_managed_fields: fields.boolean("omitManagedFields")?,
    };
    Ok((draft, warnings))
}

fn rule(node: &Node, path: String, warnings: &mut Vec<FieldError>) -> Result<DraftRule, LoadError> {
    let fields = Fields::new(node, path, RULE, warnings)?;
    let mut resources = Vec::new();
    for (index, node) in fields.list("resources")?.iter().enumerate() {
        let path = format!("{}[{index}]", fields.path("resources"));
        let fields = Fields::new(node, path, RESOURCES, warnings)?;
        resources.push(DraftResources {
            group: fields.text("group")?,
            resources: fields.texts("resources")?,
            resource_names: fields.texts("resourceNames")?,
        });
    }
    Ok(DraftRule {
        resources,
        level: fields.text("level")?,
        users: fields.texts("users")?,
        user_groups: fields.texts("userGroups")?,
        verbs: fields.texts("verbs")?,
        namespaces: fields.texts("namespaces")?,
        non_resource_urls: fields.texts("nonResourceURLs")?,
        omit_stages: fields.texts("omitStages")?,
        omit_managed_fields: fields.boolean("omitManagedFields")?,
    })
}

/// A mapping whose members are looked up by field name.
struct Fields<'a> {
    members: &'a [(Key, Node)],
    path: String,
    line: usize,
}

impl<'a> Fields<'a> {
    /// Adds a warning for each unknown and each duplicate field.
    fn new(
        node: &'a Node,
        path: String,
        known: &[&str],
        warnings: &mut Vec<FieldError>,
    ) -> Result<Self, LoadError> {
        let members = match &node.value {
            Value::Map(members) => members.as_slice(),
            Value::Null => &[],
            _ => return Err(wrong_type(node, &path, "a mapping")),
        };
        check_names(members, &path, |name| known.contains(&name), warnings);
        Ok(Self { members, path, line: node.line })
    }

    fn path(&self, name: &str) -> String {
        joined(&self.path, name)
    }

    /// The value of a field; `None` if the field is missing or null.
    fn get(&self, name: &str) -> Option<&'a Node> {
        let (_, node) = self.members.iter().rev().find(|(key, _)| key.text == name)?;
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    fn text(&self, name: &str) -> Result<Text, LoadError> {
        match self.get(name) {
            Some(node) => text(node, &self.path(name)),
            None => Ok(Text { text: String::new(), line: self.line }),
        }
    }

    fn list(&self, name: &str) -> Result<&'a [Node], LoadError> {
        match self.get(name) {
            None => Ok(&[]),
            Some(Node { value: Value::List(items), .. }) => Ok(items),
            Some(node) => Err(wrong_type(node, &self.path(name), "a list")),
        }
    }

    fn texts(&self, name: &str) -> Result<Texts, LoadError> {
        let line = self.get(name).map_or(self.line, |node| node.line);
        let items = self.list(name)?.iter().enumerate();
        let items = items.map(|(index, node)| text(node, &format!("{}[{index}]", self.path(name))));
        Ok(Texts { items: items.collect::<Result<_, _>>()?, line })
    }

    fn boolean(&self, name: &str) -> Result<Option<bool>, LoadError> {
        match self.get(name) {
            None => Ok(None),
            Some(Node { value: Value::Bool(value), .. }) => Ok(Some(*value)),
            Some(node) => Err(wrong_type(node, &self.path(name), "a boolean")),
        }
    }
}

fn text(node: &Node, path: &str) -> Result<Text, LoadError> {
    match &node.value {
        Value::Text(text) => Ok(Text { text: text.clone(), line: node.line }),
        Value::Null => Ok(Text { text: String::new(), line: node.line }),
        _ => Err(wrong_type(node, path, "a string")),
    }
}

/// Adds a warning for each unknown and each duplicate field of a mapping.
pub(crate) fn check_names(
    members: &[(Key, Node)],
    path: &str,
    is_known: impl Fn(&str) -> bool,
    warnings: &mut Vec<FieldError>,
) {
    let mut names = HashSet::new();
    for (key, _) in members {
        let message = if !is_known(&key.text) {
            "unknown field"
        } else if !names.insert(&key.text) {
            "duplicate field"
        } else {
            continue;
        };
        let field = joined(path, &key.text);
        warnings.push(FieldError { line: key.line, field, message: message.to_owned() });
    }
}

/// The path of a field.
pub(crate) fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

pub(crate) fn wrong_type(node: &Node, path: &str, expected: &str) -> LoadError {
    let field = if path.is_empty() { "the document" } else { path }.to_owned();
    let message = format!("{expected} is expected, not {}", node.value.kind());
    LoadError::Type(FieldError { line: node.line, field, message })
}
