//! What each source of events shows of what a rule needs: derived from the fields and values that
//! the rule names, not written by hand.
//!
//! For each kind of request that a rule can match, the tests of fields that the source does not
//! record are decided as for an absent field, and all others are open. A rule that can still match
//! is visible.
//!
//! Deliberately absent: the text of the page, and what a source was configured to leave out.

use std::collections::BTreeSet;

use crate::budget::Budget;
use crate::field::{Field, Path, RefPath, UserPath};
use crate::matcher::{Dimension, Expression, Node, Requirements, Test};
use crate::rule::{Body, Correlation, CorrelationKind, Rule};
use crate::ruleset::RuleSet;

/// A source of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// kube-apiserver's audit webhook or log, at level `RequestResponse`.
    KubeApiserver,
    /// The control plane log of EKS.
    Eks,
    /// The audit logs of GKE, with data access logs.
    Gke,
    /// The diagnostic log `kube-audit` of AKS.
    Aks,
    /// The aggregated API server: Keepwatch itself, or its proxy before another one.
    Aggregated,
    /// Keepwatch's admission webhook, with the API groups of its default configuration.
    Admission,
}

/// What a source shows of what a rule needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Visibility {
    /// The rule cannot fire.
    Hidden,
    /// The rule fires on events without bodies.
    WithoutBody,
    /// The rule fires on complete events.
    Seen,
}

impl Source {
    /// All sources, in the order of the page.
    pub const ALL: [Self; 6] =
        [Self::KubeApiserver, Self::Eks, Self::Gke, Self::Aks, Self::Admission, Self::Aggregated];

    /// Name of the source.
    pub const fn title(self) -> &'static str {
        match self {
            Self::KubeApiserver => "kube-apiserver",
            Self::Eks => "EKS",
            Self::Gke => "GKE",
            Self::Aks => "AKS",
            Self::Aggregated => "Keepwatch or its proxy",
            Self::Admission => "Admission webhook",
        }
    }

    /// Whether it records requests for this kind, and if so whether with bodies.
    pub fn records(self, group: &str, resource: &str) -> Option<bool> {
        let is_aggregated = AGGREGATED.contains(&group);
        let is_own = OWN_GROUPS.contains(&group) && !SECRET_RESOURCES.contains(&resource);
        match self {
            Self::Aggregated => is_aggregated.then_some(true),
            // kube-apiserver passes these requests on and never decodes their bodies. Secrets should
            // be recorded without bodies everywhere.
            Self::KubeApiserver => Some(!is_aggregated && !SECRET_RESOURCES.contains(&resource)),
            Self::Eks | Self::Gke | Self::Aks => Some(is_own),
            Self::Admission => ADMISSION_GROUPS.contains(&group).then_some(true),
        }
    }

    /// Whether it can record a request with this verb.
    pub fn has_verb(self, verb: &str) -> bool {
        // A review says `update` for a patch, and `delete` for each object of a collection. Nothing is
        // asked about reads.
        self != Self::Admission || matches!(verb, "create" | "update" | "delete")
    }
}

/// The API groups of backup tools about whose objects the admission webhook is asked, by default.
/// kube-apiserver itself stores these objects; it does not ask about those of aggregated API
/// servers, such as most of K10's.
///
/// They are the groups that built-in rules name, and `backup.gdc.goog`, for which there is no rule yet.
/// A test compares.
pub const ADMISSION_GROUPS: [&str; 23] = [
    "config.kio.kasten.io",
    "velero.io",
    "longhorn.io",
    "snapshot.storage.k8s.io",
    "groupsnapshot.storage.k8s.io",
    "triliovault.trilio.io",
    "stash.appscode.com",
    "addons.kubestash.com",
    "core.kubestash.com",
    "storage.kubestash.com",
    "stork.libopenstorage.org",
    "postgresql.cnpg.io",
    "barmancloud.cnpg.io",
    "k3s.cattle.io",
    "rke.cattle.io",
    "provisioning.cattle.io",
    "config.openshift.io",
    "operator.openshift.io",
    "k8up.io",
    "volsync.backube",
    "dataprotection.kubeblocks.io",
    "apps.kubeblocks.io",
    "backup.gdc.goog",
];

