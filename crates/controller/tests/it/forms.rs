//! Endpoints with which an attacker may try to make the server connect to a forbidden address.
//!
//! The cases are a table of addresses combined with a table of spellings. The expected result
//! follows from the tables alone: the address is allowed, and the spelling is a usual one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An endpoint and the expected result.
#[derive(Clone, Debug)]
pub(super) struct EndpointForm {
    pub(super) text: String,
    pub(super) is_allowed: bool,
}

/// Loopback addresses that the operator allows, and private ones that the operator denies.
pub(super) const ALLOWED_NETWORK: &str = "127.77.0.0/16";
pub(super) const DENIED_NETWORKS: [&str; 2] = ["10.96.0.0/12", "fd00:10:96::/112"];

const V4: [(&str, bool); 18] = [
    ("127.0.0.1", false),
    ("127.255.255.254", false),
    ("127.76.255.255", false),
    ("0.0.0.0", false),
    ("0.1.2.3", false),
    ("169.254.169.254", false),
    ("169.254.170.2", false),
    ("169.254.0.1", false),
    ("100.100.100.200", false),
    ("168.63.129.16", false),
    ("192.0.0.192", false),
    ("224.0.0.1", false),
    ("240.0.0.1", false),
    ("255.255.255.255", false),
    ("10.96.0.1", false),
    ("10.111.255.255", false),
    ("127.77.0.1", true),
    ("10.95.255.255", true),
];

const V6: [(&str, bool); 12] = [
    ("::1", false),
    ("::", false),
    ("fe80::1", false),
    ("fe80::a9fe:a9fe", false),
    ("febf:ffff::1", false),
    ("fec0::1", false),
    ("ff02::1", false),
    ("fd00:ec2::254", false),
    ("fd20:ce::254", false),
    ("fd00:10:96::a", false),
    ("2001:db8::9", true),
    ("fd00:10:97::a", true),
];

/// Names and their addresses.
pub(super) const NAMES: [(&str, &[&str], bool); 17] = [
    ("localhost", &["127.0.0.1"], false),
    ("ip6-localhost", &["::1"], false),
    ("localtest.example.com", &["127.0.0.1"], false),
    ("both.example.com", &["127.77.0.1", "127.0.0.1"], false),
    ("both-ways.example.com", &["127.0.0.1", "127.77.0.1"], false),
    ("families.example.com", &["127.77.0.1", "::1"], false),
    ("169.254.169.254.nip.example", &["169.254.169.254"], false),
    ("0x7f000001.example", &["127.0.0.1"], false),
    ("imds.example.com", &["fd00:ec2::254"], false),
    ("mapped.example.com", &["::ffff:169.254.169.254"], false),
    ("nat64.example.com", &["64:ff9b::7f00:1"], false),
    ("metadata.google.internal", &["169.254.169.254"], false),
    ("kubernetes.default.svc", &["10.96.0.1"], false),
    ("kubernetes.default.svc.cluster.local", &["10.96.0.1"], false),
    ("xn--bcher-kva.example", &["0.0.0.0"], false),
    ("s3.example.com", &["127.77.0.1"], true),
    ("xn--s3-mia.example.com", &["127.77.0.2"], true),
];

/// All combinations.
pub(super) fn all(port: u16) -> Vec<EndpointForm> {
    let mut forms = Vec::new();
    let mut add = |texts: Vec<String>, is_allowed: bool| {
        forms.extend(texts.into_iter().map(|text| EndpointForm { text, is_allowed }));
    };
    for (text, is_allowed) in V4 {
        let address: Ipv4Addr = text.parse().unwrap();
        add(valid_v4(address), is_allowed);
        add(embedded(address), is_allowed);
        add(invalid_v4(address), false);
        add(hidden_hosts(text), false);
    }
    for (text, is_allowed) in V6 {
        let address: Ipv6Addr = text.parse().unwrap();
        add(valid_v6(address), is_allowed);
        add(invalid_v6(address), false);
        add(hidden_hosts(&format!("[{address}]")), false);
    }
    for (name, _, is_allowed) in NAMES {
        add(valid_names(name), is_allowed);
        add(hidden_hosts(name), false);
    }
    add(look_alikes(), false);
    // A port with a listening server.
    add(vec![format!("127.0.0.1:{port}"), format!("localhost:{port}")], false);
    add(vec![format!("[::ffff:127.0.0.1]:{port}"), format!("both.example.com:{port}")], false);
    forms
}

fn valid_v4(address: Ipv4Addr) -> Vec<String> {
    ["", "https://", "HTTPS://"]
        .iter()
        .flat_map(|scheme| ["", ":443", ":8443/", "/"].map(|end| format!("{scheme}{address}{end}")))
        .collect()
}

/// IPv6 addresses that embed an IPv4 address.
fn embedded(address: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let (not_high, not_low) = (!high, !low);
    let mut texts = vec![
        format!("[::ffff:{address}]"),
        format!("[::FFFF:{high:X}:{low:X}]:9000"),
        format!("https://[0:0:0:0:0:ffff:{high:04x}:{low:04x}]"),
        format!("[::ffff:0:{address}]"),
        format!("[64:ff9b::{high:x}:{low:x}]"),
        format!("[64:ff9b::{address}]"),
        format!("[64:ff9b:1::{high:x}:{low:x}]"),
        format!("[2002:{high:x}:{low:x}::1]"),
        format!("[2001:0:cb00:7109::{not_high:x}:{not_low:x}]"),
        format!("[2001:db8::5efe:{high:x}:{low:x}]"),
        format!("[2001:db8::200:5efe:{high:x}:{low:x}]"),
    ];
    if high > 0 {
        texts.push(format!("[::{address}]"));
    }
    texts
}

