//! From facts of a cluster to findings: which backup tools it has, which sources of events are
//! possible there, which are connected, what an attacker can do unseen, and the Helm values of the
//! best set-up.
//!
//! The crate is pure. [`Facts`] is what was read, reduced by [`objects`] to what findings need, so
//! no secret is in it. [`Findings::of`] judges it by the built-in rules and the table of
//! [`detect::coverage`].
//!
//! Deliberately absent: the requests to the cluster, which the binary makes.

mod auditing;
mod behaviours;
mod connections;
pub mod facts;
mod findings;
pub mod objects;
mod obstacles;
mod platform;
mod proxied;
mod sources;
mod text;
mod tools;
mod values;

pub use auditing::Auditing;
pub use behaviours::{Behaviour, ToolBehaviours, Visible};
pub use connections::Installation;
pub use facts::Facts;
pub use findings::{ClusterFinding, Findings, Options};
pub use platform::Platform;
pub use sources::{SourceFinding, SourceKind};
pub use text::page;
pub use tools::ToolFinding;
