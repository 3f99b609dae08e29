//! Senders that are refused before a source is known: counted by reason, and logged.
//!
//! Every client that reaches the port can cause a refusal, so each reason is logged at most once in
//! [`REFUSAL_LOG_PERIOD`](crate::limits::REFUSAL_LOG_PERIOD), with the number of lines that were left out. A line has the address of
//! the sender and what to do, but no text of the sender, except a valid name of a cluster.
//!
//! Deliberately absent: requests that fail after their source is known, which the state of the
//! source counts.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::{fmt, io};

use event::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use rustls::AlertDescription;

use super::log_line::LogLine;

/// The label with the reason.
type Labels = [(&'static str, &'static str); 1];

/// The webhook whose senders a listener receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Webhook {
    /// kube-apiserver's audit webhook.
    Audit,
    /// A validating admission webhook.
    Admission,
}

impl fmt::Display for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Audit => "audit",
            Self::Admission => "admission",
        })
    }
}

/// Why a sender is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many connections are open, in total or from its address.
    Connections,
    /// The connection ended, or took too long, before TLS was set up. Checks of a load balancer do
    /// that.
    Handshake,
    /// It does not speak TLS, or no version or cipher in common.
    Tls,
    /// It does not accept the serving certificate.
    ServingCertificate,
    /// It has neither a token nor a client certificate.
    NoCredentials,
    /// Its token is not accepted.
    Token,
    /// Its client certificate is not accepted.
    Certificate,
    /// Its credentials are those of another cluster.
    Cluster,
    /// The path is not that of a configured cluster.
    Path,
}

impl Refusal {
    /// All reasons.
    pub const ALL: [Self; 9] = [
        Self::Connections,
        Self::Handshake,
        Self::Tls,
        Self::ServingCertificate,
        Self::NoCredentials,
        Self::Token,
        Self::Certificate,
        Self::Cluster,
        Self::Path,
    ];

    /// The value of the metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Handshake => "handshake",
            Self::Tls => "tls",
            Self::ServingCertificate => "serving_certificate",
            Self::NoCredentials => "no_credentials",
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::Cluster => "cluster",
            Self::Path => "path",
        }
    }

    /// What to do.
    const fn advice(self, webhook: Webhook) -> &'static str {
        match (webhook, self) {
            (Webhook::Admission, refusal) => refusal.advice_of_admission(),
            (Webhook::Audit, refusal) => refusal.advice_of_audit(),
        }
    }

    /// What to do if the sender is that of admission reviews.
    const fn advice_of_admission(self) -> &'static str {
        match self {
            Self::ServingCertificate => {
                "the sender does not accept the serving certificate: write the current CA to \
                 caBundle of the ValidatingWebhookConfiguration with `keepwatch source \
                 admission-config`"
            }
            Self::NoCredentials => {
                "the sender has no token in the path of its URL, no other token and no client \
                 certificate: write the ValidatingWebhookConfiguration with `keepwatch source \
                 admission-config`"
            }
            Self::Token => {
                "the token is not accepted: write the ValidatingWebhookConfiguration with \
                 `keepwatch source admission-config` and a current token"
            }
            Self::Certificate => {
                "the client certificate is not accepted: use one of the CA in \
                 --admission-webhook-client-ca-file, with a name of \
                 --admission-webhook-client-names if they are set"
            }
            Self::Path => {
                "the path of the URL is not /admission/ and a name of --admission-webhook-clusters: \
                 correct the ValidatingWebhookConfiguration, or add the cluster"
            }
            Self::Connections | Self::Handshake | Self::Tls | Self::Cluster => {
                self.advice_of_audit()
            }
        }
    }

    /// What to do if the sender is that of audit events.
    const fn advice_of_audit(self) -> &'static str {
        match self {
            Self::Connections => {
                "too many connections are open: kube-apiserver needs a few; find out what else \
                 connects to this port"
            }
            Self::Handshake => "the connection ended before TLS was set up",
            Self::Tls => {
                "the TLS handshake failed: the URL begins with https, and the sender needs TLS 1.2 \
                 or 1.3"
            }
            Self::ServingCertificate => {
                "the sender does not accept the serving certificate: write its file with \
                 `keepwatch source webhook-config` and the current CA, and restart kube-apiserver"
            }
            Self::NoCredentials => {
                "the sender has neither a token nor a client certificate: write its file with \
                 `keepwatch source webhook-config`"
            }
            Self::Token => {
                "the token is not accepted: write the sender's file with `keepwatch source \
                 webhook-config` and a current token, and restart kube-apiserver"
            }
            Self::Certificate => {
                "the client certificate is not accepted: use one of the CA in \
                 --audit-webhook-client-ca-file, with a name of --audit-webhook-client-names if they \
                 are set"
            }
            Self::Cluster => {
                "the token or the client certificate is not valid for the cluster in the URL: give \
                 the sender those of its own cluster"
            }
            Self::Path => {
                "the URL does not end in /audit/ and a name of --audit-webhook-clusters: correct the \
                 sender's file, or add the cluster"
            }
        }
    }

    /// The reason of a TLS handshake that failed.
    pub(super) fn of_handshake(error: &io::Error) -> Self {
        use AlertDescription as Alert;
        let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        match error {
            Some(rustls::Error::AlertReceived(
                Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA,
            )) => Self::ServingCertificate,
            Some(_) => Self::Tls,
            None => Self::Handshake,
        }
    }
}

