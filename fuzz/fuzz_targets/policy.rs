//! Audit policies: any text is accepted or rejected, and an accepted policy decides on any request.
//!
//! The input is a policy, and after a NUL the texts of a request.

#![no_main]

use audit::explain::{Request, request};
use audit::{LoadError, Policy, Strictness};
use event::Level;
use fuzz::{piece, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    let policy = piece(&mut rest);
    let loaded = Policy::load(policy, Strictness::Kubernetes);
    let strict = Policy::load(policy, Strictness::Strict);
    match (&loaded, &strict) {
        (Ok(loaded), Ok(strict)) => {
            assert!(loaded.warnings.is_empty() && strict.warnings.is_empty());
        }
        (Ok(loaded), Err(LoadError::Strict(_))) => assert!(!loaded.warnings.is_empty()),
        (Err(_), Err(_)) => {}
        (loaded, strict) => panic!("{loaded:?} but strictly {strict:?}"),
    }
    match loaded {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(loaded) => {
            for asked in requests(&mut rest) {
                decided(&loaded.policy, &asked);
            }
        }
    }
});

/// The request of the input, and variants of it.
fn requests(rest: &mut &[u8]) -> Vec<Request> {
    let asked = Request {
        user: Some(text(rest)),
        groups: vec![text(rest), text(rest)],
        verb: text(rest),
        resource_request: true,
        namespace: text(rest),
        api_group: text(rest),
        api_version: "v1".to_owned(),
        resource: text(rest),
        subresource: text(rest),
        name: text(rest),
        path: text(rest),
    };
    let path = Request { resource_request: false, ..asked.clone() };
    let nobody = Request { user: None, groups: Vec::new(), ..asked.clone() };
    vec![asked, path, nobody, Request::default()]
}

/// The decision is repeatable, and the level is None if no rule matches.
fn decided(policy: &Policy, asked: &Request) {
    let explained = request(policy, asked);
    assert_eq!(explained, request(policy, asked));
    let level: Level = explained.level.parse().expect("a level");
    assert!(explained.rule.is_some() || level == Level::None, "{explained:?}");
}
