//! The conformance tests of a store: functions over [`Storage`] and [`Journal`] that run against
//! each implementation.
//!
//! Each function needs a new, empty store. A failure is an [`Err`] that names the violated
//! requirement.
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

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    Change, ChangeKind, ListOptions, Object, Page, ReadError, Storage, StoreError, Watch, record,
    write,
};

pub use journal::journal;

/// The description of a violated requirement.
pub type Broken = String;

/// Run all tests of [`Storage`], each on a store from `fresh`.
pub async fn all<S: Storage>(mut fresh: impl FnMut() -> S) -> Result<(), Broken> {
    changes_are_seen_after_the_commit(&fresh()).await?;
    revisions_rise_by_one_across_all_keys(&fresh()).await?;
    rolled_back_work_leaves_only_what_follows(&fresh()).await?;
    a_panic_undoes_only_its_own_work(&fresh()).await?;
    misused_revisions_undo_the_work(&fresh()).await?;
    work_sees_work_before_it(&fresh()).await?;
    lists_are_ordered_and_paged_at_one_revision(&fresh()).await?;
    pages_are_bounded_in_bytes(&fresh()).await?;
    lists_show_the_past(&fresh()).await?;
    watches_resume_anywhere(&fresh()).await?;
    a_slow_watch_misses_nothing(&fresh()).await?;
    a_watch_knows_how_far_it_has_seen(&fresh()).await?;
    revisions_ahead_are_refused(&fresh()).await?;
    dropped_futures_still_commit(&fresh()).await
}

async fn changes_are_seen_after_the_commit(store: &dyn Storage) -> Result<(), Broken> {
    let revision = put(store, "g/r/a", "1").await?;
    let object = get(store, "g/r/a").await?.ok_or("the object is not there")?;
    ensure!(object.revision == revision, "{object:?} is not of revision {revision}");
    ensure!(&*object.body == b"1" && &*object.key == "g/r/a", "{object:?} was not put");
    delete(store, "g/r/a").await?;
    ensure!(get(store, "g/r/a").await?.is_none(), "a deleted object is there");
    Ok(())
}

async fn revisions_rise_by_one_across_all_keys(store: &dyn Storage) -> Result<(), Broken> {
    let one = put(store, "g/r/a", "1").await?;
    let two = put(store, "h/s/b", "1").await?;
    let three = delete(store, "g/r/a").await?;
    ensure!([two, three] == [one + 1, one + 2], "{one}, {two}, {three} do not rise by one");
    ensure!(store.current_revision() == three, "{} is not current", store.current_revision());
    Ok(())
}

async fn rolled_back_work_leaves_only_what_follows(store: &dyn Storage) -> Result<(), Broken> {
    let before = put(store, "g/r/a", "1").await?;
    let first = append(store, "first").await?;
    let work = write(store, |transaction| {
        let revision = transaction.next_revision();
        transaction.put("g/r/a", revision, Bytes::from_static(b"2"));
        transaction.record(Bytes::from_static(b"done"));
        transaction.rollback();
        let seen = transaction.get("g/r/a").map(|object| object.body.clone());
        transaction.record(Bytes::from_static(b"refused"));
        seen
    });
    let seen = work.await.map_err(said)?;
    ensure!(seen.as_deref() == Some(b"1"), "after a rollback the work sees {seen:?}");
    ensure!(store.current_revision() == before, "a rolled back change took a revision");
    ensure!(append(store, "last").await? == first + 2, "not exactly one record was left");
    Ok(())
}

async fn a_panic_undoes_only_its_own_work(store: &dyn Storage) -> Result<(), Broken> {
    let broken = write(store, |transaction| {
        let revision = transaction.next_revision();
        transaction.put("g/r/a", revision, Bytes::from_static(b"1"));
        // Panics without the macro.
        let nothing: Option<u64> = transaction.get("g/r/none").map(|object| object.revision);
        std::panic::resume_unwind(Box::new(format!("on purpose: {nothing:?}")))
    });
    let sound = put(store, "g/r/b", "1");
    let (broken, sound): (Result<(), _>, _) = (broken.await, sound.await);
    ensure!(matches!(broken, Err(StoreError::Panicked { .. })), "{broken:?} is not a panic");
    ensure!(get(store, "g/r/a").await?.is_none(), "the work that panicked left a change");
    sound.map(drop)
}

