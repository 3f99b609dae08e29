//! What differs from one installation of K10 to the next: the domain its aggregated groups end in,
//! and the namespace it is installed in.
//!
//! Made once, at the start, and handed to whoever needs it. Every text a request may ask for is
//! made then, so that none is made while one is served. They are leaked: eight short texts for the
//! life of the process, and for that an installation is copied like a number and the ids of kinds
//! stay as cheap as constants.

use apiserver::ResourceId;
use event::UserInfo;
use serde_json::{Map, Value};

use crate::domain::{CONFIG, DOMAIN, Group, K10_NAMESPACE, Names, VERSION};

/// A name in the cluster's DNS is this long at most.
const NAME_LEN_MAX: usize = 253;
/// The same for what stands between two dots, and for a namespace.
const LABEL_LEN_MAX: usize = 63;
/// The longest that stands before the domain: an `APIService` is named with version and group.
const BEFORE_DOMAIN: &str = "v1alpha1.repositories.";
/// The longest domain.
const DOMAIN_LEN_MAX: usize = NAME_LEN_MAX - BEFORE_DOMAIN.len();

/// One installation of K10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installation {
    domain: &'static str,
    namespace: &'static str,
    accounts: &'static str,
    /// As [`Group::AGGREGATED`] has them.
    groups: [&'static str; 5],
}

/// Why there is no such installation.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstallationError {
    /// No group can end in this.
    #[error(
        "is no domain such as {DOMAIN}: it is lower-case letters, digits and hyphens between dots, \
         at most {LABEL_LEN_MAX} of them between two dots and {DOMAIN_LEN_MAX} characters in all"
    )]
    Domain,
    /// No namespace is called this.
    #[error(
        "is no namespace such as {K10_NAMESPACE}: it is at most {LABEL_LEN_MAX} lower-case \
         letters, digits and hyphens"
    )]
    Namespace,
}

impl Installation {
    /// K10 as its chart comes.
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

    /// An installation whose groups end in `domain`.
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
            groups: Group::AGGREGATED.map(|group| &*format!("{}.{domain}", group.word()).leak()),
        })
    }

    /// What the aggregated groups end in.
    pub const fn domain(&self) -> &'static str {
        self.domain
    }

    /// The namespace of K10 itself.
    pub const fn namespace(&self) -> &'static str {
        self.namespace
    }

    /// The group of every service account in that namespace. K10 9 has one account for each of its
    /// deployments, earlier releases one for all, so the group is what holds.
    pub const fn accounts(&self) -> &'static str {
        self.accounts
    }

    /// The aggregated groups, in the order of K10's chart.
    pub const fn groups(&self) -> [&'static str; 5] {
        self.groups
    }

    /// The whole name of a group.
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

    /// A kind with its whole group.
    pub(crate) const fn kind(&self, names: Names) -> Kind {
        Kind { group: self.group(names.group), names }
    }

    /// The name objects of a kind are found by.
    pub const fn id(&self, names: Names) -> ResourceId {
        ResourceId { group: self.group(names.group), plural: names.plural }
    }

    /// `group/version`, as objects of a kind carry it.
    pub fn api_version(&self, names: Names) -> String {
        format!("{}/{VERSION}", self.group(names.group))
    }

    /// The beginning of an object of a kind. `namespace` is empty for cluster scope.
    pub fn object(&self, names: Names, namespace: &str, name: &str) -> Map<String, Value> {
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

    /// Whether this is one of K10's own service accounts.
    pub fn is_k10(&self, user: &UserInfo) -> bool {
        user.groups.iter().any(|group| group == self.accounts)
    }
}

/// A kind, and the group that it is served in.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) names: Names,
}

impl Default for Installation {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Whether this can stand between two dots of a name in DNS, as RFC 1123 has it.
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
    use crate::domain;

    #[test]
    fn the_usual_names_make_the_usual_installation() {
        assert_eq!(Installation::new(DOMAIN, K10_NAMESPACE), Ok(Installation::DEFAULT));
    }

    #[test]
    fn every_group_but_that_of_the_custom_resources_follows_the_domain() {
        let installation = Installation::new("kio.team.backup", "team-backup").unwrap();
        let groups = domain::KINDS.map(|names| installation.group(names.group));
        assert!(groups.iter().all(|group| installation.groups().contains(group)));
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
        for names in domain::CONFIG_KINDS {
            assert_eq!(installation.group(names.group), "config.kio.kasten.io");
        }
        assert_eq!(installation.accounts(), "system:serviceaccounts:team-backup");
    }

    #[test]
    fn a_domain_is_a_name_in_dns_that_leaves_room_for_the_group() {
        let label = "a".repeat(LABEL_LEN_MAX);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(DOMAIN_LEN_MAX - 3 * 64));
        assert_eq!(longest.len(), DOMAIN_LEN_MAX);
        for good in ["kio.kasten.io", "k10", "kio.team-1.0", &longest] {
            let installation = Installation::new(good, "kasten-io").unwrap();
            for group in installation.groups() {
                assert!(format!("{VERSION}.{group}").len() <= NAME_LEN_MAX, "{group}");
            }
        }
        let (longer, label) = (format!("{longest}a"), format!("{label}a.io"));
        for bad in ["", ".", "kio.", ".kio", "kio..io", "Kio.io", "-k.io", "k-.io", "k_o", "k/o"]
            .into_iter()
            .chain([longer.as_str(), label.as_str(), "kio.kästen.io", "kio kasten"])
        {
            let error = Installation::new(bad, "kasten-io");
            assert_eq!(error, Err(InstallationError::Domain), "{bad}");
        }
    }

    #[test]
    fn a_namespace_is_a_label_of_dns() {
        for bad in ["", "kasten.io", "Kasten", "-a", "a-", "a/b"] {
            let error = Installation::new(DOMAIN, bad);
            assert_eq!(error, Err(InstallationError::Namespace), "{bad}");
        }
    }
}
