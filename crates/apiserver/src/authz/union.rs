//! Calls several authorizers in order; the first one with an opinion decides.
//!
//! Two rules precede all members: `system:masters` is allowed everything, and every user may get
//! the health endpoints. So the aggregator's probe succeeds even if kube-apiserver is unreachable.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Attributes, Authorizer, AuthorizerError, Decision};

/// Group that is allowed everything.
pub const MASTERS: &str = "system:masters";

/// Default paths that every user may get. An entry may end in `*`.
pub const ALWAYS_ALLOWED: [&str; 3] = ["/healthz", "/readyz", "/livez"];

/// Several authorizers combined into one.
pub struct Union {
    always_allowed: Vec<String>,
    members: Vec<Arc<dyn Authorizer>>,
}

impl Union {
    /// Combines `members` in order. [`ALWAYS_ALLOWED`] is the usual list of paths.
    pub fn new(always_allowed: Vec<String>, members: Vec<Arc<dyn Authorizer>>) -> Self {
        Self { always_allowed, members }
    }

    fn is_always_allowed(&self, attributes: &Attributes) -> bool {
        !attributes.is_resource_request()
            && self.always_allowed.iter().any(|entry| match entry.strip_suffix('*') {
                Some(prefix) => attributes.path.starts_with(prefix),
                None => attributes.path == *entry,
            })
    }
}

#[async_trait]
impl Authorizer for Union {
    async fn authorize(&self, attributes: &Attributes) -> Result<Decision, AuthorizerError> {
        if attributes.user.groups.iter().any(|group| group == MASTERS) {
            return Ok(Decision::Allow(String::new()));
        }
        if self.is_always_allowed(attributes) {
            return Ok(Decision::Allow(String::new()));
        }
        let mut reasons: Vec<String> = Vec::new();
        let mut failures: Vec<String> = Vec::new();
        for member in &self.members {
            match member.authorize(attributes).await {
                Ok(Decision::NoOpinion(reason)) if reason.is_empty() => {}
                Ok(Decision::NoOpinion(reason)) => reasons.push(reason),
                Ok(decision) => return Ok(decision),
                Err(error) => failures.push(error.0),
            }
        }
        if failures.is_empty() {
            Ok(Decision::NoOpinion(reasons.join("\n")))
        } else {
            Err(AuthorizerError(failures.join("; ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Always returns the same decision.
    struct Fixed(Result<Decision, String>);

    #[async_trait]
    impl Authorizer for Fixed {
        async fn authorize(&self, _: &Attributes) -> Result<Decision, AuthorizerError> {
            self.0.clone().map_err(AuthorizerError)
        }
    }

    async fn check(members: Vec<Result<Decision, String>>, attributes: Attributes, expected: &str) {
        let members =
            members.into_iter().map(|decision| Arc::new(Fixed(decision)) as Arc<dyn Authorizer>);
        let allowed = ALWAYS_ALLOWED.iter().map(|path| (*path).to_owned());
        let allowed = allowed.chain(["/open/*".to_owned()]).collect();
        let union = Union::new(allowed, members.collect());
        let decision = union.authorize(&attributes).await;
        assert_eq!(format!("{decision:?}"), expected);
    }

    fn path(path: &str) -> Attributes {
        Attributes { path: path.to_owned(), verb: "get".to_owned(), ..Attributes::default() }
    }

    #[tokio::test]
    async fn the_first_decision_wins_and_errors_deny() {
        let yes = || Ok(Decision::Allow("a".to_owned()));
        let no = || Ok(Decision::Deny("d".to_owned()));
        let none = |why: &str| Ok(Decision::NoOpinion(why.to_owned()));
        let fails = || Err("down".to_owned());
        check(vec![none(""), yes(), no()], path("/x"), r#"Ok(Allow("a"))"#).await;
        check(vec![no(), yes()], path("/x"), r#"Ok(Deny("d"))"#).await;
        check(vec![none("r1"), none("r2")], path("/x"), r#"Ok(NoOpinion("r1\nr2"))"#).await;
        check(vec![fails(), none("")], path("/x"), r#"Err(AuthorizerError("down"))"#).await;
        check(vec![fails(), yes()], path("/x"), r#"Ok(Allow("a"))"#).await;
        check(vec![], path("/x"), r#"Ok(NoOpinion(""))"#).await;
    }

    #[tokio::test]
    async fn masters_and_health_checks_need_no_authorizer() {
        let fails = || vec![Err("down".to_owned())];
        check(fails(), path("/readyz"), r#"Ok(Allow(""))"#).await;
        check(fails(), path("/readyz/ping"), r#"Err(AuthorizerError("down"))"#).await;
        check(fails(), path("/open/door"), r#"Ok(Allow(""))"#).await;
        let mut master = Attributes { resource: "things".to_owned(), ..path("") };
        check(fails(), master.clone(), r#"Err(AuthorizerError("down"))"#).await;
        Arc::make_mut(&mut master.user).groups = vec![MASTERS.to_owned()];
        check(fails(), master, r#"Ok(Allow(""))"#).await;
    }
}
