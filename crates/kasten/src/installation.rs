//! The parameters of an installation of K10: the domain of its aggregated groups, and its
//! namespace.
//!
//! An `Installation` is built once, at the start, with all strings that requests need, so that no
//! request allocates them. The eight short strings are leaked; in return an `Installation` is
//! `Copy`, and ids of kinds are as cheap as constants.

use apiserver::ResourceId;
use event::UserInfo;
use serde_json::{Map, Value};

use crate::names::{CONFIG, DOMAIN, Group, K10_NAMESPACE, ResourceNames, VERSION};

/// Maximum number of characters of a DNS name.
const NAME_LEN_MAX: usize = 253;
/// Maximum number of characters of a DNS label, such as a namespace.
const LABEL_LEN_MAX: usize = 63;
/// The longest text before the domain in the name of an `APIService`, which is version and group.
const BEFORE_DOMAIN: &str = "v1alpha1.repositories.";
/// Maximum number of characters of a domain.
const DOMAIN_LEN_MAX: usize = NAME_LEN_MAX - BEFORE_DOMAIN.len();

/// One installation of K10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installation {
    domain: &'static str,
    namespace: &'static str,
    accounts: &'static str,
    /// In the order of [`Group::AGGREGATED`].
    groups: [&'static str; 5],
}

/// Why an [`Installation`] cannot be built.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstallationError {
    /// The domain cannot be the suffix of a group's name.
    #[error(
        "is not a domain like {DOMAIN}: labels of lower-case letters, digits and hyphens, separated by \
         dots, at most {LABEL_LEN_MAX} characters each and {DOMAIN_LEN_MAX} in all"
    )]
    Domain,
    /// The namespace is not a valid name.
    #[error(
        "is not a namespace like {K10_NAMESPACE}: at most {LABEL_LEN_MAX} lower-case letters, digits \
         and hyphens"
    )]
    Namespace,
}

impl Installation {
    /// K10 with the defaults of its chart.
    pub const DEFAULT: Self = Self {
        domain: DOMAIN,
        namespace: K10_NAMESPACE,
        accounts: "system:serviceaccounts:kasten-io",
        groups: [
            "actions.kio.kasten.io",
            "apps.kio.kasten.io",
            "repositories.kio.kasten.io",
            "vault.kio.kasten.io",
            "dr.kio.kasten.io",
        ],
    };

    /// An installation with this domain and namespace.
    pub fn new(domain: &str, namespace: &str) -> Result<Self, InstallationError> {
        if domain.len() > DOMAIN_LEN_MAX || !domain.split('.').all(is_label) {
            return Err(InstallationError::Domain);
        }
        if !is_label(namespace) {
            return Err(InstallationError::Namespace);
        }
        Ok(Self {
            domain: domain.to_owned().leak(),
            namespace: namespace.to_owned().leak(),
            accounts: format!("system:serviceaccounts:{namespace}").leak(),
            groups: Group::AGGREGATED.map(|group| &*format!("{}.{domain}", group.label()).leak()),
        })
    }

