//! Both engines must raise for the same events, given the same Sigma rules and events.
//!
//! Streams are ordered, without duplicates, and with times in whole seconds: beyond that the
//! engines differ, by design or by mistake. Events are at even seconds and time spans are odd,
//! because the other engine's windows include their start and ours do not.

use std::collections::BTreeSet;
use std::sync::Arc;

use detect::engine::Arrival;
use detect::examples::{self, Step};
use detect::{Document, Engine, Input, LoadOptions, RuleSet, Settings, builtin, export};
use differential::{Random, START};
use event::{Event, EventRef, ObjectReference, Stage, Status, Timestamp, UserInfo, v1};
use proptest::prelude::*;
use rsigma_eval::{CorrelationConfig, CorrelationEngine, JsonEvent};

const SECOND: i64 = 1_000_000;

/// The events that raise, as rule ID and audit ID.
type Raised = BTreeSet<(String, String)>;

/// Rules on single events that exclude each other, and correlations of them.
fn rules(seed: u64) -> String {
    let mut random = Random::new(seed);
    let mut documents = Vec::new();
    for (verb, more, condition) in [
        ("get", "", "s"),
        ("list", "  own:\n    user.username|startswith: 'robot'\n", "s and not own"),
        ("delete", "  tools:\n    userAgent|contains: 'kubectl'\n", "s and tools"),
        (
            "create",
            "  a:\n    objectRef.name|endswith: '1'\n  b:\n    responseStatus.code: 403\n",
            "s and (a or b)",
        ),
        ("patch", "  a:\n    objectRef.name|re: '^rp-[0-4]$'\n", "s and a"),
    ] {
        documents.push(format!(
            "title: {verb}\nid: {verb}\nname: {verb}\nstatus: test\nlevel: low\n\
             logsource: {{product: kubernetes, service: audit}}\ndetection:\n  s:\n    verb: {verb}\n{more}  \
             condition: {condition}\n"
        ));
    }
    let bases = ["get", "list", "delete", "create", "patch"];
    for number in 0..8 {
        let kind = *random.one_of(&["event_count", "value_count", "temporal", "temporal_ordered"]);
        let first = random.below(bases.len() as u64 - 2) as usize;
        let len = if kind.starts_with("temporal") {
            2 + random.below(2) as usize
        } else {
            1 + random.below(3) as usize
        };
        let list: String =
            bases[first..first + len].iter().map(|base| format!("    - {base}\n")).collect();
        let condition = match kind {
            "event_count" => format!("  condition:\n    gte: {}\n", 2 + random.below(5)),
            "value_count" => {
                format!(
                    "  condition:\n    field: objectRef.name\n    gte: {}\n",
                    2 + random.below(4)
                )
            }
            // The other engine's default for a temporal correlation is one rule instead of all.
            "temporal" => format!("  condition:\n    gte: {len}\n"),
            _ => String::new(),
        };
        let group = *random.one_of(&["user.username", "objectRef.namespace"]);
        let timespan = 2 * random.below(120) + 11;
        documents.push(format!(
            "title: c{number}\nid: c{number}\nstatus: test\nlevel: high\ncorrelation:\n  type: {kind}\n  \
             rules:\n{list}  group-by:\n    - {group}\n  timespan: {timespan}s\n{condition}"
        ));
    }
    documents.join("---\n")
}

fn events(seed: u64, count: usize) -> Vec<Event> {
    let mut random = Random::new(seed);
    let mut time = START;
    let mut event = |number| {
        time += 2 * SECOND * (1 + random.below(12) as i64);
        let verb = *random.one_of(&["get", "list", "delete", "create", "patch", "watch"]);
        let stamp = Timestamp::from_micros(time);
        let mut event = Event::internal(Stage::ResponseComplete, verb, stamp);
        event.audit_id = format!("event-{number}");
        event.user = UserInfo {
            username: (*random.one_of(&["alice", "bob", "robot-1"])).to_owned(),
            ..UserInfo::default()
        };
        event.user_agent = (*random.one_of(&["kubectl/v1.37.0", "curl/8"])).to_owned();
        event.request_uri = "/".to_owned();
        event.object_ref = Some(ObjectReference {
            resource: "restorepoints".to_owned(),
            namespace: (*random.one_of(&["shop", "bank"])).to_owned(),
            name: format!("rp-{}", random.below(6)),
            ..ObjectReference::default()
        });
        let code = *random.one_of(&[200, 403]);
        event.response_status = Some(Status { code, ..Status::default() });
        event
    };
    (0..count).map(&mut event).collect()
}

