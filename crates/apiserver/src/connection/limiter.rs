//! Limits on the number of connections, in total and per source address.
//!
//! One address cannot use the capacity of all others. With IPv6 a client that has one address
//! usually has a whole network, so the limit applies to the network.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Prefix length of an IPv6 network, in bits.
const NETWORK_BITS: u32 = 64;

/// Limits and current counts of connections.
pub struct ConnectionLimiter {
    total_max: usize,
    address_max: usize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl ConnectionLimiter {
    /// Creates a limiter of this many connections, in total and per address.
    pub fn new(total_max: usize, address_max: usize) -> Arc<Self> {
        Arc::new(Self { total_max, address_max, counts: Mutex::default() })
    }

    /// Takes a permit for a connection from this address; `None` if a limit is reached.
    pub fn try_acquire(self: &Arc<Self>, from: IpAddr) -> Option<ConnectionPermit> {
        let from = origin(from);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let address_count = counts.by_address.get(&from).copied().unwrap_or_default();
        if counts.total >= self.total_max || address_count >= self.address_max {
            return None;
        }
        counts.total += 1;
        counts.by_address.insert(from, address_count + 1);
        Some(ConnectionPermit { limiter: Arc::clone(self), from })
    }

    fn release(&self, from: IpAddr) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let Some(address_count) = counts.by_address.get_mut(&from) {
            *address_count -= 1;
            if *address_count == 0 {
                counts.by_address.remove(&from);
            }
        }
    }
}

/// Permit of one connection; released on drop.
pub struct ConnectionPermit {
    limiter: Arc<ConnectionLimiter>,
    from: IpAddr,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limiter.release(self.from);
    }
}

/// The address that is counted: IPv4 address or IPv6 network.
pub(super) fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = u128::MAX << (u128::BITS - NETWORK_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_exhaust_the_limit_of_others() {
        let limiter = ConnectionLimiter::new(4, 2);
        let try_acquire = |from: &str| limiter.try_acquire(from.parse().unwrap());
        let first = try_acquire("192.0.2.1").unwrap();
        let _second = try_acquire("::ffff:192.0.2.1").unwrap();
        assert!(try_acquire("192.0.2.1").is_none(), "its limit is two");
        let _other = try_acquire("2001:db8::1").unwrap();
        let _neighbour = try_acquire("2001:db8::ffff").unwrap();
        assert!(try_acquire("2001:db8:0:0:1::").is_none(), "it is the same network");
        assert!(try_acquire("192.0.2.2").is_none(), "the limit is reached");
        drop(first);
        let _third = try_acquire("192.0.2.2").unwrap();
        assert!(try_acquire("192.0.2.1").is_none(), "the limit is reached again");
    }

    #[test]
    fn closed_connections_leave_no_state() {
        let limiter = ConnectionLimiter::new(2, 1);
        for number in 0..100_u32 {
            drop(limiter.try_acquire(IpAddr::V4(number.into())).unwrap());
        }
        assert_eq!(limiter.counts.lock().unwrap().by_address.len(), 0);
    }
}
