//! The restore points and backups that an application has left after a deletion, and the newest
//! one.
//!
//! Watches the stored restore points and their contents and keeps, for each application, their
//! names by age. An entry takes some 60 bytes, so the backups of a large cluster take a few
//! megabytes. It also remembers which application a deleted object belonged to, because a delete
//! request does not contain it. For deletions before the start it reads the retained history of the
//! store, and the applications that the stored signal already names.
//!
//! Deliberately absent: whether a backup can still be restored. K10's data is not examined.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use delivery::Enricher;
use event::signal::{Remaining, Signal, SignalState, Target};
use kasten::Installation;
use kasten::kinds::{RESTORE_POINT, RESTORE_POINT_CONTENT};
use kasten::names::APP_NAMESPACE;
use serde_json::{Map, Value};
use siem::signal::SIGNALS;
use store::{Change, ChangeKind, ListOptions, Object, ReadError, Storage, Watch};

/// Maximum number of objects per read at the start.
const PAGE_OBJECTS: usize = 256;
/// Approximate maximum size of these objects, in bytes.
const PAGE_BYTES: usize = 1 << 20;
/// Maximum number of deleted objects of each kind whose application is remembered.
const DELETED_MAX: usize = 10_000;
/// Maximum number of applications in one signal; those with the fewest backups left come first.
pub(crate) const APPLICATIONS_MAX: usize = 50;
/// Maximum number of open signals whose applications are in memory; those of others are read from
/// the stored signal again.
const SIGNALS_MAX: usize = 1_000;
/// Maximum number of applications of a signal in memory.
const AFFECTED_MAX: usize = 1_000;

/// Creation time and name of an object, in this order, so that the last one of a set is the newest.
type Entry = (Box<str>, Box<str>);

/// The backups of all applications.
pub(crate) struct RemainingBackups {
    storage: Arc<dyn Storage>,
    /// The cluster of these backups.
    cluster: String,
    points: Tracker,
    contents: Tracker,
    /// The applications that an open signal affects, by the id of the signal.
    affected: BTreeMap<String, BTreeSet<String>>,
}

/// The objects of one kind, by application.
struct Tracker {
    group: &'static str,
    plural: &'static str,
    /// `None` before the start, and when the store has compacted the history since.
    watch: Option<Watch>,
    /// By namespace of the application.
    by_application: BTreeMap<Box<str>, BTreeSet<Entry>>,
    /// Key and application of deleted objects, oldest first.
    deleted: VecDeque<(Arc<str>, Box<str>)>,
}

impl RemainingBackups {
    /// Creates the cache, which is empty until it is started.
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        installation: &Installation,
        cluster: &str,
    ) -> Self {
        let tracker = |names| {
            let id = installation.id(names);
            Tracker::new(id.group, id.plural)
        };
        let (points, contents) = (tracker(RESTORE_POINT), tracker(RESTORE_POINT_CONTENT));
        let cluster = cluster.to_owned();
        Self { storage, cluster, points, contents, affected: BTreeMap::new() }
    }

    /// The remaining backups of the applications that a signal affects, at the newest committed
    /// change.
    async fn remaining(
        &mut self,
        signal: &Signal,
        unlisted: &[Target],
    ) -> Result<Vec<Remaining>, ReadError> {
        self.follow().await?;
        let mut applications = match self.affected.get(&signal.id) {
            Some(known) => known.clone(),
            None => stored_applications(&*self.storage, &signal.id).await?,
        };
        for target in signal.spec.targets.items.iter().chain(unlisted) {
            if applications.len() < AFFECTED_MAX
                && let Some(application) = self.application_of(target)
            {
                applications.insert(application.to_owned());
            }
        }
        let mut remaining: Vec<Remaining> =
            applications.iter().map(|name| self.of_application(name)).collect();
        remaining.sort_by_key(|entry| (entry.restore_point_contents, entry.restore_points));
        remaining.truncate(APPLICATIONS_MAX);
        remaining.sort_by(|left, right| left.application.cmp(&right.application));
        if self.affected.len() < SIGNALS_MAX || self.affected.contains_key(&signal.id) {
            self.affected.insert(signal.id.clone(), applications);
        }
        Ok(remaining)
    }

    /// The application of an object, if it has or had backups: a request can name any namespace.
    fn application_of<'a>(&'a self, target: &'a Target) -> Option<&'a str> {
        let trackers = [&self.points, &self.contents];
        let name = trackers.iter().find_map(|tracker| tracker.application_of(target))?;
        trackers.iter().any(|tracker| tracker.has_or_had(name)).then_some(name)
    }

    async fn follow(&mut self) -> Result<(), ReadError> {
        self.points.follow(&*self.storage).await?;
        self.contents.follow(&*self.storage).await
    }

    fn of_application(&self, application: &str) -> Remaining {
        let points = self.points.by_application.get(application);
        let contents = self.contents.by_application.get(application);
        let newest = contents.or(points).and_then(BTreeSet::last);
        Remaining {
            application: application.to_owned(),
            restore_points: points.map_or(0, BTreeSet::len) as u64,
            restore_point_contents: contents.map_or(0, BTreeSet::len) as u64,
            newest: newest.map(|(_, name)| name.to_string()).unwrap_or_default(),
            newest_time: newest.map(|(time, _)| time.to_string()).unwrap_or_default(),
        }
    }
}

