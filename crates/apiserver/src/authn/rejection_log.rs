//! Logs rejected client certificates: subject, issuer, and the reason of each CA.
//!
//! In a cluster this log line is the only sign that kube-apiserver's proxy is not trusted. A client
//! can generate any number of certificates, so the log is rate-limited and reports the number of
//! omitted rejections.

use std::sync::{Mutex, PoisonError};

use event::Timestamp;
use tracing::warn;

use crate::authn::peer::Peer;
use crate::authn::x509;

/// Maximum number of rejections logged per window.
const LOGGED_MAX: u32 = 10;
/// Length of a window, in microseconds.
const WINDOW_MICROS: i64 = 60_000_000;

/// Rate limit of the log.
#[derive(Default)]
pub(crate) struct RejectionLog(Mutex<Window>);

#[derive(Default)]
struct Window {
    start: i64,
    logged: u32,
    left_out: u64,
}

impl RejectionLog {
    /// Logs why neither CA accepts the certificate of the client.
    pub(crate) fn log(&self, peer: &Peer, reasons: [&str; 2], now: Timestamp) {
        let Some(left_out) = self.take_slot(now) else { return };
        let names = peer.chain.first().map(x509::names).transpose();
        let (subject, issuer) = names.ok().flatten().unwrap_or_default();
        let [client, front_proxy] = reasons;
        warn!(
            from = %peer.address,
            ?subject,
            ?issuer,
            client,
            front_proxy,
            left_out,
            "client certificate rejected"
        );
    }

    /// Returns the number of rejections omitted since the last logged one; `None` if this one is
    /// also omitted.
    fn take_slot(&self, now: Timestamp) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.as_micros().saturating_sub(window.start);
        if !(0..WINDOW_MICROS).contains(&age) {
            *window = Window { start: now.as_micros(), logged: 0, left_out: window.left_out };
        }
        if window.logged >= LOGGED_MAX {
            window.left_out += 1;
            return None;
        }
        window.logged += 1;
        Some(std::mem::take(&mut window.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejections_are_logged_at_a_limited_rate_and_the_rest_counted() {
        let rejections = RejectionLog::default();
        let at =
            |micros| rejections.take_slot(Timestamp::from_micros(1_795_000_000_000_000 + micros));
        for _ in 0..LOGGED_MAX {
            assert_eq!(at(0), Some(0));
        }
        assert_eq!(at(1), None);
        assert_eq!(at(WINDOW_MICROS - 1), None);
        assert_eq!(at(WINDOW_MICROS), Some(2));
        assert_eq!(at(WINDOW_MICROS), Some(0));
        assert_eq!(at(0), Some(0), "a clock that was set back starts a new window");
    }
}
