//! Changes that the server makes by itself, without a request.
//!
//! Either in a transaction of their own, with an event for each object, under the server's own name;
//! or in a transaction of another part of the program, which records in its own way what they mean.

use std::sync::Arc;

use store::Transaction;

use super::Registry;
use super::transaction::RegistryTransaction;
use super::write::store_error;
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
                let mut transaction = RegistryTransaction::new(tx, &shared, String::new(), now);
                work(&mut Objects::new(&mut transaction))
            };
            if outcome.is_err() {
                tx.rollback();
            }
            outcome
        });
        done.await.map_err(|error| store_error(&error))?
    }

    /// Runs `work` on the objects of a transaction that the caller has begun. Changes get metadata
    /// and reach watches as all others do, but leave no audit event: it is for changes of which the
    /// caller adds a record to the journal in the same transaction. On an error, it is the caller's
    /// to roll back.
    pub fn unaudited<T>(
        &self,
        tx: &mut dyn Transaction,
        work: impl FnOnce(&mut Objects<'_>) -> T,
    ) -> T {
        let now = self.shared.clock.now();
        let mut transaction = RegistryTransaction::unaudited(tx, &self.shared, now);
        work(&mut Objects::new(&mut transaction))
    }
}
