//! Sends signals to a webhook: the signal in an envelope, with a signature of its bytes.
//!
//! Two signatures with the same key are sent: the headers of Standard Webhooks 1.0, for receivers
//! that use its libraries, and `Keepwatch-Signature`, which a shell script can verify. Both cover
//! the time of the attempt, so that a receiver can refuse a replayed request.

use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use event::Timestamp;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::client::Client;
use super::{Notification, Notifier, NotifyError, OpenError, Renderer, Settings};
use crate::hex;

/// The maximum length of a signal in bytes. The events of a longer one are left out; they can be
/// read from the API.
pub const SIGNAL_BYTES_MAX: usize = 512 << 10;
/// The minimum length of a signing key in bytes.
pub const SIGNING_KEY_BYTES_MIN: usize = 16;
/// Version of the envelope.
const VERSION: &str = "1";
/// The prefix of a Base64 key in Standard Webhooks.
const KEY_PREFIX: &str = "whsec_";
/// Microseconds in a second.
const MICROS: i64 = 1_000_000;

const SIGNATURE: HeaderName = HeaderName::from_static("keepwatch-signature");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// A webhook.
pub(super) struct Webhook {
    client: Client,
    key: hmac::Key,
    renderer: Option<Renderer>,
}

/// The body of a request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    version: &'static str,
    id: &'a str,
    event: &'static str,
    sent_at: Timestamp,
    /// The rendered message, if there is a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Whether the events of the evidence were left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    signal: Box<RawValue>,
}

impl Webhook {
    pub(super) fn open(settings: &Settings) -> Result<Self, OpenError> {
        let secret = settings.secret.as_ref().ok_or(OpenError::Secret {
            reason: "is missing: a webhook is signed, so set secretRef to the Secret with its key",
        })?;
        let client = Client::new(settings, "")?;
        Ok(Self { client, key: key(secret)?, renderer: settings.renderer.clone() })
    }

    fn body(&self, notification: &Notification) -> Result<Vec<u8>, serde_json::Error> {
        let truncated = notification.object.len() > SIGNAL_BYTES_MAX;
        let signal = if truncated {
            let mut object: Value = serde_json::from_slice(&notification.object)?;
            if let Some(events) = object.pointer_mut("/spec/evidence/events") {
                *events = Value::Array(Vec::new());
            }
            serde_json::value::to_raw_value(&object)?
        } else {
            serde_json::from_slice(&notification.object)?
        };
        let renderer = self.renderer.as_ref();
        serde_json::to_vec(&Envelope {
            version: VERSION,
            id: &notification.id,
            event: notification.event.as_str(),
            sent_at: notification.sent_at,
            text: renderer.map(|renderer| renderer.render(&|name| notification.variable(name))),
            truncated,
            signal,
        })
    }
}

/// The headers that identify and sign a body.
fn sign(key: &hmac::Key, id: &str, sent_at: Timestamp, body: &[u8]) -> HeaderMap {
    let seconds = sent_at.as_micros().div_euclid(MICROS).to_string();
    let sign = |parts: &[&[u8]]| {
        let mut context = hmac::Context::with_key(key);
        for part in parts {
            context.update(part);
        }
        context.sign()
    };
    let own_signature = sign(&[seconds.as_bytes(), b".", body]);
    let standard_signature = sign(&[id.as_bytes(), b".", seconds.as_bytes(), b".", body]);
    let values = [
        (SIGNATURE, format!("t={seconds},v1={}", hex(own_signature.as_ref()))),
        (WEBHOOK_ID, id.to_owned()),
        (WEBHOOK_TIMESTAMP, seconds),
        (WEBHOOK_SIGNATURE, format!("v1,{}", STANDARD.encode(standard_signature))),
    ];
    let values = values.into_iter();
    values.filter_map(|(name, text)| Some((name, HeaderValue::from_str(&text).ok()?))).collect()
}

/// Parses a key: in the form of Standard Webhooks, or any text.
fn key(secret: &SecretString) -> Result<hmac::Key, OpenError> {
    let text = secret.expose_secret().trim();
    let decoded = text.strip_prefix(KEY_PREFIX).map(|encoded| STANDARD.decode(encoded));
    let bytes = match &decoded {
        Some(Ok(bytes)) => bytes.as_slice(),
        Some(Err(_)) => {
            return Err(OpenError::Secret {
                reason: "begins with whsec_, but is not Base64 after it",
            });
        }
        None => text.as_bytes(),
    };
    if bytes.len() < SIGNING_KEY_BYTES_MIN {
        return Err(OpenError::Secret { reason: "is a signing key of less than 16 bytes" });
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, bytes))
}

#[async_trait]
impl Notifier for Webhook {
    async fn send(&self, notification: &Notification) -> Result<(), NotifyError> {
        let body = self
            .body(notification)
            .map_err(|error| NotifyError::Refused { reason: error.to_string() })?;
        let headers = sign(&self.key, &notification.id, notification.sent_at, &body);
        self.client.post(headers, body, &[]).await
    }

    fn origin(&self) -> &str {
        self.client.origin()
    }

    fn no_response_delay(&self) -> Duration {
        self.client.no_response_delay()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example_of_standard_webhooks_has_its_signature() {
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let headers = sign(
            &key(&secret).unwrap(),
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            Timestamp::from_micros(1_614_265_330 * MICROS + 999_999),
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(
            headers.get(WEBHOOK_SIGNATURE).unwrap(),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert_eq!(headers.get(WEBHOOK_TIMESTAMP).unwrap(), "1614265330");
    }
}
