//! The conformance tests of a journal: functions over [`Journal`] and the [`Storage`] that it
//! belongs to, which run against each implementation.

use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::{Broken, append, get, said};
use crate::{Cursor, Direction, Journal, Record, Storage, StoreError, Transaction, write};

/// A store and its journal.
type Pair<S> = (S, Arc<dyn Journal>);

/// Run all tests of [`Journal`], each on an empty store from `fresh`.
pub async fn journal<S: Storage>(mut fresh: impl FnMut() -> Pair<S>) -> Result<(), Broken> {
    records_come_once_and_in_order(&fresh()).await?;
    a_read_is_bounded_and_never_empty_without_reason(&fresh()).await?;
    ranges_are_read_one_after_the_other(&fresh()).await?;
    waiting_ends_with_the_next_record(&fresh()).await?;
    each_reader_has_a_place_of_its_own(&fresh()).await?;
    a_cursor_goes_back_when_it_is_told_to(&fresh()).await?;
    work_moves_a_cursor_with_what_it_writes(&fresh()).await?;
    a_checkpoint_is_replaced_as_a_whole(&fresh()).await?;
    rolled_back_work_moves_no_cursor(&fresh()).await?;
    work_for_an_unknown_reader_is_undone(&fresh()).await?;
    a_removed_reader_leaves_nothing(&fresh()).await?;
    a_parked_reader_keeps_its_place_and_holds_nothing(&fresh()).await
}

async fn fill<S: Storage>(store: &S, count: u64) -> Result<(), Broken> {
    for number in 1..=count {
        append(store, &format!("record {number}")).await?;
    }
    Ok(())
}

fn at(journal: &dyn Journal, reader: &str) -> Option<u64> {
    journal.cursor(reader).map(|cursor| cursor.seq)
}

/// One transaction of a reader.
async fn work(
    journal: &dyn Journal,
    work: impl FnOnce(&mut dyn Transaction) + Send + 'static,
) -> Result<u64, StoreError> {
    journal.submit(Box::new(work)).await.map(|committed| committed.seq)
}

async fn records_come_once_and_in_order<S: Storage>(pair: &Pair<S>) -> Result<(), Broken> {
    let (store, journal) = pair;
    ensure!(journal.last_seq() == 0, "an empty journal has a last record");
    fill(store, 100).await?;
    ensure!(journal.last_seq() == 100, "{} is the last of 100", journal.last_seq());
    ensure!(journal.first_seq() == 1, "{} is the first of 100", journal.first_seq());
    let mut seq = 0;
    while seq < 100 {
        for record in journal.read(seq, 7, 1 << 20).await.map_err(said)? {
            seq += 1;
            ensure!(record.seq == seq, "{} comes instead of {seq}", record.seq);
            let text = format!("record {seq}");
            ensure!(&*record.bytes == text.as_bytes(), "{:?} is not {text}", record.bytes);
        }
    }
    Ok(())
}

async fn a_read_is_bounded_and_never_empty_without_reason<S: Storage>(
    pair: &Pair<S>,
) -> Result<(), Broken> {
    let (store, journal) = pair;
    fill(store, 9).await?;
    for (after, rows_max, bytes_max, expected) in
        [(0, 4, 1 << 20, 4), (0, 9, 20, 2), (3, 9, 1, 1), (8, 9, 1, 1), (9, 9, 1 << 20, 0)]
    {
        let found = journal.read(after, rows_max, bytes_max).await.map_err(said)?.len();
        ensure!(
            found == expected,
            "{found} records after {after} within {rows_max} rows and {bytes_max} bytes"
        );
    }
    Ok(())
}

