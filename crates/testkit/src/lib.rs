//! What tests of several rooms need: certificates.
//!
//! Development only; nothing here is part of the product.

pub mod pki;
