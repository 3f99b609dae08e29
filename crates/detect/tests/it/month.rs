//! A month of ordinary work on three clusters raises no signal above low, and the low signals count
//! exactly the requests that their rules describe.
//!
//! All events derive from a seed: policies with retention, an upgrade of K10 to one account per
//! service, restores, namespaces that are created and deleted, and the work of people on call.

use std::collections::BTreeMap;
use std::sync::Arc;

use detect::engine::UPDATE_DELAY;
use detect::{Engine, Input, Settings, SignalChange};
use event::{Event, EventRef, Severity, Signal, Timestamp};
use serde_json::json;

use super::acts::{Act, DAY, EXECUTOR, HOUR, K10, MINUTE, NAMESPACES, SECOND, heartbeat};
use super::export::meaning;
use super::pack;

const CLUSTERS: usize = 3;
/// On each cluster. A third is backed up every hour, the rest every day.
const APPLICATIONS: usize = 20;
const DAYS: i64 = 30;
/// The day of the upgrade of K10 to one account per service.
const UPGRADE: i64 = 12;
const PEOPLE: [&str; 6] = ["ana", "ben", "chi", "dev", "eva", "finn"];

/// A deterministic random generator, `SplitMix64`.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: i64) -> i64 {
        (self.next() >> 1).cast_signed() % bound
    }

    pub(super) fn happens(&mut self, percent: i64) -> bool {
        self.below(100) < percent
    }

    fn person(&mut self) -> String {
        PEOPLE[usize::try_from(self.below(6)).unwrap()].to_owned()
    }
}

/// The requests on one cluster, and the expected counts of the low rules.
#[derive(Default)]
struct Month {
    acts: Vec<Act>,
    expected: BTreeMap<&'static str, u64>,
}

impl Month {
    fn of(seed: u64) -> Self {
        let (mut month, mut random) = (Self::default(), Random(seed));
        for application in 0..APPLICATIONS {
            month.back_up(application, &mut random);
        }
        for day in 0..DAYS {
            month.people(day * DAY, &mut random);
            month.controllers(day * DAY, &mut random);
        }
        month.acts.sort_by_key(|act| act.at);
        month
    }

    fn act(&mut self, at: i64, user: &str, verb: &str, resource: &str, object: (&str, &str)) {
        self.acts.push(Act {
            at,
            user: user.to_owned(),
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            namespace: object.0.to_owned(),
            name: object.1.to_owned(),
            ..Act::default()
        });
    }

    fn last(&mut self) -> &mut Act {
        self.acts.last_mut().unwrap()
    }

    fn expect(&mut self, rule: &'static str, count: u64) {
        *self.expected.entry(rule).or_default() += count;
    }

    /// One application: backups and exports by its policy, and retention, all by K10.
    fn back_up(&mut self, application: usize, random: &mut Random) {
        let namespace = format!("app-{application}");
        let every = if application.is_multiple_of(3) { HOUR } else { DAY };
        let retained = if every == HOUR { 24 } else { 7 };
        let first = random.below(HOUR);
        for run in 0..(DAYS * DAY / every) {
            let at = first + run * every;
            let k10 = if at < UPGRADE * DAY { K10 } else { EXECUTOR };
            let (name, content) = (format!("rp-{run}"), format!("{namespace}-rp-{run}"));
            self.act(at, k10, "create", "runactions", ("kasten-io", ""));
            self.act(at + SECOND, k10, "create", "backupactions", (&namespace, &name));
            self.last().is_dry_run = true;
            self.act(at + 2 * SECOND, k10, "create", "backupactions", (&namespace, &name));
            self.act(at + 30 * SECOND, k10, "update", "backupactions", (&namespace, &name));
            "status".clone_into(&mut self.last().subresource);
            self.act(at + MINUTE, k10, "create", "restorepointcontents", ("", &content));
            self.act(at + MINUTE, k10, "create", "restorepoints", (&namespace, &name));
            if every == DAY || run % 24 == 0 {
                self.act(at + 5 * MINUTE, k10, "create", "exportactions", ("kasten-io", ""));
                self.act(at + 6 * MINUTE, k10, "get", "passkeys", ("", "k10-passkey"));
                self.act(at + 7 * MINUTE, k10, "patch", "storagerepositories", ("kasten-io", "r"));
            }
            if run >= retained {
                let (name, content) = (
                    format!("rp-{}", run - retained),
                    format!("{namespace}-rp-{}", run - retained),
                );
                self.act(at + 8 * MINUTE, k10, "delete", "restorepoints", (&namespace, &name));
                self.act(at + 8 * MINUTE, k10, "create", "retireactions", ("", &content));
                self.act(at + 9 * MINUTE, k10, "delete", "restorepointcontents", ("", &content));
            }
        }
    }