/// Groups that an aggregated API server serves.
const AGGREGATED: [&str; 6] = [
    "actions.kio.kasten.io",
    "apps.kio.kasten.io",
    "repositories.kio.kasten.io",
    "repositories.stash.appscode.com",
    "siem.keepwatch.io",
    "vault.kio.kasten.io",
];
/// Groups whose bodies managed clusters record. All other groups are custom resources to them.
const OWN_GROUPS: [&str; 11] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "autoscaling",
    "batch",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
];
/// Resources that are recorded without bodies.
const SECRET_RESOURCES: [&str; 2] = ["configmaps", "secrets"];
const VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// A placeholder for the groups that a rule does not name.
const OTHER_GROUP: &str = "example.com";
/// A placeholder for the resources that a rule does not name.
const OTHER_RESOURCE: &str = "widgets";

/// Whether the rule counts only reads, which some sources do not record by default.
pub fn is_of_reads(rules: &RuleSet, rule: &Rule) -> bool {
    let is_read = |verb: &String| ["get", "list", "watch"].contains(&verb.as_str());
    detections(rules, rule).iter().any(|expression| {
        let requirements = expression.requirements();
        requirements.of_dimension(Dimension::Verb).is_some_and(|verbs| verbs.iter().all(is_read))
    })
}

/// What the source shows of what the rule needs.
pub fn of(rules: &RuleSet, rule: &Rule, source: Source) -> Visibility {
    let counted = match &rule.body {
        Body::Correlation(Correlation { kind: CorrelationKind::ValueCount(fields), .. }) => {
            fields.as_slice()
        }
        Body::Detection(_) | Body::Correlation(_) => &[],
    };
    let detections = detections(rules, rule).into_iter();
    let each = detections.map(|expression| visibility(expression, counted, source));
    match &rule.body {
        // Every step must be seen.
        Body::Correlation(correlation)
            if matches!(
                correlation.kind,
                CorrelationKind::Temporal | CorrelationKind::TemporalOrdered
            ) =>
        {
            each.min().unwrap_or(Visibility::Hidden)
        }
        Body::Detection(_) | Body::Correlation(_) => each.max().unwrap_or(Visibility::Hidden),
    }
}

fn detections<'r>(rules: &'r RuleSet, rule: &'r Rule) -> Vec<&'r Expression> {
    match &rule.body {
        Body::Detection(expression) => vec![expression],
        Body::Correlation(correlation) => {
            let parts = correlation.rules.iter().filter_map(|index| rules.rules().get(*index));
            let expression = |part: &'r Rule| match &part.body {
                Body::Detection(expression) => Some(expression),
                Body::Correlation(_) => None,
            };
            parts.filter_map(expression).collect()
        }
    }
}

fn visibility(expression: &Expression, counted: &[Field], source: Source) -> Visibility {
    let requirements = Requirements::of(expression.node(), &Budget::of_index());
    let words = |dimension, others: &[&'static str]| -> BTreeSet<String> {
        let required = requirements.of_dimension(dimension).cloned();
        required.unwrap_or_else(|| others.iter().map(|word| (*word).to_owned()).collect())
    };
    let verbs = words(Dimension::Verb, &VERBS);
    let groups = words(Dimension::ApiGroup, &[&["", OTHER_GROUP], &AGGREGATED[..]].concat());
    let resources = words(Dimension::Resource, &[OTHER_RESOURCE]);
    let mut best = Visibility::Hidden;
    for group in &groups {
        for resource in &resources {
            let Some(has_bodies) = source.records(group, resource) else { continue };
            let visibility = if has_bodies { Visibility::Seen } else { Visibility::WithoutBody };
            let can_match = |verb: &String| {
                if !source.has_verb(verb) {
                    return false;
                }
                let kind = Kind { verb, group, resource, has_bodies, source };
                // An event without one of the counted values does not count.
                let is_known = |field: &Field| !matches!(kind.known(field.path()), Known::Absent);
                counted.iter().all(is_known) && kind.outcomes(expression.node()).0
            };
            if visibility > best && verbs.iter().any(can_match) {
                best = visibility;
            }
        }
    }
    best
}

/// A kind of request, as a source records it.
struct Kind<'k> {
    verb: &'k str,
    group: &'k str,
    resource: &'k str,
    has_bodies: bool,
    source: Source,
}

/// What is known of a field of these requests.
enum Known<'k> {
    Text(&'k str),
    Absent,
    Open,
}

