//! Sends signals to Alertmanager by version 2 of its API: an open signal is an alert that is resent
//! periodically.
//!
//! An alert is identified by its labels, so a signal keeps the labels that it was opened with. Only
//! its severity may rise: then the alert with the old severity ends in the same request in which
//! the one with the new severity begins, because people route alerts by severity.
//!
//! Deliberately absent: silences and the state of alerts. Alertmanager decides on notifications.

use std::time::Duration;

use async_trait::async_trait;
use event::Timestamp;
use event::signal::Severity;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use serde::Serialize;

use super::client::Client;
use super::text::truncate;
use super::{
    Event, Notification, Notifier, NotifyError, OpenError, Renderer, Settings, authorization,
};

/// The path of alerts in the API.
const PATH: &str = "/api/v2/alerts";
/// The interval at which an open signal is resent, as in Prometheus.
pub const RESEND_INTERVAL: Duration = Duration::from_mins(1);
/// Time after which an alert ends unless it is resent. Longer than the interval, because some
/// attempts may fail.
pub const VALIDITY: Duration = Duration::from_mins(5);
/// The shortest time for which an alert fires. Alertmanager would not notify of an alert that ends
/// before its group is evaluated.
pub const FIRING_TIME_MIN: Duration = Duration::from_mins(5);
/// The maximum length of a label's value in bytes.
const LABEL_BYTES_MAX: usize = 1024;
/// The maximum length of an annotation in bytes.
const ANNOTATION_BYTES_MAX: usize = 16 << 10;

/// One Alertmanager.
pub(super) struct Alertmanager {
    client: Client,
    authorization: Option<HeaderValue>,
    renderer: Option<Renderer>,
}

/// `postableAlert` of the API.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    labels: Labels,
    annotations: Annotations,
    starts_at: Timestamp,
    ends_at: Timestamp,
}

/// As in Alertmanager, an empty label counts as absent.
#[derive(Clone, Debug, Serialize)]
struct Labels {
    alertname: String,
    severity: &'static str,
    rule: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cluster: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    signal: String,
}

#[derive(Clone, Debug, Serialize)]
struct Annotations {
    summary: String,
    description: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    runbook: String,
}

impl Alertmanager {
    pub(super) fn open(settings: &Settings) -> Result<Self, OpenError> {
        Ok(Self {
            client: Client::new(settings, PATH)?,
            authorization: settings.secret.as_ref().map(authorization::header).transpose()?,
            renderer: settings.renderer.clone(),
        })
    }

    fn alerts(&self, notification: &Notification) -> Vec<Alert> {
        let spec = &notification.signal.spec;
        let last_sent = notification.last_sent.as_ref();
        let labels = |severity: Severity| Labels {
            alertname: truncate(notification.rule_title(), LABEL_BYTES_MAX),
            severity: severity.as_str(),
            rule: truncate(&spec.rule.id, LABEL_BYTES_MAX),
            cluster: truncate(&spec.cluster, LABEL_BYTES_MAX),
            user: truncate(
                last_sent.map_or(&spec.actor.username, |last_sent| &last_sent.user),
                LABEL_BYTES_MAX,
            ),
            signal: truncate(&notification.signal.id, LABEL_BYTES_MAX),
        };
        let description = self.renderer.as_ref().map_or_else(
            || spec.message.clone(),
            |renderer| renderer.render(&|name| notification.variable(name)),
        );
        let annotations = Annotations {
            summary: truncate(&spec.title, ANNOTATION_BYTES_MAX),
            description: truncate(&description, ANNOTATION_BYTES_MAX),
            runbook: truncate(notification.runbook(), ANNOTATION_BYTES_MAX),
        };
        let (sent_at, starts_at) = (notification.sent_at, spec.first_seen);
        let alert = |severity, ends_at: Timestamp| Alert {
            labels: labels(severity),
            annotations: annotations.clone(),
            starts_at,
            ends_at: ends_at.max(starts_at),
        };
        let mut alerts = vec![alert(spec.severity, ends_at(notification))];
        if let Some(last_sent) = last_sent.filter(|last_sent| last_sent.severity != spec.severity) {
            alerts.push(alert(last_sent.severity, sent_at));
        }
        alerts
    }
}

/// The time at which the alert ends unless it is sent again.
fn ends_at(notification: &Notification) -> Timestamp {
    let Some(closed_at) = notification.closed_at else {
        return later(notification.sent_at, VALIDITY);
    };
    let opened_at = match (&notification.last_sent, notification.event) {
        (Some(last_sent), Event::Updated | Event::Closed) => last_sent.opened_at,
        _ => notification.sent_at,
    };
    closed_at.max(later(opened_at, FIRING_TIME_MIN))
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(time.as_micros().saturating_add(by))
}

#[async_trait]
impl Notifier for Alertmanager {
    async fn send(&self, notification: &Notification) -> Result<(), NotifyError> {
        let body = serde_json::to_vec(&self.alerts(notification))
            .map_err(|error| NotifyError::Refused { reason: error.to_string() })?;
        let mut headers = HeaderMap::new();
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        self.client.post(headers, body, &[]).await
    }

    fn origin(&self) -> &str {
        self.client.origin()
    }

    fn resend_interval(&self) -> Option<Duration> {
        Some(RESEND_INTERVAL)
    }

    fn no_response_delay(&self) -> Duration {
        self.client.no_response_delay()
    }
}
