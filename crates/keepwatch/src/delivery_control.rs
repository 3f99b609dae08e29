//! Starts the controller, and executes its decisions: opens and checks destinations, starts and
//! stops uploads.
//!
//! It makes no decisions itself. It has access to the journal and to the folder with the mounted
//! volumes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use apiserver::Clock as _;
use async_trait::async_trait;
use controller::{
    Controller, DeliveryControl, DeliveryError, DestinationError, ParkReason, Settings, Start,
};
use delivery::Delivery;
use event::InternalEvent;
use event::k10::LineContext;
use objectstore::{Bucket, BucketConfig, Capabilities, Destination, Provider, WorkloadIdentity};
use sink::DeliveryHealth;
use sink::http::EgressPolicy;
use store::{Cursor, Journal, ReadError, Sqlite, StoreError};

use crate::app::App;
use crate::background_task::BackgroundTask;
use crate::clock::SystemClock;
use crate::reader_positions::{self, ResumeFrom, Resumption};

/// Prefix of the state of a parked reader that was switched off, unlike one without a destination.
const OFF: &str = "off ";

/// The common environment of all destinations, in addition to the controller's settings.
pub(crate) struct Environment {
    /// Name of the cluster, which is a part of each key.
    pub(crate) cluster: String,
    /// The fields of each line that are not its event's.
    pub(crate) labels: LineContext,
    /// The addresses that may be dialed.
    pub(crate) egress: EgressPolicy,
    /// The server's own cloud credentials.
    pub(crate) workload_identity: WorkloadIdentity,
    /// Where a reader resumes after it was switched off.
    pub(crate) resume_from: ResumeFrom,
    /// Whether the folder of a missing claim is created, for servers without mounted volumes.
    pub(crate) creates_claims: bool,
}

/// The task that reconciles `AuditConfig` and `Profile` objects.
pub(crate) fn controller_task(
    app: &App,
    client: kube::Client,
    settings: Settings,
    environment: Environment,
) -> BackgroundTask {
    let delivery = LocalDelivery {
        delivery: app.delivery(),
        store: app.store(),
        resume_from: environment.resume_from,
        config: BucketConfig {
            cluster: environment.cluster,
            encoding: sink::Encoding::Kasten(environment.labels),
            egress: environment.egress,
            workload_identity: environment.workload_identity,
            clock: Arc::new(|| SystemClock.now()),
        },
        creates_claims: environment.creates_claims,
        volumes: settings.volumes.clone(),
    };
    let clock: controller::Clock = Arc::new(|| SystemClock.now());
    Box::pin(Controller::new(client, Arc::new(delivery), settings, clock).run())
}

/// The implementation of the controller's interface to delivery.
struct LocalDelivery {
    delivery: Arc<Delivery>,
    store: Sqlite,
    resume_from: ResumeFrom,
    config: BucketConfig,
    creates_claims: bool,
    /// The folder with the mounted volumes.
    volumes: Option<PathBuf>,
}

#[async_trait]
impl DeliveryControl for LocalDelivery {
    async fn reserve(&self, reader: &str, start: Start) -> Result<(), DeliveryError> {
        let journal = self.store.journal();
        if journal.cursor(reader).is_some() || self.resume(reader).await? {
            return Ok(());
        }
        let after = after(&*journal, start).await?;
        journal.register(reader, after).await.map_err(store_error)?;
        Ok(())
    }

    async fn park(
        &self,
        reader: &str,
        start: Start,
        reason: ParkReason,
    ) -> Result<Option<u64>, DeliveryError> {
        self.delivery.pause(reader).await;
        let journal = self.store.journal();
        let registered = journal.cursor(reader);
        let known = registered.clone().or_else(|| self.parked(reader));
        let cursor = match known {
            Some(cursor) => cursor,
            None => Cursor { seq: after(&*journal, start).await?, state: String::new() },
        };
        let state = match (reason, cursor.state.starts_with(OFF)) {
            (ParkReason::Off, false) => format!("{OFF}{}", cursor.state),
            _ => cursor.state,
        };
        let (seq, cursor) = (cursor.seq, Cursor { seq: cursor.seq, state });
        if registered.is_none() && self.parked(reader).as_ref() == Some(&cursor) {
            return Ok(None);
        }
        journal.park(reader, cursor).await.map_err(store_error)?;
        if registered.is_none() {
            return Ok(None);
        }
        let waiting = journal.last_seq().saturating_sub(seq);
        let why = match reason {
            ParkReason::Off => "is switched off",
            ParkReason::NoDestination => "has no destination",
        };
        let text =
            format!("{reader}: {why}, released at {seq}; {waiting} records were not delivered");
        self.record_change(InternalEvent::Release, reader, &text).await;
        Ok(Some(waiting))
    }

    async fn check(&self, destination: &Destination) -> Result<Capabilities, DestinationError> {
        Ok(self.open(destination)?.check().await?)
    }

    async fn start(&self, reader: &str, destination: &Destination) -> Result<(), DeliveryError> {
        let bucket = self.open(destination)?;
        let journal = self.store.journal();
        // The controller has reserved its position, unless it had no destination until now.
        if journal.cursor(reader).is_none() {
            self.resume(reader).await?;
        }
        let after = journal.last_seq();
        self.delivery.attach(reader, bucket, after).await.map_err(store_error)
    }

    async fn pause(&self, reader: &str) {
        self.delivery.pause(reader).await;
    }

