//! Azure Blob Storage.

mod advice;
mod builder;
mod provider;
mod signer;

pub use provider::Azure;
