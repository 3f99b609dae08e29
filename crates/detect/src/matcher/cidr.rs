//! Networks in CIDR notation.

use std::fmt;
use std::net::IpAddr;

/// A network: the addresses with a common prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    prefix_len: u32,
}

impl Network {
    /// Parses `192.0.2.0/24` or `2001:db8::/32`. `None` for other texts and for networks with host
    /// bits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix_len) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix_len: u32 = prefix_len.parse().ok()?;
        let network = Self { address, prefix_len };
        let (bits, width) = bits(address);
        (prefix_len <= width && bits & !mask(prefix_len, width) == 0).then_some(network)
    }

    /// Whether the text is an address in the network.
    pub(crate) fn contains(&self, text: &str) -> bool {
        let Ok(address) = text.parse::<IpAddr>() else {
            return false;
        };
        // ::ffff:192.0.2.1 is the same host as 192.0.2.1.
        let address = if self.address.is_ipv4() { address.to_canonical() } else { address };
        if address.is_ipv4() != self.address.is_ipv4() {
            return false;
        }
        let ((network_bits, width), (address_bits, _)) = (bits(self.address), bits(address));
        address_bits & mask(self.prefix_len, width) == network_bits
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), u32::BITS),
        IpAddr::V6(address) => (address.to_bits(), u128::BITS),
    }
}

fn mask(prefix_len: u32, width: u32) -> u128 {
    let ones = u128::MAX >> (u128::BITS - width);
    let free = u128::MAX.checked_shr(u128::BITS - (width - prefix_len)).unwrap_or_default();
    ones & !free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_their_networks_only() {
        for (network, address, expected) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.0/24", "::ffff:192.0.2.7", true),
            ("192.0.2.7/32", "192.0.2.7", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db8::1", true),
            ("192.0.2.0/24", "host.example", false),
        ] {
            assert_eq!(Network::parse(network).unwrap().contains(address), expected, "{address}");
        }
        for text in ["192.0.2.1/24", "192.0.2.0/33", "192.0.2.0", "x/8", "::1/64", ""] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
