//! Notifiers during the kill test: a webhook and an Alertmanager, which are not killed.
//!
//! They reject some requests, or close the connection without a response. At the end, each must
//! have received exactly the signals that match its notifier. An accepted notification is sent
//! again only if the server was killed in between.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context, ensure};
use event::Severity;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use testkit::receiver::{CannedResponse, Receiver, RecordedRequest};

use crate::fixtures::load_client::Endpoint;
use crate::fixtures::standalone::{NAMESPACE, send, wait};

const GROUP: &str = "siem.keepwatch.io/v1alpha1";
/// The Secret with the key of the webhook.
const SECRET: &str = "kill-test";
/// The severities that the webhook receives.
const WEBHOOK_SEVERITY: Severity = Severity::Low;
/// The severities that the Alertmanager receives.
const ALERT_SEVERITY: Severity = Severity::Medium;
/// Maximum number of requests of a killed server that the receiver reads after the kill.
const IN_FLIGHT_MAX: usize = 4;
/// A receiver has a fault once in this many rounds.
const FAULT_ROUNDS: u32 = 4;

/// A rule with a short window, so that some signals also close during the test.
pub(super) const RULE: &str = "title: A repository of the kill test was deleted
id: kill-deleted
status: test
level: low
logsource: {product: kubernetes, service: audit}
detection:
  deleted:
    verb: delete
    objectRef.resource: storagerepositories
    objectRef.name|endswith: '-0'
    succeeded: true
  condition: deleted
keepwatch:
  group-by: [objectRef.name]
  keep-alive: 2s
  max-duration: 5s
";

/// The receivers.
pub(super) struct Receivers {
    webhook: Receiver,
    alertmanager: Receiver,
    /// The number of notifications that the webhook had received at the end of each run.
    counts_at_kill: Vec<usize>,
}

/// The result of the comparison.
#[derive(Default)]
pub(super) struct NotificationComparison {
    signals: usize,
    notifications: usize,
    refused: usize,
    repeated: usize,
    alerts: usize,
}

impl fmt::Display for NotificationComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signals, notifications, refused, repeated, alerts } = self;
        write!(
            f,
            "{notifications} notifications of {signals} signals ({repeated} repeated after a kill, \
             {refused} not accepted), {alerts} alerts"
        )
    }
}

