//! Placeholder services, for reference pages and for disabled components.

use std::ops::RangeInclusive;

use apimachinery::ApiError;
use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::audit_event::{EventLog, LogBatch, LogRecord, Order};
use crate::event_source::{EventSourceState, EventSources};
use crate::notifier::{NotifierSpec, NotifierTester};

/// An empty log, no sources and a tester that fails.
pub(crate) struct Unavailable;

#[async_trait]
impl EventLog for Unavailable {
    fn first_seq(&self) -> u64 {
        0
    }

    fn last_seq(&self) -> u64 {
        0
    }

    async fn read(
        &self,
        _after: u64,
        _rows_max: usize,
        _bytes_max: usize,
    ) -> Result<Vec<LogRecord>, ApiError> {
        Ok(Vec::new())
    }

    async fn read_ranges(
        &self,
        _ranges: Vec<RangeInclusive<u64>>,
        _order: Order,
        _bytes_max: usize,
    ) -> Result<LogBatch, ApiError> {
        Ok(LogBatch::default())
    }

    async fn wait_past(&self, _seq: u64) -> Result<(), ApiError> {
        std::future::pending().await
    }
}

impl EventSources for Unavailable {
    fn states(&self) -> Vec<EventSourceState> {
        Vec::new()
    }
}

impl NotifierTester for Unavailable {
    fn test(
        &self,
        _name: String,
        _spec: NotifierSpec,
    ) -> BoxFuture<'static, Result<String, String>> {
        Box::pin(async { Err("this server does not send notifications".to_owned()) })
    }
}
