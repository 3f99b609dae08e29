//! Evaluates exported plain Sigma with our own engine, which reads it like any other rule.

use std::collections::BTreeMap;
use std::sync::Arc;

use detect::export::Exported;
use detect::{Document, Engine, Fields, Input, LoadOptions, RuleSet, Settings, rule};
use event::{Event, EventRef};

use super::meaning::{Evaluator, Groups};
use crate::pack;

struct Plain {
    /// All rules in one set: their names differ.
    rules: Arc<RuleSet>,
    /// The ID of each exported rule, and the index of the rule that raises its signals.
    raising: Vec<Option<(String, usize)>>,
}

/// Reads exported rules.
pub(super) fn evaluator(rules: &[Exported]) -> Box<dyn Evaluator> {
    let files = rules.iter().flat_map(|rule| &rule.files);
    let documents: Vec<Document> =
        files.map(|file| Document::new(&file.name, &file.text)).collect();
    assert!(documents.iter().all(|document| !document.text.contains("\nkeepwatch:")));
    let set = RuleSet::load(&documents, &LoadOptions::default())
        .unwrap_or_else(|errors| panic!("{errors:#?}"));
    let raising = |exported: &Exported| {
        exported.files.first()?;
        let name = exported.rule.replace('-', "_");
        Some((exported.rule.clone(), set.find(&name).unwrap()))
    };
    let raising = rules.iter().map(raising).collect();
    Box::new(Plain { rules: Arc::new(set), raising })
}

impl Evaluator for Plain {
    fn alerts(&self, cluster: &str, events: &[Event]) -> Vec<Groups> {
        let mut of_rule: BTreeMap<usize, Groups> = BTreeMap::new();
        let mut engine = Engine::new(Arc::clone(&self.rules), Settings::default());
        let mut changes = Vec::new();
        for event in events {
            let view = EventRef::from(event);
            let arrival = event.stage_timestamp;
            engine.process(&Input { source: "s", cluster, arrival, event: &view }, &mut changes);
            let fields = Fields::new(&view).with_cluster(cluster);
            self.rules.for_each_match(&fields, |rule| {
                if let Some(group) = self.group(rule, &fields) {
                    of_rule.entry(rule).or_default().insert(group);
                }
            });
        }
        engine.finish(&mut changes);
        for change in changes {
            let spec = &change.signal.spec;
            let Some(rule) = self.rules.find(&spec.rule.id) else { continue };
            if matches!(self.rules.rules()[rule].body, rule::Body::Correlation(_)) {
                let group = spec.group_by.iter().map(|part| part.value.clone()).collect();
                of_rule.entry(rule).or_default().insert(group);
            }
        }
        let alerts = |rule: &Option<(String, usize)>| {
            rule.as_ref().and_then(|(_, rule)| of_rule.get(rule)).cloned().unwrap_or_default()
        };
        self.raising.iter().map(alerts).collect()
    }
}

impl Plain {
    /// A rule on single events has no groups. Its events are grouped as in our rule.
    fn group(&self, rule: usize, fields: &Fields<'_>) -> Option<Vec<String>> {
        let (id, _) = self.raising.iter().flatten().find(|(_, other)| *other == rule)?;
        let pack = pack::all();
        let keys = pack.rules()[pack.find(id).unwrap()].signal.group_by.iter();
        Some(keys.map(|key| fields.text(key).unwrap_or_default().into_owned()).collect())
    }
}
