//! The journal as the kind `AuditEvent` reads it.

use std::sync::Arc;

use apiserver::ApiError;
use async_trait::async_trait;
use event::Timestamp;
use siem::audit_event::{EventLog, LogRecord};
use store::{Journal, ReadError, Record};

/// The journal of the store.
pub(crate) struct JournalLog(pub(crate) Arc<dyn Journal>);

#[async_trait]
impl EventLog for JournalLog {
    fn first_seq(&self) -> u64 {
        self.0.first_seq()
    }

    fn last_seq(&self) -> u64 {
        self.0.last_seq()
    }

    async fn read(
        &self,
        after: u64,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, ApiError> {
        let mut after = after;
        loop {
            match self.0.read(after, rows_max, bytes_max).await {
                Ok(records) => return Ok(records.into_iter().map(record).collect()),
                // One that is damaged on disk does not hide those behind it; the sinks report it.
                Err(ReadError::Damaged { number, .. }) if number > after => after = number,
                Err(error) => return Err(unreadable(&error)),
            }
        }
    }

    async fn wait_past(&self, seq: u64) -> Result<(), ApiError> {
        self.0.wait_past(seq).await.map(drop).map_err(|error| unreadable(&error))
    }
}

fn record(record: Record) -> LogRecord {
    let time = Timestamp::from_micros(record.time);
    LogRecord { seq: record.seq, time, bytes: record.bytes }
}

fn unreadable(error: &ReadError) -> ApiError {
    match error {
        ReadError::Closed => ApiError::unavailable("the server is shutting down", 1),
        ReadError::Unavailable { .. } => ApiError::unavailable(error.to_string(), 5),
        _ => ApiError::internal(&error.to_string()),
    }
}
