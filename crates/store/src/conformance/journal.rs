//! The conformance tests of a journal: functions over [`Journal`] and the [`Storage`] that it
//! belongs to, which run against each implementation.

use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::two_handles::TwoJournals;
use super::{Violation, append, get, text};
use crate::{Cursor, Direction, Journal, Record, Storage, StoreError, Transaction, write};

/// A store and its journal.
type Pair<S> = (S, Arc<dyn Journal>);

/// Run all tests of [`Journal`], each on a new store, with two handles on its journal: first with
/// one of them, then with both at once.
pub async fn journal<S: Storage>(
    mut open: impl FnMut() -> (S, [Arc<dyn Journal>; 2]),
) -> Result<(), Violation> {
    with_one_handle(|| {
        let (store, [journal, _]) = open();
        (store, journal)
    })
    .await?;
    let two = with_one_handle(|| {
        let (store, [owner, other]) = open();
        (store, Arc::new(TwoJournals { owner, other }) as Arc<dyn Journal>)
    });
    two.await.map_err(|violation| format!("with two handles: {violation}"))?;
    a_cursor_belongs_to_the_handle_that_registered_it_last(&open()).await?;
    a_released_cursor_has_no_owner(&open()).await
}

async fn with_one_handle<S: Storage>(mut open: impl FnMut() -> Pair<S>) -> Result<(), Violation> {
    records_are_read_once_and_in_order(&open()).await?;
    a_read_is_bounded_and_returns_a_record_if_there_is_one(&open()).await?;
    ranges_are_read_in_the_requested_order(&open()).await?;
    waiting_ends_with_the_next_record(&open()).await?;
    each_reader_has_its_own_cursor(&open()).await?;
    a_cursor_can_be_moved_back(&open()).await?;
    a_transaction_moves_a_cursor_with_what_it_writes(&open()).await?;
    a_checkpoint_is_replaced_as_a_whole(&open()).await?;
    a_rolled_back_transaction_moves_no_cursor(&open()).await?;
    a_transaction_for_an_unknown_reader_is_rolled_back(&open()).await?;
    a_removed_reader_leaves_no_cursor_and_no_checkpoint(&open()).await?;
    a_parked_reader_keeps_its_cursor_and_retains_no_records(&open()).await
}

async fn fill<S: Storage>(store: &S, count: u64) -> Result<(), Violation> {
    for number in 1..=count {
        append(store, &format!("record {number}")).await?;
    }
    Ok(())
}

fn at(journal: &dyn Journal, reader: &str) -> Option<u64> {
    journal.cursor(reader).map(|cursor| cursor.seq)
}

/// One transaction of a reader.
async fn transact(
    journal: &dyn Journal,
    function: impl FnOnce(&mut dyn Transaction) + Send + 'static,
) -> Result<u64, StoreError> {
    journal.submit(Box::new(function)).await.map(|committed| committed.seq)
}

async fn records_are_read_once_and_in_order<S: Storage>(pair: &Pair<S>) -> Result<(), Violation> {
    let (store, journal) = pair;
    ensure!(journal.last_seq() == 0, "an empty journal has a last record");
    fill(store, 100).await?;
    ensure!(journal.last_seq() == 100, "the last of 100 records is {}", journal.last_seq());
    ensure!(journal.first_seq() == 1, "the first of 100 records is {}", journal.first_seq());
    let mut seq = 0;
    while seq < 100 {
        for record in journal.read(seq, 7, 1 << 20).await.map_err(text)? {
            seq += 1;
            ensure!(record.seq == seq, "read {} instead of {seq}", record.seq);
            let text = format!("record {seq}");
            ensure!(&*record.bytes == text.as_bytes(), "{:?} is not {text}", record.bytes);
        }
    }
    Ok(())
}

async fn a_read_is_bounded_and_returns_a_record_if_there_is_one<S: Storage>(
    pair: &Pair<S>,
) -> Result<(), Violation> {
    let (store, journal) = pair;
    fill(store, 9).await?;
    for (after, rows_max, bytes_max, expected) in
        [(0, 4, 1 << 20, 4), (0, 9, 20, 2), (3, 9, 1, 1), (8, 9, 1, 1), (9, 9, 1 << 20, 0)]
    {
        let count = journal.read(after, rows_max, bytes_max).await.map_err(text)?.len();
        ensure!(
            count == expected,
            "{count} records after {after} within {rows_max} rows and {bytes_max} bytes"
        );
    }
    Ok(())
}

