//! What is recorded, how often, and what happens when it cannot be.

use std::sync::Arc;
use std::time::Duration;

use event::annotations::{
    DOWNTIME, GAP_TIME, QUARANTINE, SOURCE, SOURCE_CLUSTER, SOURCE_EVENTS, SOURCE_KIND,
};
use event::{EventRef, InternalEvent};
use source::audit_webhook::PATIENCE;
use source::limits::{CHUNK_EVENTS_MAX, IDENTITY_AGE_MAX, QUARANTINED_MAX};
use source::splitter::Splitter;
use source::{Recorder, SourceStatus, Transfer, record_downtime, run_receipts};
use store::{ListOptions, Sqlite, Storage as _, StoreError};
use tokio_util::sync::CancellationToken;

use crate::fixture::{START, TestServer, TestStore, event, events, list};

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
    let (first, second) = (source(), source());
    let (first, second) = tokio::join!(
        record_from(&recorder, &first, &stream),
        record_from(&recorder, &second, &stream)
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.recorded + second.recorded, 2 * CHUNK_EVENTS_MAX as u64);
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

#[tokio::test]
async fn only_a_source_that_delivered_leaves_a_receipt() {
    let on = TestStore::new();
    let store = on.open();
    let recorder = on.recorder(&store).await;
    let (first, second) = (Arc::new(source()), Arc::new(source()));
    record_from(&recorder, &first, &list(&names(0..3))).await.unwrap();
    let (stop, period) = (CancellationToken::new(), Duration::from_millis(1));
    let sources = vec![Arc::clone(&first), second];
    let receipts = run_receipts(sources, Arc::clone(&recorder), period, stop.clone());
    let journal = store.journal();
    let sending = async {
        journal.wait_past(3).await.unwrap();
        record_from(&recorder, &first, &list(&names(3..4))).await.unwrap();
        journal.wait_past(5).await.unwrap();
        stop.cancel();
    };
    tokio::join!(receipts, sending);
    let events = events(&store).await;
    let receipts: Vec<&event::Event> =
        events.iter().filter(|event| event.verb == "receive").collect();
    let [first, second] = &*receipts else { panic!("{} receipts", receipts.len()) };
    for (receipt, count) in [(first, "3"), (second, "4")] {
        assert_eq!(EventRef::from(*receipt).internal(), Some(InternalEvent::Receipt));
        assert_eq!(receipt.object_ref.as_ref().unwrap().name, "audit-webhook-prod");
        assert_eq!(
            (&*receipt.annotations[SOURCE_EVENTS], &*receipt.annotations[SOURCE_CLUSTER]),
            (count, "prod")
        );
    }
}

/// The gaps that a start after this many seconds records, of a source that has never delivered.
async fn gaps_after(seconds: i64, is_known: bool) -> Vec<event::Event> {
    let on = TestStore::new();
    let store = on.open();
    let stop = CancellationToken::new();
    stop.cancel();
    let start = async |sources| {
        let recorder = on.recorder(&store).await;
        run_receipts(sources, recorder, Duration::from_mins(1), stop.clone()).await;
    };
    let source = || vec![Arc::new(source().drops_after(PATIENCE))];
    start(if is_known { source() } else { Vec::new() }).await;
    store::append(&store, bytes::Bytes::from_static(b"own")).await.unwrap();
    on.advance(seconds);
    start(source()).await;
    let records = store.journal().read(0, usize::MAX, usize::MAX).await.unwrap();
    let events = records.into_iter().filter_map(|record| event::record::read(record.bytes).ok());
    events.filter(|event| event.verb == "gap").collect()
}

/// Regression: a source that had delivered nothing in the 10 minutes before left no gap.
#[tokio::test]
async fn a_server_that_was_away_longer_than_the_sender_repeats_events_records_a_gap_of_an_idle_source()
 {
    let patience = PATIENCE.as_secs().cast_signed();
    assert_eq!(gaps_after(patience, true).await, []);
    assert_eq!(gaps_after(600, false).await, [], "the server had no such source");
    let gaps = gaps_after(600, true).await;
    let [gap] = &*gaps else { panic!("{} gaps", gaps.len()) };
    let expected = "2026-11-23T09:30:00.000000Z/2026-11-23T09:40:00.000000Z";
    assert_eq!(gap.annotations[GAP_TIME], expected);
    assert_eq!(gap.annotations[SOURCE], "audit-webhook-prod");
    assert_eq!(EventRef::from(gap).internal(), Some(InternalEvent::Gap));
    let message = &gap.response_status.as_ref().unwrap().message;
    assert!(message.contains("600 seconds") && message.contains("81 seconds"), "{message}");
}

/// Fills the journal with a reader that reads nothing: so far that it takes no events of sources, or
/// completely.
async fn fill(store: &Sqlite, recorder: &Recorder, is_complete: bool) {
    store.journal().register("slow", 0).await.unwrap();
    for number in 0.. {
        let has_space =
            if is_complete { store.health().is_writable() } else { recorder.check_space().is_ok() };
        if !has_space {
            return;
        }
        let record = bytes::Bytes::from(vec![b'x'; 32 << 10]);
        store::append(store, record).await.ok();
        assert!(number < 10_000);
    }
}

