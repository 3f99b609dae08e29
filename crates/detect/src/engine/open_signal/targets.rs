//! The distinct objects of a signal: the first objects, their number, resources and namespaces.

use std::collections::BTreeSet;

use event::signal::{Target, Targets};

use super::counter::Counter;
use super::names::Names;
use crate::engine::codec::{CheckpointError, Decoder, Saved};
use crate::engine::digest::Digest;
use crate::engine::event_summary::EventSummary;
use crate::engine::settings::{TARGETS_COUNTED_MAX, TARGETS_MAX, UNLISTED_MAX};

/// The distinct objects and their count.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DistinctTargets {
    items: Vec<Target>,
    /// Objects since the last change of the signal that are not in `items`.
    unlisted: BTreeSet<Target>,
    counter: Counter,
    /// Resources with their subresources: `pods/exec`.
    resources: Names,
    namespaces: Names,
}

impl DistinctTargets {
    /// Counts the object of an event.
    pub(crate) fn add(&mut self, summary: &EventSummary) {
        if summary.resource.is_empty() {
            return;
        }
        let parts = [
            &summary.api_group,
            &summary.resource,
            &summary.subresource,
            &summary.namespace,
            &summary.name,
        ];
        // The URL of a create has no object name, but each request creates another object.
        let request = if summary.verb == "create" && summary.name.is_empty() {
            summary.audit_id.as_str()
        } else {
            ""
        };
        let parts = parts.map(String::as_bytes).into_iter();
        let named = (!request.is_empty()).then_some(request.as_bytes());
        let is_new = self.counter.add(Digest::of(parts.chain(named)), TARGETS_COUNTED_MAX);
        let item = || Target {
            group: summary.api_group.clone(),
            resource: summary.resource.clone(),
            subresource: summary.subresource.clone(),
            namespace: summary.namespace.clone(),
            name: summary.name.clone(),
        };
        if is_new && self.items.len() < TARGETS_MAX {
            let item = item();
            if !self.items.contains(&item) {
                self.items.push(item);
            }
        } else if self.items.len() == TARGETS_MAX && self.unlisted.len() < UNLISTED_MAX {
            let item = item();
            if !self.items.contains(&item) {
                self.unlisted.insert(item);
            }
        }
        self.add_names(&summary.resource, &summary.subresource, &summary.namespace);
    }

    fn add_names(&mut self, resource: &str, subresource: &str, namespace: &str) {
        match subresource {
            "" => self.resources.add(resource),
            subresource => self.resources.add(&format!("{resource}/{subresource}")),
        }
        self.namespaces.add(namespace);
    }

    pub(crate) fn count(&self) -> u64 {
        self.counter.count()
    }

    /// Returns the objects since the last call that are not listed.
    pub(crate) fn take_unlisted(&mut self) -> Vec<Target> {
        std::mem::take(&mut self.unlisted).into_iter().collect()
    }

    /// The listed objects, in order of appearance.
    pub(crate) fn items(&self) -> &[Target] {
        &self.items
    }

    /// The resources of the objects, with their subresources.
    pub(crate) const fn resources(&self) -> &Names {
        &self.resources
    }

    /// The namespaces of the objects.
    pub(crate) const fn namespaces(&self) -> &Names {
        &self.namespaces
    }

    /// The targets section of the signal.
    pub(crate) fn to_targets(&self) -> Targets {
        Targets { count: self.count(), items: self.items.clone() }
    }
}

impl Saved for DistinctTargets {
    fn save(&self, to: &mut Vec<u8>) {
        self.items.save(to);
        self.counter.save(to);
        self.resources.save(to);
        self.namespaces.save(to);
        self.unlisted.iter().cloned().collect::<Vec<_>>().save(to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        let (items, counter) = (Vec::<Target>::load(from)?, Counter::load(from)?);
        let mut targets = Self { items, counter, ..Self::default() };
        if from.version < 2 {
            for item in targets.items.clone() {
                targets.add_names(&item.resource, &item.subresource, &item.namespace);
            }
        } else {
            (targets.resources, targets.namespaces) = (Names::load(from)?, Names::load(from)?);
            targets.unlisted = Vec::load(from)?.into_iter().collect();
        }
        Ok(targets)
    }
}

impl Saved for Target {
    fn save(&self, to: &mut Vec<u8>) {
        for part in [&self.group, &self.resource, &self.subresource, &self.namespace, &self.name] {
            part.save(to);
        }
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        Ok(Self {
            group: String::load(from)?,
            resource: String::load(from)?,
            subresource: String::load(from)?,
            namespace: String::load(from)?,
            name: String::load(from)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_exact_then_estimated_and_never_decreases() {
        let mut targets = DistinctTargets::default();
        let mut last = 0;
        for number in 0..50_000_u64 {
            let summary = EventSummary {
                resource: "restorepoints".into(),
                name: format!("rp-{number}"),
                ..EventSummary::default()
            };
            targets.add(&summary);
            targets.add(&summary);
            let count = targets.count();
            assert!(count >= last);
            last = count;
            let expected = number + 1;
            if expected <= TARGETS_COUNTED_MAX as u64 {
                assert_eq!(count, expected);
            } else {
                assert!(count.abs_diff(expected) * 10 <= expected, "{count} for {expected}");
            }
        }
        assert_eq!(targets.to_targets().items.len(), TARGETS_MAX);
        assert_eq!(targets.take_unlisted().len(), UNLISTED_MAX);
        assert!(targets.take_unlisted().is_empty());
    }
}
