//! The built-in rules on the events of their examples.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use detect::examples::{self, Step};
use detect::{
    Document, Engine, Expression, Fields, Input, LoadOptions, RuleSet, Settings, builtin, rule,
    sigma,
};
use event::term::RecordFields;
use event::{Event, EventRef};
use serde_json::json;

use super::acts::{Act, HOUR};

/// The folder of the packs.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../rules")
}

/// The events file of a rule file.
pub(super) fn events(document: &Document) -> String {
    let name = document.file.strip_prefix("rules/").unwrap();
    let name = name.strip_suffix(".yaml").unwrap();
    std::fs::read_to_string(folder().join(format!("{name}.events.ndjson"))).unwrap()
}

pub(super) fn all() -> Arc<RuleSet> {
    static ALL: LazyLock<Arc<RuleSet>> =
        LazyLock::new(|| match RuleSet::load(builtin::documents(), &LoadOptions::default()) {
            Ok(rules) => Arc::new(rules),
            Err(errors) => panic!("{errors:#?}"),
        });
    Arc::clone(&ALL)
}

/// The rules of one pack.
pub(super) fn rules_of(pack: &str) -> Arc<RuleSet> {
    static PACKS: LazyLock<BTreeMap<&str, Arc<RuleSet>>> = LazyLock::new(|| {
        let load = |pack: &'static builtin::Pack| {
            let rules = RuleSet::load(&pack.documents, &LoadOptions::default());
            (pack.name, Arc::new(rules.unwrap()))
        };
        builtin::packs().iter().map(load).collect()
    });
    Arc::clone(&PACKS[pack])
}

