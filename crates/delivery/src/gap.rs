//! The event that replaces records that cannot be read, so that a loss is recorded.

use event::annotations::{GAP, GAP_RECORDS, GAP_SEQ};
use event::{Event, InternalEvent, Stage, Status, Timestamp};
use store::Gap;

/// An event that replaces records that are missing or cannot be read.
pub(crate) fn event(gap: Gap, reason: &str, time: Timestamp) -> Event {
    let Gap { first, last } = gap;
    let seq = if first == last { last.to_string() } else { format!("{first}-{last}") };
    let annotations =
        [(GAP, reason.to_owned()), (GAP_SEQ, seq), (GAP_RECORDS, gap.records().to_string())];
    Event {
        annotations: annotations.map(|(key, value)| (key.to_owned(), value)).into(),
        response_status: Some(Status { message: reason.to_owned(), ..Status::default() }),
        ..InternalEvent::Gap.event(Stage::Panic, "", time)
    }
}

/// The event that records a gap in the journal once for all readers, including those that are past
/// it.
pub fn gap_event(gap: Gap, time: Timestamp) -> Event {
    let Gap { first, last } = gap;
    let reason = format!(
        "the journal's records {first} to {last} are missing or damaged: {} in all; readers that had \
         not passed them do not get them",
        gap.records()
    );
    Event {
        audit_id: format!("keepwatch-gap-{first}-{last}-{}", time.as_micros()),
        ..event(gap, &reason, time)
    }
}
