//! Every kind of notifier with a real receiver of HTTP requests, well-behaved and not.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use event::Timestamp;
use event::signal::Severity;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use sink::http::EgressPolicy;
use sink::notifier::{
    Event, Kind, LastSent, Notification, NotifyError, OpenError, Renderer, SIGNAL_BYTES_MAX,
    Settings, notification_id, open,
};
use testkit::pki::{Authority, CertificateRequest, Identity, Purpose};
use testkit::receiver::{CannedResponse, Receiver};
use tokio::net::TcpListener;

const NOW: i64 = 1_795_566_600_000_000;
const SECRET: &str = "canary-4711-canary";
const KINDS: [Kind; 3] = [Kind::Alertmanager, Kind::Webhook, Kind::Slack];
/// Long enough for an answer on this machine.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(900);

fn settings(kind: Kind, url: &str) -> Settings {
    Settings {
        kind,
        url: url.to_owned().into(),
        secret: Some(SECRET.into()),
        ca_pem: None,
        renderer: None,
        egress: EgressPolicy {
            allowed: vec!["127.0.0.0/8".parse().unwrap()],
            plain_http: true,
            response_timeout: RESPONSE_TIMEOUT,
            ..EgressPolicy::default()
        },
    }
}

fn object(state: &str) -> Value {
    json!({
        "apiVersion": "siem.keepwatch.io/v1alpha1",
        "kind": "Signal",
        "metadata": {"name": "rp-deleted-1", "resourceVersion": "12"},
        "spec": {
            "rule": {"id": "restorepoints-deleted", "title": "RestorePoints deleted"},
            "severity": "high",
            "title": "mallory deleted 12 restorepoints <!channel>",
            "message": "**12** deletions by mallory",
            "actor": {"username": "mallory"},
            "cluster": "prod-eu",
            "count": 12,
            "firstSeen": "2026-11-25T00:20:00.000000Z",
            "lastSeen": "2026-11-25T00:29:00.000000Z",
            "evidence": {"auditIDs": ["a-1"], "events": [{"auditID": "a-1"}]},
            "attack": {"tactics": ["TA0040"], "techniques": ["T1490"]},
            "references": ["https://example.com/runbook"],
        },
        "status": {"state": state, "closedAt": "2026-11-25T00:29:30.000000Z"},
    })
}

fn notification(event: Event, object: &Value, last_sent: Option<LastSent>) -> Notification {
    let id = notification_id("uid", "rp-deleted-1", event, 12);
    let object = object.to_string();
    Notification::new(id, event, object.as_bytes(), last_sent, Timestamp::from_micros(NOW)).unwrap()
}

/// What a kind sends about a signal.
async fn sent(kind: Kind, notification: &Notification) -> (String, Value) {
    let receiver = Receiver::start().await.unwrap();
    open(&settings(kind, &receiver.url())).unwrap().send(notification).await.unwrap();
    let [request] = <[_; 1]>::try_from(receiver.received()).unwrap();
    assert_eq!((&*request.method, request.header("content-type")), ("POST", "application/json"));
    let path_and_authorization = format!("{} {}", request.path, request.header("authorization"));
    (path_and_authorization, serde_json::from_slice(&request.body).unwrap())
}

