//! AWS S3 and stores that speak its protocol.

mod advice;
mod builder;
mod credentials;
mod keys;
mod metadata;
mod request;
mod signer;
mod sigv4;
mod sts;

pub(crate) use advice::ADVICE;
pub(crate) use builder::build;
