//! The registry over a real store: requests in, answers and recorded events out.

mod bad_input;
mod bad_patches;
mod documents;
mod house;
pub(super) mod kinds;
mod long_lists;
mod reads;
mod watches;
mod writes;