    /// A day of the people on call.
    fn people(&mut self, day: i64, random: &mut Random) {
        let namespace = format!("app-{}", random.below(20));
        if random.happens(30) {
            let (user, count) = (random.person(), 1 + random.below(2));
            let at = day + random.below(20 * HOUR);
            for n in 0..count {
                let name = format!("by-hand-{day}-{n}");
                self.act(at + n * MINUTE, &user, "delete", "restorepoints", (&namespace, &name));
            }
            self.expect("kasten-restorepoints-manually-deleted", count.unsigned_abs());
        }
        if random.happens(15) {
            let (at, user) = (day + random.below(DAY), random.person());
            for turn in 0..3 {
                let action = (namespace.as_str(), "");
                self.act(at + turn * MINUTE, &user, "create", "cancelactions", action);
                let name = format!("hangs-{day}");
                self.last().body = Some(json!({"spec": {"subject": {"name": name}}}));
            }
        }
        if random.happens(25) {
            let at = day + random.below(DAY);
            let is_copy = random.happens(20);
            let target = if is_copy { "test" } else { &namespace };
            self.act(at, &random.person(), "create", "restoreactions", (target, ""));
            self.last().body =
                Some(json!({"spec": {"subject": {"name": "rp", "namespace": namespace}}}));
            if is_copy {
                self.expect("kasten-restore-into-foreign-namespace", 1);
            }
        }
        for _ in 0..random.below(3) {
            let at = day + random.below(DAY);
            self.act(at, &random.person(), "delete", "restorepointcontents", ("", "no"));
            self.last().code = 403;
            self.act(at + MINUTE, &random.person(), "create", "backupactions", (&namespace, ""));
        }
        for _ in 0..20 {
            let at = day + random.below(DAY);
            self.act(at, &random.person(), "list", "restorepoints", (&namespace, ""));
            self.act(at + SECOND, &random.person(), "get", "restorepoints", (&namespace, "rp-1"));
        }
        // Labels on backups that K10 lets expire soon, and on a repository under maintenance.
        let person = random.person();
        for (resource, object, spec) in [
            ("restorepointcontents", ("", "c"), json!({"expiresAt": "2026-11-01T00:00:00Z"})),
            ("storagerepositories", ("kasten-io", "r"), json!({"disableMaintenance": true})),
        ] {
            self.act(day + random.below(DAY), &person, "patch", resource, object);
            self.last().body = Some(json!({"metadata": {"labels": {"team": "a"}}}));
            self.last().response = Some(json!({"metadata": {}, "spec": spec}));
        }
        // A GitOps pipeline compares the actual state with the desired one, as dry runs.
        let pipeline = "system:serviceaccount:ci:deployer";
        for turn in 0..8 {
            let at = day + turn * 3 * HOUR;
            self.act(at, pipeline, "patch", "storagerepositories", ("kasten-io", "r"));
            self.last().body = Some(json!({"spec": {"disableMaintenance": true}}));
            self.last().is_dry_run = true;
        }
    }

    /// A day of controllers: lists, and deletions of namespaces.
    fn controllers(&mut self, day: i64, random: &mut Random) {
        for turn in 0..48 {
            let at = day + turn * 30 * MINUTE;
            for resource in ["restorepoints", "restorepointcontents", "passkeys"] {
                self.act(at, EXECUTOR, "list", resource, ("", ""));
            }
            self.act(at, NAMESPACES, "list", "restorepoints", ("app-1", ""));
        }
        if random.happens(40) {
            let at = day + random.below(DAY);
            self.remove_namespace(at, &format!("preview-{day}"), 1 + random.below(6));
        }
        // The day after a release: the preview environments of a day are removed.
        if random.happens(10) {
            for number in 0..(10 + random.below(15)) {
                let at = day + number * 20 * MINUTE;
                self.remove_namespace(at, &format!("release-{day}-{number}"), 1);
            }
        }
    }

