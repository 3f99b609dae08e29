//! The conformance tests, and tests that only a file-based store must pass.

use store::{Settings, conformance};

use crate::support::Place;

async fn check(objects_bytes: usize) {
    let mut places = Vec::new();
    let fresh = || {
        let mut place = Place::new();
        place.settings.objects_bytes = objects_bytes;
        let store = place.open();
        places.push(place);
        store
    };
    assert_eq!(conformance::all(fresh).await, Ok(()));
}

#[tokio::test]
async fn the_file_does_what_every_store_must() {
    check(Settings::default().objects_bytes).await;
}

#[tokio::test]
async fn the_file_does_what_every_journal_must() {
    // Records are read from memory, then from disk.
    for recent_bytes in [Settings::default().recent_bytes, 0] {
        let mut places = Vec::new();
        let fresh = || {
            let mut place = Place::new();
            place.settings.recent_bytes = recent_bytes;
            let store = place.open();
            places.push(place);
            let journal = store.journal();
            (store, journal)
        };
        assert_eq!(conformance::journal(fresh).await, Ok(()), "{recent_bytes}");
    }
}

#[tokio::test]
async fn the_file_does_what_every_store_must_with_no_object_in_memory() {
    check(0).await;
}
