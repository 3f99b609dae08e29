//! The conformance tests of a store: functions over [`Storage`] and [`Journal`] that run against
//! each implementation.
//!
//! Each function needs new, empty stores. A failure is an [`Err`] that names the violated
//! requirement. The suites also run with two handles on one store.
//!
//! [`Journal`]: crate::Journal

macro_rules! ensure {
    // A macro, because a function would format its message even if the condition holds.
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}

mod journal;
mod two_handles;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use crate::{
    Change, ChangeKind, ListOptions, Object, Page, ReadError, Storage, StoreError, Watch, write,
};

use two_handles::TwoHandles;

pub use journal::journal;

/// The description of a violated requirement.
pub type Violation = String;

/// Run all tests of [`Storage`], each on a new store, of which `open` returns two handles: first
/// with one handle, then with both at once.
pub async fn storage<S: Storage>(mut open: impl FnMut() -> [S; 2]) -> Result<(), Violation> {
    with_one_handle(|| open().into_iter().next().ok_or("no handle")).await?;
    let two = with_one_handle(|| Ok(TwoHandles::new(open())));
    two.await.map_err(|violation| format!("with two handles: {violation}"))
}

async fn with_one_handle<S: Storage>(
    mut open: impl FnMut() -> Result<S, &'static str>,
) -> Result<(), Violation> {
    changes_are_visible_after_the_commit(&open()?).await?;
    revisions_increase_by_one_across_all_keys(&open()?).await?;
    a_rollback_keeps_only_later_operations(&open()?).await?;
    a_panic_rolls_back_only_its_own_transaction(&open()?).await?;
    misusing_a_revision_rolls_the_transaction_back(&open()?).await?;
    a_transaction_sees_the_transactions_before_it(&open()?).await?;
    lists_are_ordered_and_paged_at_one_revision(&open()?).await?;
    pages_are_bounded_in_bytes(&open()?).await?;
    lists_show_the_state_at_their_revision(&open()?).await?;
    watches_resume_at_any_revision(&open()?).await?;
    a_slow_watch_misses_nothing(&open()?).await?;
    a_watch_knows_its_progress(&open()?).await?;
    lists_ahead_of_the_newest_revision_are_rejected(&open()?).await?;
    dropped_futures_still_commit(&open()?).await?;
    a_watch_waits_for_a_revision_ahead(&open()?).await?;
    a_revision_that_is_never_committed_is_too_large(&open()?).await
}

async fn changes_are_visible_after_the_commit(store: &dyn Storage) -> Result<(), Violation> {
    let revision = put(store, "g/r/a", "1").await?;
    let object = get(store, "g/r/a").await?.ok_or("the object does not exist")?;
    ensure!(object.revision == revision, "{object:?} is not of revision {revision}");
    ensure!(&*object.body == b"1" && &*object.key == "g/r/a", "{object:?} was not put");
    delete(store, "g/r/a").await?;
    ensure!(get(store, "g/r/a").await?.is_none(), "a deleted object still exists");
    Ok(())
}

async fn revisions_increase_by_one_across_all_keys(store: &dyn Storage) -> Result<(), Violation> {
    let created = put(store, "g/r/a", "1").await?;
    let other_created = put(store, "h/s/b", "1").await?;
    let deleted = delete(store, "g/r/a").await?;
    ensure!(
        [other_created, deleted] == [created + 1, created + 2],
        "{created}, {other_created}, {deleted} do not increase by one"
    );
    let newest = newest(store).await?;
    ensure!(newest == deleted, "{newest} is the newest, not {deleted}");
    Ok(())
}

async fn a_rollback_keeps_only_later_operations(store: &dyn Storage) -> Result<(), Violation> {
    let before = put(store, "g/r/a", "1").await?;
    let first = append(store, "first").await?;
    let work = write(store, |transaction| {
        let revision = transaction.next_revision();
        transaction.put("g/r/a", revision, Bytes::from_static(b"2"));
        transaction.append(Bytes::from_static(b"done"));
        transaction.rollback();
        let body = transaction.get("g/r/a").map(|object| object.body.clone());
        transaction.append(Bytes::from_static(b"refused"));
        body
    });
    let body = work.await.map_err(text)?;
    ensure!(body.as_deref() == Some(b"1"), "after a rollback the transaction reads {body:?}");
    ensure!(newest(store).await? == before, "a rolled back change used a revision");
    ensure!(
        append(store, "last").await? == first + 2,
        "the rolled back record was appended, or another one is missing"
    );
    Ok(())
}

