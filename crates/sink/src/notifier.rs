//! Notifiers: a signal becomes a message to Alertmanager, a signed webhook or a chat channel.
//!
//! A [`Notifier`] makes one HTTP request for each [`Notification`] and says what delivery should do
//! when that fails. It dials only what [`EgressPolicy`] allows, by verified TLS, follows no redirect, and
//! repeats nothing of what the other side answers except known words. URLs and keys are secrets:
//! they are in no error, no log and no `Debug` output.
//!
//! When a signal is sent, and again after a failure, is decided by the crate `delivery`; Secrets are
//! read by the caller.
//!
//! To add a destination, write one file beside [`mod@webhook`] and name it in [`open`].

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
pub use notification::{Event, Notification, Summary, SummaryError, Told, notification_id};
pub use webhook::{SIGNAL_BYTES_MAX, SIGNING_KEY_BYTES_MIN};

/// A destination for notifications.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Sends one notification. `Ok` means that the destination has it.
    ///
    /// The same notification may be sent again after a lost answer or a crash. It has the same id
    /// then, by which a receiver recognises it.
    async fn send(&self, notification: &Notification) -> Result<(), NotifyError>;

    /// Scheme, host and port, for people. The rest of a URL may be a secret.
    fn place(&self) -> &str;

    /// After what time an open signal is sent again although nothing happened; `None` for never.
    fn resend_interval(&self) -> Option<Duration> {
        None
    }

    /// How long after the first request without an answer people are told of it: longer than any
    /// request lasts, so that the time does not tell a closed port from a silent one.
    fn no_response_delay(&self) -> Duration;
}

/// The protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Version 2 of Alertmanager's API.
    Alertmanager,
    /// A signed JSON document.
    Webhook,
    /// An incoming webhook of Slack, or of a chat that takes the same.
    Slack,
}

/// What a notifier is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The protocol.
    pub kind: Kind,
    /// Where to send. For some services the URL is itself the secret.
    pub url: SecretString,
    /// The signing key of a webhook; what authorizes requests for the other kinds.
    pub secret: Option<SecretString>,
    /// Certificates, PEM, that the destination may be signed by, beside the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Writes the message; the signal's own if `None`.
    pub renderer: Option<Renderer>,
    /// Where may be dialled.
    pub egress: EgressPolicy,
}

/// Gives the value of a variable such as `severity`; `None` for one that does not exist.
pub type Variables<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Writes a message from variables. Which there are is in [`Notification::variable`].
#[derive(Clone)]
pub struct Renderer(Arc<dyn Fn(&Variables<'_>) -> String + Send + Sync>);

impl Renderer {
    /// A renderer that calls `render`.
    pub fn of(render: impl Fn(&Variables<'_>) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(render))
    }

    /// The text.
    pub fn render(&self, lookup: &Variables<'_>) -> String {
        (self.0)(lookup)
    }
}

impl std::fmt::Debug for Renderer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Renderer")
    }
}

/// Why a notifier cannot be used as it is described. For people: holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL cannot be used.
    #[error("the url {what}")]
    Url {
        /// What is wrong with it.
        what: String,
    },
    /// The key or the authorization cannot be used.
    #[error("the secret {what}")]
    Secret {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The certificates to trust cannot be read.
    #[error("caBundle cannot be used: {what}")]
    Ca {
        /// What is wrong.
        what: String,
    },
}

/// What delivery should do next. One variant for each thing it can do. For people: holds no secret
/// and nothing of what was answered but known words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotifyError {
    /// The destination takes nothing at present: try again.
    #[error("{reason}")]
    Retry {
        /// When trying makes sense, if the destination said so.
        after: Option<Duration>,
        /// What it said.
        reason: String,
    },
    /// The same, but no answer came. People see the same words at the same time whatever the cause
    /// is, because it would tell closed ports from others.
    #[error("no answer")]
    NoResponse {
        /// No connection was made.
        is_connect_error: bool,
    },
    /// This notification is refused, and others may be taken.
    #[error("{reason}")]
    Refused {
        /// What the destination said.
        reason: String,
    },
    /// Nothing is taken until the configuration changes, here or there.
    #[error("{reason}")]
    Misconfigured {
        /// What is wrong, and what to do.
        reason: String,
    },
}

/// Prepares everything and sends nothing.
pub fn open(settings: &Settings) -> Result<Arc<dyn Notifier>, OpenError> {
    Ok(match settings.kind {
        Kind::Alertmanager => Arc::new(alertmanager::Alertmanager::open(settings)?),
        Kind::Webhook => Arc::new(webhook::Webhook::open(settings)?),
        Kind::Slack => Arc::new(slack::Slack::open(settings)?),
    })
}
