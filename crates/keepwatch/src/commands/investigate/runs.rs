//! Merges consecutive similar requests: `delete restorepoints in shop, 10 times`.

use event::Timestamp;

use super::timeline::{Act, Acting};

/// Maximum number of names in a run.
pub(crate) const NAMES_MAX: usize = 200;

/// Consecutive requests with the same verb, on objects of the same kind.
pub(crate) struct Run<'a> {
    pub(crate) act: &'a Act,
    pub(crate) last: Timestamp,
    pub(crate) count: usize,
    /// The first distinct names, in order of their events.
    pub(crate) names: Vec<&'a str>,
    pub(crate) firsts: Vec<&'a str>,
}

/// The runs of acts, in their order.
pub(crate) fn runs<'a>(acts: &[&'a Act]) -> Vec<Run<'a>> {
    let mut runs: Vec<Run<'a>> = Vec::new();
    for act in acts {
        match runs.last_mut() {
            Some(run) if is_same(run.act, act) => run.add(act),
            _ => {
                let mut run =
                    Run { act, last: act.time, count: 0, names: Vec::new(), firsts: Vec::new() };
                run.add(act);
                runs.push(run);
            }
        }
    }
    runs
}

impl<'a> Run<'a> {
    fn add(&mut self, act: &'a Act) {
        self.count += 1;
        self.last = act.time;
        let is_new = !act.name.is_empty() && !self.names.contains(&act.name.as_str());
        if is_new && self.names.len() < NAMES_MAX {
            self.names.push(&act.name);
        }
        self.firsts.extend(act.firsts.iter().map(String::as_str));
    }

    /// `as bob`, `by bob`, or nothing.
    pub(crate) fn acting(&self) -> Option<(&'static str, &'a str)> {
        match &self.act.acting {
            Some(Acting::As(user)) => Some(("as", user)),
            Some(Acting::By(user)) => Some(("by", user)),
            None => None,
        }
    }
}

fn is_same(left: &Act, right: &Act) -> bool {
    left.class == right.class
        && left.verb == right.verb
        && left.resource == right.resource
        && left.namespace == right.namespace
        && left.code == right.code
        && left.address == right.address
        && left.acting == right.acting
}
