//! Notifiers send signals to Alertmanager, a signed webhook or a chat channel.
//!
//! A [`Notifier`] sends one HTTP request for each [`Notification`] and returns an error that
//! determines the reaction of delivery. It connects only where [`EgressPolicy`] permits, with
//! verified TLS, follows no redirect, and quotes only known words of a response. URLs and keys are
//! secrets: they are in no error, no log and no `Debug` output.
//!
//! The crate `delivery` decides when a signal is sent, and when it is sent again after a failure.
//! The caller reads Secrets.
//!
//! To add a destination, write one file next to [`mod@webhook`] and name it in [`open`].

mod alertmanager;
mod authorization;
mod client;
mod notification;
mod sample;
mod slack;
mod text;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::http::EgressPolicy;

pub use alertmanager::{FIRING_TIME_MIN, RESEND_INTERVAL, VALIDITY};
pub use client::RESPONSE_TIME_MAX;
pub use notification::{Event, LastSent, Notification, Summary, SummaryError, notification_id};
pub use webhook::{SIGNAL_BYTES_MAX, SIGNING_KEY_BYTES_MIN};

/// A destination for notifications.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Sends one notification. `Ok` means that the destination has accepted it.
    ///
    /// The same notification may be sent again after a lost response or a crash. It has the same
    /// id, by which a receiver recognizes it.
    async fn send(&self, notification: &Notification) -> Result<(), NotifyError>;

    /// Scheme, host and port of the URL. The path may be secret.
    fn origin(&self) -> &str;

    /// The interval at which an unchanged open signal is sent again; `None` for never.
    fn resend_interval(&self) -> Option<Duration> {
        None
    }

    /// Delay before a missing response is reported. Longer than any request, so that a closed port
    /// and a filtered one cannot be distinguished by timing.
    fn no_response_delay(&self) -> Duration;
}

/// The protocol of a notifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Version 2 of Alertmanager's API.
    Alertmanager,
    /// A signed JSON document.
    Webhook,
    /// An incoming webhook of Slack, or of a chat that accepts the same messages.
    Slack,
}

/// The configuration of a notifier.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The protocol.
    pub kind: Kind,
    /// The URL. For some services it is itself secret.
    pub url: SecretString,
    /// The signing key of a webhook; for other kinds the credentials of requests.
    pub secret: Option<SecretString>,
    /// CA certificates, PEM, that are trusted in addition to the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Renders the message; the signal's own message is used if `None`.
    pub renderer: Option<Renderer>,
    /// The addresses that may be dialed.
    pub egress: EgressPolicy,
}

/// Returns the value of a variable, for example `severity`; `None` if it does not exist.
pub type Variables<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Renders a message from variables. They are listed in [`Notification::variable`].
#[derive(Clone)]
pub struct Renderer(Arc<dyn Fn(&Variables<'_>) -> String + Send + Sync>);

impl Renderer {
    /// A renderer that calls `render`.
    pub fn from_fn(render: impl Fn(&Variables<'_>) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(render))
    }

    /// The rendered text.
    pub fn render(&self, lookup: &Variables<'_>) -> String {
        (self.0)(lookup)
    }
}

impl std::fmt::Debug for Renderer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Renderer")
    }
}

/// Why a notifier cannot be used as it is configured. Contains no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL cannot be used.
    #[error("the url {reason}")]
    Url {
        /// The error in the value.
        reason: String,
    },
    /// The key or the authorization cannot be used.
    #[error("the secret {reason}")]
    Secret {
        /// The error in the value.
        reason: &'static str,
    },
    /// The certificates to trust cannot be read.
    #[error("caBundle cannot be used: {reason}")]
    Ca {
        /// The error.
        reason: String,
    },
}

/// An error of sending. Each variant is handled differently. Contains no secret, and only known
/// words of the response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotifyError {
    /// The destination is not ready: try again.
    #[error("{reason}")]
    Retry {
        /// The value of `Retry-After`, if the destination sent it.
        after: Option<Duration>,
        /// The cause.
        reason: String,
    },
    /// There was no response: try again. Its text and the delay until it is reported do not depend
    /// on the cause, which would otherwise reveal whether a port is closed or filtered.
    #[error("no answer")]
    NoResponse {
        /// No connection was established.
        is_connect_error: bool,
    },
    /// This notification is refused; others may be accepted.
    #[error("{reason}")]
    Refused {
        /// The cause.
        reason: String,
    },
    /// No notification is accepted until the configuration changes, here or at the destination.
    #[error("{reason}")]
    Misconfigured {
        /// The cause, and what to do.
        reason: String,
    },
}

/// Prepares a notifier. Sends nothing.
pub fn open(settings: &Settings) -> Result<Arc<dyn Notifier>, OpenError> {
    Ok(match settings.kind {
        Kind::Alertmanager => Arc::new(alertmanager::Alertmanager::open(settings)?),
        Kind::Webhook => Arc::new(webhook::Webhook::open(settings)?),
        Kind::Slack => Arc::new(slack::Slack::open(settings)?),
    })
}