async fn a_panic_rolls_back_only_its_own_transaction(store: &dyn Storage) -> Result<(), Violation> {
    let panicking = write(store, |transaction| {
        let revision = transaction.next_revision();
        transaction.put("g/r/a", revision, Bytes::from_static(b"1"));
        // Panics without the macro.
        let nothing: Option<u64> = transaction.get("g/r/none").map(|object| object.revision);
        std::panic::resume_unwind(Box::new(format!("on purpose: {nothing:?}")))
    });
    let unaffected = put(store, "g/r/b", "1");
    let (panicking, unaffected): (Result<(), _>, _) = (panicking.await, unaffected.await);
    ensure!(matches!(panicking, Err(StoreError::Panicked { .. })), "{panicking:?} is not a panic");
    ensure!(get(store, "g/r/a").await?.is_none(), "the transaction that panicked left a change");
    unaffected.map(drop)
}

async fn misusing_a_revision_rolls_the_transaction_back(
    store: &dyn Storage,
) -> Result<(), Violation> {
    let result = write(store, |transaction| {
        let revision = transaction.next_revision();
        transaction.put("g/r/a", revision, Bytes::new());
        transaction.put("g/r/b", revision, Bytes::new());
    });
    let result = result.await;
    ensure!(
        matches!(result, Err(StoreError::Misused { .. })),
        "{result:?} used one revision twice"
    );
    ensure!(get(store, "g/r/a").await?.is_none(), "half of the transaction was committed");
    Ok(())
}

async fn a_transaction_sees_the_transactions_before_it(
    store: &dyn Storage,
) -> Result<(), Violation> {
    let mut counts = Vec::new();
    for number in 0..20 {
        counts.push(write(store, move |transaction| {
            let revision = transaction.next_revision();
            transaction.put(&format!("g/r/{number:02}"), revision, Bytes::new());
            transaction.scan("g/r/").len()
        }));
    }
    for (number, count) in counts.into_iter().enumerate() {
        let count = count.await.map_err(text)?;
        ensure!(count == number + 1, "transaction {number} reads {count} objects");
    }
    Ok(())
}

async fn lists_are_ordered_and_paged_at_one_revision(store: &dyn Storage) -> Result<(), Violation> {
    for name in ["d", "a", "c", "b", "e"] {
        put(store, &format!("g/r/{name}"), "1").await?;
    }
    put(store, "g/rr/x", "1").await?;
    let first = page(store, None, None, 2).await?;
    ensure!(keys(&first) == "g/r/a g/r/b" && first.remaining == Some(3), "{first:?} is not page 1");
    // The next pages show the revision of the first one, not the newest.
    delete(store, "g/r/c").await?;
    put(store, "g/r/d", "2").await?;
    put(store, "g/r/bb", "1").await?;
    let second = page(store, Some(first.revision), first.next, 2).await?;
    ensure!(keys(&second) == "g/r/c g/r/d", "{second:?} is not page 2");
    ensure!(second.items.iter().all(|object| &*object.body == b"1"), "{second:?} is newer");
    let third = page(store, Some(first.revision), second.next, 2).await?;
    ensure!(keys(&third) == "g/r/e" && third.next.is_none(), "{third:?} is not page 3");
    Ok(())
}

async fn pages_are_bounded_in_bytes(store: &dyn Storage) -> Result<(), Violation> {
    for (name, len) in [("a", 10), ("b", 30), ("c", 5), ("d", 40), ("e", 1)] {
        put(store, &format!("g/r/{name}"), &"x".repeat(len)).await?;
    }
    for (limit, bytes_max, expected) in [
        (0, 1, "a|b|c|d|e"),
        (0, 10, "a|b|c d|e"),
        (0, 40, "a b|c d|e"),
        (0, 85, "a b c d|e"),
        (0, 86, "a b c d e"),
        (0, 0, "a b c d e"),
        (2, 40, "a b|c d|e"),
        (3, 1000, "a b c|d e"),
        (1, 40, "a|b|c|d|e"),
    ] {
        let (mut at, mut start_after) = (None, None);
        let mut pages = Vec::new();
        let mut remaining = 5;
        loop {
            let options = ListOptions { at, start_after, limit, bytes_max, counts_rest: true };
            let page = store.list("g/r/", options).await.map_err(text)?;
            remaining -= page.items.len();
            ensure!(
                page.remaining == Some(remaining),
                "{bytes_max}: {remaining} objects remain, not {page:?}"
            );
            pages.push(keys(&page).replace("g/r/", ""));
            at = Some(page.revision);
            start_after = page.next;
            if start_after.is_none() {
                break;
            }
        }
        let pages = pages.join("|");
        ensure!(pages == expected, "{limit} objects of {bytes_max} bytes: {pages}");
    }
    Ok(())
}

