//! The page of the annotations that Keepwatch sets or reads.

use std::fmt::Write as _;

use anyhow::Result;
use event::annotations::ALL;

const HEAD: &str = "# Annotations\n\n\
    Generated from the code: `cargo xtask codegen` writes this page.\n\n\
    Events also have upstream's annotations with kube-apiserver's meaning: \
    `authorization.k8s.io/decision`, `authorization.k8s.io/reason` and \
    `apiserver.latency.k8s.io/…`.\n\n\
    | Annotation | On | Value |\n|---|---|---|\n";

/// The page.
pub(super) fn page() -> Result<String> {
    let mut page = HEAD.to_owned();
    for annotation in ALL {
        let text: Vec<&str> = annotation.text.iter().map(|line| line.trim()).collect();
        writeln!(page, "| `{}` | {} | {} |", annotation.key, annotation.on, text.join(" "))?;
    }
    Ok(page)
}
