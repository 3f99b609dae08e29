//! Compares the responses that clients received with the content of the store.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use event::record::is_signal;
use event::{Event, Stage};
use serde_json::Value;
use store::{ListOptions, Storage};

use super::load::LoggedResponse;

/// Prefix of the objects that the clients change.
const PREFIX: &str = "repositories.kio.kasten.io/storagerepositories/";

/// The result of the comparison so far.
#[derive(Default)]
pub(super) struct Comparison {
    /// Requests with a complete response.
    pub(super) responses: u64,
    events: u64,
    /// Events of changes of the objects that are compared.
    pub(super) changes: u64,
    /// Events of requests whose response was cut off by the kill.
    cut_off: u64,
}

/// The expected objects, by the events read so far.
#[derive(Default)]
pub(super) struct ReplayedObjects {
    seq: u64,
    /// Resource version by name.
    objects: BTreeMap<String, String>,
}

impl Comparison {
    /// Adds another round.
    pub(super) fn add(&mut self, other: &Self) {
        self.responses += other.responses;
        self.events += other.events;
        self.changes += other.changes;
        self.cut_off += other.cut_off;
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} responses, {} events, {} changes, {} events whose response was cut off",
            self.responses, self.events, self.changes, self.cut_off
        )
    }
}

/// Reads the store after the last run of the server and compares it with `response_log`.
pub(super) async fn compare(
    home: &Path,
    response_log: &[LoggedResponse],
    replayed: &mut ReplayedObjects,
) -> anyhow::Result<Comparison> {
    let store = crate::fixtures::stopped_store::open(home)?;
    let mut comparison =
        Comparison { responses: response_log.len() as u64, ..Comparison::default() };
    let mut codes: HashMap<String, u16> = HashMap::new();
    let journal = store.journal();
    loop {
        let records = journal.read(replayed.seq, 1000, 8 << 20).await?;
        let Some(last) = records.last() else { break };
        replayed.seq = last.seq;
        // Changes of signals are not events of requests.
        for record in records.iter().filter(|record| !is_signal(&record.bytes)) {
            let event = event::record::read(record.bytes.clone())?;
            comparison.events += 1;
            comparison.changes += u64::from(apply(&event, &mut replayed.objects)?);
            if event.user_agent.starts_with("kill-") && event.stage == Stage::ResponseComplete {
                let code = event.response_status.as_ref().map_or(0, |status| status.code);
                if codes.insert(event.user_agent.clone(), code).is_some() {
                    bail!("{} has two events", event.user_agent);
                }
            }
        }
    }
    for response in response_log {
        let recorded = codes.get(&response.id);
        ensure!(
            recorded == Some(&response.code),
            "the response to {} had the code {}, its event has {recorded:?}",
            response.id,
            response.code
        );
    }
    comparison.cut_off = (codes.len() - response_log.len()) as u64;
    let stored = objects(store.storage()).await?;
    store.close().await;
    ensure!(
        stored == replayed.objects,
        "objects {stored:?} differ from events {:?}",
        replayed.objects
    );
    Ok(comparison)
}

/// Replays one event. Returns whether it is the event of a change.
fn apply(event: &Event, objects: &mut BTreeMap<String, String>) -> anyhow::Result<bool> {
    let Some(reference) = &event.object_ref else { return Ok(false) };
    let success = event.response_status.as_ref().is_some_and(|status| status.code < 300);
    if reference.resource != "storagerepositories" || !success {
        return Ok(false);
    }
    match event.verb.as_str() {
        "create" | "update" | "patch" => {
            let body = event.response_object.as_ref().context("a change without its body")?;
            let body: Value = serde_json::from_slice(body.as_bytes())?;
            let (name, version) = identity(&body)?;
            let before = objects.insert(name.clone(), version);
            ensure!(before.is_none() || event.verb != "create", "{name} was created twice");
            Ok(true)
        }
        "delete" => {
            let before = objects.remove(&reference.name);
            ensure!(before.is_some(), "{} was deleted but did not exist", reference.name);
            Ok(true)
        }
        _ => Ok(false),
    }
}

async fn objects(storage: &dyn Storage) -> anyhow::Result<BTreeMap<String, String>> {
    let page = storage.list(PREFIX, ListOptions::default()).await?;
    page.items.iter().map(|object| identity(&serde_json::from_slice(&object.body)?)).collect()
}

/// Name and resource version.
fn identity(object: &Value) -> anyhow::Result<(String, String)> {
    let text = |field: &str| object["metadata"][field].as_str().map(str::to_owned);
    Ok((text("name").context("no name")?, text("resourceVersion").context("no version")?))
}