async fn lists_show_the_state_at_their_revision(store: &dyn Storage) -> Result<(), Violation> {
    let created = put(store, "g/r/a", "1").await?;
    let changed = put(store, "g/r/a", "2").await?;
    let deleted = delete(store, "g/r/a").await?;
    let recreated = put(store, "g/r/a", "3").await?;
    for (revision, body) in [(created, "1"), (changed, "2"), (deleted, ""), (recreated, "3")] {
        let page = page(store, Some(revision), None, 0).await?;
        let bodies: Vec<&[u8]> = page.items.iter().map(|object| &*object.body).collect();
        ensure!(bodies.concat() == body.as_bytes(), "at {revision}: {page:?}, not {body}");
    }
    Ok(())
}

async fn watches_resume_at_any_revision(store: &dyn Storage) -> Result<(), Violation> {
    let start = newest(store).await?;
    put(store, "g/r/a", "1").await?;
    let middle = put(store, "g/other/a", "1").await?;
    put(store, "g/r/a", "2").await?;
    delete(store, "g/r/a").await?;
    let mut watch = store.watch("g/r/", start).await.map_err(text)?;
    let changes = collect(&mut watch, 3).await?;
    let kinds: Vec<ChangeKind> = changes.iter().map(|change| change.kind).collect();
    ensure!(
        kinds == [ChangeKind::Created, ChangeKind::Updated, ChangeKind::Deleted],
        "{changes:?}"
    );
    ensure!(changes.iter().all(|change| change.revision == change.object.revision), "{changes:?}");
    let previous: Vec<bool> = changes.iter().map(|change| change.previous.is_some()).collect();
    ensure!(previous == [false, true, true], "{changes:?} lack the previous states");
    let mut watch = store.watch("g/r/", middle).await.map_err(text)?;
    let changes = collect(&mut watch, 2).await?;
    let first = changes.first();
    ensure!(first.is_some_and(|change| change.kind == ChangeKind::Updated), "{changes:?}");
    Ok(())
}

async fn a_slow_watch_misses_nothing(store: &dyn Storage) -> Result<(), Violation> {
    let start = newest(store).await?;
    let mut watch = store.watch("g/r/", start).await.map_err(text)?;
    let body = "x".repeat(64 << 10);
    // More than the cache for watches holds.
    let count = 300;
    for number in 0..count {
        put(store, &format!("g/r/{}", number % 7), &body).await?;
    }
    let changes = collect(&mut watch, count).await?;
    let steps = changes.windows(2).filter_map(|pair| pair.first().zip(pair.get(1)));
    for (change, next) in steps {
        ensure!(
            next.revision == change.revision + 1,
            "{} after {}",
            next.revision,
            change.revision
        );
    }
    Ok(())
}

async fn a_watch_knows_its_progress(store: &dyn Storage) -> Result<(), Violation> {
    let start = newest(store).await?;
    let mut watch = store.watch("g/r/", start).await.map_err(text)?;
    let other_revision = put(store, "g/other/a", "1").await?;
    ensure!(watch.progress() == other_revision, "{} instead of {other_revision}", watch.progress());
    put(store, "g/r/a", "1").await?;
    put(store, "g/other/a", "2").await?;
    ensure!(
        watch.progress() == other_revision,
        "its progress includes a change that it has not returned"
    );
    collect(&mut watch, 1).await?;
    let newest = newest(store).await?;
    ensure!(watch.progress() == newest, "{} is behind {newest}", watch.progress());
    Ok(())
}

async fn lists_ahead_of_the_newest_revision_are_rejected(
    store: &dyn Storage,
) -> Result<(), Violation> {
    let revision = put(store, "g/r/a", "1").await? + 1;
    let options = ListOptions { at: Some(revision), ..ListOptions::default() };
    let list = store.list("g/r/", options).await;
    ensure!(
        matches!(list, Err(ReadError::TooLarge { .. })),
        "{list:?} is ahead of the newest revision"
    );
    Ok(())
}