async fn ranges_are_read_one_after_the_other<S: Storage>(pair: &Pair<S>) -> Result<(), Broken> {
    use Direction::{Backward, Forward};
    let (store, journal) = pair;
    fill(store, 9).await?;
    let all = 1 << 20;
    for (ranges, direction, bytes_max, expected, is_cut) in [
        (vec![2..=4, 9..=20, 6..=6], Forward, all, &[2, 3, 4, 9, 6][..], false),
        (vec![8..=20, 6..=6, 2..=4], Backward, all, &[9, 8, 6, 4, 3, 2], false),
        (vec![1..=9], Backward, 20, &[9, 8], true),
        (vec![5..=5, 1..=2], Forward, 1, &[5], true),
        (vec![20..=30, 0..=1], Forward, 1, &[1], false),
        (Vec::new(), Forward, all, &[], false),
    ] {
        let found =
            journal.read_ranges(ranges.clone(), direction, bytes_max).await.map_err(said)?;
        let seqs: Vec<u64> = found.records.iter().map(|record| record.seq).collect();
        ensure!(
            (&*seqs, found.is_cut) == (expected, is_cut),
            "{seqs:?} ({}) of {ranges:?} {direction:?} within {bytes_max} bytes",
            found.is_cut
        );
        let is_whole = |it: &Record| *it.bytes == *format!("record {}", it.seq).as_bytes();
        ensure!(found.records.iter().all(is_whole), "another record in the place of one");
    }
    Ok(())
}

async fn waiting_ends_with_the_next_record<S: Storage>(pair: &Pair<S>) -> Result<(), Broken> {
    let (store, journal) = pair;
    fill(store, 3).await?;
    ensure!(journal.wait_past(1).await == Ok(3), "it waits for a record that is there");
    let mut waiting = journal.wait_past(3);
    let at_once = std::future::poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context)));
    ensure!(at_once.await.is_pending(), "it does not wait for a record that is not there");
    append(store, "the next").await?;
    ensure!(waiting.await == Ok(4), "it does not tell the last record");
    Ok(())
}

async fn each_reader_has_a_place_of_its_own<S: Storage>(pair: &Pair<S>) -> Result<(), Broken> {
    let (store, journal) = pair;
    fill(store, 10).await?;
    journal.register("one", 0).await.map_err(said)?;
    journal.register("two", 7).await.map_err(said)?;
    journal.advance("one", 4, "state");
    journal.advance_durably("two", 9, "").await.map_err(said)?;
    let again = journal.register("one", 0).await.map_err(said)?;
    ensure!((again.seq, &*again.state) == (4, "state"), "{again:?} is not where it was");
    let readers = journal.readers();
    let lags: Vec<_> = readers.iter().map(|reader| (&*reader.name, reader.lag)).collect();
    ensure!(lags == [("one", 6), ("two", 1)], "{lags:?}");
    Ok(())
}

async fn a_cursor_goes_back_when_it_is_told_to<S: Storage>(pair: &Pair<S>) -> Result<(), Broken> {
    let (store, journal) = pair;
    fill(store, 10).await?;
    journal.register("reader", 8).await.map_err(said)?;
    journal.advance_durably("reader", 2, "").await.map_err(said)?;
    ensure!(at(&**journal, "reader") == Some(2), "{:?}", journal.cursor("reader"));
    Ok(())
}

async fn work_moves_a_cursor_with_what_it_writes<S: Storage>(pair: &Pair<S>) -> Result<(), Broken> {
    let (store, journal) = pair;
    fill(store, 2).await?;
    journal.register("reader", 0).await.map_err(said)?;
    let seq = work(&**journal, |transaction| {
        let revision = transaction.next_revision();
        transaction.put("g/r/a", revision, Bytes::from_static(b"found"));
        transaction.record(Bytes::from_static(b"found"));
        transaction.advance("reader", 1, "first");
        transaction.advance("reader", 2, "last");
    });
    ensure!(seq.await == Ok(3), "the record is not the third");
    let cursor = journal.cursor("reader").ok_or("the reader is gone")?;
    ensure!((cursor.seq, &*cursor.state) == (2, "last"), "{cursor:?}");
    ensure!(get(store, "g/r/a").await?.is_some(), "the object is not there");
    // A transaction through the storage has the same effect.
    let other = write(store, |transaction| transaction.advance("reader", 3, ""));
    other.await.map_err(said)?;
    ensure!(at(&**journal, "reader") == Some(3), "{:?}", journal.cursor("reader"));
    Ok(())
}

