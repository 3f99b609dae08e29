//! Third-party servers with the protocols of cloud providers: object stores, AWS STS, and the
//! instance metadata service of EC2.

pub mod azurite;
pub mod gcs;
pub mod imds;
pub mod moto;
pub mod s3;
