//! Binds a listen address.
//!
//! An unspecified address of either family listens on both families, like upstream's
//! `--bind-address`; on IPv4 only if the kernel has no IPv6. Any other address is used unchanged.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Maximum number of connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Binds a listener. Must be called inside a Tokio runtime.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    if !address.ip().is_unspecified() {
        return listener(address);
    }
    let port = address.port();
    match listener((Ipv6Addr::UNSPECIFIED, port).into()) {
        Err(error) if has_no_ipv6(&error) => listener((Ipv4Addr::UNSPECIFIED, port).into()),
        bound => bound,
    }
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // Overrides the system's default (net.ipv6.bindv6only).
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Whether IPv6 is disabled in the kernel, or on all interfaces.
fn has_no_ipv6(error: &io::Error) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable
        || matches!(
            error.raw_os_error(),
            Some(libc_codes::EAFNOSUPPORT | libc_codes::EPROTONOSUPPORT)
        )
}

/// Linux error numbers that the standard library does not name.
mod libc_codes {
    pub(super) const EPROTONOSUPPORT: i32 = 93;
    pub(super) const EAFNOSUPPORT: i32 = 97;
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    /// Checks whether a listener on `listen` accepts a connection to `target`, and which source
    /// address it sees.
    async fn check(listen: &str, target: &str, expected: Option<&str>) {
        let listener = bind(SocketAddr::new(listen.parse().unwrap(), 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = TcpStream::connect(SocketAddr::new(target.parse().unwrap(), port)).await;
        let from = match stream {
            Ok(_stream) => Some(listener.accept().await.unwrap().1.ip().to_canonical().to_string()),
            Err(_) => None,
        };
        assert_eq!(from.as_deref(), expected, "{listen} {target}");
    }

    #[tokio::test]
    async fn an_unspecified_address_binds_both_families() {
        let has_ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
        let ipv6_source = has_ipv6.then_some("::1");
        check("0.0.0.0", "127.0.0.1", Some("127.0.0.1")).await;
        check("0.0.0.0", "::1", ipv6_source).await;
        check("::", "127.0.0.1", Some("127.0.0.1")).await;
        check("::", "::1", ipv6_source).await;
        check("127.0.0.1", "127.0.0.1", Some("127.0.0.1")).await;
        check("127.0.0.1", "::1", None).await;
        if has_ipv6 {
            check("::1", "::1", ipv6_source).await;
            check("::1", "127.0.0.1", None).await;
        }
    }

    #[test]
    fn only_a_missing_family_falls_back_to_ipv4() {
        for (number, expected) in [(97, true), (93, true), (99, true), (98, false), (13, false)] {
            assert_eq!(has_no_ipv6(&io::Error::from_raw_os_error(number)), expected, "{number}");
        }
    }
}
