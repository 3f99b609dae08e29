//! Servers that speak the protocols of cloud providers, written by others: object stores, AWS's token
//! service and its instance metadata service.

pub mod azurite;
pub mod gcs;
pub mod imds;
pub mod moto;
pub mod s3;
