//! What the tests of several crates need: certificates, an object store with faults,
//! a token service, a receiver of requests, the state of the page cache.
//!
//! Development only; nothing here is part of the product.

pub mod page_cache;
pub mod pki;
pub mod receiver;
pub mod s3;
pub mod sts;
