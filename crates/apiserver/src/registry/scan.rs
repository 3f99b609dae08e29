//! Reads all objects of a kind, for components of the server that need them outside of a request.

use apimachinery::ApiError;
use store::ListOptions;

use super::Registry;
use super::read::read_error;
use crate::ResourceId;

/// Maximum number of objects in memory at a time.
const PAGE: usize = 100;
/// Approximate maximum size of these objects, in bytes.
const PAGE_BYTES: usize = 1 << 20;

impl Registry {
    /// Calls `each` with every stored object of a kind, from one snapshot.
    pub async fn scan(
        &self,
        kind: ResourceId,
        mut each: impl FnMut(&[u8]) + Send,
    ) -> Result<(), ApiError> {
        let served = self.shared.kind_of(kind.group, kind.plural);
        let Some(kind) = served else {
            return Err(ApiError::not_found(kind.group, kind.plural, ""));
        };
        let prefix = kind.prefix("");
        let (mut at, mut start_after) = (None, None);
        loop {
            let (limit, bytes_max) = (PAGE, PAGE_BYTES);
            let options = ListOptions { at, start_after, limit, bytes_max, counts_rest: false };
            let page = self.shared.store.list(&prefix, options).await;
            let page = page.map_err(|error| read_error(&error))?;
            page.items.iter().for_each(|object| each(&object.body));
            if page.next.is_none() {
                return Ok(());
            }
            at = Some(page.revision);
            start_after = page.next;
        }
    }
}
