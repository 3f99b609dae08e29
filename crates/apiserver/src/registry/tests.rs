//! Tests of the registry on a real store: requests, responses and audit events.

mod bad_input;
mod bad_patches;
mod documents;
pub(super) mod kinds;
mod long_lists;
mod reads;
mod test_registry;
mod watches;
mod writes;
