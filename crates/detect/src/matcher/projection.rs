//! Projections of a condition to the tests of one field: all other tests are unknown.
//!
//! A projection omits the tests of other fields, and compares a list of texts at once. Its size is
//! the number of tests of one field, and not of the whole condition. Fields that are derived from
//! each other share a projection. Deliberately absent: the values to try (module `contradiction`).

use std::collections::{HashMap, HashSet};

use super::{Case, Node, Results, Test};
use crate::budget::Budget;
use crate::field::{Field, Path, StatusPath, UserPath};

/// Work to add a test to a projection, in steps.
const ADDING_STEPS: u64 = 10;

/// A projected condition. Tests of other fields are open.
pub(super) enum Projection<'n> {
    /// True if all are true.
    All {
        parts: Vec<Self>,
        is_open: bool,
    },
    /// True if any is true.
    Any {
        parts: Vec<Self>,
        is_open: bool,
    },
    Not(Box<Self>),
    Test(&'n Field, &'n Test),
    OneOf(OneOf<'n>),
}

/// Tests whether the field equals one of several texts.
pub(super) struct OneOf<'n> {
    field: &'n Field,
    case: Case,
    keys: HashSet<String>,
    texts: Vec<&'n str>,
}

/// A leaf of a projection.
#[derive(Clone, Copy)]
pub(super) enum Check<'p> {
    Test(&'p Test),
    OneOf(&'p OneOf<'p>),
}

/// All projections of a condition, by path, in the order of their first tests; those of the
/// response by the path of the stage. `None` if the budget is spent.
pub(super) fn all<'n>(node: &'n Node, budget: &Budget) -> Option<Vec<(Path, Projection<'n>)>> {
    let mut projector = Projector { indices: HashMap::new(), only: None, budget };
    let mut projections = projector.project(node)?;
    projections.sort_by_key(|(index, _)| *index);
    let mut paths: Vec<(usize, Path)> =
        projector.indices.into_iter().map(|(path, index)| (index, path)).collect();
    paths.sort_by_key(|(index, _)| *index);
    let paths = paths.into_iter().map(|(_, path)| path);
    Some(paths.zip(projections.into_iter().map(|(_, projection)| projection)).collect())
}

/// The projection on a field. `None` if the condition has no test of it, or the budget is spent.
pub(super) fn of<'n>(node: &'n Node, field: &Field, budget: &Budget) -> Option<Projection<'n>> {
    let only = Some(shared_path(field.path()));
    let projections = Projector { indices: HashMap::new(), only, budget }.project(node)?;
    projections.into_iter().next().map(|(_, projection)| projection)
}

pub(super) const fn is_of_response(path: &Path) -> bool {
    matches!(path, Path::Stage | Path::Succeeded | Path::Refused | Path::Status(StatusPath::Code))
}

/// The user name from which a field of a user is derived.
pub(super) fn derived_from(path: &Path) -> Option<(Path, &UserPath)> {
    let (user, path): (fn(UserPath) -> Path, _) = match path {
        Path::User(path) => (Path::User, path),
        Path::ImpersonatedUser(path) => (Path::ImpersonatedUser, path),
        Path::EffectiveUser(path) => (Path::EffectiveUser, path),
        Path::Actor(path) => (Path::Actor, path),
        _ => return None,
    };
    let is_derived = matches!(
        path,
        UserPath::IsServiceAccount
            | UserPath::ServiceAccountNamespace
            | UserPath::ServiceAccountName
    );
    is_derived.then(|| (user(UserPath::Username), path))
}

const fn shared_path(path: &Path) -> &Path {
    if is_of_response(path) { &Path::Stage } else { path }
}

struct Projector<'p> {
    /// The index of each path.
    indices: HashMap<Path, usize>,
    only: Option<&'p Path>,
    budget: &'p Budget,
}

impl Projector<'_> {
    /// The projections of a node, by the index of their path.
    fn project<'n>(&mut self, node: &'n Node) -> Option<Vec<(usize, Projection<'n>)>> {
        if !self.budget.spend(1) {
            return None;
        }
        match node {
            Node::All(nodes) => {
                let all = |parts, is_open| combined(parts, is_open, true);
                self.combine(nodes, all)
            }
            Node::Any(nodes) => self.combine(nodes, any),
            Node::Not(node) => {
                let not = |(index, inner)| (index, Projection::Not(Box::new(inner)));
                Some(self.project(node)?.into_iter().map(not).collect())
            }
            Node::Shared(node) => self.project(node),
            Node::Test(field, test) => {
                let mut projections = Vec::new();
                let own = self.index(shared_path(field.path()));
                let derived = derived_from(field.path()).and_then(|(user, _)| self.index(&user));
                projections.extend(own.map(|index| (index, Projection::Test(field, test))));
                projections.extend(derived.map(|index| (index, Projection::Test(field, test))));
                (projections.is_empty() || self.budget.spend(ADDING_STEPS)).then_some(projections)
            }
        }
    }

    fn combine<'n>(
        &mut self,
        nodes: &'n [Node],
        combined: impl Fn(Vec<Projection<'n>>, bool) -> Projection<'n>,
    ) -> Option<Vec<(usize, Projection<'n>)>> {
        let mut by_index: HashMap<usize, Vec<Projection<'n>>> = HashMap::new();
        for node in nodes {
            let projections = self.project(node)?;
            if !self.budget.spend(projections.len() as u64) {
                return None;
            }
            for (index, projection) in projections {
                by_index.entry(index).or_default().push(projection);
            }
        }
        let combine = |(index, parts): (usize, Vec<_>)| {
            let is_open = parts.len() < nodes.len();
            (index, combined(parts, is_open))
        };
        Some(by_index.into_iter().map(combine).collect())
    }

    fn index(&mut self, path: &Path) -> Option<usize> {
        if self.only.is_some_and(|only| only != path) {
            return None;
        }
        if let Some(index) = self.indices.get(path) {
            return Some(*index);
        }
        let index = self.indices.len();
        self.indices.insert(path.clone(), index);
        Some(index)
    }
}

