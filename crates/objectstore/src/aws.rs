//! AWS S3 and stores that speak its protocol.

mod advice;
mod builder;
mod credentials;
mod keys;
mod metadata;
mod provider;
mod request;
mod signer;
mod sigv4;
mod sts;

pub use provider::S3;
