//! What is recorded, how often, and what happens when it cannot be.

use std::sync::Arc;

use event::annotations::{QUARANTINE, SOURCE, SOURCE_CLUSTER, SOURCE_KIND};
use source::limits::{CHUNK_EVENTS_MAX, IDENTITY_AGE_MAX, QUARANTINED_MAX};
use source::splitter::Splitter;
use source::{Recorder, SourceStatus, Transfer};
use store::{Sqlite, StoreError};

use crate::fixture::{START, TestStore, event, events, list};

fn source() -> SourceStatus {
    SourceStatus::new("audit-webhook-prod", "AuditWebhook", "prod")
}

/// Records a stream from this source.
async fn record_from(
    recorder: &Recorder,
    source: &SourceStatus,
    stream: &str,
) -> Result<Transfer, StoreError> {
    let mut splitter = Splitter::new(source.cluster().as_bytes());
    let mut recording = recorder.begin(source);
    let mut rest = stream.as_bytes();
    while let Some(item) = splitter.next(&mut rest) {
        recording.add(item).await?;
    }
    if let Some(item) = splitter.finish() {
        recording.add(item).await?;
    }
    recording.finish().await
}

async fn record(recorder: &Recorder, stream: &str) -> Transfer {
    record_from(recorder, &source(), stream).await.unwrap()
}

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| event(&format!("id-{number}"))).collect()
}

/// The audit IDs of the journal, and how many records it has.
async fn recorded(store: &Sqlite) -> (Vec<String>, usize) {
    let events = events(store).await;
    let count = events.len();
    let ids = events.into_iter().map(|event| event.audit_id);
    (ids.filter(|id| !id.is_empty()).collect(), count)
}

#[tokio::test]
async fn an_event_says_where_it_comes_from() {
    let on = TestStore::new();
    let store = on.open();
    let (recorder, source) = (on.recorder(&store).await, source());
    record_from(&recorder, &source, &list(&names(0..1))).await.unwrap();
    let events = events(&store).await;
    let annotation = |key: &str| events[0].annotations[key].clone();
    assert_eq!(annotation(SOURCE), "audit-webhook-prod");
    assert_eq!(
        (annotation(SOURCE_KIND), annotation(SOURCE_CLUSTER)),
        ("AuditWebhook".into(), "prod".into())
    );
    assert_eq!((&*events[0].verb, &*events[0].user.username), ("delete", "alice"));
    let state = source.snapshot();
    assert_eq!((state.received, state.recorded, state.duplicates), (1, 1, 0));
    assert_eq!(state.last_event.unwrap().as_micros(), START - 2_000_000);
    assert_eq!(state.lag.unwrap().as_secs(), 2);
}

