//! A profile must give no access to the server's own network, and no information about it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use controller::Settings;
use controller::objects::{Lookup, NamespacedName, SecretData};
use controller::resolve::{Resolution, resolve_profile};
use event::Timestamp;
use objectstore::{Bucket, BucketConfig, WorkloadIdentity};
use secrecy::SecretString;
use serde_json::json;
use sink::Encoding;
use sink::http::{DnsLookup, EgressPolicy};
use testkit::s3::{Fault, S3Double};
use tokio::net::TcpListener;

use super::forms::{self, ALLOWED_NETWORK, DENIED_NETWORKS, EndpointForm};

/// Response timeout, long enough for a server on this machine.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Opens a bucket at this endpoint as for a profile, or returns the error. The system's root
/// certificates are not loaded: no server here has a certificate, and loading is slow.
fn open(endpoint: &str, settings: &Settings, egress: &EgressPolicy) -> Result<Bucket, String> {
    let profile = json!({"type": "Location", "locationSpec": {
        "type": "ObjectStore",
        "credential": {"secretType": "AwsAccessKey", "secret": {"name": "s"}},
        "objectStore": {"objectStoreType": "S3", "name": "archive", "endpoint": endpoint,
                        "skipSSLVerify": true},
    }});
    let key = |key: &str| (key.to_owned(), Some(SecretString::from("AKIAEXAMPLE")));
    let values = ["aws_access_key_id", "aws_secret_access_key"].map(key).into();
    let keys = SecretData { kind: "secrets.kanister.io/aws".to_owned(), values };
    let key = NamespacedName { namespace: "kasten-io".to_owned(), name: "p".to_owned() };
    let (profile, keys) = (Lookup::Found(profile), Lookup::Found(keys));
    let resolved = match resolve_profile(&key, &profile, &keys, None, settings) {
        Resolution::Ready(resolved) => resolved,
        Resolution::Invalid(errors) => return Err(errors.join("; ")),
        other => panic!("{other:?}"),
    };
    let context = BucketConfig {
        cluster: "test".to_owned(),
        encoding: Encoding::V1,
        egress: egress.clone(),
        workload_identity: WorkloadIdentity::default(),
        clock: Arc::new(|| Timestamp::from_micros(1_795_566_600_000_000)),
    };
    Bucket::open(&resolved.destination, context).map_err(|error| error.to_string())
}

fn egress() -> EgressPolicy {
    EgressPolicy {
        allowed: vec![ALLOWED_NETWORK.parse().unwrap()],
        denied: DENIED_NETWORKS.map(|network| network.parse().unwrap()).to_vec(),
        lookup: DnsLookup::from_fn(forms::lookup),
        response_timeout: RESPONSE_TIMEOUT,
        plain_http: false,
    }
}

/// Settings and egress policy that allow loopback addresses and plain HTTP.
fn local() -> (Settings, EgressPolicy) {
    let settings = Settings { plain_http: true, ..Settings::default() };
    let allowed = vec!["127.0.0.0/8".parse().unwrap()];
    (settings, EgressPolicy { allowed, denied: Vec::new(), plain_http: true, ..egress() })
}

/// Whether every rule allows a form of an endpoint, or the error. A name with a denied address has the
/// same error as a name without any address, but the server is not dialled.
async fn validate(form: &EndpointForm) -> Result<(), String> {
    let response_timeout = Duration::from_millis(20);
    let bucket =
        open(&form.text, &Settings::default(), &EgressPolicy { response_timeout, ..egress() })?;
    let host = form.text.to_ascii_lowercase();
    let host = host.trim_start_matches("https://");
    let is_literal = host.starts_with(|c: char| c == '[' || c.is_ascii_digit());
    if form.is_allowed && is_literal {
        // Do not connect to foreign servers.
        return Ok(());
    }
    let error = bucket.check().await.unwrap_err().to_string();
    if error.contains("no answer") { Ok(()) } else { Err(error) }
}

