//! The memory of incomplete HTTP/1 heads over all connections, in total and per source address.
//!
//! Clients without a certificate may send heads, so one address cannot use up the memory of all
//! others. The part of each head up to [`limits::HEAD_BYTES_FREE`] is not counted here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::limiter::origin;
use crate::limits;

/// The bytes in use.
#[derive(Default)]
pub(super) struct HeadBudget(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The bytes that one connection uses of the budget; released on drop.
pub(super) struct HeadBytes {
    budget: Arc<HeadBudget>,
    from: IpAddr,
    bytes: usize,
}

impl HeadBytes {
    pub(super) fn new(budget: &Arc<HeadBudget>, from: IpAddr) -> Self {
        Self { budget: Arc::clone(budget), from: origin(from), bytes: 0 }
    }

    /// Adds bytes, unless that exceeds a limit. Returns whether they were added.
    pub(super) fn try_add(&mut self, bytes: usize) -> bool {
        if bytes == 0 {
            return true;
        }
        let mut counts = self.budget.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total = counts.total + bytes;
        let of_address = counts.by_address.get(&self.from).copied().unwrap_or_default() + bytes;
        if total > limits::HELD_HEADS_BYTES_MAX || of_address > limits::ADDRESS_HEADS_BYTES_MAX {
            return false;
        }
        counts.total = total;
        counts.by_address.insert(self.from, of_address);
        self.bytes += bytes;
        true
    }

    pub(super) fn release(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut counts = self.budget.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= self.bytes;
        if let Some(of_address) = counts.by_address.get_mut(&self.from) {
            *of_address -= self.bytes;
            if *of_address == 0 {
                counts.by_address.remove(&self.from);
            }
        }
        self.bytes = 0;
    }
}

impl Drop for HeadBytes {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heads_of_one_address_leave_memory_for_others() {
        let budget = Arc::default();
        let head = |from: &str| HeadBytes::new(&budget, from.parse().unwrap());
        let mut first = head("192.0.2.1");
        assert!(first.try_add(limits::ADDRESS_HEADS_BYTES_MAX));
        assert!(!first.try_add(1));
        assert!(!head("::ffff:192.0.2.1").try_add(1), "it is the same address");
        let mut others: Vec<HeadBytes> = Vec::new();
        for number in 2.. {
            let mut other = head(&format!("192.0.2.{number}"));
            if !other.try_add(limits::ADDRESS_HEADS_BYTES_MAX) {
                break;
            }
            others.push(other);
        }
        let addresses = limits::HELD_HEADS_BYTES_MAX / limits::ADDRESS_HEADS_BYTES_MAX;
        assert_eq!(others.len() + 1, addresses);
        first.release();
        assert!(head("192.0.2.200").try_add(limits::ADDRESS_HEADS_BYTES_MAX));
        drop((first, others));
        assert!(budget.0.lock().unwrap().by_address.is_empty());
    }
}
