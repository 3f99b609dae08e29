//! An audit policy and its evaluation for a request.
//!
//! The first matching rule decides. This module validates nothing: a loaded policy is valid.

use event::{Level, Stage};

/// A validated audit policy: its rules in the order of evaluation, and the defaults of all rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(crate) rules: Vec<Rule>,
    pub(crate) omit_stages: Stages,
    pub(crate) omit_managed_fields: bool,
}

/// A rule of the policy. An empty list matches every request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) level: Level,
    pub(crate) users: Vec<String>,
    pub(crate) user_groups: Vec<String>,
    pub(crate) verbs: Vec<String>,
    pub(crate) resources: Vec<GroupResources>,
    pub(crate) namespaces: Vec<String>,
    pub(crate) non_resource_urls: Vec<String>,
    pub(crate) omit_stages: Stages,
    /// Overrides the policy's value; `None` inherits it.
    pub(crate) omit_managed_fields: Option<bool>,
}

/// Resources of one API group. Without `resources`, the whole group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupResources {
    pub(crate) group: String,
    pub(crate) resources: Vec<String>,
    pub(crate) resource_names: Vec<String>,
}

/// The attributes of a request that a policy evaluates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes<'a> {
    /// The authenticated user, before impersonation; `None` if authentication failed.
    pub user: Option<User<'a>>,
    /// Kubernetes verb of a resource request, otherwise the HTTP method in lower case.
    pub verb: &'a str,
    /// Whether the path refers to a resource.
    pub is_resource_request: bool,
    /// Namespace of the object; empty for cluster-scoped resources.
    pub namespace: &'a str,
    /// API group; empty for the core group.
    pub api_group: &'a str,
    /// API version without the group. No rule matches on it.
    pub api_version: &'a str,
    /// Plural name of the resource.
    pub resource: &'a str,
    /// Subresource, such as `details`; empty for the resource itself.
    pub subresource: &'a str,
    /// Object name in the URL; empty for creates and for most lists.
    pub name: &'a str,
    /// URL path without the query.
    pub path: &'a str,
}

/// The attributes of a user that rules match on.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    /// User name. Rules match it exactly; there are no patterns.
    pub name: &'a str,
    /// All groups of the user. A rule matches if it lists one of them.
    pub groups: &'a [String],
}

/// The policy's decision for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Audit level: how much of the request is recorded.
    pub level: Level,
    /// Index of the first matching rule, from 0; `None` if no rule matches.
    pub rule: Option<usize>,
    /// Stages without an event: those of the policy and of the rule.
    pub omit_stages: Stages,
    /// Whether `metadata.managedFields` is removed from bodies.
    pub omit_managed_fields: bool,
}

/// A set of audit stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages(u8);

impl Stages {
    /// Adds a stage to the set.
    pub const fn insert(&mut self, stage: Stage) {
        self.0 |= Self::bit(stage);
    }

    /// Whether the set contains the stage.
    pub const fn contains(self, stage: Stage) -> bool {
        self.0 & Self::bit(stage) != 0
    }

    /// The stages that are in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The stages in the order in which a request reaches them.
    pub fn iter(self) -> impl Iterator<Item = Stage> {
        Stage::ALL.into_iter().filter(move |stage| self.contains(*stage))
    }

    const fn bit(stage: Stage) -> u8 {
        match stage {
            Stage::RequestReceived => 1,
            Stage::ResponseStarted => 2,
            Stage::ResponseComplete => 4,
            Stage::Panic => 8,
        }
    }
}

impl FromIterator<Stage> for Stages {
    fn from_iter<I: IntoIterator<Item = Stage>>(stages: I) -> Self {
        let mut set = Self::default();
        stages.into_iter().for_each(|stage| set.insert(stage));
        set
    }
}

impl Policy {
    /// Evaluates the policy for a request. The level is None if no rule matches.
    pub fn decide(&self, attributes: &Attributes<'_>) -> Decision {
        let matched = self.rules.iter().enumerate().find(|(_, rule)| rule.matches(attributes));
        let Some((index, rule)) = matched else {
            return Decision {
                level: Level::None,
                rule: None,
                omit_stages: self.omit_stages,
                omit_managed_fields: self.omit_managed_fields,
            };
        };
        Decision {
            level: rule.level,
            rule: Some(index),
            omit_stages: self.omit_stages.union(rule.omit_stages),
            omit_managed_fields: rule.omit_managed_fields.unwrap_or(self.omit_managed_fields),
        }
    }
}

impl Rule {
    fn matches(&self, attributes: &Attributes<'_>) -> bool {
        self.matches_user(attributes.user)
            && (self.verbs.is_empty() || has(&self.verbs, attributes.verb))
            && self.matches_target(attributes)
    }

    fn matches_user(&self, user: Option<User<'_>>) -> bool {
        let named = |user: User<'_>| self.users.is_empty() || has(&self.users, user.name);
        let in_group = |user: User<'_>| {
            self.user_groups.is_empty()
                || user.groups.iter().any(|group| has(&self.user_groups, group))
        };
        match user {
            Some(user) => named(user) && in_group(user),
            None => self.users.is_empty() && self.user_groups.is_empty(),
        }
    }

    fn matches_target(&self, attributes: &Attributes<'_>) -> bool {
        if !self.namespaces.is_empty() || !self.resources.is_empty() {
            return attributes.is_resource_request
                && (self.namespaces.is_empty() || has(&self.namespaces, attributes.namespace))
                && (self.resources.is_empty()
                    || self.resources.iter().any(|group| group.matches(attributes)));
        }
        self.non_resource_urls.is_empty()
            || !attributes.is_resource_request
                && self.non_resource_urls.iter().any(|url| path_matches(url, attributes.path))
    }
}

impl GroupResources {
    fn matches(&self, attributes: &Attributes<'_>) -> bool {
        if self.group != "*" && self.group != attributes.api_group {
            return false;
        }
        // The whole group, including its subresources; `resource_names` is ignored.
        if self.resources.is_empty() {
            return true;
        }
        if !self.resource_names.is_empty() && !has(&self.resource_names, attributes.name) {
            return false;
        }
        self.resources.iter().any(|pattern| resource_matches(pattern, attributes))
    }
}

fn resource_matches(pattern: &str, attributes: &Attributes<'_>) -> bool {
    let (resource, subresource) = (attributes.resource, attributes.subresource);
    // `res/*` matches `res` too, unlike Kubernetes' documentation but like its code.
    if pattern == "*" || pattern.strip_suffix("/*") == Some(resource) {
        return true;
    }
    if subresource.is_empty() {
        return pattern == resource;
    }
    let suffix = pattern.strip_prefix(resource).and_then(|rest| rest.strip_prefix('/'));
    suffix == Some(subresource) || pattern.strip_prefix("*/") == Some(subresource)
}

fn path_matches(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == pattern,
    }
}

fn has(texts: &[String], text: &str) -> bool {
    texts.iter().any(|known| known == text)
}
