//! Google Cloud Storage. `object_store` signs its requests.

mod advice;
mod builder;

pub(crate) use advice::ADVICE;
pub(crate) use builder::build;
