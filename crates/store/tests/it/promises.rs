//! The suite that every store must pass, and what only a file has to promise.

use store::conformance;

use crate::support::Place;

#[tokio::test]
async fn the_file_does_what_every_store_must() {
    let mut places = Vec::new();
    let fresh = || {
        let place = Place::new();
        let store = place.open();
        places.push(place);
        store
    };
    assert_eq!(conformance::all(fresh).await, Ok(()));
}