#[tokio::test]
async fn alertmanager_gets_alerts_with_stable_labels_and_an_end_time() {
    let (path_and_authorization, open) =
        sent(Kind::Alertmanager, &notification(Event::Opened, &object("open"), None)).await;
    assert_eq!(path_and_authorization, format!("/api/v2/alerts Bearer {SECRET}"));
    let labels = json!({
        "alertname": "RestorePoints deleted",
        "severity": "high",
        "rule": "restorepoints-deleted",
        "cluster": "prod-eu",
        "user": "mallory",
        "signal": "rp-deleted-1",
    });
    let annotations = json!({
        "summary": "mallory deleted 12 restorepoints <!channel>",
        "description": "**12** deletions by mallory",
        "runbook": "https://example.com/runbook",
    });
    let alert = |labels: &Value, ends_at: &str| {
        json!({
            "labels": labels,
            "annotations": annotations,
            "startsAt": "2026-11-25T00:20:00.000000Z",
            "endsAt": ends_at,
        })
    };
    assert_eq!(open, json!([alert(&labels, "2026-11-25T00:35:00.000000Z")]));

    // It ends when it was closed, but fires long enough that Alertmanager notifies of it.
    let sent_before = |severity, minutes: i64| LastSent {
        severity,
        user: "mallory".to_owned(),
        opened_at: Timestamp::from_micros(NOW - minutes * 60_000_000),
    };
    for (minutes, ends_at) in
        [(9, "2026-11-25T00:29:30.000000Z"), (1, "2026-11-25T00:34:00.000000Z")]
    {
        let last_sent = Some(sent_before(Severity::High, minutes));
        let closed = notification(Event::Closed, &object("closed"), last_sent);
        let (_, closed) = sent(Kind::Alertmanager, &closed).await;
        assert_eq!(closed, json!([alert(&labels, ends_at)]));
    }
    let late = notification(Event::Opened, &object("closed"), None);
    let (_, late) = sent(Kind::Alertmanager, &late).await;
    assert_eq!(late, json!([alert(&labels, "2026-11-25T00:35:00.000000Z")]));

    // The severity has risen, and several users act now: one alert ends, the other begins.
    let mut risen = object("updated");
    risen["spec"]["actor"]["username"] = json!("");
    let risen = notification(Event::Updated, &risen, Some(sent_before(Severity::Low, 3)));
    let (_, risen) = sent(Kind::Alertmanager, &risen).await;
    let mut expired_labels = labels.clone();
    expired_labels["severity"] = json!("low");
    let expected = json!([
        alert(&labels, "2026-11-25T00:35:00.000000Z"),
        alert(&expired_labels, "2026-11-25T00:30:00.000000Z"),
    ]);
    assert_eq!(risen, expected);
}

#[tokio::test]
async fn a_webhook_carries_the_object_and_two_signatures_over_its_bytes() {
    let receiver = Receiver::start().await.unwrap();
    for (secret, key) in [
        (SECRET.to_owned(), SECRET.as_bytes().to_vec()),
        (format!("whsec_{}", STANDARD.encode([7; 32])), vec![7; 32]),
    ] {
        let mut settings = settings(Kind::Webhook, &format!("{}/hook?team=a", receiver.url()));
        settings.secret = Some(secret.into());
        let signal = object("updated");
        let notification = notification(Event::Updated, &signal, None);
        open(&settings).unwrap().send(&notification).await.unwrap();
        let request = receiver.received().pop().unwrap();
        assert_eq!(request.path, "/hook?team=a");
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let expected = json!({
            "version": "1",
            "id": notification.id,
            "event": "updated",
            "sentAt": "2026-11-25T00:30:00.000000Z",
            "signal": signal,
        });
        assert_eq!(body, expected);

        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let time = (NOW / 1_000_000).to_string();
        let (given_time, digits) =
            request.header("keepwatch-signature").split_once(",v1=").unwrap();
        assert_eq!(given_time, format!("t={time}"));
        let bytes =
            |index: usize| u8::from_str_radix(digits.get(index..index + 2).unwrap(), 16).unwrap();
        let signature: Vec<u8> = (0..digits.len()).step_by(2).map(bytes).collect();
        let signed = [time.as_bytes(), b".", &request.body].concat();
        hmac::verify(&key, &signed, &signature).unwrap();

        let (id, timestamp_header) =
            (request.header("webhook-id"), request.header("webhook-timestamp"));
        assert_eq!((id, timestamp_header), (&*notification.id, &*time));
        let standard = request.header("webhook-signature").strip_prefix("v1,").unwrap();
        let signed =
            [id.as_bytes(), b".", timestamp_header.as_bytes(), b".", &request.body].concat();
        hmac::verify(&key, &signed, &STANDARD.decode(standard).unwrap()).unwrap();
    }
}

#[tokio::test]
async fn a_too_large_signal_is_sent_without_its_events() {
    let mut large = object("open");
    large["spec"]["evidence"]["events"] = json!(["x".repeat(SIGNAL_BYTES_MAX)]);
    let (_, body) = sent(Kind::Webhook, &notification(Event::Opened, &large, None)).await;
    assert_eq!(body["truncated"], json!(true));
    assert_eq!(body["signal"]["spec"]["evidence"], json!({"auditIDs": ["a-1"], "events": []}));
    for kind in [Kind::Alertmanager, Kind::Slack] {
        for field in ["title", "message"] {
            large["spec"][field] = json!("<".repeat(SIGNAL_BYTES_MAX));
        }
        let (_, body) = sent(kind, &notification(Event::Opened, &large, None)).await;
        assert!(body.to_string().len() < 64 << 10, "{kind:?}");
    }
}