    /// The namespace controller empties a namespace: it first tries to delete all objects at once.
    fn remove_namespace(&mut self, at: i64, namespace: &str, count: i64) {
        for resource in ["restorepoints", "backupactions", "restoreactions"] {
            self.act(at, NAMESPACES, "deletecollection", resource, (namespace, ""));
            self.last().code = 405;
        }
        for n in 0..count {
            let at = at + n * SECOND / 10;
            self.act(at, NAMESPACES, "delete", "restorepoints", (namespace, &format!("rp-{n}")));
        }
        self.expect("kasten-restorepoints-deleted-with-namespace", count.unsigned_abs());
    }

    /// The events, with a heartbeat every five minutes and a longer pause during the upgrade.
    fn events(&self, cluster: usize) -> Vec<Event> {
        let beats = (0..(DAYS + 2) * DAY / (5 * MINUTE)).map(|beat| beat * 5 * MINUTE);
        let pause = |at| if at == UPGRADE * DAY { at + 4 * MINUTE } else { at };
        let beats = beats.map(pause).map(heartbeat);
        let acts = self.acts.iter().enumerate().map(|(id, act)| {
            let mut event = act.event(id);
            event.audit_id = format!("{cluster}-{id}");
            event
        });
        let mut events: Vec<Event> = acts.chain(beats).collect();
        events.sort_by_key(|event| event.stage_timestamp);
        events
    }
}

/// Runs a month. Also returns the number of events.
fn run(seed: u64) -> (Vec<Arc<Signal>>, BTreeMap<&'static str, u64>, usize) {
    let mut engine = Engine::new(pack::all(), Settings::default());
    let (mut events, mut expected) = (Vec::new(), BTreeMap::new());
    for cluster in 0..CLUSTERS {
        let month = Month::of(seed * 10 + u64::try_from(cluster).unwrap());
        events.extend(month.events(cluster).into_iter().map(|event| (cluster, event)));
        for (rule, count) in month.expected {
            *expected.entry(rule).or_default() += count;
        }
    }
    events.sort_by_key(|(_, event)| event.stage_timestamp);
    let (mut changes, mut latest): (Vec<SignalChange>, _) = (Vec::new(), BTreeMap::new());
    let mut end = 0;
    for (cluster, event) in &events {
        let event = &EventRef::from(event);
        let (arrival, cluster) = (event.stage_timestamp(), format!("cluster-{cluster}"));
        engine.process(&Input { source: "s", cluster: &cluster, arrival, event }, &mut changes);
        end = arrival.as_micros();
        keep_latest(&mut changes, &mut latest);
    }
    engine.advance(Timestamp::from_micros(end + UPDATE_DELAY), &mut changes);
    engine.finish(&mut changes);
    keep_latest(&mut changes, &mut latest);
    (latest.into_values().collect(), expected, events.len())
}

pub(super) fn keep_latest(
    changes: &mut Vec<SignalChange>,
    latest: &mut BTreeMap<String, Arc<Signal>>,
) {
    for change in changes.drain(..) {
        latest.insert(change.signal.id.clone(), change.signal);
    }
}

#[test]
fn a_month_of_ordinary_work_raises_only_the_expected_low_signals() {
    let (signals, expected, events) = run(1);
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for signal in &signals {
        let spec = &signal.spec;
        assert!(spec.severity <= Severity::Low, "{}: {}", spec.rule.id, spec.title);
        *counts.entry(&spec.rule.id).or_default() += spec.count;
    }
    assert_eq!(counts, expected);
    assert!(events > 100_000, "{events} events");
}

/// Keeps a few of each repeated request per day: all events would take too long for each target.
fn thinned(events: Vec<Event>) -> Vec<Event> {
    const A_DAY: u32 = 12;
    let mut counts: BTreeMap<(i64, String, String, String), u32> = BTreeMap::new();
    let mut is_kept = |event: &Event| {
        let day = event.stage_timestamp.as_micros() / DAY;
        let resource = event
            .object_ref
            .as_ref()
            .map(|reference| reference.resource.clone())
            .unwrap_or_default();
        let kind = (day, event.user.username.clone(), event.verb.clone(), resource);
        let count = counts.entry(kind).or_default();
        *count += 1;
        *count <= A_DAY
    };
    events.into_iter().filter(|event| is_kept(event)).collect()
}

#[test]
fn exported_rules_agree_with_the_engine_on_a_month_of_ordinary_work() {
    let events = thinned(Month::of(10).events(0));
    assert!(events.len() > 2_000, "{} events", events.len());
    meaning::check("kasten", "cluster-0", &events);
}
