//! An aggregated Kubernetes API server whose every request is on record.

fn main() {}