#[tokio::test]
async fn a_chat_gets_harmless_text() {
    let (path_and_authorization, body) =
        sent(Kind::Slack, &notification(Event::Opened, &object("open"), None)).await;
    assert_eq!(path_and_authorization, format!("/ Bearer {SECRET}"));
    let mrkdwn = |text: &str| json!({"type": "mrkdwn", "text": text, "verbatim": true});
    let title = "mallory deleted 12 restorepoints &lt;!channel&gt;";
    let context_text =
        "cluster prod-eu · rule restorepoints-deleted · events 12 · signal rp-deleted-1";
    let expected = json!({
        "text": format!(":rotating_light: *high* signal: {title}"),
        "blocks": [
            {"type": "section", "text": mrkdwn(&format!(":rotating_light: *high* signal\n{title}"))},
            {"type": "section", "text": mrkdwn("*12* deletions by mallory")},
            {"type": "context", "elements": [mrkdwn(context_text)]},
        ],
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_template_writes_the_message_and_its_values_are_escaped_for_chats() {
    let receiver = Receiver::start().await.unwrap();
    for (kind, pointer) in [
        (Kind::Alertmanager, "/0/annotations/description"),
        (Kind::Webhook, "/text"),
        (Kind::Slack, "/blocks/1/text/text"),
    ] {
        let mut settings = settings(kind, &receiver.url());
        settings.renderer = Some(Renderer::from_fn(|lookup| {
            let value = |name: &str| lookup(name).unwrap_or("?".to_owned());
            format!(
                "<https://wiki|{}> {} {}",
                value("title"),
                value("events_matched"),
                value("nonsense")
            )
        }));
        let notification = notification(Event::Opened, &object("open"), None);
        open(&settings).unwrap().send(&notification).await.unwrap();
        let body: Value = serde_json::from_slice(&receiver.received().pop().unwrap().body).unwrap();
        let channel = if kind == Kind::Slack { "&lt;!channel&gt;" } else { "<!channel>" };
        let expected = format!("<https://wiki|mallory deleted 12 restorepoints {channel}> 12 ?");
        assert_eq!(body.pointer(pointer), Some(&json!(expected)), "{kind:?}");
    }
}

/// What comes of an answer, in words. Every kind has to say the same.
async fn check(response: &CannedResponse, expected: &str) {
    for kind in KINDS {
        let receiver = Receiver::start().await.unwrap();
        receiver.respond_always(response.clone());
        let notifier = open(&settings(kind, &receiver.url())).unwrap();
        let outcome = notifier.send(&notification(Event::Opened, &object("open"), None)).await;
        let outcome_text = match &outcome {
            Ok(()) => "taken".to_owned(),
            Err(NotifyError::Retry { after, reason }) => format!("retry {after:?}: {reason}"),
            Err(NotifyError::Refused { reason }) => format!("refused: {reason}"),
            Err(NotifyError::Misconfigured { reason }) => format!("misconfigured: {reason}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(outcome_text, expected, "{kind:?} {response:?}");
        assert!(!format!("{outcome:?}").contains("canary"), "{outcome:?}");
    }
}

#[tokio::test]
async fn each_response_has_one_reaction_and_is_not_repeated() {
    let response =
        |code: u16| CannedResponse::Status(code, Vec::new(), "<canary>internal words</canary>");
    let responses = "the destination responded with";
    let rights = "check the Secret and its permissions";
    for (response, expected) in [
        (response(200), "taken".to_owned()),
        (response(204), "taken".to_owned()),
        (response(400), format!("refused: {responses} 400 Bad Request")),
        (response(401), format!("misconfigured: {responses} 401 Unauthorized: {rights}")),
        (response(404), format!("misconfigured: {responses} 404 Not Found: check the url")),
        (response(410), format!("misconfigured: {responses} 410 Gone: check the url")),
        (response(413), format!("refused: {responses} 413 Payload Too Large")),
        (response(500), format!("retry None: {responses} 500 Internal Server Error")),
        (
            CannedResponse::retry_after(17),
            format!("retry Some(17s): {responses} 429 Too Many Requests"),
        ),
        (CannedResponse::NoResponse, "no answer".to_owned()),
        (CannedResponse::CloseAfterBody, "no answer".to_owned()),
        (CannedResponse::CloseBeforeBody, "no answer".to_owned()),
        (CannedResponse::InvalidHttp, "no answer".to_owned()),
    ] {
        check(&response, &expected).await;
    }
}

/// A TLS server with this certificate, which completes handshakes; its address.
fn tls_server(identity: &Identity) -> u16 {
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            // The client breaks off.
            while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
        }
    });
    port
}

/// Regression: the error was "no answer", as for a closed port.
#[tokio::test]
async fn a_refused_certificate_is_reported_with_its_reason_and_remedy() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let with = |purpose, hosts: &'static [&'static str], last_year| {
        ours.issue(&CertificateRequest { name: "hook", groups: &[], hosts, purpose, last_year })
    };
    let here: &[&str] = &["localhost", "127.0.0.1"];
    for (identity, expected) in [
        (other.server(), "the CA that signed it is not trusted. Add that CA to caBundle"),
        (with(Purpose::Server, here, 2021), "it has expired. Renew it"),
        (with(Purpose::Server, &["other.example"], 2090), "it is for another host"),
        (with(Purpose::Client, here, 2090), "it is not for servers"),
    ] {
        let port = tls_server(&identity);
        for kind in KINDS {
            let mut settings = settings(kind, &format!("https://127.0.0.1:{port}/canary"));
            settings.ca_pem = Some(ours.pem().into_bytes());
            let outcome = open(&settings)
                .unwrap()
                .send(&Notification::sample("team", Timestamp::from_micros(NOW)))
                .await;
            let Err(NotifyError::Misconfigured { reason }) = &outcome else {
                panic!("{kind:?}: {outcome:?} instead of {expected}");
            };
            assert!(reason.contains("its certificate is refused"), "{reason}");
            assert!(reason.contains(expected), "{reason} has {expected}");
            assert!(!reason.contains("canary") && !reason.contains("other.example"), "{reason}");
        }
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let redirect_target = Receiver::start().await.unwrap();
    for (code, name) in [(301, "Moved Permanently"), (307, "Temporary Redirect")] {
        let expected = format!(
            "misconfigured: the destination responded with {code} {name}; redirects are not \
             followed: set the url to their target"
        );
        check(&CannedResponse::redirect(code, &redirect_target.url()), &expected).await;
    }
    assert_eq!(redirect_target.received(), []);
}

#[tokio::test]
async fn known_errors_of_slack_are_reported() {
    let receiver = Receiver::start().await.unwrap();
    receiver.respond_always(CannedResponse::Status(404, Vec::new(), "no_service"));
    let notifier = open(&settings(Kind::Slack, &receiver.url())).unwrap();
    let outcome = notifier.send(&Notification::sample("team", Timestamp::from_micros(NOW))).await;
    let reason =
        "the destination responded with 404 Not Found: no_service: check the url".to_owned();
    assert_eq!(outcome, Err(NotifyError::Misconfigured { reason }));
}

#[tokio::test]
async fn closed_and_filtered_ports_are_reported_alike() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    for kind in KINDS {
        for url in [format!("http://{closed}"), format!("https://{closed}")] {
            let notifier = open(&settings(kind, &url)).unwrap();
            let error = notifier
                .send(&Notification::sample("team", Timestamp::from_micros(NOW)))
                .await
                .unwrap_err();
            assert_eq!(error, NotifyError::NoResponse { is_connect_error: true });
            assert!(notifier.no_response_delay() > RESPONSE_TIMEOUT);
        }
    }
}