async fn a_watch_waits_for_a_revision_ahead(store: &dyn Storage) -> Result<(), Violation> {
    let future_revision = put(store, "g/r/a", "1").await? + 1;
    let mut watch = store.watch("g/r/", future_revision);
    let is_ready = poll_fn(|context| Poll::Ready(watch.as_mut().poll(context).is_ready())).await;
    ensure!(!is_ready, "it did not wait for revision {future_revision}");
    let reached = put(store, "g/r/a", "2").await?;
    ensure!(reached == future_revision, "{reached} is not {future_revision}");
    let mut watch = watch.await.map_err(text)?;
    let next = put(store, "g/r/a", "3").await?;
    let changes = collect(&mut watch, 1).await?;
    ensure!(changes.iter().all(|change| change.revision == next), "{changes:?} is not {next}");
    Ok(())
}

async fn a_revision_that_is_never_committed_is_too_large(
    store: &dyn Storage,
) -> Result<(), Violation> {
    let future_revision = put(store, "g/r/a", "1").await? + 1000;
    let result = store.wait_for_revision(future_revision).await;
    ensure!(matches!(result, Err(ReadError::TooLarge { .. })), "{result:?} for {future_revision}");
    let watch = store.watch("g/r/", future_revision).await.map(drop);
    ensure!(matches!(watch, Err(ReadError::TooLarge { .. })), "{watch:?} for {future_revision}");
    store.wait_for_revision(future_revision - 1000).await.map_err(text)?;
    let observed = store.observed_revision();
    ensure!(
        observed >= future_revision - 1000,
        "{observed} is behind the revision that was waited for"
    );
    Ok(())
}

async fn dropped_futures_still_commit(store: &dyn Storage) -> Result<(), Violation> {
    drop(write(store, |transaction| {
        let revision = transaction.next_revision();
        transaction.put("g/r/a", revision, Bytes::new());
    }));
    append(store, "behind it").await?;
    ensure!(
        get(store, "g/r/a").await?.is_some(),
        "a transaction whose future was dropped was not committed"
    );
    Ok(())
}

async fn put(store: &dyn Storage, key: &str, body: &str) -> Result<u64, Violation> {
    let (key, body) = (key.to_owned(), Bytes::copy_from_slice(body.as_bytes()));
    let work = write(store, move |transaction| {
        let revision = transaction.next_revision();
        transaction.put(&key, revision, body);
        revision
    });
    work.await.map_err(text)
}

async fn delete(store: &dyn Storage, key: &str) -> Result<u64, Violation> {
    let key = key.to_owned();
    let work = write(store, move |transaction| {
        let last = transaction.get(&key).map(|object| object.body.clone());
        let revision = transaction.next_revision();
        transaction.delete(&key, revision, last.unwrap_or_default());
        revision
    });
    work.await.map_err(text)
}

async fn newest(store: &dyn Storage) -> Result<u64, Violation> {
    store.newest_revision().await.map_err(text)
}

async fn get(store: &dyn Storage, key: &str) -> Result<Option<Arc<Object>>, Violation> {
    store.get(key).await.map_err(text)
}

async fn append(store: &dyn Storage, record: &str) -> Result<u64, Violation> {
    crate::append(store, Bytes::copy_from_slice(record.as_bytes())).await.map_err(text)
}

async fn page(
    store: &dyn Storage,
    at: Option<u64>,
    start_after: Option<String>,
    limit: usize,
) -> Result<Page, Violation> {
    store
        .list("g/r/", ListOptions { at, start_after, limit, bytes_max: 0, counts_rest: true })
        .await
        .map_err(text)
}

fn keys(page: &Page) -> String {
    let keys: Vec<&str> = page.items.iter().map(|object: &Arc<Object>| &*object.key).collect();
    keys.join(" ")
}

async fn collect(watch: &mut Watch, count: usize) -> Result<Vec<Change>, Violation> {
    let mut changes = Vec::new();
    while changes.len() < count {
        changes.extend(watch.next().await.map_err(text)?);
    }
    if changes.len() == count { Ok(changes) } else { Err(format!("{} changes", changes.len())) }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err requires")]
fn text(error: impl ToString) -> Violation {
    error.to_string()
}
