//! Tests of the rule language, the engine and the exports.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop where it fails")]

mod acts;
mod changes;
mod correlations;
mod coverage;
mod documentation;
mod engine;
mod errors;
mod examination;
mod export;
mod fields;
mod matching;
mod month;
mod month_of_tools;
mod pack;
mod playbooks;
mod playbooks_around;
mod playbooks_exempt;
mod playbooks_touched;
mod properties;
mod public_rules;
mod references;
mod script;
mod support;
