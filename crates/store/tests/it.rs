//! The store on a real disk: what it promises, and what it does when disk, file or process fail.

#[path = "it/crash.rs"]
mod crash;
#[path = "it/promises.rs"]
mod promises;
#[path = "it/refusals.rs"]
mod refusals;
#[path = "it/support.rs"]
mod support;
