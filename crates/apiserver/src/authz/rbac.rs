//! Authorizes by RBAC manifests, with the semantics of `rbac.authorization.k8s.io/v1`. Pure.
//!
//! Reads ClusterRole, Role, ClusterRoleBinding and RoleBinding, as single objects, in lists, or as
//! several documents in one text. RBAC only allows; it never denies. Label aggregation of cluster
//! roles is not supported. A binding to a missing role grants nothing.

use std::collections::HashMap;

use async_trait::async_trait;
use event::UserInfo;
use event::fields::service_account;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::authz::rbac::manifest::{Metadata, RoleRef, Rule, Subject};
use crate::{Attributes, Authorizer, AuthorizerError, Decision};

mod manifest;

pub use manifest::ManifestError;

/// Roles and bindings.
#[derive(Debug, Default)]
pub struct Rbac {
    cluster_roles: HashMap<String, Vec<Rule>>,
    /// Key: namespace and name.
    roles: HashMap<(String, String), Vec<Rule>>,
    bindings: Vec<Binding>,
}

#[derive(Debug)]
struct Binding {
    /// Empty for a ClusterRoleBinding.
    namespace: String,
    name: String,
    subjects: Vec<Subject>,
    role: RoleRef,
}

#[derive(Deserialize)]
struct RoleManifest {
    metadata: Metadata,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BindingManifest {
    metadata: Metadata,
    #[serde(default)]
    subjects: Vec<Subject>,
    role_ref: RoleRef,
}

impl Rbac {
    /// Parses manifests (YAML or JSON), given as pairs of origin and text. Errors contain the
    /// origin.
    pub fn from_manifests<'t>(
        texts: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<Self, ManifestError> {
        let mut rbac = Self::default();
        for (origin, text) in texts {
            for document in manifest::documents(origin, text)? {
                rbac.add(origin, document)?;
            }
        }
        Ok(rbac)
    }

    fn add(&mut self, origin: &str, document: Value) -> Result<(), ManifestError> {
        let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        match kind.as_str() {
            "ClusterRole" => {
                let role: RoleManifest = manifest::typed(origin, &kind, document)?;
                self.cluster_roles.insert(role.metadata.name, role.rules);
            }
            "Role" => {
                let role: RoleManifest = manifest::typed(origin, &kind, document)?;
                self.roles.insert((role.metadata.namespace, role.metadata.name), role.rules);
            }
            "ClusterRoleBinding" | "RoleBinding" => {
                let mut binding: BindingManifest = manifest::typed(origin, &kind, document)?;
                if kind == "ClusterRoleBinding" {
                    binding.metadata.namespace.clear();
                } else if binding.metadata.namespace.is_empty() {
                    return Err(ManifestError::NoNamespace {
                        origin: origin.to_owned(),
                        name: binding.metadata.name,
                    });
                }
                self.bindings.push(Binding {
                    namespace: binding.metadata.namespace,
                    name: binding.metadata.name,
                    subjects: binding.subjects,
                    role: binding.role_ref,
                });
            }
            _ => return Err(ManifestError::Kind { origin: origin.to_owned(), kind }),
        }
        Ok(())
    }

    /// Returns the reason why the request is allowed, or `None` if no binding allows it.
    pub fn decide(&self, attributes: &Attributes) -> Option<String> {
        self.bindings.iter().find_map(|binding| {
            let is_applicable = binding.namespace.is_empty()
                || (attributes.is_resource_request() && binding.namespace == attributes.namespace);
            if !is_applicable {
                return None;
            }
            let subject = binding
                .subjects
                .iter()
                .find(|subject| subject.is(&attributes.user, &binding.namespace))?;
            let rules = self.rules(binding)?;
            rules.iter().any(|rule| rule.allows(attributes)).then(|| reason(binding, subject))
        })
    }

