//! Where a destination may be: a profile must not turn the server against its own network.
//!
//! An endpoint's name is resolved once and the addresses found are what is dialled, each checked
//! here first. Loopback, link-local, unspecified and multicast addresses are refused, and whatever
//! networks the operator names, such as a cluster's pods and services, unless others are allowed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What may be dialled. The default is the internet and private networks, by https.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// These may be dialled whatever else is said.
    pub allowed: Vec<Network>,
    /// These may not.
    pub refused: Vec<Network>,
    /// Whether `http://` may be used.
    pub plain_http: bool,
}

/// A range of addresses, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address or a network such as 10.0.0.0/8")]
pub struct NetworkError(String);

impl Reach {
    /// Why an address may not be dialled; `None` if it may.
    pub fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        let address = plain(address);
        if self.allowed.iter().any(|network| network.contains(address)) {
            return None;
        }
        let kind = match address {
            IpAddr::V4(v4) => kind_of_v4(v4),
            IpAddr::V6(v6) => kind_of_v6(v6),
        };
        kind.or_else(|| {
            let refused = self.refused.iter().any(|network| network.contains(address));
            refused.then_some("is in a network that destinations may not be in")
        })
    }
}

/// IPv4 in one of its disguises is IPv4.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b, c, d, e, f) {
        // `::` and `::1` are what they are; mapped and compatible addresses are not.
        (0, 0, 0, 0, 0, 0) if g != 0 => v4(g, h),
        (0, 0, 0, 0, 0, 0xffff) | (0, 0, 0, 0, 0xffff, 0) => v4(g, h),
        // NAT64 and 6to4.
        (0x64, 0xff9b, 0, 0, 0, 0) => v4(g, h),
        (0x2002, ..) => v4(b, c),
        _ => address,
    }
}

fn kind_of_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [first, second, ..] = address.octets();
    match () {
        () if address.is_loopback() => Some("is a loopback address"),
        () if address.is_link_local() => Some("is a link-local address"),
        () if first == 0 => Some("is an unspecified address"),
        () if first >= 224 => Some("is a multicast or reserved address"),
        // The metadata services of some clouds.
        () if first == 100 && second == 100 && address.octets() == [100, 100, 100, 200] => {
            Some("is a metadata service")
        }
        () if address.octets() == [168, 63, 129, 16] || address.octets() == [192, 0, 0, 192] => {
            Some("is a metadata service")
        }
        () => None,
    }
}

fn kind_of_v6(address: Ipv6Addr) -> Option<&'static str> {
    let [first, ..] = address.segments();
    match () {
        () if address.is_loopback() => Some("is a loopback address"),
        () if address.is_unspecified() => Some("is an unspecified address"),
        () if first & 0xffc0 == 0xfe80 || first & 0xffc0 == 0xfec0 => {
            Some("is a link-local address")
        }
        () if first >> 8 == 0xff => Some("is a multicast address"),
        // The metadata services of AWS and of Google, by IPv6.
        () if address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254) => {
            Some("is a metadata service")
        }
        () if address == Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254) => {
            Some("is a metadata service")
        }
        () => None,
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        let same = |one: u128, other: u128, width: u32| {
            let host_bits = width - u32::from(self.bits).min(width);
            one.checked_shr(host_bits).unwrap_or(0) == other.checked_shr(host_bits).unwrap_or(0)
        };
        match (self.address, address) {
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                same(one.to_bits().into(), other.to_bits().into(), 32)
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => same(one.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let error = || NetworkError(text.to_owned());
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), |bits| bits.parse().map_err(|_| error()))?;
        if bits > width { Err(error()) } else { Ok(Self { address, bits }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}
