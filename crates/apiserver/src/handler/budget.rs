//! Limits on an amount, in total and per user, so that one user cannot exhaust it.
//!
//! A [`Held`] value owns a part of a budget and releases it on drop.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event::UserInfo;

/// Minimum share of a user. A budget this small may be held by one user alone.
const SHARE_MIN: usize = 16;

/// A limited amount that users share.
pub(crate) struct Budget {
    max: usize,
    share: usize,
    keys: RandomState,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: usize,
    /// Amounts by hash of the username.
    by_user: HashMap<u64, usize>,
}

/// A part of a budget; released on drop.
pub(crate) struct Held {
    budget: Arc<Budget>,
    user: u64,
    amount: usize,
}

impl Budget {
    /// Creates a budget of `max` in total. One user may hold the fraction `1/shares`.
    pub(crate) fn new(max: usize, shares: usize) -> Arc<Self> {
        Self::with_share(max, max.div_ceil(shares))
    }

    /// Creates a budget of `max` in total. One user must leave the fraction `1/parts` to others.
    pub(crate) fn leaving(max: usize, parts: usize) -> Arc<Self> {
        Self::with_share(max, max - max / parts)
    }

    fn with_share(max: usize, share: usize) -> Arc<Self> {
        let share = share.max(SHARE_MIN.min(max));
        let (keys, state) = (RandomState::new(), Mutex::default());
        Arc::new(Self { max, share, keys, state })
    }

    /// Takes an amount for a user; `None` if a limit is reached. A user who holds nothing may
    /// exceed the share with one amount, within the total limit.
    pub(crate) fn take(self: &Arc<Self>, user: &UserInfo, amount: usize) -> Option<Held> {
        let mut held =
            Held { budget: Arc::clone(self), user: self.keys.hash_one(&user.username), amount: 0 };
        held.grow(amount).then_some(held)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Increases the amount. Returns false if a limit is reached. An amount taken in several steps
    /// may become as large as one taken in a single step.
    pub(crate) fn grow(&mut self, amount: usize) -> bool {
        let mut state = self.budget.state();
        let of_user = state.by_user.get(&self.user).copied().unwrap_or_default();
        let is_within_share =
            of_user == self.amount || of_user.saturating_add(amount) <= self.budget.share;
        // An amount larger than the total is accepted only if nothing else is held.
        let is_within_all =
            state.held == self.amount || state.held.saturating_add(amount) <= self.budget.max;
        if !(is_within_share && is_within_all) {
            return false;
        }
        state.held += amount;
        *state.by_user.entry(self.user).or_default() += amount;
        drop(state);
        self.amount += amount;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.held = state.held.saturating_sub(self.amount);
        if let Some(of_user) = state.by_user.get_mut(&self.user) {
            *of_user = of_user.saturating_sub(self.amount);
            if *of_user == 0 {
                state.by_user.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserInfo {
        UserInfo { username: name.to_owned(), ..UserInfo::default() }
    }

    /// Regression test: one user with slow bodies took all seats for writes.
    #[test]
    fn one_user_leaves_capacity_for_others() {
        let budget = Budget::new(200, 4);
        let alice: Vec<Held> =
            std::iter::from_fn(|| budget.take(&user("alice"), 1)).take(500).collect();
        assert_eq!(alice.len(), 50);
        let others = ["bob", "carol", "dave"];
        let others: Vec<Held> = others
            .iter()
            .flat_map(|name| std::iter::from_fn(|| budget.take(&user(name), 1)).take(50))
            .collect();
        assert_eq!(others.len(), 150);
        assert!(budget.take(&user("eve"), 1).is_none(), "all are taken");
        drop(alice);
        assert!(budget.take(&user("eve"), 1).is_some());
        drop(others);
        assert!(budget.state().by_user.is_empty());
    }

    /// A client program with 128 connections is also a single user.
    #[test]
    fn one_user_with_many_connections_leaves_capacity_for_others() {
        let budget = Budget::leaving(200, 4);
        let alice: Vec<Held> =
            std::iter::from_fn(|| budget.take(&user("alice"), 1)).take(500).collect();
        assert_eq!(alice.len(), 150);
        let bob: Vec<Held> =
            std::iter::from_fn(|| budget.take(&user("bob"), 1)).take(500).collect();
        assert_eq!(bob.len(), 50);
    }

    #[test]
    fn a_large_request_runs_alone_and_small_limits_are_not_divided() {
        let budget = Budget::new(100, 4);
        let large = budget.take(&user("alice"), 1000).unwrap();
        assert!(budget.take(&user("bob"), 1).is_none());
        drop(large);
        let mut half = budget.take(&user("alice"), 10).unwrap();
        assert!(half.grow(40), "beyond the share, but she has nothing else");
        assert!(budget.take(&user("alice"), 1).is_none(), "beyond the share");
        let bob = budget.take(&user("bob"), 50);
        assert!(bob.is_some() && !half.grow(1), "all are taken");
        drop(bob);
        assert!(half.grow(1000), "what is larger than everything goes alone");
        let few = Budget::new(2, 4);
        let one = few.take(&user("alice"), 1);
        assert!(one.is_some() && few.take(&user("alice"), 1).is_some());
    }
}