#[test]
fn every_rule_raises_exactly_the_signals_that_its_events_file_expects() {
    let mut failures = Vec::new();
    for document in builtin::documents() {
        let report = examples::check(document, &events(document), &LoadOptions::default());
        let of_file = report.failures.iter().map(|failure| format!("{}: {failure}", document.file));
        failures.extend(of_file);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The detector skips most events after reading their first fields.
#[test]
fn a_skipped_event_leaves_the_same_state_as_an_evaluated_one() {
    let (mut full, mut skipping) =
        (Engine::new(all(), Settings::default()), Engine::new(all(), Settings::default()));
    let (mut expected, mut actual, mut passed) = (Vec::new(), Vec::new(), 0);
    // For each event, a similar one that no rule matches.
    let ordinary = |event: &Event| {
        let mut event = event.clone();
        event.verb = "get".to_owned();
        let object = event.object_ref.get_or_insert_default();
        (object.resource, object.api_group) = ("widgets".to_owned(), "example.com".to_owned());
        event
    };
    for document in builtin::documents() {
        for step in
            examples::read(&events(document)).unwrap().iter().flat_map(|example| &example.steps)
        {
            let event = match step {
                Step::Event(event) => event,
                Step::Clock(time) => {
                    full.advance(*time, &mut expected);
                    skipping.advance(*time, &mut actual);
                    continue;
                }
            };
            for event in [&**event, &ordinary(event)] {
                let (record, arrival) = (event::record::write(event), event.stage_timestamp);
                let view = EventRef::parse(&record).unwrap();
                let input = |event| Input { source: "local", cluster: "prod-eu", arrival, event };
                full.process(&input(&view), &mut expected);
                let fields = RecordFields::parse(&record).unwrap();
                if skipping.process_unmatched(&fields, arrival, &mut actual) {
                    passed += 1;
                } else {
                    skipping.process(&input(&view), &mut actual);
                }
            }
        }
    }
    assert!(passed > 500 && !actual.is_empty(), "{passed} of them are passed over");
    assert_eq!(actual, expected);
    assert!(skipping.checkpoint() == full.checkpoint());
}

/// Sends cancellations of actions with these names, each recorded by two sources, one of them
/// without bodies. Returns the rules that raise signals, with their numbers of events.
fn cancel(names: &[&str], is_body_first: bool) -> Vec<(String, u64)> {
    let mut engine = Engine::new(all(), Settings::default());
    let mut changes = Vec::new();
    for (id, name) in names.iter().enumerate() {
        for is_second in [false, true] {
            let act = Act {
                at: HOUR * i64::try_from(id).unwrap() + i64::from(is_second) * 2000,
                user: "mallory".to_owned(),
                verb: "create".to_owned(),
                resource: "cancelactions".to_owned(),
                namespace: format!("app-{id}"),
                body: Some(json!({"spec": {"subject": {"name": name}}})),
                is_bodyless: is_second == is_body_first,
                ..Act::default()
            };
            let event = act.event(id);
            let (source, arrival) = (["one", "two"][usize::from(is_second)], event.stage_timestamp);
            let event = &EventRef::from(&event);
            engine.process(&Input { source, cluster: "prod", arrival, event }, &mut changes);
        }
    }
    engine.finish(&mut changes);
    let mut latest = BTreeMap::new();
    for change in changes {
        let spec = &change.signal.spec;
        latest.insert(spec.rule.id.clone(), spec.count);
    }
    latest.into_iter().collect()
}

#[test]
fn cancellations_in_two_logs_one_without_bodies_raise_one_signal_and_count_once() {
    let rule = "kasten-cancelactions-excessive-creation";
    let names = ["a", "b", "c", "d", "e", "f"];
    assert_eq!(cancel(&names[..4], true), []);
    assert_eq!(cancel(&names, true), [(rule.to_owned(), 6)]);
    // Documented: requests that are first reported without bodies count as that.
    assert_eq!(cancel(&names, false), [(format!("{rule}-without-body"), 6)]);
    assert_eq!(cancel(&names[..4], false), []);
    // Documented: without a body, attempts at one action look like attempts at several.
    assert_eq!(cancel(&["a"; 4], true), []);
    assert_eq!(cancel(&["a"; 6], true), [(format!("{rule}-without-body"), 6)]);
}

#[test]
fn every_file_in_a_folder_belongs_to_a_built_in_rule_of_its_pack() {
    let names = |folder: PathBuf| -> BTreeSet<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let packs: BTreeSet<String> =
        builtin::packs().iter().map(|pack| pack.name.to_owned()).collect();
    assert_eq!(names(folder()), packs);
    for pack in builtin::packs() {
        let prefix = format!("rules/{}/", pack.name);
        let expected: BTreeSet<String> = pack
            .documents
            .iter()
            .map(|document| document.file.strip_prefix(&prefix).unwrap().to_owned())
            .flat_map(|yaml| [yaml.replace(".yaml", ".events.ndjson"), yaml])
            .collect();
        assert_eq!(names(folder().join(pack.name)), expected, "{}", pack.name);
    }
}

/// A detection rule is an object with the name of its file, without the folder.
#[test]
fn no_two_packs_have_a_file_of_the_same_name() {
    let mut known = BTreeSet::new();
    for document in builtin::documents() {
        let (_, name) = document.file.rsplit_once('/').unwrap();
        assert!(known.insert(name), "{name} is in two packs");
    }
}

#[test]
fn the_rules_that_k10_documents_are_built_in_as_documented() {
    let documented = [
        ("Kasten RestorePoints Manually Deleted", "low", "deleted_k10_rps"),
        ("Kasten RestorePointContents Manually Deleted", "high", "deleted_k10_rpcs"),
        ("Kasten ClusterRestorePoints Manually Deleted", "high", "deleted_k10_crps"),
    ];
    let rules = all();
    for (title, severity, query) in documented {
        let rule = rules.rules().iter().find(|rule| rule.title == title).unwrap();
        assert_eq!(rule.severity.as_str(), severity, "{title}");
        assert_eq!(rule.signal.query, query);
        assert_eq!(rule.tags, ["attack.impact", "attack.t1490"]);
        let message = rule.signal.message.as_ref().unwrap().variables();
        for variable in ["@User.username", "@network.ip.list"] {
            assert!(message.contains(&variable), "{title}: {variable}");
        }
        let variable = if severity == "low" { "@ObjectRef.Namespace" } else { "cluster-name" };
        assert!(message.contains(&variable), "{title}: {variable}");
    }
}

/// A detection with one of its selections as its condition. The other selections are used without
/// effect, because an unused selection is an error.
fn with_condition(text: &str, selection: &str) -> String {
    let mut is_condition = false;
    let lines = text.lines().map(|line| {
        // A folded condition continues on lines that are indented further.
        is_condition =
            line.starts_with("  condition:") || (is_condition && line.starts_with("    "));
        if line.starts_with("  condition:") {
            format!("  condition: {selection} and (1 of them or not 1 of them)\n")
        } else if is_condition {
            String::new()
        } else {
            format!("{line}\n")
        }
    });
    lines.collect()
}

fn expression(text: &str) -> Expression {
    let document = [Document::new("selection", text)];
    // Of one rule of a file: the rules that it supersedes are not there.
    let (rules, errors) = RuleSet::load_lenient(&document, &LoadOptions::default());
    assert!(errors.is_empty(), "{errors:?}");
    match &rules.rules()[0].body {
        rule::Body::Detection(expression) => expression.clone(),
        rule::Body::Correlation(_) => panic!("a detection"),
    }
}

#[test]
fn every_selection_of_every_rule_matters_in_its_examples() {
    let mut unused = Vec::new();
    for document in builtin::documents() {
        let examples = examples::read(&events(document)).unwrap();
        let events = || {
            examples.iter().flat_map(|example| &example.steps).filter_map(|step| match step {
                Step::Event(event) => Some(&**event),
                Step::Clock(_) => None,
            })
        };
        for document in RuleSet::read(document, &LoadOptions::default()).unwrap() {
            let sigma::Body::Rule(detection) = &document.body else { continue };
            for selection in &detection.selections {
                let expression = expression(&with_condition(&document.text, &selection.name));
                let is_met = |event| expression.matches(&Fields::new(&EventRef::from(event)));
                if !events().any(is_met) || events().all(is_met) {
                    let id = document.header.id.clone().unwrap_or_default();
                    unused.push(format!("{id}: {}", selection.name));
                }
            }
        }
    }
    assert!(unused.is_empty(), "{}", unused.join("\n"));
}

#[test]
fn every_rule_that_raises_signals_has_a_goal_and_a_response() {
    let mut silent = Vec::new();
    let rules = all();
    for rule in rules.rules().iter().filter(|rule| rule.raises) {
        let guide = &rule.signal.guide;
        let texts = [&rule.description, &guide.goal, &guide.strategy, &guide.response];
        let lists = [&rule.signal.blind_spots, &rule.false_positives, &rule.tags, &rule.references];
        let is_complete = texts.iter().all(|text| !text.is_empty())
            && lists.iter().all(|list| !list.is_empty())
            && rule.signal.title.is_some()
            && rule.signal.message.is_some();
        if !is_complete {
            silent.push(rule.id.clone());
        }
    }
    assert!(silent.is_empty(), "{silent:?}");
}
