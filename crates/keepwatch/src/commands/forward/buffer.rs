//! Whether the buffer accepts lines. If it does not, the logs are not read; this is logged and
//! counted.

use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use store::{Condition, Sqlite, Storage as _};
use tokio::time::Instant;

/// Interval between two checks of the buffer.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// Minimum time between two log messages about a pause: with a slow receiver there are many short
/// pauses.
const LOG_PERIOD: Duration = Duration::from_mins(1);

/// The buffer. Clones share it.
#[derive(Clone)]
pub(super) struct Buffer {
    store: Sqlite,
    paused: Gauge,
}

impl Buffer {
    pub(super) fn new(store: Sqlite, metrics: &mut Registry) -> Self {
        let paused = Gauge::default();
        register(metrics, paused.clone());
        Self { store, paused }
    }

    /// The reason why the logs are not read, if there is one.
    pub(super) fn pause(&self) -> Option<String> {
        let health = self.store.health();
        match health.condition {
            Condition::Healthy | Condition::Warning => None,
            Condition::Full => Some(format!(
                "the buffer is full ({} of {} bytes): the logs are not read until the receiver \
                 takes events",
                health.used_bytes, health.limit_bytes
            )),
            _ => Some(format!("the buffer accepts no lines: {}", health.reason)),
        }
    }

    /// The bytes in use and their limit.
    pub(super) fn usage(&self) -> (u64, u64) {
        let health = self.store.health();
        (health.used_bytes, health.limit_bytes)
    }

    /// Logs when reading pauses and continues.
    pub(super) async fn watch(self) {
        let (mut was_paused, mut logged) = (false, None::<Instant>);
        loop {
            let pause = self.pause();
            self.paused.set(i64::from(pause.is_some()));
            if was_paused != pause.is_some()
                && logged.is_none_or(|logged| logged.elapsed() >= LOG_PERIOD || was_paused)
            {
                if let Some(reason) = &pause {
                    tracing::warn!(reason, "reading of the logs is paused");
                } else {
                    tracing::info!("reading of the logs continues");
                }
                logged = Some(Instant::now());
                was_paused = pause.is_some();
            }
            tokio::time::sleep(LOOK_PERIOD).await;
        }
    }
}

/// Registers the metric that only `keepwatch forward` has.
pub(crate) fn register(metrics: &mut Registry, paused: Gauge) {
    metrics.sub_registry_with_prefix("keepwatch_forward").register(
        "paused",
        "1 while the buffer is full, so that the logs are not read; of keepwatch forward only",
        paused,
    );
}
