//! The registry over a real store: requests in, answers and recorded events out.

mod bad_input;
mod bad_patches;
mod documents;
pub(super) mod kinds;
mod long_lists;
mod reads;
mod test_registry;
mod watches;
mod writes;