impl Receivers {
    /// Starts both. They listen until the test ends.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let (webhook, alertmanager) = (Receiver::start().await?, Receiver::start().await?);
        Ok(Self { webhook, alertmanager, counts_at_kill: Vec::new() })
    }

    /// Creates the notifiers, and the rule whose signals close soon.
    pub(super) async fn register(&self, admin: &Endpoint) -> anyhow::Result<()> {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET},
            "stringData": {"key": "the-signing-key-of-the-kill-test"}});
        create(admin, &format!("/api/v1/namespaces/{NAMESPACE}/secrets"), &secret).await?;
        let key = json!({"namespace": NAMESPACE, "name": SECRET, "key": "key"});
        let specs = [
            (
                "webhook",
                json!({"type": "Webhook", "url": self.webhook.url(), "secretRef": key,
                "minSeverity": WEBHOOK_SEVERITY.as_str(), "sendClosed": true}),
            ),
            (
                "alertmanager",
                json!({"type": "Alertmanager", "url": self.alertmanager.url(),
                "minSeverity": ALERT_SEVERITY.as_str()}),
            ),
        ];
        let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "spec": spec});
        for (name, spec) in specs {
            let path = format!("/apis/{GROUP}/notifiers");
            create(admin, &path, &object("Notifier", name, spec)).await?;
        }
        let rule = object("DetectionRule", "kill-deleted", json!({"sigma": RULE}));
        create(admin, &format!("/apis/{GROUP}/detectionrules"), &rule).await
    }

    /// Makes one of them fail the next request, with some probability.
    pub(super) fn inject_fault(&self, random: &mut StdRng) {
        if !random.random_ratio(1, FAULT_ROUNDS) {
            return;
        }
        let receiver = if random.random_bool(0.5) { &self.webhook } else { &self.alertmanager };
        receiver.respond_next(match random.random_range(0..5) {
            0 => CannedResponse::status(503),
            1 => CannedResponse::status(404),
            2 => CannedResponse::CloseAfterBody,
            3 => CannedResponse::CloseBeforeBody,
            _ => CannedResponse::InvalidHttp,
        });
    }

    /// Records that the server was killed. The receiver may still read requests of that server.
    pub(super) fn record_kill(&mut self) {
        self.counts_at_kill.push(self.webhook.count());
    }

    /// Waits until all signals were sent.
    pub(super) async fn wait_sent(&self, admin: &Endpoint) -> anyhow::Result<()> {
        let mut missing = Vec::new();
        let sent = wait("every signal is sent", async || {
            let (code, list) = send(admin, "GET", &format!("/apis/{GROUP}/signals"), None).await?;
            ensure!(code == 200, "signals: {code}");
            let signals = signals(&list)?;
            let webhook = opened(&self.webhook.received())?;
            let alerts = alerts(&self.alertmanager.received())?;
            missing = signals
                .iter()
                .filter(|(id, severity)| {
                    **severity >= WEBHOOK_SEVERITY && !webhook.contains_key(*id)
                        || **severity >= ALERT_SEVERITY && !alerts.contains(*id)
                })
                .map(|(id, _)| id.clone())
                .collect();
            Ok(missing.is_empty().then_some(()))
        });
        sent.await.with_context(|| format!("not sent: {missing:?}"))
    }

    /// Compares the notifications with the stored signals and their severities.
    pub(super) fn compare(
        &self,
        signals: &BTreeMap<String, Severity>,
    ) -> anyhow::Result<NotificationComparison> {
        let received = self.webhook.received();
        let opened = opened(&received)?;
        let alerts = alerts(&self.alertmanager.received())?;
        for id in opened.keys().chain(&alerts) {
            ensure!(signals.contains_key(id), "signal {id} was sent but does not exist");
        }
        for (id, severity) in signals {
            let is_sent = *severity < WEBHOOK_SEVERITY || opened.contains_key(id);
            ensure!(is_sent, "signal {id} was never sent to the webhook");
            let is_sent = *severity < ALERT_SEVERITY || alerts.contains(id);
            ensure!(is_sent, "signal {id} was never sent to the Alertmanager");
        }
        let repeated = self.repeats(&received)?;
        let accepted = received.iter().filter(|request| request.response_status == 200).count();
        Ok(NotificationComparison {
            signals: opened.len(),
            notifications: accepted,
            refused: received.len() - accepted,
            repeated,
            alerts: alerts.len(),
        })
    }

    /// Number of accepted notifications that were sent again, each after a kill.
    fn repeats(&self, received: &[RecordedRequest]) -> anyhow::Result<usize> {
        let mut accepted: BTreeMap<String, usize> = BTreeMap::new();
        let mut repeated = 0;
        for (index, request) in
            received.iter().enumerate().filter(|(_, request)| request.response_status == 200)
        {
            let id = request.header("webhook-id").to_owned();
            if let Some(before) = accepted.insert(id.clone(), index) {
                let is_killed_between = self
                    .counts_at_kill
                    .iter()
                    .any(|end| before < end + IN_FLIGHT_MAX && *end <= index);
                ensure!(is_killed_between, "notification {id} was sent twice with no kill between");
                repeated += 1;
            }
        }
        Ok(repeated)
    }
}

async fn create(admin: &Endpoint, path: &str, object: &Value) -> anyhow::Result<()> {
    let (code, response) = send(admin, "POST", path, Some(object)).await?;
    ensure!(code == 201, "POST {path}: {code} {response}");
    Ok(())
}

/// ID and severity of each signal in a list.
fn signals(list: &Value) -> anyhow::Result<BTreeMap<String, Severity>> {
    let items = list["items"].as_array().context("a list without items")?;
    let read = |item: &Value| {
        let id = item["metadata"]["name"].as_str().context("no name")?.to_owned();
        Ok((id, serde_json::from_value(item["spec"]["severity"].clone())?))
    };
    items.iter().map(read).collect()
}

/// The signals whose opening the webhook accepted, with the ID of that notification.
fn opened(received: &[RecordedRequest]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut opened: BTreeMap<String, String> = BTreeMap::new();
    for request in received {
        let body: Value = serde_json::from_slice(&request.body)?;
        let id = body["id"].as_str().context("no id")?;
        ensure!(request.header("webhook-id") == id, "{id} has another id in its headers");
        let signal = body["signal"]["metadata"]["name"].as_str().context("no signal")?;
        if body["event"] != "opened" {
            continue;
        }
        let is_same_notification =
            opened.get(signal).is_none_or(|is_same_notification| is_same_notification == id);
        ensure!(is_same_notification, "signal {signal} was sent as {id}, and as another one");
        if request.response_status == 200 {
            opened.insert(signal.to_owned(), id.to_owned());
        }
    }
    Ok(opened)
}

/// The signals of which Alertmanager accepted an alert.
fn alerts(received: &[RecordedRequest]) -> anyhow::Result<BTreeSet<String>> {
    let mut signals = BTreeSet::new();
    for request in received.iter().filter(|request| request.response_status == 200) {
        let alerts: Vec<Value> = serde_json::from_slice(&request.body)?;
        for alert in alerts {
            let signal = alert["labels"]["signal"].as_str().context("an alert of no signal")?;
            signals.insert(signal.to_owned());
        }
    }
    Ok(signals)
}