async fn misused_revisions_undo_the_work(store: &dyn Storage) -> Result<(), Broken> {
    let twice = write(store, |transaction| {
        let revision = transaction.next_revision();
        transaction.put("g/r/a", revision, Bytes::new());
        transaction.put("g/r/b", revision, Bytes::new());
    });
    let twice = twice.await;
    ensure!(matches!(twice, Err(StoreError::Misused { .. })), "{twice:?} used one twice");
    ensure!(get(store, "g/r/a").await?.is_none(), "half of the work was done");
    Ok(())
}

async fn work_sees_work_before_it(store: &dyn Storage) -> Result<(), Broken> {
    let mut counts = Vec::new();
    for number in 0..20 {
        counts.push(write(store, move |transaction| {
            let revision = transaction.next_revision();
            transaction.put(&format!("g/r/{number:02}"), revision, Bytes::new());
            transaction.scan("g/r/").len()
        }));
    }
    for (number, count) in counts.into_iter().enumerate() {
        let count = count.await.map_err(said)?;
        ensure!(count == number + 1, "work {number} sees {count} objects");
    }
    Ok(())
}

async fn lists_are_ordered_and_paged_at_one_revision(store: &dyn Storage) -> Result<(), Broken> {
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

async fn pages_are_bounded_in_bytes(store: &dyn Storage) -> Result<(), Broken> {
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
        let mut left = 5;
        loop {
            let options = ListOptions { at, start_after, limit, bytes_max, counts_rest: true };
            let page = store.list("g/r/", options).await.map_err(said)?;
            left -= page.items.len();
            ensure!(page.remaining == Some(left), "{bytes_max}: {left} are left, not {page:?}");
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

async fn lists_show_the_past(store: &dyn Storage) -> Result<(), Broken> {
    let born = put(store, "g/r/a", "1").await?;
    let changed = put(store, "g/r/a", "2").await?;
    let gone = delete(store, "g/r/a").await?;
    let again = put(store, "g/r/a", "3").await?;
    for (revision, body) in [(born, "1"), (changed, "2"), (gone, ""), (again, "3")] {
        let page = page(store, Some(revision), None, 0).await?;
        let bodies: Vec<&[u8]> = page.items.iter().map(|object| &*object.body).collect();
        ensure!(bodies.concat() == body.as_bytes(), "at {revision}: {page:?}, not {body}");
    }
    Ok(())
}

async fn watches_resume_anywhere(store: &dyn Storage) -> Result<(), Broken> {
    let start = store.current_revision();
    put(store, "g/r/a", "1").await?;
    let middle = put(store, "g/other/a", "1").await?;
    put(store, "g/r/a", "2").await?;
    delete(store, "g/r/a").await?;
    let mut whole = store.watch("g/r/", start).map_err(said)?;
    let changes = collect(&mut whole, 3).await?;
    let kinds: Vec<ChangeKind> = changes.iter().map(|change| change.kind).collect();
    ensure!(
        kinds == [ChangeKind::Created, ChangeKind::Updated, ChangeKind::Deleted],
        "{changes:?}"
    );
    ensure!(changes.iter().all(|one| one.revision == one.object.revision), "{changes:?}");
    let previous: Vec<bool> = changes.iter().map(|change| change.previous.is_some()).collect();
    ensure!(previous == [false, true, true], "{changes:?} do not know what was before");
    let mut rest = store.watch("g/r/", middle).map_err(said)?;
    let rest = collect(&mut rest, 2).await?;
    ensure!(rest.first().is_some_and(|change| change.kind == ChangeKind::Updated), "{rest:?}");
    Ok(())
}

async fn a_slow_watch_misses_nothing(store: &dyn Storage) -> Result<(), Broken> {
    let mut watch = store.watch("g/r/", store.current_revision()).map_err(said)?;
    let body = "x".repeat(64 << 10);
    // More than the cache for watches holds.
    let count = 300;
    for number in 0..count {
        put(store, &format!("g/r/{}", number % 7), &body).await?;
    }
    let changes = collect(&mut watch, count).await?;
    let steps = changes.windows(2).filter_map(|pair| pair.first().zip(pair.get(1)));
    for (one, next) in steps {
        ensure!(next.revision == one.revision + 1, "{} after {}", next.revision, one.revision);
    }
    Ok(())
}

async fn a_watch_knows_how_far_it_has_seen(store: &dyn Storage) -> Result<(), Broken> {
    let mut watch = store.watch("g/r/", store.current_revision()).map_err(said)?;
    let elsewhere = put(store, "g/other/a", "1").await?;
    ensure!(watch.seen() == elsewhere, "{} instead of {elsewhere}", watch.seen());
    put(store, "g/r/a", "1").await?;
    put(store, "g/other/a", "2").await?;
    ensure!(watch.seen() == elsewhere, "it claims to have handed out what it has not");
    collect(&mut watch, 1).await?;
    ensure!(watch.seen() == store.current_revision(), "{} is behind", watch.seen());
    Ok(())
}

async fn revisions_ahead_are_refused(store: &dyn Storage) -> Result<(), Broken> {
    let revision = put(store, "g/r/a", "1").await? + 1;
    let options = ListOptions { at: Some(revision), ..ListOptions::default() };
    let list = store.list("g/r/", options).await;
    ensure!(matches!(list, Err(ReadError::TooLarge { .. })), "{list:?} is ahead of its time");
    Ok(())
}

async fn dropped_futures_still_commit(store: &dyn Storage) -> Result<(), Broken> {
    drop(write(store, |transaction| {
        let revision = transaction.next_revision();
        transaction.put("g/r/a", revision, Bytes::new());
    }));
    append(store, "behind it").await?;
    ensure!(get(store, "g/r/a").await?.is_some(), "nobody waited, and nothing was done");
    Ok(())
}

async fn put(store: &dyn Storage, key: &str, body: &str) -> Result<u64, Broken> {
    let (key, body) = (key.to_owned(), Bytes::copy_from_slice(body.as_bytes()));
    let work = write(store, move |transaction| {
        let revision = transaction.next_revision();
        transaction.put(&key, revision, body);
        revision
    });
    work.await.map_err(said)
}

async fn delete(store: &dyn Storage, key: &str) -> Result<u64, Broken> {
    let key = key.to_owned();
    let work = write(store, move |transaction| {
        let last = transaction.get(&key).map(|object| object.body.clone());
        let revision = transaction.next_revision();
        transaction.delete(&key, revision, last.unwrap_or_default());
        revision
    });
    work.await.map_err(said)
}

async fn get(store: &dyn Storage, key: &str) -> Result<Option<Arc<Object>>, Broken> {
    store.get(key).await.map_err(said)
}

async fn append(store: &dyn Storage, text: &str) -> Result<u64, Broken> {
    record(store, Bytes::copy_from_slice(text.as_bytes())).await.map_err(said)
}

async fn page(
    store: &dyn Storage,
    at: Option<u64>,
    start_after: Option<String>,
    limit: usize,
) -> Result<Page, Broken> {
    store
        .list("g/r/", ListOptions { at, start_after, limit, bytes_max: 0, counts_rest: true })
        .await
        .map_err(said)
}

fn keys(page: &Page) -> String {
    let keys: Vec<&str> = page.items.iter().map(|object: &Arc<Object>| &*object.key).collect();
    keys.join(" ")
}

async fn collect(watch: &mut Watch, count: usize) -> Result<Vec<Change>, Broken> {
    let mut changes = Vec::new();
    while changes.len() < count {
        changes.extend(watch.next().await.map_err(said)?);
    }
    if changes.len() == count { Ok(changes) } else { Err(format!("{} changes", changes.len())) }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn said(error: impl ToString) -> Broken {
    error.to_string()
}
