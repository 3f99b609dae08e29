//! What the tests run: a control plane, Keepwatch behind it or standalone, and their clients.

pub mod alertmanager;
pub mod archive;
mod audit_log;
pub mod chart;
pub(crate) mod control_plane;
pub(crate) mod curl;
pub(crate) mod extension;
pub mod https;
pub(crate) mod keepwatch;
pub(crate) mod kubeconfig;
pub mod load_client;
mod pod;
pub mod proc_status;
pub(crate) mod process;
mod proof;
pub(crate) mod proxy;
pub(crate) mod sample_apiserver;
pub mod standalone;
pub(crate) mod stopped_store;
mod user;
pub(crate) mod wait;

pub use audit_log::AuditLog;
pub use chart::{Chart, Rendered};
pub use control_plane::ControlPlane;
pub use extension::Extension;
pub use keepwatch::{Keepwatch, binary};
pub use pod::Pod;
pub use process::{Process, free_port};
pub use proof::Size;
pub use proxy::Proxy;
pub use sample_apiserver::SampleApiserver;
pub use user::{KubectlOutput, User};
pub use wait::{WAIT_MAX, until};