async fn ranges_are_read_in_the_requested_order<S: Storage>(
    pair: &Pair<S>,
) -> Result<(), Violation> {
    use Direction::{Backward, Forward};
    let (store, journal) = pair;
    fill(store, 9).await?;
    let all = 1 << 20;
    for (ranges, direction, bytes_max, expected, is_truncated) in [
        (vec![2..=4, 9..=20, 6..=6], Forward, all, &[2, 3, 4, 9, 6][..], false),
        (vec![8..=20, 6..=6, 2..=4], Backward, all, &[9, 8, 6, 4, 3, 2], false),
        (vec![1..=9], Backward, 20, &[9, 8], true),
        (vec![5..=5, 1..=2], Forward, 1, &[5], true),
        (vec![20..=30, 0..=1], Forward, 1, &[1], false),
        (Vec::new(), Forward, all, &[], false),
    ] {
        let batch =
            journal.read_ranges(ranges.clone(), direction, bytes_max).await.map_err(text)?;
        let seqs: Vec<u64> = batch.records.iter().map(|record| record.seq).collect();
        ensure!(
            (&*seqs, batch.is_truncated) == (expected, is_truncated),
            "{seqs:?} ({}) of {ranges:?} {direction:?} within {bytes_max} bytes",
            batch.is_truncated
        );
        let is_whole =
            |record: &Record| *record.bytes == *format!("record {}", record.seq).as_bytes();
        ensure!(batch.records.iter().all(is_whole), "a record has the content of another one");
    }
    Ok(())
}

async fn waiting_ends_with_the_next_record<S: Storage>(pair: &Pair<S>) -> Result<(), Violation> {
    let (store, journal) = pair;
    fill(store, 3).await?;
    ensure!(journal.wait_past(1).await == Ok(3), "it waits for an existing record");
    let mut waiting = journal.wait_past(3);
    let poll = std::future::poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context)));
    ensure!(poll.await.is_pending(), "it does not wait for a missing record");
    append(store, "the next").await?;
    ensure!(waiting.await == Ok(4), "it does not return the last record");
    Ok(())
}

async fn each_reader_has_its_own_cursor<S: Storage>(pair: &Pair<S>) -> Result<(), Violation> {
    let (store, journal) = pair;
    fill(store, 10).await?;
    journal.register("one", 0).await.map_err(text)?;
    journal.register("two", 7).await.map_err(text)?;
    journal.advance("one", 4, "state").map_err(text)?;
    journal.advance_durably("two", 9, "").await.map_err(text)?;
    let again = journal.register("one", 0).await.map_err(text)?;
    ensure!((again.seq, &*again.state) == (4, "state"), "{again:?} has moved");
    let readers = journal.readers();
    let lags: Vec<_> = readers.iter().map(|reader| (&*reader.name, reader.lag)).collect();
    ensure!(lags == [("one", 6), ("two", 1)], "{lags:?}");
    Ok(())
}

async fn a_cursor_can_be_moved_back<S: Storage>(pair: &Pair<S>) -> Result<(), Violation> {
    let (store, journal) = pair;
    fill(store, 10).await?;
    journal.register("reader", 8).await.map_err(text)?;
    journal.advance_durably("reader", 2, "").await.map_err(text)?;
    ensure!(at(&**journal, "reader") == Some(2), "{:?}", journal.cursor("reader"));
    Ok(())
}

