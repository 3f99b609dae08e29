//! The rule language, tried on events.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop where it fails")]

mod it {
    mod correlations;
    mod documentation;
    mod engine;
    mod errors;
    mod fields;
    mod matching;
    mod properties;
    mod public_rules;
    mod support;
}