/// Regression: the gap of a time in which events were rejected was lost if the server was restarted
/// while the journal was full, or if the gap could not be recorded.
async fn gaps_of_a_full_journal(is_complete: bool) {
    let mut on = TestStore::new();
    on.settings.limit_bytes = 4 << 20;
    let ended = CancellationToken::new();
    ended.cancel();
    let server = TestServer::start(&on).await;
    server.receipts(ended.clone()).await;
    assert_eq!(server.post(&list(&names(0..1))).await.code, 200);
    let recorder = on.recorder(&server.store).await;
    fill(&server.store, &recorder, is_complete).await;
    assert_eq!(server.post(&list(&names(1..2))).await.code, 503);
    server.receipts(ended.clone()).await;
    server.close().await;
    for seconds in [30, 30] {
        on.advance(seconds);
        let server = TestServer::start(&on).await;
        assert_eq!(server.post(&list(&names(1..2))).await.code, 503);
        server.receipts(ended.clone()).await;
        server.close().await;
    }
    on.advance(60);
    let server = TestServer::start(&on).await;
    let stop = CancellationToken::new();
    let receipts = server.receipts(stop.clone());
    // The gap is recorded after it, so that it is kept.
    let last = server.store.journal().last_seq();
    let sending = async {
        server.store.journal().advance_durably("slow", last, "").await.unwrap();
        while server.post(&list(&names(1..2))).await.code != 200 {}
        server.store.journal().wait_past(server.store.journal().last_seq() - 1).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        stop.cancel();
    };
    tokio::join!(receipts, sending);
    let records = server.store.journal().read(0, usize::MAX, usize::MAX).await.unwrap();
    let events = records.into_iter().filter_map(|record| event::record::read(record.bytes).ok());
    let gaps: Vec<String> = events
        .filter(|event| event.verb == "gap" && event.annotations[SOURCE] == "audit-webhook-prod")
        .map(|event| event.annotations[GAP_TIME].clone())
        .collect();
    let expected = ["2026-11-23T09:30:00.000000Z/2026-11-23T09:32:00.000000Z"];
    assert_eq!(gaps, expected, "{is_complete}");
    server.close().await;
}

#[tokio::test]
async fn a_gap_is_recorded_although_the_server_was_restarted_while_the_journal_was_full() {
    gaps_of_a_full_journal(false).await;
    gaps_of_a_full_journal(true).await;
}

/// Regression: kube-apiserver's own event of the webhook's configuration has the token.
#[tokio::test]
async fn the_token_of_the_admission_webhook_is_not_recorded() {
    let on = TestStore::new();
    let store = on.open();
    let recorder = on.recorder(&store).await;
    let url = "https://keepwatch/admission/prod/HUSH-0123456789abcdef";
    let body = format!(
        r#""requestObject":{{"kind":"ValidatingWebhookConfiguration","webhooks":[{{"clientConfig":{{"url":"{url}"}}}}]}},"#
    );
    let applied =
        event("applied").replace(r#""requestReceived"#, &format!("{body}\"requestReceived"));
    let message = format!(r#""message":"failed calling webhook: Post \"{url}?timeout=2s\": EOF","#);
    let failed = event("failed").replace(r#""metadata":{},"#, &message);
    let other = format!(r#"{{"kind":"Other","path":"{url}"}}"#);
    let transfer = record(&recorder, &list(&[applied, failed, other])).await;
    assert_eq!((transfer.recorded, transfer.quarantined), (3, 1));
    let events = format!("{:?}", events(&store).await);
    assert_eq!(
        (events.contains("HUSH"), events.matches("sha256:").count()),
        (false, 3),
        "{events}"
    );
}

/// Regression: a source seemed silent because Keepwatch itself did not run.
#[tokio::test]
async fn each_source_leaves_the_time_in_which_the_server_did_not_run() {
    let on = TestStore::new();
    let store = on.open();
    record(&*on.recorder(&store).await, &list(&names(0..1))).await;
    for (seconds, expected) in
        [(30, None), (7200, Some("2026-11-23T09:30:00.000000Z/2026-11-23T11:30:30.000000Z"))]
    {
        on.advance(seconds);
        let recorder = on.recorder(&store).await;
        record_downtime(&[Arc::new(source())], &recorder).await;
        let last = events(&store).await.pop().unwrap();
        assert_eq!(last.annotations.get(DOWNTIME).map(String::as_str), expected);
    }
}

/// Regression: it was stored only at the start. If the journal was full then, the next start recorded
/// no gap.
#[tokio::test]
async fn which_sources_there_are_is_stored_once_the_journal_has_space() {
    let mut on = TestStore::new();
    on.settings.limit_bytes = 4 << 20;
    let store = on.open();
    let recorder = on.recorder(&store).await;
    fill(&store, &recorder, true).await;
    let known = async || {
        let known = store.list("internal/sources/", ListOptions::default()).await;
        known.unwrap().items.len()
    };
    let (sources, stop) =
        (vec![Arc::new(source().drops_after(PATIENCE))], CancellationToken::new());
    let before = store.health().rejected_unrecorded;
    let receipts = run_receipts(sources, recorder, Duration::from_millis(1), stop.clone());
    let freeing = async {
        while store.health().rejected_unrecorded == before {
            tokio::task::yield_now().await;
        }
        assert_eq!(known().await, 0);
        let journal = store.journal();
        journal.register("slow", 0).await.unwrap();
        journal.advance_durably("slow", journal.last_seq(), "").await.unwrap();
        while known().await == 0 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    tokio::join!(receipts, freeing);
    store.close().await;
}