#[async_trait]
impl Enricher for RemainingBackups {
    async fn start(&mut self) {
        if let Err(error) = self.follow().await {
            tracing::warn!(%error, "the backups of applications are not known yet");
        }
    }

    async fn enrich(&mut self, signal: &mut Signal, unlisted: &[Target]) {
        // The backups of other clusters are not known.
        if signal.spec.cluster != self.cluster {
            return;
        }
        match self.remaining(signal, unlisted).await {
            Ok(remaining) => signal.spec.remaining = remaining,
            Err(error) => {
                tracing::warn!(%error, "the backups that remain cannot be counted");
                // The stored numbers are used instead.
                if let Ok(stored) = stored_remaining(&*self.storage, &signal.id).await {
                    signal.spec.remaining = stored;
                }
            }
        }
        if signal.state == SignalState::Closed {
            self.affected.remove(&signal.id);
        }
    }
}

impl Tracker {
    fn new(group: &'static str, plural: &'static str) -> Self {
        Self {
            group,
            plural,
            watch: None,
            by_application: BTreeMap::new(),
            deleted: VecDeque::new(),
        }
    }

    fn prefix(&self) -> String {
        format!("{}/{}/", self.group, self.plural)
    }

    /// Applies every committed change.
    async fn follow(&mut self, storage: &dyn Storage) -> Result<(), ReadError> {
        loop {
            let Some(watch) = &mut self.watch else {
                self.list(storage).await?;
                continue;
            };
            match watch.next_committed().await {
                Ok(changes) if changes.is_empty() => return Ok(()),
                Ok(changes) => changes.iter().for_each(|change| self.apply(change)),
                Err(ReadError::Compacted { .. }) => self.watch = None,
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads the objects at the oldest revision that the store has, and watches from there, so that
    /// later deletions are seen.
    async fn list(&mut self, storage: &dyn Storage) -> Result<(), ReadError> {
        match self.list_at(storage, storage.oldest_revision()).await {
            // History was compacted in the meantime; the newest revision is never compacted
            // immediately.
            Err(ReadError::Compacted { .. }) => {
                self.list_at(storage, storage.newest_revision().await?).await
            }
            listed => listed,
        }
    }

    async fn list_at(&mut self, storage: &dyn Storage, revision: u64) -> Result<(), ReadError> {
        self.by_application.clear();
        let prefix = self.prefix();
        let mut start_after = None;
        loop {
            let options = ListOptions {
                at: Some(revision),
                start_after,
                limit: PAGE_OBJECTS,
                bytes_max: PAGE_BYTES,
                counts_rest: false,
            };
            let page = storage.list(&prefix, options).await?;
            page.items.iter().for_each(|object| self.insert(object));
            if page.next.is_none() {
                self.watch = Some(storage.watch(&prefix, page.revision).await?);
                return Ok(());
            }
            start_after = page.next;
        }
    }

    fn apply(&mut self, change: &Change) {
        if let Some(previous) = &change.previous {
            self.remove(previous);
        }
        if change.kind != ChangeKind::Deleted {
            self.insert(&change.object);
            return;
        }
        self.remove(&change.object);
        if let Some((application, _)) = entry(&change.object) {
            if self.deleted.len() == DELETED_MAX {
                self.deleted.pop_front();
            }
            self.deleted.push_back((Arc::clone(&change.object.key), application));
        }
    }

    fn insert(&mut self, object: &Object) {
        if let Some((application, entry)) = entry(object) {
            self.by_application.entry(application).or_default().insert(entry);
        }
    }

    fn remove(&mut self, object: &Object) {
        let Some((application, entry)) = entry(object) else { return };
        if let Some(entries) = self.by_application.get_mut(&application) {
            entries.remove(&entry);
            if entries.is_empty() {
                self.by_application.remove(&application);
            }
        }
    }

    /// Whether an application has or had backups of this kind.
    fn has_or_had(&self, application: &str) -> bool {
        self.by_application.contains_key(application)
            || self.deleted.iter().any(|(_, deleted)| **deleted == *application)
    }

    /// The application whose object a request named.
    fn application_of<'a>(&'a self, target: &'a Target) -> Option<&'a str> {
        if target.group != self.group || target.resource != self.plural {
            return None;
        }
        if !target.namespace.is_empty() {
            return Some(&target.namespace);
        }
        let key = format!("{}{}", self.prefix(), target.name);
        let deleted = self.deleted.iter().rev().find(|(deleted, _)| **deleted == *key);
        deleted.map(|(_, application)| &**application)
    }
}

/// The applications that the stored signal names.
async fn stored_applications(
    storage: &dyn Storage,
    signal: &str,
) -> Result<BTreeSet<String>, ReadError> {
    let stored = stored_remaining(storage, signal).await?;
    Ok(stored.into_iter().map(|remaining| remaining.application).collect())
}

/// The remaining backups in the stored signal; empty if the signal does not exist.
async fn stored_remaining(
    storage: &dyn Storage,
    signal: &str,
) -> Result<Vec<Remaining>, ReadError> {
    let key = format!("{}/{}/{signal}", SIGNALS.group, SIGNALS.plural);
    let Some(object) = storage.get(&key).await? else { return Ok(Vec::new()) };
    let body: Value = serde_json::from_slice(&object.body).unwrap_or_default();
    let remaining = body.pointer("/spec/remaining").cloned().unwrap_or_default();
    Ok(serde_json::from_value(remaining).unwrap_or_default())
}

/// The application of a stored object, and its time and name.
fn entry(object: &Object) -> Option<(Box<str>, Entry)> {
    let body: Map<String, Value> = serde_json::from_slice(&object.body).ok()?;
    let metadata = body.get("metadata")?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(Box::from);
    let time = body
        .get("status")
        .and_then(|status| text(status.get("actionTime")))
        .or_else(|| text(metadata.get("creationTimestamp")))?;
    let name: Box<str> = text(metadata.get("name"))?;
    let application = text(metadata.get("namespace"))
        .or_else(|| text(metadata.get("labels").and_then(|labels| labels.get(APP_NAMESPACE))))?;
    Some((application, (time, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(name: &str, application: &str) -> bytes::Bytes {
        let body = serde_json::json!({"metadata": {
            "name": name,
            "creationTimestamp": "2026-11-23T09:30:00Z",
            "labels": {(APP_NAMESPACE): application},
        }});
        serde_json::to_vec(&body).unwrap().into()
    }

    fn target(name: &str) -> Target {
        Target {
            group: "apps.kio.kasten.io".to_owned(),
            resource: "restorepointcontents".to_owned(),
            name: name.to_owned(),
            ..Target::default()
        }
    }

    /// Opens a store in which the content `rpc-NAME` of each application was created and deleted,
    /// before a restart: the changes have to be read from disk.
    async fn store(folder: &std::path::Path, applications: &[&str]) -> store::Sqlite {
        let path = folder.join("store.db");
        let open = || {
            let settings = store::Settings::default();
            store::Sqlite::open(&path, settings, crate::clock::for_store()).unwrap()
        };
        let store = open();
        for application in applications {
            let (name, application) = (format!("rpc-{application}"), (*application).to_owned());
            let written = store::write(&store, move |transaction| {
                let key = format!("apps.kio.kasten.io/restorepointcontents/{name}");
                let body = content(&name, &application);
                let revision = transaction.next_revision();
                transaction.put(&key, revision, body.clone());
                let revision = transaction.next_revision();
                transaction.delete(&key, revision, body);
            });
            written.await.unwrap();
        }
        store.close().await;
        open()
    }

    async fn applications(
        backups: &mut RemainingBackups,
        signal: &mut Signal,
        unlisted: &[Target],
    ) -> Vec<String> {
        backups.enrich(signal, unlisted).await;
        signal.spec.remaining.iter().map(|entry| entry.application.clone()).collect()
    }

    #[tokio::test]
    async fn the_application_of_backups_deleted_before_the_start_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), &["shop"]).await;
        let mut backups = RemainingBackups::new(Arc::new(store), &Installation::DEFAULT, "");
        backups.start().await;
        let mut signal = Signal::default();
        signal.spec.targets.items.push(target("rpc-shop"));
        backups.enrich(&mut signal, &[]).await;
        let mut foreign = Signal::default();
        foreign.spec.cluster = "other".to_owned();
        foreign.spec.targets.items.push(target("rpc-shop"));
        backups.enrich(&mut foreign, &[]).await;
        assert_eq!(foreign.spec.remaining, []);
        let none_left = Remaining { application: "shop".to_owned(), ..Remaining::default() };
        assert_eq!(signal.spec.remaining, [none_left]);
    }

    /// Regression: only the applications of the first objects, which the signal names, were
    /// counted.
    #[tokio::test]
    async fn applications_of_objects_that_the_signal_does_not_name_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), &["aaa", "zzz"]).await;
        let mut backups = RemainingBackups::new(Arc::new(store), &Installation::DEFAULT, "");
        backups.start().await;
        let mut signal = Signal { id: "s-1".to_owned(), ..Signal::default() };
        signal.spec.targets.items.push(target("rpc-aaa"));
        assert_eq!(applications(&mut backups, &mut signal, &[]).await, ["aaa"]);
        let unlisted = [target("rpc-zzz")];
        assert_eq!(applications(&mut backups, &mut signal, &unlisted).await, ["aaa", "zzz"]);
        let mut other = Signal { id: "s-2".to_owned(), ..Signal::default() };
        assert_eq!(applications(&mut backups, &mut other, &[]).await, Vec::<String>::new());
        signal.state = SignalState::Closed;
        assert_eq!(applications(&mut backups, &mut signal, &[]).await, ["aaa", "zzz"]);
    }

    /// Regression: after a restart, an update removed the applications from an open signal.
    #[tokio::test]
    async fn applications_of_the_stored_signal_are_kept_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), &["shop"]).await;
        let written = store::write(&store, |transaction| {
            let body = serde_json::json!({"spec": {"remaining": [{"application": "crm"}]}});
            let revision = transaction.next_revision();
            let body = serde_json::to_vec(&body).unwrap();
            transaction.put("siem.keepwatch.io/signals/s-1", revision, body.into());
        });
        written.await.unwrap();
        let mut backups = RemainingBackups::new(Arc::new(store), &Installation::DEFAULT, "");
        backups.start().await;
        let mut signal = Signal { id: "s-1".to_owned(), ..Signal::default() };
        signal.spec.targets.items.push(target("rpc-shop"));
        assert_eq!(applications(&mut backups, &mut signal, &[]).await, ["crm", "shop"]);
    }
}
