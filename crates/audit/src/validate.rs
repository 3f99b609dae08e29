//! Validates the draft of a policy.
//!
//! Field paths and messages are Kubernetes', and all errors are reported at once. Values that
//! Kubernetes does not validate are not validated: verbs, resource names, namespaces and users.

use event::{Level, Stage};

use crate::decode::{Draft, DraftResources, DraftRule, Text, Texts};
use crate::policy::{GroupResources, Policy, Rule, Stages};
use crate::{FieldError, LoadError};

const GROUP_LEN_MAX: usize = 253;
const NOT_A_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case \
    alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character \
    (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// Returns the policy, or all of its errors.
pub(crate) fn policy(draft: Draft) -> Result<Policy, LoadError> {
    let mut errors = FieldErrors(Vec::new());
    let omit_stages = stages(&draft.omit_stages, "omitStages", &mut errors);
    let rules: Vec<Rule> = draft
        .rules
        .into_iter()
        .enumerate()
        .map(|(index, draft)| rule(draft, &format!("rules[{index}]"), &mut errors))
        .collect();
    if !errors.0.is_empty() {
        return Err(LoadError::Invalid(errors.0));
    }
    if rules.is_empty() {
        return Err(LoadError::NoRules);
    }
    let omit_managed_fields = draft.omit_managed_fields.unwrap_or(false);
    Ok(Policy { rules, omit_stages, omit_managed_fields })
}

fn rule(draft: DraftRule, path: &str, errors: &mut FieldErrors) -> Rule {
    let level = level(&draft.level, &format!("{path}.level"), errors);
    let urls_path = format!("{path}.nonResourceURLs");
    for (index, url) in draft.non_resource_urls.items.iter().enumerate() {
        non_resource_url(url, &format!("{urls_path}[{index}]"), errors);
    }
    for resources in &draft.resources {
        // Kubernetes' path has no index here.
        group_resources(resources, &format!("{path}.resources"), errors);
    }
    let omit_stages = stages(&draft.omit_stages, &format!("{path}.omitStages"), errors);
    let names_resources = !draft.resources.is_empty() || !draft.namespaces.items.is_empty();
    if names_resources && !draft.non_resource_urls.items.is_empty() {
        let urls = &draft.non_resource_urls;
        let reason = "rules cannot apply to both regular resources and non-resource URLs";
        errors.invalid(urls.line, &urls_path, &listed(urls), reason);
    }
    let resources = draft.resources.into_iter().map(|draft| GroupResources {
        group: draft.group.text,
        resources: draft.resources.into_strings(),
        resource_names: draft.resource_names.into_strings(),
    });
    Rule {
        level,
        users: draft.users.into_strings(),
        user_groups: draft.user_groups.into_strings(),
        verbs: draft.verbs.into_strings(),
        resources: resources.collect(),
        namespaces: draft.namespaces.into_strings(),
        non_resource_urls: draft.non_resource_urls.into_strings(),
        omit_stages,
        omit_managed_fields: draft.omit_managed_fields,
    }
}

fn level(level_text: &Text, path: &str, errors: &mut FieldErrors) -> Level {
    if level_text.text.is_empty() {
        errors.add(level_text.line, path, "Required value".to_owned());
    }
    level_text.text.parse().unwrap_or_else(|_| {
        let supported = Level::ALL.map(|level| quoted(level.as_str())).join(", ");
        if !level_text.text.is_empty() {
            let value = quoted(&level_text.text);
            let message = format!("Unsupported value: {value}: supported values: {supported}");
            errors.add(level_text.line, path, message);
        }
        Level::None
    })
}

fn non_resource_url(url: &Text, path: &str, errors: &mut FieldErrors) {
    if url.text == "*" {
        return;
    }
    let value = quoted(&url.text);
    if !url.text.starts_with('/') {
        let reason = "non-resource URL rules must begin with a '/' character";
        errors.invalid(url.line, path, &value, reason);
    }
    // Every byte but the last; bytes, because a slice could split a character.
    if url.text.bytes().rev().skip(1).any(|byte| byte == b'*') {
        let reason = "non-resource URL wildcards '*' must be the final character of the rule";
        errors.invalid(url.line, path, &value, reason);
    }
}

fn group_resources(draft: &DraftResources, path: &str, errors: &mut FieldErrors) {
    let group = &draft.group;
    if !group.text.is_empty() && group.text != "*" {
        let mut reason = Vec::new();
        if group.text.len() > GROUP_LEN_MAX {
            reason.push("must be no more than 253 bytes");
        }
        if !is_subdomain(&group.text) {
            reason.push(NOT_A_SUBDOMAIN);
        }
        if !reason.is_empty() {
            let path = format!("{path}.group");
            errors.invalid(group.line, &path, &quoted(&group.text), &reason.join(","));
        }
    }
    let names = &draft.resource_names;
    if !names.items.is_empty() && draft.resources.items.is_empty() {
        let reason = "using resourceNames requires at least one resource";
        errors.invalid(names.line, &format!("{path}.resourceNames"), &listed(names), reason);
    }
}

fn is_subdomain(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.split('.').all(|label| {
        label.bytes().all(|byte| inner(byte) || byte == b'-')
            && label.bytes().next().is_some_and(inner)
            && label.bytes().next_back().is_some_and(inner)
    })
}

fn stages(stage_texts: &Texts, path: &str, errors: &mut FieldErrors) -> Stages {
    let mut set = Stages::default();
    for (index, stage) in stage_texts.items.iter().enumerate() {
        if let Ok(stage) = stage.text.parse() {
            set.insert(stage);
        } else {
            let reason = format!("allowed stages are {}", Stage::ALL.map(Stage::as_str).join(","));
            errors.invalid(stage.line, &format!("{path}[{index}]"), &quoted(&stage.text), &reason);
        }
    }
    set
}

struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    fn add(&mut self, line: usize, field: &str, message: String) {
        self.0.push(FieldError { line, field: field.to_owned(), message });
    }

    fn invalid(&mut self, line: usize, field: &str, value: &str, reason: &str) {
        self.add(line, field, format!("Invalid value: {value}: {reason}"));
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

fn listed(texts: &Texts) -> String {
    let items: Vec<_> = texts.items.iter().map(|item| quoted(&item.text)).collect();
    format!("[{}]", items.join(","))
}
