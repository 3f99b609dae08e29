//! Event lists for another Keepwatch, with a receiver that takes some of them and rejects others.

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use sink::event_list::{EventListSink, Receiver};
use sink::{Batch, BatchBuilder, DeliverError, Sink as _, error_chain};
use testkit::pki::Authority;
use testkit::receiver::{self, CannedResponse};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

const TOKEN: &str = "canary-token-of-this-test";

/// A receiver behind TLS, and a sink that sends to it.
struct TestReceiver {
    plain: receiver::Receiver,
    sink: EventListSink,
    _tls: JoinSet<()>,
}

impl TestReceiver {
    async fn start() -> Self {
        let plain = receiver::Receiver::start().await.unwrap();
        let authority = Authority::new("ca");
        let identity = authority.server();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let behind = plain.url().strip_prefix("http://").unwrap().to_owned();
        let mut tls = JoinSet::new();
        tls.spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(config));
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, behind) = (acceptor.clone(), behind.clone());
                connections.spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut behind = TcpStream::connect(behind).await.unwrap();
                    tokio::io::copy_bidirectional(&mut stream, &mut behind).await.ok();
                });
            }
        });
        let ca = authority.pem();
        let read = move || {
            Ok(Receiver {
                url: format!("https://127.0.0.1:{port}/audit/prod").parse()?,
                ca: Some(ca.clone().into_bytes()),
                server_name: Some("localhost".to_owned()),
                token: Some(TOKEN.into()),
                identity: None,
            })
        };
        Self { plain, sink: EventListSink::new("forward", "1.0", Box::new(read)), _tls: tls }
    }

    /// The items of each list that was received, with the answer.
    fn lists(&self) -> Vec<(Vec<Value>, u16)> {
        let list = |request: receiver::RecordedRequest| {
            let list: Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!(
                (&list["kind"], &list["apiVersion"]),
                (&"EventList".into(), &"audit.k8s.io/v1".into())
            );
            (list["items"].as_array().unwrap().clone(), request.response_status)
        };
        self.plain.received().into_iter().map(list).collect()
    }
}

fn batch(numbers: std::ops::Range<u64>) -> Batch {
    let mut builder = BatchBuilder::default();
    for number in numbers {
        builder
            .push(number, |line| line.extend_from_slice(format!("{{\"n\":{number}}}").as_bytes()));
    }
    builder.finish()
}

#[tokio::test]
async fn a_list_has_the_form_that_kube_apiserver_sends_and_its_events_are_unchanged() {
    let mut on = TestReceiver::start().await;
    let mut builder = BatchBuilder::default();
    let lines = [r#"{ "b" : 1.0e0,"a":"é\u00e9" }"#, r#"{"unknown":{"field":[1, 2]}}"#];
    for (seq, line) in (1..).zip(lines) {
        builder.push(seq, |bytes| bytes.extend_from_slice(line.as_bytes()));
    }
    let delivered = on.sink.deliver(&builder.finish()).await.unwrap();
    assert_eq!(delivered.records, 2);
    let [request] = <[_; 1]>::try_from(on.plain.received()).unwrap();
    assert_eq!((&*request.method, &*request.path), ("POST", "/audit/prod"));
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(request.header("user-agent"), "keepwatch-forward/1.0");
    let expected = format!(
        r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":[{}]}}"#,
        lines.join(",")
    );
    assert_eq!(request.text(), expected);
}

/// The receiver's limit must not stop delivery, nor cost an event or its place.
#[tokio::test]
async fn a_list_that_is_too_large_is_halved_and_no_event_is_left_out() {
    let mut on = TestReceiver::start().await;
    for _ in 0..2 {
        on.plain.respond_next(CannedResponse::status(413));
    }
    let mut rest = batch(0..9);
    while !rest.is_empty() {
        let delivered = on.sink.deliver(&rest).await.unwrap();
        assert!(delivered.records > 0);
        rest.advance(delivered.records);
    }
    let lists = on.lists();
    let sizes: Vec<usize> = lists.iter().map(|(items, _)| items.len()).collect();
    assert_eq!(sizes[..3], [9, 4, 2]);
    let accepted = lists.into_iter().filter(|(_, code)| *code == 200).flat_map(|(items, _)| items);
    let numbers: Vec<u64> = accepted.map(|item| item["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..9).collect::<Vec<u64>>());
    // One event cannot be halved.
    on.plain.respond_next(CannedResponse::status(413));
    let error = on.sink.deliver(&batch(0..1)).await.unwrap_err();
    assert!(error_chain(&error).contains("raise the limit"), "{}", error_chain(&error));
    assert_eq!(on.sink.deliver(&batch(0..1)).await.unwrap().records, 1);
}

#[tokio::test]
async fn a_list_that_is_rejected_is_sent_again_after_the_time_that_the_receiver_asks_for() {
    let mut on = TestReceiver::start().await;
    let after = vec![("retry-after", "7".to_owned())];
    on.plain.respond_next(CannedResponse::Status(503, after, "the journal is full"));
    let error = on.sink.deliver(&batch(0..3)).await.unwrap_err();
    let text = error_chain(&error);
    let DeliverError::Retry { after, .. } = error else { panic!("{text}") };
    assert_eq!(after, Some(Duration::from_secs(7)));
    assert!(text.contains("503") && text.contains("the journal is full"), "{text}");
    for code in [401, 403, 404] {
        on.plain.respond_next(CannedResponse::status(code));
        let error = on.sink.deliver(&batch(0..3)).await.unwrap_err();
        let text = error_chain(&error);
        assert!(matches!(error, DeliverError::Misconfigured { .. }), "{text}");
        assert!(text.contains(&code.to_string()) && !text.contains(TOKEN), "{text}");
    }
    on.plain.respond_next(CannedResponse::CloseAfterBody);
    let error = on.sink.deliver(&batch(0..3)).await.unwrap_err();
    assert!(matches!(error, DeliverError::Retry { after: None, .. }), "{}", error_chain(&error));
    assert_eq!(on.sink.deliver(&batch(0..3)).await.unwrap().records, 3);
    assert!(on.lists().iter().all(|(items, _)| items.len() == 3));
}
