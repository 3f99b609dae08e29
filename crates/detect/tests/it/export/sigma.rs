//! Runs plain Sigma by our own engine, which reads it like any other rule.

use std::sync::Arc;

use detect::export::Exported;
use detect::{Document, Engine, Fields, Input, LoadOptions, RuleSet, Settings, rule};
use event::{Event, View};

use super::meaning::{Evaluator, Groups};
use crate::it::pack;

struct Plain {
    rules: Vec<Option<(String, Arc<RuleSet>)>>,
}

/// Reads exported rules.
pub(super) fn evaluator(rules: &[Exported]) -> Box<dyn Evaluator> {
    let read = |exported: &Exported| {
        let file = exported.files.first()?;
        assert!(!file.text.contains("keepwatch:"), "{}", file.text);
        let documents = [Document::new(&file.name, &file.text)];
        let rules = RuleSet::load(&documents, &LoadOptions::default())
            .unwrap_or_else(|errors| panic!("{errors:#?}\n{}", file.text));
        Some((exported.rule.clone(), Arc::new(rules)))
    };
    Box::new(Plain { rules: rules.iter().map(read).collect() })
}

impl Evaluator for Plain {
    fn alerts(&self, cluster: &str, events: &[Event]) -> Vec<Groups> {
        let of = |rule: &Option<(String, Arc<RuleSet>)>| match rule {
            Some((id, rules)) => alerts(id, rules, cluster, events),
            None => Groups::new(),
        };
        self.rules.iter().map(of).collect()
    }
}

/// A rule on single events groups nothing: its events are put into the groups of our rule.
fn alerts(id: &str, rules: &Arc<RuleSet>, cluster: &str, events: &[Event]) -> Groups {
    let pack = pack::all();
    let original = &pack.rules()[pack.find(id).unwrap()];
    if let rule::Body::Detection(_) = original.body {
        let mut groups = Groups::new();
        for event in events {
            let view = View::from(event);
            let fields = Fields::new(&view).with_cluster(cluster);
            rules.for_each_match(&fields, |_| {
                let keys = original.signal.group_by.iter();
                let values = keys.map(|key| fields.text(key).unwrap_or_default().into_owned());
                groups.insert(values.collect());
            });
        }
        return groups;
    }
    let mut engine = Engine::new(Arc::clone(rules), Settings::default());
    let mut changes = Vec::new();
    for event in events {
        let event = &View::from(event);
        let arrival = event.stage_timestamp();
        engine.process(&Input { source: "s", cluster, arrival, event }, &mut changes);
    }
    engine.finish(&mut changes);
    let of_signal = |change: detect::SignalChange| {
        change.signal.spec.group_by.iter().map(|it| it.value.clone()).collect()
    };
    changes.into_iter().map(of_signal).collect()
}
