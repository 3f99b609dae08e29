//! Runs the same events through exported rules and through the engine. The alerts must be equal,
//! except for the differences that the export reports.
//!
//! A target's evaluator knows only the exported text, and runs it on events in the format of the
//! profile. Each evaluator is a line in [`EVALUATORS`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use detect::engine::UPDATE_DELAY;
use detect::examples::{self, Example, Step};
use detect::export::{self, Effect, Exported, ReasonKind};
use detect::{Engine, Input, Settings, SignalChange, builtin};
use event::annotations::ADMISSION;
use event::{Event, EventRef, Timestamp};

use crate::pack;

/// The groups that raised an alert, each as its values in the order of the rule's group-by, without
/// the cluster.
pub(crate) type Groups = BTreeSet<Vec<String>>;

/// Evaluates exported rules as their target does.
pub(crate) trait Evaluator: Send + Sync {
    /// The groups that raised an alert, for each rule. `events` are ordered by time, and are events
    /// of `cluster`.
    fn alerts(&self, cluster: &str, events: &[Event]) -> Vec<Groups>;
}

/// Parses the exported rules of one target and profile. A rule without files raises nothing.
type Read = fn(&[Exported]) -> Box<dyn Evaluator>;

/// Target, profile, and the parser of its first format.
const EVALUATORS: &[(&str, &str, Read)] = &[
    ("datadog", "kasten", |rules| super::datadog::evaluator("kasten", rules)),
    ("datadog", "kubernetes.audit", |rules| super::datadog::evaluator("kubernetes.audit", rules)),
    ("sigma", "kubernetes", super::sigma::evaluator),
    ("sigma", "kasten", super::sigma::evaluator),
    ("sentinel", "ContainerLogV2", |rules| super::sentinel::evaluator("ContainerLogV2", rules)),
    ("sentinel", "AKSAudit", |rules| super::sentinel::evaluator("AKSAudit", rules)),
    ("sentinel", "AKSAuditAdmin", |rules| super::sentinel::evaluator("AKSAuditAdmin", rules)),
    ("splunk", "keepwatch", |rules| super::splunk::evaluator("keepwatch", rules)),
    ("splunk", "kube-apiserver-audit", |rules| super::splunk::evaluator("v1", rules)),
    ("elastic", "kasten", |rules| super::elastic::evaluator("kasten", rules)),
    ("elastic", "kubernetes.audit", |rules| super::elastic::evaluator("kubernetes.audit", rules)),
    ("falco", "k8saudit", super::falco::evaluator),
    ("loki", "kasten", |rules| super::loki::evaluator("kasten", rules)),
    ("loki", "kubernetes.audit", |rules| super::loki::evaluator("kubernetes.audit", rules)),
];

struct Subject {
    name: String,
    exported: Vec<Exported>,
    evaluator: Box<dyn Evaluator>,
}

/// The subjects with the rules of each pack.
static SUBJECTS: LazyLock<BTreeMap<&str, Vec<Subject>>> = LazyLock::new(|| {
    let read = |pack: &str, (target, profile, read): &(&str, &str, Read)| {
        let name = format!("{target} {profile}");
        let target = export::named(target).unwrap();
        let profile = target.profiles().iter().find(|known| known.name == *profile).unwrap();
        let rules = pack::rules_of(pack);
        let exported = super::exported_of(&rules, target, profile, &target.formats()[0]);
        let evaluator = read(&exported);
        Subject { name, exported, evaluator }
    };
    let of_pack = |pack: &'static builtin::Pack| {
        (pack.name, EVALUATORS.iter().map(|evaluator| read(pack.name, evaluator)).collect())
    };
    builtin::packs().iter().map(of_pack).collect()
});

/// Events that are excluded because of reported differences.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Without {
    /// Deletions whose dry run is only in the URL.
    url_dry_runs: bool,
    /// Requests with impersonation.
    impersonation: bool,
    /// Records of the admission webhook, which are in no source of another SIEM.
    admission: bool,
}

impl Without {
    fn of(exported: &Exported) -> Self {
        let has = |kind| exported.fidelity.reasons().iter().any(|reason| reason.kind == kind);
        Self {
            url_dry_runs: has(ReasonKind::DryRun),
            impersonation: has(ReasonKind::Grouping),
            admission: true,
        }
    }

    /// Drops exclusions of which there are no events.
    fn among(self, events: &[Event]) -> Self {
        Self {
            url_dry_runs: self.url_dry_runs && events.iter().any(is_url_dry_run),
            impersonation: self.impersonation && events.iter().any(is_impersonation),
            admission: events.iter().any(is_admission),
        }
    }

