//! Where a destination may be: a profile must not turn the server against its own network.
//!
//! An endpoint's name is resolved once and the addresses found are what is dialled, each checked
//! here first. Loopback, link-local, unspecified and multicast addresses are refused, and whatever
//! networks the operator names, such as a cluster's pods and services, unless others are allowed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use http::Uri;

use super::names::Names;

/// Time from the first byte of a request to the head of its answer.
pub(super) const ANSWER_TIME_MAX: Duration = Duration::from_mins(1);

/// What may be dialled. The default is the internet and private networks, by https.
#[derive(Clone, Debug)]
pub struct Reach {
    /// These may be dialled whatever else is said.
    pub allowed: Vec<Network>,
    /// These may not.
    pub refused: Vec<Network>,
    /// Whether `http://` may be used.
    pub plain_http: bool,
    /// Who knows the addresses of names.
    pub names: Names,
    /// How long an answer is waited for.
    pub patience: Duration,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            allowed: Vec::new(),
            refused: Vec::new(),
            plain_http: false,
            names: Names::default(),
            patience: ANSWER_TIME_MAX,
        }
    }
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
    /// Why an address may not begin as it does; nothing if it may.
    pub(crate) fn check_scheme(&self, uri: &Uri) -> Result<(), &'static str> {
        match uri.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if self.plain_http => Ok(()),
            Some("http") => {
                Err("is plain http, which is not allowed here: use https, or allow it by a setting")
            }
            _ => Err("has to begin with https://"),
        }
    }

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
    let parts = v6.segments();
    let v4_at = |at: usize| {
        let part = |at: usize| parts.get(at).copied().unwrap_or_default().to_be_bytes();
        let ([a, b], [c, d]) = (part(at), part(at + 1));
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        // Compatible (but for `::` and `::1`), mapped, translated, NAT64 of everybody and of a
        // network of its own, and ISATAP.
        [0, 0, 0, 0, 0, 0, 1..=u16::MAX, _]
        | [0, 0, 0, 0, 0, 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..]
        | [0x64, 0xff9b, 1, ..]
        | [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => v4_at(6),
        // Teredo keeps it upside down.
        [0x2001, 0, _, _, _, _, high, low] => {
            let ([a, b], [c, d]) = ((!high).to_be_bytes(), (!low).to_be_bytes());
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        // 6to4.
        [0x2002, ..] => v4_at(1),
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
    /// Every address there is.
    pub const ALL: [Self; 2] = [
        Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), bits: 0 },
        Self { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), bits: 0 },
    ];

    fn contains(self, address: IpAddr) -> bool {
        let same = |one: u128, other: u128, width: u32| {
            let host_bits = width - u32::from(self.bits).min(width);
            let network = |address: u128| address.checked_shr(host_bits).unwrap_or(0);
            network(one) == network(other)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reach: &Reach, address: &str, may: bool) {
        let refusal = reach.refusal(address.parse().unwrap());
        assert_eq!(refusal.is_none(), may, "{address}: {refusal:?}");
    }

    #[test]
    fn addresses_of_the_machine_and_its_neighbours_are_refused_in_every_disguise() {
        let reach = Reach::default();
        for address in [
            "127.0.0.1",
            "127.1.2.3",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.170.2",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "::1",
            "::",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "::ffff:0:127.0.0.1",
        ] {
            check(&reach, address, false);
        }
        for address in
            ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fd12::1", "::ffff:192.0.2.1", "100.64.0.1"]
        {
            check(&reach, address, true);
        }
    }

    #[test]
    fn networks_that_are_named_are_refused_or_allowed() {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let reach = Reach {
            allowed: networks(&["10.1.2.3", "127.0.0.0/8"]),
            refused: networks(&["10.0.0.0/8", "fd00::/8"]),
            ..Reach::default()
        };
        for (address, may) in [
            ("10.1.2.3", true),
            ("10.1.2.4", false),
            ("11.0.0.1", true),
            ("127.0.0.1", true),
            ("::ffff:10.9.9.9", false),
            ("fd00::1", false),
            ("fe80::1", false),
        ] {
            check(&reach, address, may);
        }
        for odd in ["", "10.0.0.0/33", "10.0.0/8", "x/8", "::/129", "10.0.0.1/-1"] {
            assert!(odd.parse::<Network>().is_err(), "{odd}");
        }
    }
}
