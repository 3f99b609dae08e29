//! Limits on an amount, in total and per user, so that one user cannot exhaust it.
//!
//! A [`Reservation`] value owns a part of a budget and releases it on drop.

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
    reserved: usize,
    /// Amounts by hash of the username.
    by_user: HashMap<u64, usize>,
}

/// A part of a budget; released on drop.
pub(crate) struct Reservation {
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
    pub(crate) fn with_reserve(max: usize, parts: usize) -> Arc<Self> {
        Self::with_share(max, max - max / parts)
    }

    fn with_share(max: usize, share: usize) -> Arc<Self> {
        let share = share.max(SHARE_MIN.min(max));
        let (keys, state) = (RandomState::new(), Mutex::default());
        Arc::new(Self { max, share, keys, state })
    }

    /// Reserves an amount for a user; `None` if a limit is reached. A user who holds nothing may
    /// exceed the share with one amount, within the total limit.
    pub(crate) fn reserve(self: &Arc<Self>, user: &UserInfo, amount: usize) -> Option<Reservation> {
        let mut reservation = Reservation {
            budget: Arc::clone(self),
            user: self.keys.hash_one(&user.username),
            amount: 0,
        };
        reservation.grow(amount).then_some(reservation)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// Increases the amount. Returns false if a limit is reached. An amount taken in several steps
    /// may become as large as one taken in a single step.
    pub(crate) fn grow(&mut self, amount: usize) -> bool {
        let mut state = self.budget.state();
        let of_user = state.by_user.get(&self.user).copied().unwrap_or_default();
        let is_within_share =
            of_user == self.amount || of_user.saturating_add(amount) <= self.budget.share;
        // An amount larger than the total is accepted only if nothing else is held.
        let is_within_all = state.reserved == self.amount
            || state.reserved.saturating_add(amount) <= self.budget.max;
        if !(is_within_share && is_within_all) {
            return false;
        }
        state.reserved += amount;
        *state.by_user.entry(self.user).or_default() += amount;
        drop(state);
        self.amount += amount;
        true
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.reserved = state.reserved.saturating_sub(self.amount);
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
        let alice: Vec<Reservation> =
            std::iter::from_fn(|| budget.reserve(&user("alice"), 1)).take(500).collect();
        assert_eq!(alice.len(), 50);
        let others = ["bob", "carol", "dave"];
        let others: Vec<Reservation> = others
            .iter()
            .flat_map(|name| std::iter::from_fn(|| budget.reserve(&user(name), 1)).take(50))
            .collect();
        assert_eq!(others.len(), 150);
        assert!(budget.reserve(&user("eve"), 1).is_none(), "everything is reserved");
        drop(alice);
        assert!(budget.reserve(&user("eve"), 1).is_some());
        drop(others);
        assert!(budget.state().by_user.is_empty());
    }

    /// A client program with 128 connections is also a single user.
    #[test]
    fn one_user_with_many_connections_leaves_capacity_for_others() {
        let budget = Budget::with_reserve(200, 4);
        let alice: Vec<Reservation> =
            std::iter::from_fn(|| budget.reserve(&user("alice"), 1)).take(500).collect();
        assert_eq!(alice.len(), 150);
        let bob: Vec<Reservation> =
            std::iter::from_fn(|| budget.reserve(&user("bob"), 1)).take(500).collect();
        assert_eq!(bob.len(), 50);
    }

    #[test]
    fn a_large_request_runs_alone_and_small_limits_are_not_divided() {
        let budget = Budget::new(100, 4);
        let large = budget.reserve(&user("alice"), 1000).unwrap();
        assert!(budget.reserve(&user("bob"), 1).is_none());
        drop(large);
        let mut half = budget.reserve(&user("alice"), 10).unwrap();
        assert!(half.grow(40), "above the share, but she has no other reservation");
        assert!(budget.reserve(&user("alice"), 1).is_none(), "above the share");
        let bob = budget.reserve(&user("bob"), 50);
        assert!(bob.is_some() && !half.grow(1), "everything is reserved");
        drop(bob);
        assert!(half.grow(1000), "an amount above the total is accepted alone");
        let few = Budget::new(2, 4);
        let first = few.reserve(&user("alice"), 1);
        assert!(first.is_some() && few.reserve(&user("alice"), 1).is_some());
    }
}
