//! The detector's rules and suppressions, and their changes.
//!
//! The built-in packs are also in the store as `DetectionRule` objects, so that users see them and
//! can disable rules. Both kinds are watched in the store. Statistics of rules are written into the
//! objects periodically.
//!
//! Deliberately absent: validation of rules, which happens when users write them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use apimachinery::ApiError;
use apiserver::{Clock as _, Registry, ResourceId};
use delivery::{DetectorRules, DetectorStatus};
use detect::builtin;
use detect::engine::SuppressionStatistics;
use detect::{LoadOptions, RuleSet};
use event::Timestamp;
use siem::detection_rule::{self, BuiltinRule, DETECTION_RULES, RuleStatistics};
use siem::signal::retention;
use siem::suppression::{self, SUPPRESSIONS};
use store::{ReadError, Sqlite, Storage as _, Watch};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::clock::SystemClock;

/// Interval at which statistics are written and expired suppressions are marked.
const UPKEEP_PERIOD: Duration = Duration::from_secs(15);
/// Interval at which old signals are removed.
const SWEEP_PERIOD: Duration = Duration::from_mins(10);
/// Pause after a failed read of the store.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Reads the stored rules and suppressions.
pub(super) struct RuleSource {
    registry: Registry,
    store: Sqlite,
    options: LoadOptions,
}

/// Watches the stored rules and suppressions, and passes them to the detector.
pub(crate) struct RuleFollower {
    source: RuleSource,
    /// Opened before the detector's first rules were read, so that no change is missed.
    watches: Watches,
    rules: watch::Sender<DetectorRules>,
    status: watch::Receiver<DetectorStatus>,
    /// Why objects are not evaluated, by name.
    errors: Vec<(String, String)>,
    /// The counters that were last written to the objects, and the time of the write.
    written: Option<(Counters, Timestamp)>,
}

/// Statistics of rules and suppressions, which are written into their objects.
#[derive(Clone, PartialEq)]
struct Counters {
    rules: Vec<RuleStatistics>,
    errors: Vec<(String, String)>,
    suppressions: Vec<SuppressionStatistics>,
}

/// The watches of the stored rules and suppressions.
pub(super) struct Watches {
    rules: Watch,
    suppressions: Watch,
}

impl RuleSource {
    pub(super) fn new(registry: Registry, store: Sqlite, options: LoadOptions) -> Self {
        Self { registry, store, options }
    }

    /// Writes the built-in rules into the store, or those that the server's own events can match.
    pub(super) async fn install(&self, has_other_events: bool) -> Result<()> {
        let documents =
            if has_other_events { builtin::documents() } else { builtin::own_documents() };
        let rules: Vec<BuiltinRule> = documents
            .iter()
            .map(|document| BuiltinRule {
                name: stem(&document.file).to_owned(),
                sigma: document.text.clone().into_owned(),
            })
            .collect();
        let options = self.options.clone();
        let installed = self.registry.run_as_server(move |objects| {
            let names = detection_rule::install(objects, &rules, &options)?;
            for name in names {
                tracing::warn!(
                    rule = name,
                    "a built-in rule is missing: a rule of a user has its name"
                );
            }
            Ok(())
        });
        installed.await.map_err(|error| failure("the built-in rules cannot be stored", &error))
    }

    /// The current rules and suppressions, and the reasons why some are skipped.
    pub(super) async fn load(&self) -> Result<(DetectorRules, Vec<(String, String)>)> {
        let message = "the rules cannot be read";
        let documents = detection_rule::load(&self.registry).await;
        let mut documents = documents.map_err(|error| failure(message, &error))?;
        // A rule with the id of a built-in one does not replace it.
        documents.sort_by_key(|document| !is_builtin(&document.file));
        let (rules, errors) = RuleSet::load_lenient(&documents, &self.options);
        let errors: Vec<(String, String)> =
            errors.iter().map(|error| (error.file.clone(), error.to_string())).collect();
        for (rule, error) in &errors {
            tracing::warn!(rule, error, "a rule is not evaluated");
        }
        let loaded = suppression::load(&self.registry, &self.options, SystemClock.now()).await;
        let suppressions = loaded.map_err(|error| failure(message, &error))?;
        let suppressions = suppressions.into_iter().map(|suppression| detect::Suppression {
            name: suppression.name,
            rules: suppression.rules,
            events: Some(suppression.events),
            expires: Some(suppression.expires_at),
        });
        let rules = Arc::new(rules.without_documentation());
        let rules = DetectorRules { rules, suppressions: suppressions.collect() };
        Ok((rules, errors))
    }

    /// Watches every change from now on.
    pub(super) async fn watches(&self) -> Result<Watches, ReadError> {
        let rules = self.watch(DETECTION_RULES).await?;
        let suppressions = self.watch(SUPPRESSIONS).await?;
        Ok(Watches { rules, suppressions })
    }

    async fn watch(&self, kind: ResourceId) -> Result<Watch, ReadError> {
        let prefix = format!("{}/{}/", kind.group, kind.plural);
        let newest = self.store.newest_revision().await?;
        self.store.watch(&prefix, newest).await
    }
}

