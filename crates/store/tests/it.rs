//! The store on a real disk: what it promises, and what it does when disk, file or process fail.

#[path = "it/promises.rs"]
mod promises;
#[path = "it/support.rs"]
mod support;
