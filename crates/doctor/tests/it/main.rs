//! Tests of the findings: recorded facts of each platform, and API objects from which facts are
//! made.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod behaviours;
mod objects;
mod platforms;

use std::sync::LazyLock;

use detect::{LoadOptions, RuleSet, builtin};
use doctor::{Facts, Findings, Options};

/// The recorded facts of a cluster.
fn facts(name: &str) -> Facts {
    let file = format!("{}/tests/it/data/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn findings(facts: &Facts) -> Findings {
    Findings::of(facts, &Options::default(), &RULES)
}

static RULES: LazyLock<RuleSet> =
    LazyLock::new(|| RuleSet::load(builtin::documents(), &LoadOptions::default()).unwrap());
