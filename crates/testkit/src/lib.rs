//! Shared test utilities: certificates, an object store with fault injection, a token service, an
//! HTTP receiver, the state of the page cache.
//!
//! Development only; nothing here is part of the product.

pub mod page_cache;
pub mod pki;
pub mod receiver;
pub mod s3;
pub mod sts;