    /// Returns the rules of a user in a namespace, as the status of a `SubjectRulesReview`.
    pub fn rules_of(&self, user: &UserInfo, namespace: &str) -> Value {
        let (mut of_resources, mut of_paths) = (Vec::new(), Vec::new());
        for binding in &self.bindings {
            let is_applicable = binding.namespace.is_empty() || binding.namespace == namespace;
            let is_bound =
                || binding.subjects.iter().any(|subject| subject.is(user, &binding.namespace));
            if !is_applicable || !is_bound() {
                continue;
            }
            for rule in self.rules(binding).into_iter().flatten() {
                if !rule.resources.is_empty() {
                    let mut listed = json!({
                        "verbs": rule.verbs, "apiGroups": rule.api_groups,
                        "resources": rule.resources,
                    });
                    if !rule.resource_names.is_empty() {
                        listed["resourceNames"] = json!(rule.resource_names);
                    }
                    of_resources.push(listed);
                }
                // Non-resource URLs are cluster-scoped.
                if !rule.non_resource_urls.is_empty() && binding.namespace.is_empty() {
                    let urls = &rule.non_resource_urls;
                    of_paths.push(json!({"verbs": rule.verbs, "nonResourceURLs": urls}));
                }
            }
        }
        json!({
            "resourceRules": of_resources, "nonResourceRules": of_paths, "incomplete": false,
        })
    }

    fn rules(&self, binding: &Binding) -> Option<&Vec<Rule>> {
        match binding.role.kind.as_str() {
            "ClusterRole" => self.cluster_roles.get(&binding.role.name),
            "Role" if !binding.namespace.is_empty() => {
                self.roles.get(&(binding.namespace.clone(), binding.role.name.clone()))
            }
            _ => None,
        }
    }
}

/// Reason in kube-apiserver's wording of `authorization.k8s.io/reason`.
fn reason(binding: &Binding, subject: &Subject) -> String {
    let role = format!("{} {:?}", binding.role.kind, binding.role.name);
    let subject = subject.described();
    if binding.namespace.is_empty() {
        format!("RBAC: allowed by ClusterRoleBinding {:?} of {role} to {subject}", binding.name)
    } else {
        let full = format!("{}/{}", binding.name, binding.namespace);
        format!("RBAC: allowed by RoleBinding {full:?} of {role} to {subject}")
    }
}

impl Rule {
    fn allows(&self, attributes: &Attributes) -> bool {
        let has =
            |list: &[String], word: &str| list.iter().any(|entry| entry == "*" || entry == word);
        if !has(&self.verbs, &attributes.verb) {
            return false;
        }
        if !attributes.is_resource_request() {
            return self.non_resource_urls.iter().any(|url| match url.strip_suffix('*') {
                Some(prefix) => attributes.path.starts_with(prefix),
                None => *url == attributes.path,
            });
        }
        has(&self.api_groups, &attributes.group)
            && self.resources.iter().any(|resource| names(resource, attributes))
            && (self.resource_names.is_empty() || self.resource_names.contains(&attributes.name))
    }
}

/// Whether a rule entry matches the resource: `*`, `resource`, `resource/sub` or `*/sub`.
fn names(entry: &str, attributes: &Attributes) -> bool {
    if entry == "*" {
        return true;
    }
    match entry.split_once('/') {
        None => attributes.subresource.is_empty() && entry == attributes.resource,
        Some((resource, subresource)) => {
            !attributes.subresource.is_empty()
                && subresource == attributes.subresource
                && (resource == "*" || resource == attributes.resource)
        }
    }
}

impl Subject {
    fn is(&self, user: &UserInfo, binding_namespace: &str) -> bool {
        match self.kind.as_str() {
            "User" => self.name == user.username,
            "Group" => user.groups.contains(&self.name),
            "ServiceAccount" => {
                let namespace =
                    if self.namespace.is_empty() { binding_namespace } else { &self.namespace };
                service_account(&user.username) == Some((namespace, &*self.name))
            }
            _ => false,
        }
    }

    fn described(&self) -> String {
        match self.kind.as_str() {
            "ServiceAccount" => {
                let full = format!("{}/{}", self.name, self.namespace);
                format!("ServiceAccount {full:?}")
            }
            kind => format!("{kind} {:?}", self.name),
        }
    }
}

#[async_trait]
impl Authorizer for Rbac {
    async fn authorize(&self, attributes: &Attributes) -> Result<Decision, AuthorizerError> {
        Ok(match self.decide(attributes) {
            Some(reason) => Decision::Allow(reason),
            None => Decision::NoOpinion(String::new()),
        })
    }
}

#[cfg(test)]
mod tests;