async fn a_transaction_moves_a_cursor_with_what_it_writes<S: Storage>(
    pair: &Pair<S>,
) -> Result<(), Violation> {
    let (store, journal) = pair;
    fill(store, 2).await?;
    journal.register("reader", 0).await.map_err(text)?;
    let seq = transact(&**journal, |transaction| {
        let revision = transaction.next_revision();
        transaction.put("g/r/a", revision, Bytes::from_static(b"found"));
        transaction.append(Bytes::from_static(b"found"));
        transaction.advance("reader", 1, "first");
        transaction.advance("reader", 2, "last");
    });
    ensure!(seq.await == Ok(3), "the record is not the third");
    let cursor = journal.cursor("reader").ok_or("the reader is not registered")?;
    ensure!((cursor.seq, &*cursor.state) == (2, "last"), "{cursor:?}");
    ensure!(get(store, "g/r/a").await?.is_some(), "the object does not exist");
    // A transaction of the storage owns no cursor.
    let other = write(store, |transaction| transaction.advance("reader", 3, "")).await;
    ensure!(matches!(other, Err(StoreError::NotOwner { .. })), "{other:?}");
    ensure!(at(&**journal, "reader") == Some(2), "{:?}", journal.cursor("reader"));
    Ok(())
}

async fn a_checkpoint_is_replaced_as_a_whole<S: Storage>(pair: &Pair<S>) -> Result<(), Violation> {
    let (_, journal) = pair;
    journal.register("reader", 0).await.map_err(text)?;
    journal.register("other", 0).await.map_err(text)?;
    for texts in [&["one", "", "three"][..], &["four"], &[]] {
        let chunks: Vec<_> = texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect();
        let expected = chunks.clone();
        let seq =
            transact(&**journal, |transaction| transaction.save_checkpoint("reader", 5, chunks));
        seq.await.map_err(text)?;
        let checkpoint = journal.checkpoint("reader").await.map_err(text)?;
        ensure!(checkpoint.is_some() != texts.is_empty(), "{checkpoint:?} for {texts:?}");
        ensure!(checkpoint.clone().unwrap_or_default() == expected, "{checkpoint:?} for {texts:?}");
        ensure!(at(&**journal, "reader") == Some(5), "its cursor was not moved");
    }
    let other = journal.checkpoint("other").await.map_err(text)?;
    ensure!(other.is_none(), "{other:?} is another reader's");
    Ok(())
}

async fn a_rolled_back_transaction_moves_no_cursor<S: Storage>(
    pair: &Pair<S>,
) -> Result<(), Violation> {
    let (_, journal) = pair;
    journal.register("reader", 1).await.map_err(text)?;
    let seq = transact(&**journal, |transaction| {
        transaction.save_checkpoint("reader", 9, vec![Bytes::from_static(b"nine")]);
        transaction.rollback();
    });
    seq.await.map_err(text)?;
    ensure!(at(&**journal, "reader") == Some(1), "{:?}", journal.cursor("reader"));
    let checkpoint = journal.checkpoint("reader").await.map_err(text)?;
    ensure!(checkpoint.is_none(), "{checkpoint:?} was rolled back");
    Ok(())
}

async fn a_transaction_for_an_unknown_reader_is_rolled_back<S: Storage>(
    pair: &Pair<S>,
) -> Result<(), Violation> {
    let (_, journal) = pair;
    let seq = transact(&**journal, |transaction| {
        transaction.append(Bytes::from_static(b"found"));
        transaction.advance("reader", 1, "");
    });
    let rejection = seq.await;
    ensure!(matches!(rejection, Err(StoreError::Unregistered { .. })), "{rejection:?}");
    ensure!(journal.last_seq() == 0, "half of the transaction was committed");
    ensure!(journal.readers().is_empty(), "{:?} were never registered", journal.readers());
    Ok(())
}

async fn a_removed_reader_leaves_no_cursor_and_no_checkpoint<S: Storage>(
    pair: &Pair<S>,
) -> Result<(), Violation> {
    let (_, journal) = pair;
    journal.register("reader", 0).await.map_err(text)?;
    let chunks = vec![Bytes::from_static(b"one")];
    let seq = transact(&**journal, |transaction| transaction.save_checkpoint("reader", 5, chunks));
    seq.await.map_err(text)?;
    journal.remove("reader").await.map_err(text)?;
    ensure!(journal.cursor("reader").is_none(), "{:?}", journal.cursor("reader"));
    let moved = journal.advance("reader", 6, "");
    ensure!(matches!(moved, Err(StoreError::Unregistered { .. })), "{moved:?}");
    journal.register("reader", 3).await.map_err(text)?;
    ensure!(at(&**journal, "reader") == Some(3), "{:?}", journal.cursor("reader"));
    let checkpoint = journal.checkpoint("reader").await.map_err(text)?;
    ensure!(checkpoint.is_none(), "{checkpoint:?} belongs to the removed reader");
    Ok(())
}