    /// The domain of the aggregated groups.
    pub const fn domain(&self) -> &'static str {
        self.domain
    }

    /// The namespace of K10 itself.
    pub const fn namespace(&self) -> &'static str {
        self.namespace
    }

    /// The group of all service accounts in that namespace. K10 9 has one account for each
    /// deployment, earlier releases have one for all; the group contains both.
    pub const fn accounts(&self) -> &'static str {
        self.accounts
    }

    /// The aggregated groups, in the order of K10's chart.
    pub const fn groups(&self) -> [&'static str; 5] {
        self.groups
    }

    /// The full name of a group.
    pub const fn group(&self, group: Group) -> &'static str {
        let [actions, apps, repositories, vault, dr] = self.groups;
        match group {
            Group::Actions => actions,
            Group::Apps => apps,
            Group::Repositories => repositories,
            Group::Vault => vault,
            Group::Dr => dr,
            Group::Config => CONFIG,
        }
    }

    /// A kind with the full name of its group.
    pub(crate) const fn kind(&self, names: ResourceNames) -> Kind {
        Kind { group: self.group(names.group), names }
    }

    /// The resource id of a kind.
    pub const fn id(&self, names: ResourceNames) -> ResourceId {
        ResourceId { group: self.group(names.group), plural: names.plural }
    }

    /// The `apiVersion` of a kind's objects.
    pub fn api_version(&self, names: ResourceNames) -> String {
        format!("{}/{VERSION}", self.group(names.group))
    }

    /// An object of a kind with only its metadata. `namespace` is empty for cluster scope.
    pub fn object(&self, names: ResourceNames, namespace: &str, name: &str) -> Map<String, Value> {
        let mut metadata = Map::new();
        metadata.insert("name".to_owned(), name.into());
        if !namespace.is_empty() {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
        let mut object = Map::new();
        object.insert("apiVersion".to_owned(), self.api_version(names).into());
        object.insert("kind".to_owned(), names.kind.into());
        object.insert("metadata".to_owned(), Value::Object(metadata));
        object
    }

    /// Whether the user is one of K10's own service accounts.
    pub fn is_k10(&self, user: &UserInfo) -> bool {
        user.groups.iter().any(|group| group == self.accounts)
    }
}

/// The names of a kind, with the full name of its group.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) names: ResourceNames,
}

impl Default for Installation {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Whether this is a DNS label by RFC 1123.
fn is_label(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=LABEL_LEN_MAX).contains(&text.len())
        && text.chars().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;

    #[test]
    fn the_default_names_make_the_default_installation() {
        assert_eq!(Installation::new(DOMAIN, K10_NAMESPACE), Ok(Installation::DEFAULT));
    }

    #[test]
    fn every_group_except_that_of_the_custom_resources_uses_the_domain() {
        let installation = Installation::new("kio.team.backup", "team-backup").unwrap();
        let mut groups = kinds::KINDS.iter().map(|names| installation.group(names.group));
        assert!(groups.all(|group| installation.groups().contains(&group)));
        expect_test::expect![[r#"
            [
                "actions.kio.team.backup",
                "apps.kio.team.backup",
                "repositories.kio.team.backup",
                "vault.kio.team.backup",
                "dr.kio.team.backup",
            ]
        "#]]
        .assert_debug_eq(&installation.groups());
        for names in kinds::CONFIG_KINDS {
            assert_eq!(installation.group(names.group), "config.kio.kasten.io");
        }
        assert_eq!(installation.accounts(), "system:serviceaccounts:team-backup");
    }

    #[test]
    fn a_domain_is_a_dns_name_short_enough_for_every_group() {
        let label = "a".repeat(LABEL_LEN_MAX);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(DOMAIN_LEN_MAX - 3 * 64));
        assert_eq!(longest.len(), DOMAIN_LEN_MAX);
        for valid in ["kio.kasten.io", "k10", "kio.team-1.0", &longest] {
            let installation = Installation::new(valid, "kasten-io").unwrap();
            for group in installation.groups() {
                assert!(format!("{VERSION}.{group}").len() <= NAME_LEN_MAX, "{group}");
            }
        }
        let (longer, label) = (format!("{longest}a"), format!("{label}a.io"));
        for invalid in
            ["", ".", "kio.", ".kio", "kio..io", "Kio.io", "-k.io", "k-.io", "k_o", "k/o"]
                .into_iter()
                .chain([longer.as_str(), label.as_str(), "kio.kästen.io", "kio kasten"])
        {
            let error = Installation::new(invalid, "kasten-io");
            assert_eq!(error, Err(InstallationError::Domain), "{invalid}");
        }
    }

    #[test]
    fn a_namespace_is_a_dns_label() {
        for invalid in ["", "kasten.io", "Kasten", "-a", "a-", "a/b"] {
            let error = Installation::new(DOMAIN, invalid);
            assert_eq!(error, Err(InstallationError::Namespace), "{invalid}");
        }
    }
}
