//! The built-in audit policies: the files in `policies/`.

use crate::{LoadError, Policy, Strictness};

/// The API group domain that the policy files use.
const DOMAIN: &str = "kio.kasten.io";
/// First labels of K10's aggregated API groups. `config` is not aggregated and keeps its domain.
const AGGREGATED: [&str; 5] = ["actions", "apps", "repositories", "vault", "dr"];

/// A built-in audit policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Builtin {
    /// Equivalent to the policy that K10 6.5 documents.
    #[default]
    K10,
    /// Equivalent to the policy that K10 7.0 documents, which covers more kinds of actions.
    K10V7,
    /// The K10 policy extended to the requests that it misses.
    Extended,
}

impl Builtin {
    /// Every built-in policy.
    pub const ALL: [Self; 3] = [Self::K10, Self::K10V7, Self::Extended];

    /// The value that selects this policy in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::K10 => "k10",
            Self::K10V7 => "k10-7",
            Self::Extended => "extended",
        }
    }

    /// The commented YAML file of the policy, for a K10 whose aggregated API groups end in
    /// `domain`.
    pub fn text(self, domain: &str) -> String {
        let text = match self {
            Self::K10 => include_str!("../policies/k10.yaml"),
            Self::K10V7 => include_str!("../policies/k10-7.yaml"),
            Self::Extended => include_str!("../policies/extended.yaml"),
        };
        AGGREGATED.iter().fold(text.to_owned(), |text, group| {
            text.replace(&format!("group: {group}.{DOMAIN}"), &format!("group: {group}.{domain}"))
        })
    }
}

impl Policy {
    /// Loads a built-in policy for a K10 whose aggregated API groups end in `domain`. A test loads
    /// every built-in policy, so an error means a broken build.
    pub fn builtin(policy: Builtin, domain: &str) -> Result<Self, LoadError> {
        Self::load(policy.text(domain).as_bytes(), Strictness::Strict).map(|loaded| loaded.policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_policy_loads() {
        for policy in Builtin::ALL {
            Policy::builtin(policy, DOMAIN).unwrap();
        }
    }

    #[test]
    fn the_default_domain_changes_nothing() {
        assert_eq!(Builtin::K10.text(DOMAIN), include_str!("../policies/k10.yaml"));
        assert_eq!(Builtin::Extended.text(DOMAIN), include_str!("../policies/extended.yaml"));
    }

    #[test]
    fn every_aggregated_group_uses_the_domain_and_the_custom_resources_do_not() {
        // A domain that starts like a group or ends like the default domain is replaced only once.
        for domain in ["kio.team.backup", "apps.kio.kasten.io"] {
            for policy in Builtin::ALL {
                let groups = |text: &str| -> Vec<String> {
                    let group =
                        |line: &str| line.trim().strip_prefix("- group: ").map(str::to_owned);
                    text.lines().filter_map(group).filter(|group| group.contains("kio.")).collect()
                };
                let (default_groups, replaced) =
                    (groups(&policy.text(DOMAIN)), groups(&policy.text(domain)));
                let expected: Vec<String> = default_groups
                    .iter()
                    .map(|group| match group.strip_suffix(DOMAIN) {
                        Some("config.") | None => group.clone(),
                        Some(word) => format!("{word}{domain}"),
                    })
                    .collect();
                assert!(default_groups.len() >= 4);
                assert_eq!(replaced, expected);
            }
        }
    }
}
