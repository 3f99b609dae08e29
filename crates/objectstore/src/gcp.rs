//! Google Cloud Storage. `object_store` signs its requests.

mod advice;
mod builder;
mod provider;

pub use provider::Gcs;