    fn events(self, events: &[Event]) -> Vec<Event> {
        let is_left_out = |event: &Event| {
            (self.url_dry_runs && is_url_dry_run(event))
                || (self.impersonation && is_impersonation(event))
                || (self.admission && is_admission(event))
        };
        events.iter().filter(|event| !is_left_out(event)).cloned().collect()
    }
}

fn is_url_dry_run(event: &Event) -> bool {
    event.verb.starts_with("delete")
        && event.request_object.is_none()
        && event.request_uri.contains("dryRun")
}

const fn is_impersonation(event: &Event) -> bool {
    event.impersonated_user.is_some()
}

fn is_admission(event: &Event) -> bool {
    event.annotations.contains_key(ADMISSION)
}

/// The groups for which our engine raises a signal, by rule of the pack.
fn ours(pack: &str, cluster: &str, events: &[Event]) -> BTreeMap<String, Groups> {
    let mut engine = Engine::new(pack::rules_of(pack), Settings::default());
    let mut changes: Vec<SignalChange> = Vec::new();
    for event in events {
        let event = &EventRef::from(event);
        let arrival = event.stage_timestamp();
        engine.process(&Input { source: "s", cluster, arrival, event }, &mut changes);
    }
    if let Some(last) = events.last() {
        let end = last.stage_timestamp.as_micros() + UPDATE_DELAY;
        engine.advance(Timestamp::from_micros(end), &mut changes);
    }
    engine.finish(&mut changes);
    let mut groups: BTreeMap<String, Groups> = BTreeMap::new();
    for change in changes {
        let spec = &change.signal.spec;
        let group = spec.group_by.iter().map(|part| part.value.clone()).collect();
        groups.entry(spec.rule.id.clone()).or_default().insert(group);
    }
    groups
}

/// Compares every exported rule of a pack with the engine on these events, for every target. The
/// events are ordered by time.
pub(crate) fn check(pack: &str, cluster: &str, events: &[Event]) {
    let actual = differences(pack, cluster, events);
    assert!(actual.is_empty(), "{}", actual.join("\n"));
}

/// The differences that the exports do not report, by rule and target.
fn differences(pack: &str, cluster: &str, events: &[Event]) -> Vec<String> {
    let mut ours_without: BTreeMap<Without, BTreeMap<String, Groups>> = BTreeMap::new();
    let mut differences = Vec::new();
    for subject in &SUBJECTS[pack] {
        let mut theirs_without: BTreeMap<Without, Vec<Groups>> = BTreeMap::new();
        for (at, exported) in subject.exported.iter().enumerate() {
            if exported.files.is_empty() {
                continue;
            }
            let without = Without::of(exported).among(events);
            let left = || without.events(events);
            let ours = ours_without.entry(without).or_insert_with(|| ours(pack, cluster, &left()));
            let theirs = theirs_without
                .entry(without)
                .or_insert_with(|| subject.evaluator.alerts(cluster, &left()));
            let none = Groups::new();
            let ours = ours.get(&exported.rule).unwrap_or(&none);
            let difference = difference(exported, ours, &theirs[at]);
            differences.extend(difference.map(|text| format!("{}, {text}", subject.name)));
        }
    }
    differences
}

/// The alerts that differ in a direction that the export does not report.
fn difference(exported: &Exported, ours: &Groups, theirs: &Groups) -> Option<String> {
    let allows = |effect: Effect| {
        // The events here have no object before a change, so that it explains nothing.
        let reasons = exported.fidelity.reasons().iter();
        let reasons = reasons.filter(|reason| reason.kind != ReasonKind::OldObject);
        reasons.filter(|reason| reason.effect == effect || reason.effect == Effect::Either).count()
            > 0
    };
    let missed: Vec<_> = ours.difference(theirs).filter(|_| !allows(Effect::Fewer)).collect();
    let added: Vec<_> = theirs.difference(ours).filter(|_| !allows(Effect::More)).collect();
    let is_same = missed.is_empty() && added.is_empty();
    (!is_same).then(|| format!("{}: missed {missed:?}, added {added:?}", exported.rule))
}

/// The events of an example.
fn events_of(example: &Example) -> Vec<Event> {
    let event = |step: &Step| match step {
        Step::Event(event) => Some((**event).clone()),
        Step::Clock(_) => None,
    };
    example.steps.iter().filter_map(event).collect()
}

/// The examples contain near misses.
#[test]
fn exported_rules_agree_with_the_engine_on_the_examples() {
    let mut all = Vec::new();
    for pack in builtin::packs() {
        for document in &pack.documents {
            for example in examples::read(&pack::events(document)).unwrap() {
                let actual = differences(pack.name, &example.cluster, &events_of(&example));
                let of_example =
                    |difference| format!("{}, `{}`: {difference}", document.file, example.name);
                all.extend(actual.into_iter().map(of_example));
            }
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}
