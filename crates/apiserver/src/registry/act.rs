//! Changes that the server makes by itself, without a request.
//!
//! They are made in one transaction and leave an event for each object, under the server's own name.

use std::sync::Arc;

use super::Registry;
use super::door::TransactionDoor;
use super::write::refusal;
use crate::{ApiError, Objects};

impl Registry {
    /// Runs `work` in a transaction; nothing is changed if it fails.
    pub async fn act(
        &self,
        work: impl FnOnce(&mut Objects<'_>) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<(), ApiError> {
        let shared = Arc::clone(&self.shared);
        let storage = Arc::clone(&shared.store);
        let done = store::write(&*storage, move |tx| {
            let now = shared.clock.now();
            let outcome = {
                let mut door = TransactionDoor::new(tx, &shared, String::new(), now);
                work(&mut Objects::new(&mut door))
            };
            if outcome.is_err() {
                tx.rollback();
            }
            outcome
        });
        done.await.map_err(|error| refusal(&error))?
    }
}