fn ours(rules: &str, events: &[Event]) -> Raised {
    let documents = [Document::new("rules.yaml", rules)];
    let rules = RuleSet::load(&documents, &LoadOptions::default()).unwrap_or_else(|errors| {
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        panic!("{}", errors.join("\n"))
    });
    let rules = Arc::new(rules);
    let settings = Settings { arrival: Arrival::Observed, ..Settings::default() };
    let mut engine = Engine::new(Arc::clone(&rules), settings);
    engine.keep_matches();
    for event in events {
        let view = EventRef::from(event);
        let arrival = event.stage_timestamp;
        let input = Input { source: "journal", cluster: "", arrival, event: &view };
        engine.process(&input, &mut Vec::new());
    }
    engine.finish(&mut Vec::new());
    let matches = engine.take_matches().into_iter();
    let raised = matches.map(|it| (rules.rules()[it.rule].id.clone(), it.audit_id));
    // A rule that no correlation counts raises signals itself. Only correlations are compared.
    raised.filter(|(rule, _)| rule.starts_with('c') && rule != "create").collect()
}

fn theirs(rules: &str, events: &[Event]) -> Raised {
    let collection = rsigma_parser::parse_sigma_yaml(rules).unwrap();
    assert!(collection.errors.is_empty(), "{:?}", collection.errors);
    let mut engine = CorrelationEngine::new(CorrelationConfig {
        timestamp_fields: vec!["stageTimestamp".to_owned()],
        emit_detections: false,
        ..CorrelationConfig::default()
    });
    engine.add_collection(&collection).unwrap();
    let mut raised = Raised::new();
    for event in events {
        let mut line = Vec::new();
        v1::write(&EventRef::from(event), &mut line);
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        for result in engine.process_event(&JsonEvent::borrow(&value)) {
            if result.is_correlation() {
                let id = result.header.rule_id.clone().unwrap_or_default();
                raised.insert((id, event.audit_id.clone()));
            }
        }
    }
    raised
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_events_raise(rules_seed in any::<u64>(), events_seed in any::<u64>()) {
        let rules = rules(rules_seed);
        let events = events(events_seed, 120);
        let (ours, theirs) = (ours(&rules, &events), theirs(&rules, &events));
        let only_ours: Vec<_> = ours.difference(&theirs).collect();
        let only_theirs: Vec<_> = theirs.difference(&ours).collect();
        prop_assert!(ours == theirs, "{}\nonly ours {:?}\nonly theirs {:?}", rules, only_ours, only_theirs);
    }
}

#[test]
fn the_streams_of_this_test_raise() {
    let mut raised = BTreeSet::new();
    for seed in 1..40 {
        let found = ours(&rules(seed * 7919), &events(seed * 104_729, 120));
        raised.extend(found.into_iter().map(|(rule, _)| rule));
    }
    assert_eq!(raised.len(), 8, "{raised:?}");
}

/// The matches of exported rules on single events, as rule ID and audit ID.
fn matches_of_ours(rules: &RuleSet, events: &[Event]) -> Raised {
    let mut found = Raised::new();
    for event in events {
        let view = EventRef::from(event);
        rules.for_each_match(&rules.fields(&view, ""), |rule| {
            found.insert((rules.rules()[rule].id.clone(), event.audit_id.clone()));
        });
    }
    found
}