/// Spellings that only some programs parse as an IPv4 address.
fn invalid_v4(address: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let number = u32::from(address);
    let wide: String = address.to_string().chars().map(full_width).collect();
    let encoded: Vec<String> =
        address.to_string().bytes().map(|byte| format!("%{byte:02x}")).collect();
    vec![
        format!("{number}"),
        format!("{number:#x}"),
        format!("{number:#X}"),
        format!("0{number:o}"),
        format!("{}", u64::from(number) + (1 << 32)),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
        format!("{a:#x}.{b}.0{c:o}.{d}"),
        format!("{a}.{}", number & 0xff_ffff),
        format!("{a}.{b}.{}", number & 0xffff),
        format!("{a:#x}.{}", number & 0xff_ffff),
        format!("0{a:03}.0{b:03}.0{c:03}.0{d:03}"),
        format!("{address}."),
        format!("{address}.."),
        format!(".{address}"),
        format!("{a}.{b}.{c}.{d}.0"),
        address.to_string().replace('.', "\u{3002}"),
        wide,
        encoded.concat(),
        format!("[{address}]x"),
    ]
}

fn full_width(c: char) -> char {
    c.to_digit(10).and_then(|digit| char::from_u32(0xff10 + digit)).unwrap_or(c)
}

fn valid_v6(address: Ipv6Addr) -> Vec<String> {
    let full: Vec<String> = address.segments().iter().map(|part| format!("{part:04x}")).collect();
    let full = full.join(":");
    vec![
        format!("[{address}]"),
        format!("[{address}]:443"),
        format!("https://[{address}]/"),
        format!("https://[{full}]"),
        format!("[{}]:9000", full.to_uppercase()),
    ]
}

fn invalid_v6(address: Ipv6Addr) -> Vec<String> {
    vec![
        format!("{address}"),
        format!("https://{address}"),
        format!("[{address}"),
        format!("{address}]"),
        format!("[[{address}]]"),
        format!("[{address}%25lo]"),
        format!("[{address}%lo]:443"),
        format!("[{address}%250]"),
        format!("[v1.{address}]"),
        format!("[{address}/128]"),
    ]
}

fn valid_names(name: &str) -> Vec<String> {
    let upper = name.to_uppercase();
    vec![
        name.to_owned(),
        format!("{name}:9000"),
        format!("https://{name}/"),
        format!("https://{upper}"),
        format!("{name}."),
    ]
}

/// Spellings in which a host is hidden before or after another one, or in a scheme.
fn hidden_hosts(host: &str) -> Vec<String> {
    let valid_host = "s3.example.com";
    let mut texts: Vec<String> =
        ["http", "ftp", "file", "gopher", "dict", "ldap", "unix", "javascript", "h2c"]
            .iter()
            .map(|scheme| format!("{scheme}://{host}"))
            .collect();
    texts.extend([
        format!("https://{valid_host}@{host}"),
        format!("https://{host}@{valid_host}"),
        format!("https://key:secret@{host}"),
        format!("https://{valid_host}%40{host}"),
        format!("https://{valid_host}\\@{host}"),
        format!("https://{valid_host}#@{host}"),
        format!("https://{host}#.{valid_host}"),
        format!("https://{host}?.{valid_host}"),
        format!("https://{host}/.{valid_host}"),
        format!("https://{host}/latest/meta-data"),
        format!("https://{host}\r\nHost: {valid_host}"),
        format!("https://{valid_host} {host}"),
        format!(" https://{host}"),
        format!("https://\t{host}"),
        format!("https:{host}"),
        format!("https:/{host}"),
        format!("https:///{host}"),
        format!("//{host}"),
        format!("https:\\\\{host}"),
        format!("{host}:0"),
        format!("{host}:65536"),
        format!("{host}:-1"),
        format!("{host}:+443"),
        format!("{host}:443:443"),
        format!("{host}:"),
        format!("{host}:https"),
        format!("{host}\0.{valid_host}"),
    ]);
    texts
}

/// Letters that some programs fold to the letters of a host.
fn look_alikes() -> Vec<String> {
    [
        "\u{217c}ocalhost",
        "loca\u{2113}host",
        "\u{24db}\u{24de}\u{24d2}\u{24d0}\u{24db}\u{24d7}\u{24de}\u{24e2}\u{24e3}",
        "local\u{ad}host",
        "local\u{200b}host",
        "s3\u{ff0e}example\u{ff0e}com",
        "s3.example.com\u{2044}@localhost",
        "\u{2460}27.0.0.1",
        "\u{661}\u{662}\u{667}.0.0.1",
        "ex\u{430}mple.com",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The addresses of a name.
pub(super) fn lookup(name: &str) -> std::io::Result<Vec<IpAddr>> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let entry = NAMES.iter().find(|(entry, ..)| *entry == name);
    let entry = entry.ok_or_else(|| std::io::Error::other("no such name"))?;
    Ok(entry.1.iter().map(|address| address.parse().unwrap()).collect())
}