async fn a_checkpoint_is_replaced_as_a_whole<S: Storage>(pair: &Pair<S>) -> Result<(), Broken> {
    let (_, journal) = pair;
    journal.register("reader", 0).await.map_err(said)?;
    journal.register("other", 0).await.map_err(said)?;
    for texts in [&["one", "", "three"][..], &["four"], &[]] {
        let chunks: Vec<_> = texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect();
        let expected = chunks.clone();
        let seq = work(&**journal, |transaction| transaction.save_checkpoint("reader", 5, chunks));
        seq.await.map_err(said)?;
        let found = journal.checkpoint("reader").await.map_err(said)?;
        ensure!(found.is_some() != texts.is_empty(), "{found:?} for {texts:?}");
        ensure!(found.clone().unwrap_or_default() == expected, "{found:?} for {texts:?}");
        ensure!(at(&**journal, "reader") == Some(5), "its cursor was not moved");
    }
    let other = journal.checkpoint("other").await.map_err(said)?;
    ensure!(other.is_none(), "{other:?} is another reader's");
    Ok(())
}

async fn rolled_back_work_moves_no_cursor<S: Storage>(pair: &Pair<S>) -> Result<(), Broken> {
    let (_, journal) = pair;
    journal.register("reader", 1).await.map_err(said)?;
    let seq = work(&**journal, |transaction| {
        transaction.save_checkpoint("reader", 9, vec![Bytes::from_static(b"nine")]);
        transaction.rollback();
    });
    seq.await.map_err(said)?;
    ensure!(at(&**journal, "reader") == Some(1), "{:?}", journal.cursor("reader"));
    let found = journal.checkpoint("reader").await.map_err(said)?;
    ensure!(found.is_none(), "{found:?} was rolled back");
    Ok(())
}

async fn work_for_an_unknown_reader_is_undone<S: Storage>(pair: &Pair<S>) -> Result<(), Broken> {
    let (_, journal) = pair;
    let seq = work(&**journal, |transaction| {
        transaction.record(Bytes::from_static(b"found"));
        transaction.advance("reader", 1, "");
    });
    let refusal = seq.await;
    ensure!(matches!(refusal, Err(StoreError::Unregistered { .. })), "{refusal:?}");
    ensure!(journal.last_seq() == 0, "half of the work was done");
    ensure!(journal.readers().is_empty(), "{:?} were never registered", journal.readers());
    Ok(())
}

async fn a_removed_reader_leaves_nothing<S: Storage>(pair: &Pair<S>) -> Result<(), Broken> {
    let (_, journal) = pair;
    journal.register("reader", 0).await.map_err(said)?;
    let chunks = vec![Bytes::from_static(b"one")];
    let seq = work(&**journal, |transaction| transaction.save_checkpoint("reader", 5, chunks));
    seq.await.map_err(said)?;
    journal.remove("reader").await.map_err(said)?;
    ensure!(journal.cursor("reader").is_none(), "{:?}", journal.cursor("reader"));
    journal.register("reader", 3).await.map_err(said)?;
    ensure!(at(&**journal, "reader") == Some(3), "{:?}", journal.cursor("reader"));
    let found = journal.checkpoint("reader").await.map_err(said)?;
    ensure!(found.is_none(), "{found:?} is of the reader that was removed");
    Ok(())
}

async fn a_parked_reader_keeps_its_place_and_holds_nothing<S: Storage>(
    pair: &Pair<S>,
) -> Result<(), Broken> {
    let (store, journal) = pair;
    fill(store, 9).await?;
    let place = |seq, state: &str| Cursor { seq, state: state.to_owned() };
    journal.register("reader", 0).await.map_err(said)?;
    journal.advance("reader", 4, "state");
    journal.park("reader", place(4, "off")).await.map_err(said)?;
    journal.park("never on", place(7, "")).await.map_err(said)?;
    ensure!(journal.readers().is_empty(), "{:?} hold records", journal.readers());
    ensure!(journal.cursor("reader").is_none(), "{:?}", journal.cursor("reader"));
    let expected = [("never on".to_owned(), place(7, "")), ("reader".to_owned(), place(4, "off"))];
    ensure!(journal.parked() == expected, "{:?}", journal.parked());
    journal.resume("reader", place(5, "state")).await.map_err(said)?;
    ensure!(journal.cursor("reader") == Some(place(5, "state")), "{:?}", journal.cursor("reader"));
    journal.remove("never on").await.map_err(said)?;
    ensure!(journal.parked().is_empty(), "{:?} are parked", journal.parked());
    Ok(())
}
