//! Changes that the server makes without a request.
//!
//! They run in their own transaction, with one audit event of the server's user for each object; or
//! in the transaction of another component, which logs its own record of the change.

use std::sync::Arc;

use apimachinery::ApiError;
use store::Transaction;

use super::Registry;
use super::transaction::RegistryTransaction;
use super::write::store_error;
use crate::Objects;

impl Registry {
    /// Runs `work` in a transaction; an error rolls it back.
    pub async fn run_as_server(
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

    /// Runs `work` on the objects of the caller's transaction. Changes get metadata and reach
    /// watches as usual, but have no audit event: the caller adds a record to the journal in the
    /// same transaction. On an error, the caller must roll back.
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
