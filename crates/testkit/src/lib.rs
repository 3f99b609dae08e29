//! What tests of several rooms need: certificates, and a store of objects that misbehaves.
//!
//! Development only; nothing here is part of the product.

pub mod pki;
pub mod s3;
