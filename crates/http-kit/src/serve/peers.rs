//! Counts the connections of each address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

type Counts = Mutex<HashMap<IpAddr, usize>>;

#[derive(Clone)]
pub(super) struct Peers {
    max: Option<usize>,
    counts: Arc<Counts>,
}

/// A place among the connections of an address, free again when dropped.
pub(super) struct Seat {
    counts: Arc<Counts>,
    ip: IpAddr,
}

impl Peers {
    pub(super) fn new(max: Option<usize>) -> Self {
        Self { max, counts: Arc::default() }
    }

    /// `None`: the address has as many as it may. `Some(None)`: nobody counts.
    pub(super) fn enter(&self, ip: IpAddr) -> Option<Option<Seat>> {
        let Some(max) = self.max else { return Some(None) };
        let ip = household(ip);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(ip).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Some(Seat { counts: self.counts.clone(), ip }))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.ip);
            }
        }
    }
}

/// One customer of a provider has a /64 of IPv6 addresses: they count as one.
fn household(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_seats_and_gets_them_back() {
        let peers = Peers::new(Some(2));
        let (first, second) = (peers.enter(ip("192.0.2.1")), peers.enter(ip("::ffff:192.0.2.1")));
        assert!(first.is_some() && second.is_some());
        assert!(peers.enter(ip("192.0.2.1")).is_none());
        assert!(peers.enter(ip("192.0.2.2")).is_some(), "others have their own");
        drop(first);
        assert!(peers.enter(ip("192.0.2.1")).is_some());
        drop(second);
        assert!(peers.counts.lock().unwrap().is_empty(), "nothing is kept of those who left");
    }

    #[test]
    fn addresses_of_one_64_count_as_one() {
        let peers = Peers::new(Some(1));
        let held = peers.enter(ip("2001:db8::1"));
        assert!(held.is_some());
        assert!(peers.enter(ip("2001:db8::ffff:2")).is_none());
        assert!(peers.enter(ip("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn without_a_cap_nobody_counts() {
        let peers = Peers::new(None);
        assert!((0..1000).all(|_| peers.enter(ip("192.0.2.1")).is_some()));
        assert!(peers.counts.lock().unwrap().is_empty());
    }
}
