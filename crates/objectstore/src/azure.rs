//! Azure Blob Storage.

mod advice;
mod builder;
mod signer;

pub(crate) use advice::ADVICE;
pub(crate) use builder::build;
