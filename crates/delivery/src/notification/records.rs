//! Durable records of a notifier: one for each signal that was sent, and a cursor.
//!
//! They are objects of the store that no API serves. Their keys contain the uid of the notifier, so
//! that another notifier of the same name starts without records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use event::Timestamp;
use event::signal::Severity;
use serde::{Deserialize, Serialize};
use store::{ListOptions, ReadError, Storage, StoreError};

/// Prefix of the keys of the records of notifiers.
pub const STATE_PREFIX: &str = "internal/notifiers/";
/// Separator between the uid of a notifier and the name of a signal, which cannot contain it.
const SIGNALS: &str = "/signals/";
/// Suffix after the uid: the key of the revision up to which every signal was handled.
const CURSOR: &str = "/cursor";
/// Maximum number of records in a page, and in a transaction that deletes them.
const PAGE_ROWS: usize = 500;

/// The notifications that were sent about one signal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NotificationRecord {
    /// Revision of the signal in the last notification.
    pub(super) revision: u64,
    /// Its severity at that time.
    pub(super) severity: Severity,
    /// Its number of events at that time.
    pub(super) count: u64,
    /// The acting user in the first notification.
    pub(super) user: String,
    /// Time of the first notification.
    pub(super) opened_at: Timestamp,
    /// Time of the last notification.
    pub(super) sent_at: Timestamp,
    /// Whether its closing was sent or skipped.
    pub(super) is_closed: bool,
}

/// All records of one notifier.
#[derive(Debug, Default)]
pub(super) struct NotificationRecords {
    /// By the name of the signal.
    pub(super) signals: BTreeMap<String, NotificationRecord>,
    /// The revision up to which every signal was handled; `None` for a new notifier.
    pub(super) cursor: Option<u64>,
}

/// Reads the records of a notifier.
pub(super) async fn read(
    storage: &dyn Storage,
    uid: &str,
) -> Result<NotificationRecords, ReadError> {
    let mut records = NotificationRecords::default();
    let prefix = format!("{STATE_PREFIX}{uid}{SIGNALS}");
    let mut options = ListOptions { limit: PAGE_ROWS, ..ListOptions::default() };
    loop {
        let page = storage.list(&prefix, options.clone()).await?;
        for object in page.items {
            let name = object.key.strip_prefix(&prefix).unwrap_or_default().to_owned();
            match serde_json::from_slice(&object.body) {
                Ok(record) => {
                    records.signals.insert(name, record);
                }
                // The signal is sent again: a duplicate is better than a loss.
                Err(error) => {
                    tracing::warn!(signal = name, %error, "cannot read a record of a notifier");
                }
            }
        }
        options.at = Some(page.revision);
        options.start_after = page.next;
        if options.start_after.is_none() {
            break;
        }
    }
    if let Some(object) = storage.get(&format!("{STATE_PREFIX}{uid}{CURSOR}")).await? {
        records.cursor = str::from_utf8(&object.body).ok().and_then(|text| text.parse().ok());
    }
    Ok(records)
}

/// Writes records and the cursor in one transaction. `None` deletes the record of a signal.
pub(super) async fn write(
    storage: &dyn Storage,
    uid: &str,
    records: Vec<(String, Option<NotificationRecord>)>,
    cursor: u64,
) -> Result<(), StoreError> {
    let mut bodies = Vec::with_capacity(records.len());
    for (signal, record) in records {
        let body = record.and_then(|record| serde_json::to_vec(&record).ok());
        bodies.push((format!("{STATE_PREFIX}{uid}{SIGNALS}{signal}"), body.map(Bytes::from)));
    }
    let cursor_key = format!("{STATE_PREFIX}{uid}{CURSOR}");
    store::write(storage, move |transaction| {
        for (key, body) in bodies {
            match body {
                Some(body) => {
                    let revision = transaction.next_revision();
                    transaction.put(&key, revision, body);
                }
                None if transaction.get(&key).is_some() => {
                    let revision = transaction.next_revision();
                    transaction.delete(&key, revision, Bytes::new());
                }
                None => {}
            }
        }
        let cursor = cursor.to_string();
        if transaction.get(&cursor_key).is_none_or(|stored| *stored.body != *cursor.as_bytes()) {
            let revision = transaction.next_revision();
            transaction.put(&cursor_key, revision, Bytes::from(cursor));
        }
    })
    .await
}

/// Deletes the records of one notifier. If that fails, they are deleted at the next start.
pub(super) async fn delete(storage: &dyn Storage, uid: &str) {
    delete_where(storage, &format!("{STATE_PREFIX}{uid}/"), |_| true).await;
}

/// Deletes the records of all other notifiers.
pub(super) async fn delete_others(storage: &dyn Storage, uids: &BTreeSet<String>) {
    delete_where(storage, STATE_PREFIX, |key| {
        let uid = key.strip_prefix(STATE_PREFIX).and_then(|rest| rest.split('/').next());
        uid.is_none_or(|uid| !uids.contains(uid))
    })
    .await;
}

async fn delete_where(storage: &dyn Storage, prefix: &str, is_removed: impl Fn(&str) -> bool) {
    // Earlier writes are committed before this one.
    if let Err(error) = store::write(storage, |_| ()).await {
        tracing::warn!(%error, "records of removed notifiers may remain until the next start");
    }
    let mut options = ListOptions { limit: PAGE_ROWS, ..ListOptions::default() };
    loop {
        let page = match storage.list(prefix, options.clone()).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%error, "cannot read the records of removed notifiers");
                return;
            }
        };
        let keys = page.items.iter().filter(|object| is_removed(&object.key));
        let keys: Vec<_> = keys.map(|object| Arc::clone(&object.key)).collect();
        if !keys.is_empty() {
            let deleted = store::write(storage, move |transaction| {
                for key in keys {
                    if transaction.get(&key).is_some() {
                        let revision = transaction.next_revision();
                        transaction.delete(&key, revision, Bytes::new());
                    }
                }
            });
            if let Err(error) = deleted.await {
                tracing::warn!(%error, "cannot delete the records of removed notifiers");
                return;
            }
        }
        let Some(next) = page.next else { return };
        options.start_after = Some(next);
    }
}