    async fn drain(&self, reader: &str, time: Duration) -> Result<u64, DeliveryError> {
        // Records without an active reader count as undelivered.
        let is_attached = self.delivery.attached_names().iter().any(|name| name == reader);
        let journal = self.store.journal();
        let parked = self.parked(reader).filter(|cursor| !cursor.state.starts_with(OFF));
        let cursor = journal.cursor(reader).or(parked).filter(|_| !is_attached);
        let lag = cursor.map_or(0, |cursor| journal.last_seq().saturating_sub(cursor.seq));
        let left = self.delivery.detach(reader, time).await.map_err(store_error)?;
        let undelivered = left.undelivered.max(lag);
        if undelivered > 0 {
            let text = format!("{reader}: removed; {undelivered} records were not delivered");
            self.record_change(InternalEvent::Release, reader, &text).await;
        }
        Ok(undelivered)
    }

    fn health(&self, reader: &str) -> Option<DeliveryHealth> {
        let health = self.delivery.health().into_iter().find(|health| health.sink == reader)?;
        Some(health.condition)
    }

    fn readers(&self) -> Vec<String> {
        let journal = self.store.journal();
        let registered = journal.readers().into_iter().map(|reader| reader.name);
        registered.chain(journal.parked().into_iter().map(|(name, _)| name)).collect()
    }
}

impl LocalDelivery {
    fn parked(&self, reader: &str) -> Option<Cursor> {
        let parked = self.store.journal().parked().into_iter().find(|(name, _)| name == reader);
        parked.map(|(_, cursor)| cursor)
    }

    /// Resumes a parked reader, so that the journal retains its records. Returns whether it was
    /// parked.
    async fn resume(&self, reader: &str) -> Result<bool, DeliveryError> {
        let Some(Cursor { seq, state }) = self.parked(reader) else { return Ok(false) };
        let journal = self.store.journal();
        let before = state.strip_prefix(OFF);
        // A reader that had no destination continues at its cursor. A reader that was switched off
        // continues where the resume policy says.
        let from = before.map_or(ResumeFrom::Cursor, |_| self.resume_from);
        let resumption = Resumption::new(&*journal, seq, from);
        let state = if resumption.seq == seq { before.unwrap_or(&state) } else { "" };
        let cursor = Cursor { seq: resumption.seq, state: state.to_owned() };
        journal.resume(reader, cursor).await.map_err(store_error)?;
        if resumption.seq != seq {
            self.record_change(
                InternalEvent::Resume,
                reader,
                &format!("{reader}: {}", resumption.text),
            )
            .await;
        }
        Ok(true)
    }

    /// Logs and records the change of a cursor.
    async fn record_change(&self, change: InternalEvent, reader: &str, text: &str) {
        tracing::warn!(change = change.verb(), text, "the cursor of a reader was changed");
        if let Err(error) = reader_positions::record(&self.store, change, reader, text).await {
            tracing::warn!(%error, text, "the change of a cursor could not be audited");
        }
    }

    fn open(&self, destination: &Destination) -> Result<Bucket, DestinationError> {
        if let Provider::File(store) = &destination.provider {
            self.prepare(&store.root)?;
        }
        Ok(Bucket::open(destination, self.config.clone())?)
    }

    /// Checks that the volume is mounted. The bucket creates the folder in it.
    fn prepare(&self, root: &Path) -> Result<(), DestinationError> {
        let is_mounted = self.volumes.is_some() && root.is_dir();
        if !self.creates_claims && !is_mounted {
            return Err(DestinationError::NotMounted(root.to_owned()));
        }
        std::fs::create_dir_all(root)
            .map_err(|error| DestinationError::Folder { path: root.to_owned(), kind: error.kind() })
    }
}

fn store_error(error: StoreError) -> DeliveryError {
    DeliveryError::Journal(error.into())
}

/// The sequence number after which a reader starts.
async fn after(journal: &dyn Journal, start: Start) -> Result<u64, DeliveryError> {
    match start {
        Start::Oldest => Ok(journal.first_seq().saturating_sub(1)),
        Start::Since(time) => seq_before(journal, time.as_micros())
            .await
            .map_err(|error| DeliveryError::Journal(error.into())),
    }
}

/// The sequence number before the first record that was committed at this time or later.
async fn seq_before(journal: &dyn Journal, time: i64) -> Result<u64, ReadError> {
    let mut low = journal.first_seq().saturating_sub(1);
    let mut high = journal.last_seq();
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let is_early = match journal.read(middle - 1, 1, 1).await {
            Ok(records) => records.first().is_some_and(|record| record.time < time),
            // An unreadable record counts as late, so that nothing is skipped.
            Err(ReadError::Damaged { .. } | ReadError::Missing { .. }) => false,
            Err(error) => return Err(error),
        };
        if is_early {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use store::{Settings, Sqlite, Storage as _};

    use super::*;

    #[tokio::test]
    async fn the_first_record_since_a_time_is_located() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = Sqlite::open(&path, Settings::default(), crate::clock::for_store()).unwrap();
        let journal = store.journal();
        assert_eq!(seq_before(&*journal, 0).await.unwrap(), 0);
        for number in 0..9 {
            store.append(Bytes::from(format!("{number}"))).await.unwrap();
        }
        let records = journal.read(0, 100, 1 << 20).await.unwrap();
        for record in &records {
            let first = records.iter().find(|other| other.time >= record.time).unwrap();
            assert_eq!(seq_before(&*journal, record.time).await.unwrap(), first.seq - 1);
        }
        assert_eq!(seq_before(&*journal, i64::MAX).await.unwrap(), 9);
        store.close().await;
    }
}