impl RuleFollower {
    pub(super) fn new(
        source: RuleSource,
        watches: Watches,
        rules: watch::Sender<DetectorRules>,
        status: watch::Receiver<DetectorStatus>,
        errors: Vec<(String, String)>,
    ) -> Self {
        Self { source, watches, rules, status, errors, written: None }
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let Err(mut error) = self.follow().await;
            loop {
                tracing::warn!(%error, "changes of rules are not visible at the moment");
                tokio::time::sleep(RETRY_PAUSE).await;
                match self.restart().await {
                    Ok(()) => break,
                    Err(again) => error = again,
                }
            }
        }
    }

    /// Reopens the watches, and reads the changes in between.
    async fn restart(&mut self) -> Result<()> {
        self.watches = self.source.watches().await?;
        self.reload().await
    }

    async fn follow(&mut self) -> Result<std::convert::Infallible> {
        let mut upkeep = tokio::time::interval(UPKEEP_PERIOD);
        upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sweep = tokio::time::interval(SWEEP_PERIOD);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // Statistics do not change what is evaluated.
                changes = self.watches.rules.next() => {
                    if changes?.iter().any(is_change_of_spec) {
                        self.reload().await?;
                    }
                }
                changes = self.watches.suppressions.next() => {
                    if changes?.iter().any(is_change_of_spec) {
                        self.reload().await?;
                    }
                }
                _ = upkeep.tick() => self.write_statistics().await,
                _ = sweep.tick() => self.remove_old_signals().await,
            }
        }
    }

    async fn reload(&mut self) -> Result<()> {
        let (rules, errors) = self.source.load().await?;
        self.errors = errors;
        self.rules.send_if_modified(|current| {
            let is_new = !is_same(current, &rules);
            *current = rules;
            is_new
        });
        Ok(())
    }

    async fn write_statistics(&mut self) {
        let (counters, now) = (self.counters(), SystemClock.now());
        if self
            .written
            .as_ref()
            .is_some_and(|(written, at)| *written == counters && !self.has_expired(*at, now))
        {
            return;
        }
        let (registry, copy) = (self.source.registry.clone(), counters.clone());
        // These are the server's own counters, not changes by a client, so they leave no audit
        // event.
        let written = store::write(&self.source.store, move |transaction| {
            registry.unaudited(transaction, |objects| -> Result<(), ApiError> {
                detection_rule::record_statistics(objects, &copy.rules, &copy.errors)?;
                for statistics in
                    copy.suppressions.iter().filter(|statistics| statistics.signals > 0)
                {
                    suppression::record_hidden(
                        objects,
                        &statistics.suppression,
                        statistics.signals,
                        now,
                    )?;
                }
                suppression::expire(objects, now)
            })
        });
        let written = written.await.map_err(anyhow::Error::from).and_then(|outcome| {
            outcome.map_err(|error| failure("an object cannot be written", &error))
        });
        match written {
            Ok(()) => self.written = Some((counters, now)),
            Err(error) => tracing::warn!(%error, "the statistics of rules are not written"),
        }
    }

    fn counters(&self) -> Counters {
        let DetectorStatus { rules, suppressions, costs, .. } = self.status.borrow().clone();
        let rules = rules.into_iter().map(|status| RuleStatistics {
            cost: costs.get(&status.rule).copied(),
            rule: status.rule,
            evaluated: status.evaluated,
            matched: status.matched,
            signals: status.signals,
            last_fired: status.last_fired,
        });
        Counters { rules: rules.collect(), errors: self.errors.clone(), suppressions }
    }

    /// Whether a suppression expired between two times.
    fn has_expired(&self, after: Timestamp, until: Timestamp) -> bool {
        let rules = self.rules.borrow();
        let mut ends = rules.suppressions.iter().filter_map(|suppression| suppression.expires);
        ends.any(|end| after < end && end <= until)
    }

    async fn remove_old_signals(&mut self) {
        let (policy, now) = (retention::Retention::default(), SystemClock.now());
        match retention::sweep(&self.source.registry, &policy, now).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "old signals are removed"),
            Err(error) => {
                tracing::warn!(message = error.status.message, "old signals are not removed");
            }
        }
    }
}

/// Whether both evaluate events in the same way.
fn is_same(left: &DetectorRules, right: &DetectorRules) -> bool {
    let (left_rules, right_rules) = (left.rules.rules(), right.rules.rules());
    left.suppressions.is_empty()
        && right.suppressions.is_empty()
        && left_rules.len() == right_rules.len()
        && left_rules.iter().zip(right_rules).all(|(left, right)| left.has_text_of(right))
}

/// Whether more than the status changed, which increments the generation.
fn is_change_of_spec(change: &store::Change) -> bool {
    let generation = |object: &store::Object| {
        let body: serde_json::Value = serde_json::from_slice(&object.body).unwrap_or_default();
        body["metadata"]["generation"].as_u64()
    };
    let Some(previous) = &change.previous else { return true };
    change.kind == store::ChangeKind::Deleted
        || generation(previous).is_none()
        || generation(previous) != generation(&change.object)
}

fn is_builtin(name: &str) -> bool {
    builtin::documents().iter().any(|document| stem(&document.file) == name)
}

/// The name of a file without folder and extension.
fn stem(file: &str) -> &str {
    let name = file.rsplit_once('/').map_or(file, |(_, name)| name);
    name.strip_suffix(".yaml").unwrap_or(name)
}

fn failure(what: &str, error: &ApiError) -> anyhow::Error {
    anyhow!("{what}: {}", error.status.message)
}