#[test]
fn invalid_notifiers_are_rejected_on_open_without_secrets_in_the_error() {
    let loopback_url = "http://127.0.0.1:9/canary";
    for (kind, url, secret, expected) in [
        (
            Kind::Slack,
            "http://[::1]/canary",
            None,
            "the url names ::1, which is a loopback address",
        ),
        (
            Kind::Webhook,
            "http://169.254.169.254/canary",
            Some(SECRET),
            "the url names a metadata service, which is not allowed",
        ),
        (
            Kind::Webhook,
            loopback_url,
            None,
            "the secret is missing: a webhook is signed, so set secretRef to the Secret with its \
             key",
        ),
        (
            Kind::Webhook,
            loopback_url,
            Some("canary"),
            "the secret is a signing key of less than 16 bytes",
        ),
        (
            Kind::Webhook,
            loopback_url,
            Some("whsec_canary!"),
            "the secret begins with whsec_, but is not Base64 after it",
        ),
        (
            Kind::Alertmanager,
            loopback_url,
            Some("canary\ncanary"),
            "the secret holds characters that a header cannot have: it is one line of text",
        ),
    ] {
        let mut settings = settings(kind, url);
        settings.secret = secret.map(Into::into);
        let error: OpenError = open(&settings).map(drop).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(!format!("{settings:?}{error:?}").contains("canary"));
    }
}
