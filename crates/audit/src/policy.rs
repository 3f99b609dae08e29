//! An audit policy and its one question: what is recorded of this request?
//!
//! The first rule that matches decides. Nothing is checked here; a policy that could be loaded is
//! valid.

use event::{Level, Stage};

/// Rules, in the order in which they are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(crate) rules: Vec<Rule>,
    pub(crate) omit_stages: Stages,
    pub(crate) omit_managed_fields: bool,
}

/// What is recorded of the requests it matches. An empty part matches everything.
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
    /// Overrides the policy's value.
    pub(crate) omit_managed_fields: Option<bool>,
}

/// Resources of one API group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupResources {
    pub(crate) group: String,
    pub(crate) resources: Vec<String>,
    pub(crate) resource_names: Vec<String>,
}

/// What a policy is told about a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes<'a> {
    /// Who asks, before impersonation; `None` when authentication failed.
    pub user: Option<User<'a>>,
    /// Kubernetes verb of a resource request, HTTP method in lower case otherwise.
    pub verb: &'a str,
    /// Whether the path names a resource.
    pub is_resource_request: bool,
    /// Empty for cluster-scoped resources.
    pub namespace: &'a str,
    /// Empty for the core group.
    pub api_group: &'a str,
    /// Version without the group. No rule looks at it.
    pub api_version: &'a str,
    /// Plural name.
    pub resource: &'a str,
    /// Such as `details`.
    pub subresource: &'a str,
    /// Name in the URL: empty for creates and for most lists.
    pub name: &'a str,
    /// Path without query.
    pub path: &'a str,
}

/// The part of a user that rules can name.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    /// The whole name; there are no patterns.
    pub name: &'a str,
    /// All groups.
    pub groups: &'a [String],
}

/// What is recorded of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// How much.
    pub level: Level,
    /// Index of the rule that decided; `None` when none matched.
    pub rule: Option<usize>,
    /// At which stages nothing is recorded.
    pub omit_stages: Stages,
    /// Whether `metadata.managedFields` is left out of bodies.
    pub omit_managed_fields: bool,
}

/// A set of stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages(u8);

impl Stages {
    /// Adds a stage.
    pub const fn insert(&mut self, stage: Stage) {
        self.0 |= Self::bit(stage);
    }

    /// Whether a stage is among them.
    pub const fn contains(self, stage: Stage) -> bool {
        self.0 & Self::bit(stage) != 0
    }

    /// The stages of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// In the order of a request's life.
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
    /// What is recorded of a request. Nothing, when no rule matches.
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
            self.user_groups.is_empty() || user.groups.iter().any(|it| has(&self.user_groups, it))
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
                    || self.resources.iter().any(|it| it.matches(attributes)));
        }
        self.non_resource_urls.is_empty()
            || !attributes.is_resource_request
                && self.non_resource_urls.iter().any(|it| path_matches(it, attributes.path))
    }
}

impl GroupResources {
    fn matches(&self, attributes: &Attributes<'_>) -> bool {
        if self.group != "*" && self.group != attributes.api_group {
            return false;
        }
        // A whole group: its subresources too, and whatever the name.
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
    // `res/*` means plain `res` as well, other than Kubernetes' documentation says.
    if pattern == "*" || pattern.strip_suffix("/*") == Some(resource) {
        return true;
    }
    if subresource.is_empty() {
        return pattern == resource;
    }
    let of_this = pattern.strip_prefix(resource).and_then(|rest| rest.strip_prefix('/'));
    of_this == Some(subresource) || pattern.strip_prefix("*/") == Some(subresource)
}

fn path_matches(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == pattern,
    }
}

fn has(words: &[String], word: &str) -> bool {
    words.iter().any(|it| it == word)
}