impl Kind<'_> {
    /// Whether the condition can be true, and whether it can be false.
    fn outcomes(&self, node: &Node) -> (bool, bool) {
        match node {
            Node::All(nodes) => nodes
                .iter()
                .map(|node| self.outcomes(node))
                .fold((true, false), |(all, any), (can, cannot)| (all && can, any || cannot)),
            Node::Any(nodes) => nodes
                .iter()
                .map(|node| self.outcomes(node))
                .fold((false, true), |(any, all), (can, cannot)| (any || can, all && cannot)),
            Node::Not(node) => {
                let (can, cannot) = self.outcomes(node);
                (cannot, can)
            }
            Node::Shared(node) => self.outcomes(node),
            // Without the object before, there is no comparison with it.
            Node::Test(_, Test::Change(before, _))
                if matches!(self.known(before.path()), Known::Absent) =>
            {
                (false, true)
            }
            Node::Test(field, test) => {
                let passes = match self.known(field.path()) {
                    Known::Open => return (true, true),
                    Known::Absent | Known::Text("") => passes_if_absent(test),
                    Known::Text(value) => match test {
                        Test::SameAs(..) | Test::Change(..) | Test::Within(_) => {
                            return (true, true);
                        }
                        test => test.accepts(value),
                    },
                };
                (passes, !passes)
            }
        }
    }

    fn known(&self, path: &Path) -> Known<'_> {
        match path {
            Path::Verb => Known::Text(self.verb),
            Path::ObjectRef(RefPath::ApiGroup) => Known::Text(self.group),
            Path::ObjectRef(RefPath::Resource) if self.resource != OTHER_RESOURCE => {
                Known::Text(self.resource)
            }
            Path::RequestObject(_) | Path::ResponseObject(_) | Path::Writes(_)
                if !self.has_bodies =>
            {
                Known::Absent
            }
            // GKE records the name of the user only, and no path.
            Path::User(UserPath::Groups | UserPath::Uid | UserPath::Extra(_))
            | Path::RequestUri
                if self.source == Source::Gke =>
            {
                Known::Absent
            }
            Path::Admission if self.source == Source::Admission => Known::Text("true"),
            Path::Admission => Known::Text("false"),
            Path::OldObject(_) if self.source != Source::Admission || self.verb == "create" => {
                Known::Absent
            }
            _ if self.source == Source::Admission => of_review(path),
            // Keepwatch writes these about itself.
            Path::Annotation(key) if key.starts_with("keepwatch.io/") => Known::Absent,
            _ => Known::Open,
        }
    }
}

/// What is known of a field of an event of the admission webhook: it is recorded before there is a
/// response, and a review says neither where the request came from nor who impersonates its user.
const fn of_review(path: &Path) -> Known<'static> {
    match path {
        Path::Stage => Known::Text("RequestReceived"),
        Path::Level => Known::Text("Request"),
        Path::Succeeded => Known::Text("true"),
        Path::Refused => Known::Text("false"),
        Path::ResponseObject(_)
        | Path::Status(_)
        | Path::SourceIps
        | Path::UserAgent
        | Path::ImpersonatedUser(_)
        | Path::ImpersonationConstraint
        | Path::Annotation(_) => Known::Absent,
        _ => Known::Open,
    }
}

fn passes_if_absent(test: &Test) -> bool {
    match test {
        Test::Exists(expected) => !expected,
        Test::Null => true,
        Test::Matches(pattern) => pattern.matches(""),
        Test::Regex(_)
        | Test::InNetwork(_)
        | Test::Number(..)
        | Test::Within(_)
        | Test::Shorter(_)
        | Test::SameAs(..)
        | Test::Change(..) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LoadOptions, builtin};

    /// Regression: rules compared objects of groups about which the webhook was not asked.
    #[test]
    fn the_admission_webhook_is_asked_about_each_group_that_rules_name() {
        let rules = RuleSet::load(builtin::documents(), &LoadOptions::default()).unwrap();
        let mut expected = BTreeSet::from(["backup.gdc.goog".to_owned()]);
        for rule in rules.rules() {
            let Body::Detection(expression) = &rule.body else { continue };
            let requirements = Requirements::of(expression.node(), &Budget::of_index());
            expected.extend(
                requirements.of_dimension(Dimension::ApiGroup).into_iter().flatten().cloned(),
            );
        }
        // Kubernetes serves the others itself.
        let is_custom = |group: &String| {
            let group = group.as_str();
            !AGGREGATED.contains(&group)
                && !OWN_GROUPS.contains(&group)
                && group != "authorization.k8s.io"
        };
        expected.retain(is_custom);
        let actual: BTreeSet<String> = ADMISSION_GROUPS.map(str::to_owned).into();
        assert_eq!(actual, expected);
    }
}