#[tokio::test]
async fn an_event_that_is_sent_again_is_recorded_once_also_after_a_restart() {
    let on = TestStore::new();
    let count = 3 * CHUNK_EVENTS_MAX + 7;
    let stream = list(&names(0..count));
    let store = on.open();
    let recorder = on.recorder(&store).await;
    let first = record(&recorder, &stream).await;
    assert_eq!((first.recorded, first.duplicates), (count as u64, 0));
    let again = record(&recorder, &stream).await;
    assert_eq!((again.recorded, again.duplicates), (0, count as u64));
    store.close().await;

    let store = on.open();
    let recorder = on.recorder(&store).await;
    let more = record(&recorder, &list(&names(count - 1..count + 2))).await;
    assert_eq!((more.recorded, more.duplicates), (2, 1));
    assert_eq!(record(&recorder, &stream).await.recorded, 0);
    let (ids, _) = recorded(&store).await;
    let expected: Vec<String> = (0..count + 2).map(|number| format!("id-{number}")).collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn only_the_time_in_which_a_sender_repeats_events_is_read_at_the_start() {
    let on = TestStore::new();
    let store = on.open();
    record(&*on.recorder(&store).await, &list(&names(0..1))).await;
    on.advance(IDENTITY_AGE_MAX.as_secs().cast_signed() + 60);
    record(&*on.recorder(&store).await, &list(&names(1..2))).await;
    let again = record(&*on.recorder(&store).await, &list(&names(0..2))).await;
    assert_eq!((again.recorded, again.duplicates), (1, 1));
}

#[tokio::test]
async fn an_equal_event_of_another_cluster_is_another_event() {
    let on = TestStore::new();
    let store = on.open();
    let recorder = on.recorder(&store).await;
    let stream = list(&names(0..1));
    let other = SourceStatus::new("audit-webhook-test", "AuditWebhook", "test");
    assert_eq!(record(&recorder, &stream).await.recorded, 1);
    assert_eq!(record_from(&recorder, &other, &stream).await.unwrap().recorded, 1);
    // A client may repeat an audit ID.
    let changed = stream.replace("alice", "mallory");
    assert_eq!(record(&recorder, &changed).await.recorded, 1);
}

#[tokio::test]
async fn the_same_events_at_the_same_time_are_recorded_once() {
    let on = TestStore::new();
    let store = on.open();
    let recorder = on.recorder(&store).await;
    let stream = list(&names(0..2 * CHUNK_EVENTS_MAX));
    let (one, other) = (source(), source());
    let (one, other) = tokio::join!(
        record_from(&recorder, &one, &stream),
        record_from(&recorder, &other, &stream)
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.recorded + other.recorded, 2 * CHUNK_EVENTS_MAX as u64);
    assert_eq!(recorded(&store).await.1, 2 * CHUNK_EVENTS_MAX);
}

#[tokio::test]
async fn what_is_not_an_event_is_quarantined_once_and_the_others_are_recorded() {
    let on = TestStore::new();
    let store = on.open();
    let recorder = on.recorder(&store).await;
    let items = ["null", "{}", r#"{"stage":"Panic","user":7}"#].map(str::to_owned);
    let stream = list(&[&names(0..1)[..], &items, &names(1..2)].concat());
    let cut = stream.get(..stream.len() - 3).unwrap();
    for (stream, quarantined, recorded) in [(&*stream, 3, 5), (cut, 4, 1)] {
        let transfer = record(&recorder, stream).await;
        assert_eq!((transfer.received, transfer.quarantined), (5, quarantined), "{stream}");
        assert_eq!(transfer.recorded, recorded, "{stream}");
    }
    assert_eq!(record(&recorder, &stream).await.recorded, 0);
    let reasons: Vec<String> = events(&store)
        .await
        .iter()
        .filter_map(|event| event.annotations.get(QUARANTINE).cloned())
        .collect();
    assert_eq!(
        reasons,
        [
            "not a JSON object",
            "stage is missing",
            "not an audit.k8s.io/v1 event: wrong type of a field at byte 25",
            "the body ends within it",
        ]
    );
}

#[tokio::test]
async fn a_flood_of_other_texts_takes_few_records() {
    let on = TestStore::new();
    let store = on.open();
    let recorder = on.recorder(&store).await;
    let items: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let first = record(&recorder, &list(&items)).await;
    assert_eq!((first.quarantined, first.recorded), (1000, QUARANTINED_MAX as u64 + 1));
    assert_eq!(record(&recorder, &list(&items)).await.recorded, 0);
    let last = events(&store).await.pop().unwrap();
    let reason = &last.annotations[QUARANTINE];
    assert_eq!(reason, "936 more items that arrived together are not events");
}

#[tokio::test]
async fn an_event_of_a_failed_commit_is_recorded_when_it_is_sent_again() {
    let on = TestStore::new();
    let store = on.open();
    let recorder: Arc<Recorder> = on.recorder(&store).await;
    store.close().await;
    let failed = record_from(&recorder, &source(), &list(&names(0..1))).await;
    assert_eq!(failed, Err(StoreError::Closed));
    let store = on.open();
    let again = record(&*on.recorder(&store).await, &list(&names(0..1))).await;
    assert_eq!((again.recorded, again.duplicates), (1, 0));
}