async fn a_parked_reader_keeps_its_cursor_and_retains_no_records<S: Storage>(
    pair: &Pair<S>,
) -> Result<(), Violation> {
    let (store, journal) = pair;
    fill(store, 9).await?;
    let cursor = |seq, state: &str| Cursor { seq, state: state.to_owned() };
    journal.register("reader", 0).await.map_err(text)?;
    journal.advance("reader", 4, "state").map_err(text)?;
    journal.park("reader", cursor(4, "off")).await.map_err(text)?;
    journal.park("never on", cursor(7, "")).await.map_err(text)?;
    ensure!(journal.readers().is_empty(), "{:?} retain records", journal.readers());
    ensure!(journal.cursor("reader").is_none(), "{:?}", journal.cursor("reader"));
    let expected =
        [("never on".to_owned(), cursor(7, "")), ("reader".to_owned(), cursor(4, "off"))];
    ensure!(journal.parked() == expected, "{:?}", journal.parked());
    journal.resume("reader", cursor(5, "state")).await.map_err(text)?;
    ensure!(journal.cursor("reader") == Some(cursor(5, "state")), "{:?}", journal.cursor("reader"));
    journal.remove("never on").await.map_err(text)?;
    ensure!(journal.parked().is_empty(), "{:?} are parked", journal.parked());
    Ok(())
}

type Handles<S> = (S, [Arc<dyn Journal>; 2]);

async fn a_cursor_belongs_to_the_handle_that_registered_it_last<S: Storage>(
    handles: &Handles<S>,
) -> Result<(), Violation> {
    let (store, [first, second]) = handles;
    fill(store, 9).await?;
    first.register("reader", 0).await.map_err(text)?;
    first.advance("reader", 3, "state").map_err(text)?;
    let cursor = second.register("reader", 0).await.map_err(text)?;
    ensure!((cursor.seq, &*cursor.state) == (3, "state"), "{cursor:?} has moved");
    let moved = first.advance("reader", 5, "");
    ensure!(matches!(moved, Err(StoreError::NotOwner { .. })), "{moved:?}");
    let moved = first.advance_durably("reader", 5, "").await;
    ensure!(matches!(moved, Err(StoreError::NotOwner { .. })), "{moved:?}");
    let moved = transact(&**first, |transaction| {
        transaction.append(Bytes::from_static(b"found"));
        transaction.advance("reader", 5, "");
    });
    let moved = moved.await;
    ensure!(matches!(moved, Err(StoreError::NotOwner { .. })), "{moved:?}");
    ensure!(second.last_seq() == 9, "half of the transaction was committed");
    second.advance_durably("reader", 4, "").await.map_err(text)?;
    ensure!(at(&**first, "reader") == Some(4), "{:?}", first.cursor("reader"));
    Ok(())
}

async fn a_released_cursor_has_no_owner<S: Storage>(handles: &Handles<S>) -> Result<(), Violation> {
    let (_, [first, second]) = handles;
    first.register("parked", 0).await.map_err(text)?;
    first.register("removed", 0).await.map_err(text)?;
    second.park("parked", Cursor::default()).await.map_err(text)?;
    second.remove("removed").await.map_err(text)?;
    let moved = first.advance("parked", 1, "");
    ensure!(matches!(moved, Err(StoreError::Unregistered { .. })), "{moved:?}");
    second.resume("parked", Cursor::default()).await.map_err(text)?;
    second.register("removed", 0).await.map_err(text)?;
    let moved = first.advance("removed", 1, "");
    ensure!(matches!(moved, Err(StoreError::NotOwner { .. })), "{moved:?}");
    first.advance("parked", 1, "").map_err(text)?;
    ensure!(at(&**second, "parked") == Some(1), "{:?}", second.cursor("parked"));
    Ok(())
}