/// The event as the other engine reads it.
fn line(event: &Event, as_kasten: bool) -> serde_json::Value {
    let mut line = Vec::new();
    let view = EventRef::from(event);
    if as_kasten {
        event::k10::write(&view, &event::k10::LineContext::default(), &mut line);
    } else {
        v1::write(&view, &mut line);
    }
    serde_json::from_slice(&line).unwrap()
}

/// The matches of exported rules in the other engine. `lines` are the events as it reads them.
fn matches_of_theirs(detections: &str, events: &[Event], lines: &[serde_json::Value]) -> Raised {
    let collection = rsigma_parser::parse_sigma_yaml(detections).unwrap();
    assert!(collection.errors.is_empty(), "{:?}", collection.errors);
    let mut engine = rsigma_eval::Engine::new();
    engine.add_collection(&collection).unwrap();
    let mut found = Raised::new();
    for (event, line) in events.iter().zip(lines) {
        for result in engine.evaluate(&JsonEvent::borrow(line)) {
            let id = result.header.rule_id.clone().unwrap_or_default();
            found.insert((id, event.audit_id.clone()));
        }
    }
    found
}

/// The events of the built-in rules' examples.
fn events_of_examples() -> Vec<Event> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../");
    let mut events = Vec::new();
    for document in builtin::documents() {
        let path = root.to_owned() + &document.file.replace(".yaml", ".events.ndjson");
        let text = std::fs::read_to_string(&path).unwrap();
        for example in examples::read(&text).unwrap() {
            for step in example.steps {
                if let Step::Event(mut event) = step {
                    event.audit_id = format!("event-{}", events.len());
                    events.push(*event);
                }
            }
        }
    }
    events
}

/// For our engine, an empty list of finalizers does not exist; for the other engine, it does.
const EMPTY_LIST: &str = "backup-finalizers-stripped.yml";
/// The examples of this rule remove a field, which the exported rule cannot express.
const REMOVAL: &str = "openshift-backup-schedule-removed-by-service-account.yml";

#[test]
fn exported_sigma_matches_the_same_events_in_both_engines() {
    let options = LoadOptions::default();
    let pack = RuleSet::load(builtin::documents(), &options).unwrap();
    let target = export::named("sigma").unwrap();
    let events = events_of_examples();
    let mut differences = Vec::new();
    for profile in target.profiles() {
        let lines: Vec<_> =
            events.iter().map(|event| line(event, profile.name == "kasten")).collect();
        let choice = export::Choice {
            profile,
            format: &target.formats()[0],
            options: &options,
            has_suppressions: false,
        };
        let files: Vec<export::File> = export::raising(&pack)
            .flat_map(|rule| export::export(&pack, rule, target, &choice, true).files)
            .collect();
        assert!(files.len() > 100, "{} files", files.len());
        for file in &files {
            // The other engine reads the whole file.
            let whole = rsigma_parser::parse_sigma_yaml(&file.text).unwrap();
            assert!(whole.errors.is_empty(), "{}: {:?}", file.name, whole.errors);
            let mut engine = CorrelationEngine::new(CorrelationConfig::default());
            engine.add_collection(&whole).unwrap();
            let parts = file.text.split("---\n").filter(|part| part.contains("\ndetection:"));
            let detections = parts.collect::<Vec<_>>().join("---\n");
            let rules = RuleSet::load(&[Document::new(&file.name, &detections)], &options).unwrap();
            let ours = matches_of_ours(&rules, &events);
            let theirs = matches_of_theirs(&detections, &events, &lines);
            for (engine, more) in [("ours", &ours - &theirs), ("theirs", &theirs - &ours)] {
                if !more.is_empty() && file.name != EMPTY_LIST {
                    differences.push(format!(
                        "{} of {}, only {engine}: {more:?}",
                        file.name, profile.name
                    ));
                }
            }
            if ours.is_empty() && file.name != REMOVAL {
                differences.push(format!("{} of {}: no event meets it", file.name, profile.name));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