/// The refusals of a listener.
#[derive(Debug)]
pub struct Refusals {
    webhook: Webhook,
    counts: Family<Labels, Counter>,
    lines: Mutex<[LogLine; Refusal::ALL.len()]>,
}

impl Refusals {
    /// None yet.
    pub(crate) fn new(webhook: Webhook) -> Self {
        let counts: Family<Labels, Counter> = Family::default();
        for refusal in Refusal::ALL {
            drop(counts.get_or_create(&labels(refusal)));
        }
        Self { webhook, counts, lines: Mutex::default() }
    }

    /// The webhook of the listener.
    pub(crate) fn webhook(&self) -> Webhook {
        self.webhook
    }

    /// The number of refusals for a reason.
    pub fn count(&self, refusal: Refusal) -> u64 {
        self.counts.get_or_create(&labels(refusal)).get()
    }

    /// The counters, by reason.
    pub(crate) fn counts(&self) -> Family<Labels, Counter> {
        self.counts.clone()
    }

    /// Counts a refusal, and logs it if the last line of its reason is old enough. `detail` must
    /// not contain a text of the sender that was not checked.
    pub(super) fn add(&self, refusal: Refusal, from: SocketAddr, detail: &str, now: Timestamp) {
        self.counts.get_or_create(&labels(refusal)).inc();
        let Some(left_out) = self.take_line(refusal, now) else { return };
        let (reason, advice) = (refusal.as_str(), refusal.advice(self.webhook));
        if refusal == Refusal::Handshake {
            // A load balancer that checks the port is no fault.
            tracing::debug!(%from, reason, detail, left_out, advice, "a connection ended early");
            return;
        }
        tracing::warn!(
            %from, reason, detail, left_out, advice, "a sender of the {} webhook is refused", self.webhook
        );
    }

    /// The number of lines that were left out since the last one; `None` if this one is left out
    /// too.
    fn take_line(&self, refusal: Refusal, now: Timestamp) -> Option<u64> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.get_mut(refusal as usize)?.take(now)
    }
}

fn labels(refusal: Refusal) -> Labels {
    [("reason", refusal.as_str())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_logged_once_a_minute_with_the_number_of_the_others() {
        let refusals = Refusals::new(Webhook::Audit);
        let start = 1_795_000_000_000_000_i64;
        let take = |refusal, seconds: i64| {
            refusals.take_line(refusal, Timestamp::from_micros(start + seconds * 1_000_000))
        };
        assert_eq!(take(Refusal::Token, 0), Some(0));
        assert_eq!(take(Refusal::Token, 1), None);
        assert_eq!(take(Refusal::Path, 1), Some(0), "another reason has its own line");
        assert_eq!(take(Refusal::Token, 59), None);
        assert_eq!(take(Refusal::Token, 60), Some(2));
        assert_eq!(take(Refusal::Token, 61), None);
        assert_eq!(take(Refusal::Token, 0), Some(1), "a clock that was set back");
    }

    #[test]
    fn the_position_of_a_reason_is_that_of_its_line() {
        for (at, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, at);
        }
    }
}
