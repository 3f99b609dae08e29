//! Merges consecutive similar requests: `delete restorepoints in shop, 10 times`.

use event::Timestamp;

use super::timeline::{Impersonation, UserRequest};

/// Maximum number of names in a run.
pub(crate) const NAMES_MAX: usize = 200;

/// Consecutive requests with the same verb, on objects of the same kind.
pub(crate) struct Run<'a> {
    pub(crate) request: &'a UserRequest,
    pub(crate) last: Timestamp,
    pub(crate) count: usize,
    /// The first distinct names, in order of their events.
    pub(crate) names: Vec<&'a str>,
    pub(crate) firsts: Vec<&'a str>,
}

/// Runs of equal requests, in their order.
pub(crate) fn runs<'a>(requests: &[&'a UserRequest]) -> Vec<Run<'a>> {
    let mut runs: Vec<Run<'a>> = Vec::new();
    for request in requests {
        match runs.last_mut() {
            Some(run) if is_same(run.request, request) => run.add(request),
            _ => {
                let mut run = Run {
                    request,
                    last: request.time,
                    count: 0,
                    names: Vec::new(),
                    firsts: Vec::new(),
                };
                run.add(request);
                runs.push(run);
            }
        }
    }
    runs
}

impl<'a> Run<'a> {
    fn add(&mut self, request: &'a UserRequest) {
        self.count += 1;
        self.last = request.time;
        let is_new = !request.name.is_empty() && !self.names.contains(&request.name.as_str());
        if is_new && self.names.len() < NAMES_MAX {
            self.names.push(&request.name);
        }
        self.firsts.extend(request.firsts.iter().map(String::as_str));
    }

    /// `as bob`, `by bob`, or nothing.
    pub(crate) fn impersonation(&self) -> Option<(&'static str, &'a str)> {
        match &self.request.impersonation {
            Some(Impersonation::As(user)) => Some(("as", user)),
            Some(Impersonation::By(user)) => Some(("by", user)),
            None => None,
        }
    }
}

fn is_same(left: &UserRequest, right: &UserRequest) -> bool {
    left.class == right.class
        && left.verb == right.verb
        && left.resource == right.resource
        && left.namespace == right.namespace
        && left.code == right.code
        && left.address == right.address
        && left.impersonation == right.impersonation
}
