//! What remains of an application after a deletion: restore points, backups, the newest one.
//!
//! Watches the stored restore points and their contents and keeps, for each application, their names
//! by age. An entry takes some 60 bytes, so the backups of a large cluster take a few megabytes. It
//! also remembers which application a deleted object belonged to, because a delete request does not
//! contain it. For deletions before the start it reads the store's history, as far as there is one.
//!
//! Deliberately absent: whether a backup can still be restored. K10's data is not examined.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use delivery::Enricher;
use event::signal::{Remaining, SignalSpec, Target};
use futures::FutureExt as _;
use kasten::Installation;
use kasten::kinds::{RESTORE_POINT, RESTORE_POINT_CONTENT};
use kasten::names::APP_NAMESPACE;
use serde_json::{Map, Value};
use store::{Change, ChangeKind, ListOptions, Object, ReadError, Storage, Watch};

/// Objects per read at the start.
const PAGE_OBJECTS: usize = 256;
/// Approximate bytes of these objects.
const PAGE_BYTES: usize = 1 << 20;
/// Deleted objects of each kind whose application is remembered.
const DELETED_MAX: usize = 10_000;
/// Most applications in one signal.
const APPLICATIONS_MAX: usize = 20;

/// Creation time and name of an object, in this order, so that the last one of a set is the newest.
type Entry = (Box<str>, Box<str>);

/// The backups of all applications.
pub(crate) struct RemainingBackups {
    storage: Arc<dyn Storage>,
    points: Tracker,
    contents: Tracker,
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
    /// It reads nothing before it is started.
    pub(crate) fn new(storage: Arc<dyn Storage>, installation: &Installation) -> Self {
        let tracker = |names| {
            let id = installation.id(names);
            Tracker::new(id.group, id.plural)
        };
        Self { storage, points: tracker(RESTORE_POINT), contents: tracker(RESTORE_POINT_CONTENT) }
    }

    /// What remains of the applications of `targets`, as of the newest committed change.
    async fn remaining(&mut self, targets: &[Target]) -> Result<Vec<Remaining>, ReadError> {
        self.follow().await?;
        let applications: BTreeSet<&str> = targets
            .iter()
            .filter_map(|target| {
                self.points.application_of(target).or_else(|| self.contents.application_of(target))
            })
            .take(APPLICATIONS_MAX)
            .collect();
        Ok(applications.into_iter().map(|name| self.of_application(name)).collect())
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

    async fn enrich(&mut self, spec: &mut SignalSpec) {
        match self.remaining(&spec.targets.items).await {
            Ok(remaining) => spec.remaining = remaining,
            Err(error) => tracing::warn!(%error, "the backups that remain cannot be counted"),
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
            // A watch resolves at once while it has changes to return.
            match watch.next().now_or_never() {
                None => return Ok(()),
                Some(Ok(changes)) => changes.iter().for_each(|change| self.apply(change)),
                Some(Err(ReadError::Compacted { .. })) => self.watch = None,
                Some(Err(error)) => return Err(error),
            }
        }
    }

    /// Reads the objects at the oldest revision that the store has, and watches from there, so that later
    /// deletions are seen.
    async fn list(&mut self, storage: &dyn Storage) -> Result<(), ReadError> {
        match self.list_at(storage, storage.oldest_revision()).await {
            // History was compacted meanwhile; the newest revision is never compacted at once.
            Err(ReadError::Compacted { .. }) => {
                self.list_at(storage, storage.current_revision()).await
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
                self.watch = Some(storage.watch(&prefix, page.revision)?);
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

    const CONTENT: &str = "apps.kio.kasten.io/restorepointcontents/rpc-1";

    fn content() -> bytes::Bytes {
        let body = serde_json::json!({"metadata": {
            "name": "rpc-1",
            "creationTimestamp": "2026-11-23T09:30:00Z",
            "labels": {(APP_NAMESPACE): "shop"},
        }});
        serde_json::to_vec(&body).unwrap().into()
    }

    #[tokio::test]
    async fn the_application_of_what_was_deleted_before_the_start_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let settings = store::Settings::default();
        let store = store::Sqlite::open(&path, settings, crate::clock::for_store()).unwrap();
        for step in ["put", "delete"] {
            let written = store::write(&store, move |transaction| {
                let revision = transaction.next_revision();
                match step {
                    "put" => transaction.put(CONTENT, revision, content()),
                    _ => transaction.delete(CONTENT, revision, content()),
                }
            });
            written.await.unwrap();
        }
        let mut backups = RemainingBackups::new(Arc::new(store), &Installation::DEFAULT);
        backups.start().await;
        let target = Target {
            group: "apps.kio.kasten.io".to_owned(),
            resource: "restorepointcontents".to_owned(),
            name: "rpc-1".to_owned(),
            ..Target::default()
        };
        let mut spec = SignalSpec::default();
        spec.targets.items.push(target);
        backups.enrich(&mut spec).await;
        let nothing = Remaining { application: "shop".to_owned(), ..Remaining::default() };
        assert_eq!(spec.remaining, [nothing]);
    }
}