fn combined(mut parts: Vec<Projection<'_>>, is_open: bool, is_all: bool) -> Projection<'_> {
    match parts.pop() {
        Some(only) if parts.is_empty() && !is_open => only,
        last => {
            parts.extend(last);
            if is_all {
                Projection::All { parts, is_open }
            } else {
                Projection::Any { parts, is_open }
            }
        }
    }
}

/// Combines alternatives; texts become one list.
fn any(alternatives: Vec<Projection<'_>>, is_open: bool) -> Projection<'_> {
    let mut lists: Vec<OneOf<'_>> = Vec::new();
    let mut parts = Vec::new();
    for part in alternatives {
        let (field, case, keys, texts) = match part {
            Projection::OneOf(OneOf { field, case, keys, texts }) => (field, case, keys, texts),
            Projection::Test(field, Test::Matches(pattern)) if pattern.literal().is_some() => {
                let text = pattern.literal().unwrap_or_default();
                let keys = HashSet::from([pattern.case().key(text)]);
                (field, pattern.case(), keys, vec![text])
            }
            other => {
                parts.push(other);
                continue;
            }
        };
        let is_same = |list: &&mut OneOf<'_>| list.field == field && list.case == case;
        match lists.iter_mut().find(is_same) {
            Some(list) => {
                list.keys.extend(keys);
                list.texts.extend(texts);
            }
            None => lists.push(OneOf { field, case, keys, texts }),
        }
    }
    parts.extend(lists.into_iter().map(Projection::OneOf));
    combined(parts, is_open, false)
}

impl<'n> Projection<'n> {
    /// The possible results of the projection with these results of its leaves. Tests of other
    /// fields can have both results, and so can all tests when the budget is spent.
    pub(super) fn evaluate(
        &self,
        leaf: &dyn Fn(&Field, Check<'_>) -> Results,
        budget: &Budget,
    ) -> Results {
        if !budget.spend(1) {
            return Results::UNKNOWN;
        }
        let all = |parts: &[Self], is_open: bool, is_inverted: bool| {
            let mut results = if is_open { Results::UNKNOWN } else { Results::of(true) };
            for part in parts {
                let result = part.evaluate(leaf, budget);
                results = results.and(if is_inverted { result.inverted() } else { result });
                if !results.can_hold {
                    break;
                }
            }
            results
        };
        match self {
            Self::All { parts, is_open } => all(parts, *is_open, false),
            Self::Any { parts, is_open } => all(parts, *is_open, true).inverted(),
            Self::Not(inner) => inner.evaluate(leaf, budget).inverted(),
            Self::Test(field, test) => leaf(field, Check::Test(test)),
            Self::OneOf(list) => leaf(list.field, Check::OneOf(list)),
        }
    }

    /// Calls `take` with each leaf.
    pub(super) fn for_each<'p>(&'p self, take: &mut dyn FnMut(&'n Field, Check<'p>)) {
        match self {
            Self::All { parts, .. } | Self::Any { parts, .. } => {
                for part in parts {
                    part.for_each(take);
                }
            }
            Self::Not(inner) => inner.for_each(take),
            Self::Test(field, test) => take(field, Check::Test(test)),
            Self::OneOf(list) => take(list.field, Check::OneOf(list)),
        }
    }
}

impl OneOf<'_> {
    pub(super) fn contains(&self, text: &str) -> bool {
        self.keys.contains(&self.case.key(text))
    }

    /// Whether the empty text is the only one.
    pub(super) fn is_only_empty(&self) -> bool {
        self.texts.iter().all(|text| text.is_empty())
    }
}

impl<'p> Check<'p> {
    /// The texts that the leaf compares.
    pub(super) fn texts(self) -> Vec<&'p str> {
        match self {
            Self::Test(Test::Matches(pattern)) => pattern.literal().into_iter().collect(),
            Self::Test(_) => Vec::new(),
            Self::OneOf(list) => list.texts.clone(),
        }
    }

    /// Whether its result depends only on the texts and on whether there is a value.
    pub(super) fn is_of_texts(self) -> bool {
        match self {
            Self::Test(Test::Matches(pattern)) => pattern.literal().is_some(),
            Self::Test(test) => matches!(test, Test::Exists(_) | Test::Null),
            Self::OneOf(_) => true,
        }
    }

    /// Whether the case of the value can make a difference.
    pub(super) fn is_cased(self) -> bool {
        match self {
            Self::Test(Test::Matches(pattern)) => pattern.case() == Case::Sensitive,
            Self::Test(test) => !matches!(test, Test::Exists(_) | Test::Null),
            Self::OneOf(list) => list.case == Case::Sensitive,
        }
    }

    /// Work of the check for a text of this length, in steps of a budget.
    pub(super) fn steps(self, len: usize) -> u64 {
        match self {
            Self::Test(test) => test.steps(len),
            Self::OneOf(_) => 1 + len as u64 / 16,
        }
    }
}