#[tokio::test]
async fn forbidden_addresses_are_not_dialled_in_any_spelling() {
    let internal_server = S3Double::start(Box::new(|_| None)).await.unwrap();
    let port = internal_server.endpoint().rsplit(':').next().unwrap().parse().unwrap();
    let mut forms = forms::all(port);
    forms.sort_by(|left, right| left.text.cmp(&right.text));
    forms.dedup_by(|left, right| left.text == right.text);
    assert!(forms.len() >= 1000, "{}", forms.len());
    assert!(forms.iter().filter(|form| form.is_allowed).count() >= 50);
    let mut failures = Vec::new();
    for form in &forms {
        let outcome = validate(form).await;
        let text = form.text.to_ascii_lowercase();
        let is_name = forms::NAMES.iter().any(|(name, ..)| text.contains(name));
        if outcome.is_ok() != form.is_allowed && !(outcome.is_ok() && is_name) {
            failures.push(format!("{form:?}: {outcome:?}"));
        }
        let report = outcome.err().unwrap_or_default();
        // The error must not reveal the address of a name.
        let named = forms::NAMES.iter().filter(|(name, ..)| form.text.contains(name));
        for (_, addresses, _) in named {
            for address in *addresses {
                if report.contains(address) && !form.text.contains(address) {
                    failures.push(format!("{form:?} tells an address: {report}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), forms.len(), failures.join("\n"));
    assert_eq!(internal_server.connections(), 0);
}

/// Checks an endpoint under the rules of [`local`]; what is said, without the endpoint.
async fn report(endpoint: &str) -> String {
    let (settings, egress) = local();
    let bucket = open(endpoint, &settings, &egress).unwrap();
    let checked = bucket.check().await.unwrap_err().to_string();
    let mut delivered: &dyn std::error::Error = &bucket.exists("x").await.unwrap_err();
    let mut text = checked;
    loop {
        text = format!("{text}\n{delivered}");
        match delivered.source() {
            Some(source) => delivered = source,
            None => return text.replace(endpoint, "…"),
        }
    }
}

#[tokio::test]
async fn a_status_does_not_reveal_whether_a_port_is_open() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let expected = report(&format!("http://{closed}")).await;
    assert!(expected.contains("no answer") && expected.contains("log"), "{expected}");
    for fault in [
        Fault::CloseBeforeBody,
        Fault::ResetInBody,
        Fault::NoResponse,
        Fault::InvalidHttp,
        Fault::StoreThenPartialHead,
    ] {
        let double = S3Double::start(Box::new(move |_| Some(fault))).await.unwrap();
        assert_eq!(report(&double.endpoint()).await, expected, "{fault:?}");
    }
    // A port that speaks no TLS, one that says nothing, one that is closed, and no name at all.
    let plain = S3Double::start(Box::new(|_| None)).await.unwrap();
    let tls = plain.endpoint().replace("http://", "https://");
    let silent_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("https://{}", silent_listener.local_addr().unwrap());
    for endpoint in
        [tls, silent_url, format!("https://{closed}"), "https://nobody.example.com".to_owned()]
    {
        assert_eq!(report(&endpoint).await, expected, "{endpoint}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let internal_server = S3Double::start(Box::new(|_| None)).await.unwrap();
    let (settings, egress) = local();
    for code in [300, 301, 302, 303, 305, 307, 308] {
        for target in [
            format!("{}/archive/x", internal_server.endpoint()),
            internal_server.endpoint().replace("http:", ""),
            "http://169.254.169.254/latest/meta-data/".to_owned(),
            "file:///etc/passwd".to_owned(),
        ] {
            let target: &'static str = Box::leak(target.into_boxed_str());
            let redirect = Box::new(move |_| Some(Fault::Redirect(code, target)));
            let double = S3Double::start(redirect).await.unwrap();
            let bucket = open(&double.endpoint(), &settings, &egress).unwrap();
            let error = bucket.check().await.unwrap_err().to_string();
            assert!(!error.contains(target), "{error}");
            assert_eq!(double.counts().0, 1);
        }
    }
    assert_eq!(internal_server.connections(), 0);
}

/// The name resolves to an allowed address when checked, and to a forbidden one when dialled.
#[tokio::test]
async fn a_name_that_changes_to_an_internal_address_is_rejected_when_dialled() {
    let double = S3Double::start(Box::new(|_| Some(Fault::CloseBeforeBody))).await.unwrap();
    let port = double.endpoint().rsplit(':').next().unwrap().to_owned();
    let (settings, mut egress) = local();
    egress.allowed = vec!["127.0.0.1/32".parse().unwrap()];
    let lookups = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&lookups);
    egress.lookup = DnsLookup::from_fn(move |_| {
        let is_first = count.fetch_add(1, Ordering::Relaxed) == 0;
        let last = if is_first { 1 } else { 2 };
        Ok(vec![IpAddr::from([127, 0, 0, last])])
    });
    let endpoint = format!("http://rebind.example.com:{port}");
    let bucket = open(&endpoint, &settings, &egress).unwrap();
    let first = bucket.check().await.unwrap_err().to_string();
    assert!(first.contains("no answer"), "{first}");
    let dialled = double.connections();
    assert!(dialled >= 1);
    let second = bucket.check().await.unwrap_err().to_string();
    assert_eq!(second, first, "a status does not tell where a name leads");
    assert_eq!(double.connections(), dialled);
    assert!(lookups.load(Ordering::Relaxed) >= 2);
}

/// Closed, unresolvable and filtered endpoints cannot be distinguished by timing.
#[tokio::test]
async fn closed_and_filtered_ports_take_the_same_time_to_report() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    // The system accepts connections, and no program responds.
    let silent_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = silent_listener.local_addr().unwrap();
    let (settings, egress) = local();
    for host in [closed.to_string(), silent.to_string(), "no-such-name.invalid".to_owned()] {
        let bucket = open(&format!("http://{host}"), &settings, &egress).unwrap();
        let start = tokio::time::Instant::now();
        let error = bucket.check().await.unwrap_err().to_string();
        let elapsed = start.elapsed();
        assert!(error.contains("no answer"), "{error}");
        assert!(
            elapsed >= RESPONSE_TIMEOUT && elapsed < RESPONSE_TIMEOUT * 3 / 2,
            "{host}: {elapsed:?}"
        );
    }
}
