//! Buckets come and go while the server runs.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use sink::bucket::Bucket;
use store::StoreError;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Delivery;
use crate::fixed::Fixed;
use crate::hauler::Hauler;
use crate::health::{Condition, Pulse};
use crate::orders::Orders;

/// One bucket, from outside.
pub(crate) struct Attached {
    pub(crate) pulse: Arc<Pulse>,
    orders: watch::Sender<Orders>,
    /// Ends its hauler at once.
    abort: CancellationToken,
    /// Cancelled by the hauler's end.
    ended: CancellationToken,
}

/// How a bucket was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detached {
    /// So many records that the journal held at that time did not get there.
    pub undelivered: u64,
}

impl Delivery {
    /// Begins to deliver to a bucket under the name of a reader, which is durable before this
    /// returns. A reader that the journal knows goes on where it was; a new one begins behind the
    /// record `after`. If it is attached already, this is [`retarget`](Self::retarget).
    pub async fn attach(&self, name: &str, bucket: Bucket, after: u64) -> Result<(), StoreError> {
        let cursor = self.journal.register(name, after).await?;
        let mut all = self.attached();
        if let Some(attached) = all.get(name) {
            attached.order(bucket);
            return Ok(());
        }
        let pulse = Arc::new(Pulse::new(name));
        pulse.set_seq(cursor.seq);
        let bucket = Arc::new(bucket);
        let orders = Orders { bucket, version: 0, since: Instant::now(), until: None };
        let (orders, received) = watch::channel(orders);
        let (abort, ended) = (CancellationToken::new(), CancellationToken::new());
        let hauler = Hauler {
            name: name.into(),
            journal: Arc::clone(&self.journal),
            orders: received,
            metrics: self.metrics.clone(),
            pulse: Arc::clone(&pulse),
            seq: cursor.seq,
            fixed: Fixed::parse(&cursor.state).filter(|fixed| fixed.last > cursor.seq),
        };
        let run = hauler.run(self.stop.clone(), abort.clone());
        let end = ended.clone().drop_guard();
        self.haulers.spawn(async move {
            run.await;
            drop(end);
        });
        all.insert(name.to_owned(), Attached { pulse, orders, abort, ended });
        Ok(())
    }

    /// Goes on with another place, or with other credentials for the same one: nothing is lost, and
    /// nothing is repeated. Whether there is such a reader.
    pub fn retarget(&self, name: &str, bucket: Bucket) -> bool {
        let all = self.attached();
        let attached = all.get(name);
        if let Some(attached) = attached {
            attached.order(bucket);
        }
        attached.is_some()
    }

    /// Stops delivering under a name at once and keeps its cursor: [`attach`](Self::attach) goes on
    /// there. Whether somebody was delivering.
    pub async fn pause(&self, name: &str) -> bool {
        let attached = self.attached().remove(name);
        if let Some(attached) = &attached {
            attached.abort.cancel();
            attached.ended.cancelled().await;
        }
        attached.is_some()
    }

    /// Delivers what the journal holds now, if that is done before `deadline`, and forgets the reader.
    pub async fn detach(&self, name: &str, deadline: Duration) -> Result<Detached, StoreError> {
        let Some(attached) = self.attached().remove(name) else {
            // Nobody delivers, but there may be a cursor from before the start.
            self.journal.remove(name).await?;
            return Ok(Detached { undelivered: 0 });
        };
        let last = self.journal.last_seq();
        attached.orders.send_modify(|orders| orders.until = Some(last));
        if tokio::time::timeout(deadline, attached.ended.cancelled()).await.is_err() {
            attached.abort.cancel();
            attached.ended.cancelled().await;
        }
        self.journal.remove(name).await?;
        self.metrics.forget(name);
        Ok(Detached { undelivered: last.saturating_sub(attached.pulse.seq()) })
    }

    /// Readers that have a bucket at present.
    pub fn attached_names(&self) -> Vec<String> {
        self.attached().keys().cloned().collect()
    }

    /// Lets every bucket have what is there, in bounded time, and ends. Buckets cannot be attached
    /// afterwards.
    pub async fn close(&self) {
        self.stop.cancel();
        self.haulers.close();
        self.haulers.wait().await;
    }

    pub(crate) fn attached(&self) -> MutexGuard<'_, BTreeMap<String, Attached>> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attached {
    fn order(&self, bucket: Bucket) {
        self.orders.send_modify(|orders| {
            orders.bucket = Arc::new(bucket);
            orders.version += 1;
            orders.since = Instant::now();
        });
        // What became of the old one is no news any more.
        self.pulse.set_condition(Condition::Delivering);
    }
}
