//! The egress policy: which addresses destinations may have.
//!
//! Loopback, link-local, unspecified and multicast addresses and cloud metadata services are
//! denied, and the networks that the operator names, such as those of a cluster's pods and
//! services. Allowed networks take precedence over both.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use http::Uri;

use super::resolver::DnsLookup;

/// The longest time from the first byte of a request to the head of its response.
pub const RESPONSE_TIME_MAX: Duration = Duration::from_mins(1);

/// Hosts of the metadata services of clouds, which issue credentials. Only a provider's own
/// protocol may use them; profiles and notifiers must not name them.
const METADATA_HOSTS: [&str; 2] = ["169.254.169.254", "metadata.google.internal"];

/// Decides which addresses may be dialed. The default permits the internet and private networks, by
/// https.
#[derive(Clone, Debug)]
pub struct EgressPolicy {
    /// Networks that are always permitted.
    pub allowed: Vec<Network>,
    /// Networks that are denied unless they are in `allowed`.
    pub denied: Vec<Network>,
    /// Whether `http://` URLs are permitted.
    pub plain_http: bool,
    /// Resolves host names.
    pub lookup: DnsLookup,
    /// Time from the first byte of a request to the head of its response.
    pub response_timeout: Duration,
}

impl Default for EgressPolicy {
    fn default() -> Self {
        Self {
            allowed: Vec::new(),
            denied: Vec::new(),
            plain_http: false,
            lookup: DnsLookup::default(),
            response_timeout: RESPONSE_TIME_MAX,
        }
    }
}

/// A range of addresses, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// The text does not describe a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address or a network such as 10.0.0.0/8")]
pub struct NetworkError(String);

impl EgressPolicy {
    /// Checks the scheme of a URL. The error completes a sentence that begins with the URL.
    pub fn check_scheme(&self, uri: &Uri) -> Result<(), &'static str> {
        match uri.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if self.plain_http => Ok(()),
            Some("http") => {
                Err("is plain http, which is not allowed here: use https, or allow it by a setting")
            }
            _ => Err("has to begin with https://"),
        }
    }

    /// The reason why an address must not be dialed, `None` if it may be. The reason completes a
    /// sentence that begins with the address.
    pub fn denial(&self, address: IpAddr) -> Option<&'static str> {
        let address = embedded_v4(address);
        if self.allowed.iter().any(|network| network.contains(address)) {
            return None;
        }
        let kind = match address {
            IpAddr::V4(v4) => kind_of_v4(v4),
            IpAddr::V6(v6) => kind_of_v6(v6),
        };
        kind.or_else(|| {
            let is_denied = self.denied.iter().any(|network| network.contains(address));
            is_denied.then_some("is in a denied network")
        })
    }

    /// Delay after a request begins before a missing response is reported.
    ///
    /// It is longer than any request, so that a closed port and a filtered one cannot be
    /// distinguished by timing.
    pub fn no_response_delay(&self) -> Duration {
        self.response_timeout + self.response_timeout / 6
    }
}

/// Whether a host is the metadata service of a cloud.
pub fn is_metadata_host(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    METADATA_HOSTS.iter().any(|known| host.eq_ignore_ascii_case(known))
}

/// The IPv4 address that is embedded in an IPv6 address, if there is one.
fn embedded_v4(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let segments = v6.segments();
    let v4_from_segment = |index: usize| {
        let octets = |index: usize| segments.get(index).copied().unwrap_or_default().to_be_bytes();
        let ([a, b], [c, d]) = (octets(index), octets(index + 1));
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // IPv4-compatible (but for `::` and `::1`), IPv4-mapped, IPv4-translated, NAT64 with the
        // well-known and with a local prefix, and ISATAP.
        [0, 0, 0, 0, 0, 0, 1..=u16::MAX, _]
        | [0, 0, 0, 0, 0, 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..]
        | [0x64, 0xff9b, 1, ..]
        | [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => v4_from_segment(6),
        // Teredo inverts the bits.
        [0x2001, 0, _, _, _, _, high, low] => {
            let ([a, b], [c, d]) = ((!high).to_be_bytes(), (!low).to_be_bytes());
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        // 6to4.
        [0x2002, ..] => v4_from_segment(1),
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
    /// All addresses of both families.
    pub const ALL: [Self; 2] = [
        Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), bits: 0 },
        Self { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), bits: 0 },
    ];

    fn contains(self, address: IpAddr) -> bool {
        let same = |left: u128, right: u128, width: u32| {
            let host_bits = width - u32::from(self.bits).min(width);
            let network = |address: u128| address.checked_shr(host_bits).unwrap_or(0);
            network(left) == network(right)
        };
        match (self.address, address) {
            (IpAddr::V4(left), IpAddr::V4(right)) => {
                same(left.to_bits().into(), right.to_bits().into(), 32)
            }
            (IpAddr::V6(left), IpAddr::V6(right)) => same(left.to_bits(), right.to_bits(), 128),
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

    fn check(egress: &EgressPolicy, address: &str, is_allowed: bool) {
        let denial = egress.denial(address.parse().unwrap());
        assert_eq!(denial.is_none(), is_allowed, "{address}: {denial:?}");
    }

    #[test]
    fn local_addresses_are_denied_in_every_notation() {
        let egress = EgressPolicy::default();
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
            check(&egress, address, false);
        }
        for address in
            ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fd12::1", "::ffff:192.0.2.1", "100.64.0.1"]
        {
            check(&egress, address, true);
        }
    }

    #[test]
    fn configured_networks_are_denied_or_allowed() {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let egress = EgressPolicy {
            allowed: networks(&["10.1.2.3", "127.0.0.0/8"]),
            denied: networks(&["10.0.0.0/8", "fd00::/8"]),
            ..EgressPolicy::default()
        };
        for (address, is_allowed) in [
            ("10.1.2.3", true),
            ("10.1.2.4", false),
            ("11.0.0.1", true),
            ("127.0.0.1", true),
            ("::ffff:10.9.9.9", false),
            ("fd00::1", false),
            ("fe80::1", false),
        ] {
            check(&egress, address, is_allowed);
        }
        for invalid in ["", "10.0.0.0/33", "10.0.0/8", "x/8", "::/129", "10.0.0.1/-1"] {
            assert!(invalid.parse::<Network>().is_err(), "{invalid}");
        }
    }
}
