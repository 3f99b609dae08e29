//! What tests of several rooms need: certificates, a store of objects that misbehaves,
//! a service that lends keys, a receiver of requests, what is in the page cache.
//!
//! Development only; nothing here is part of the product.

pub mod page_cache;
pub mod pki;
pub mod receiver;
pub mod s3;
pub mod sts;
