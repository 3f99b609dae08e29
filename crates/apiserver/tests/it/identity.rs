//! Authentication: which identities the server accepts.

use testkit::pki::{Authority, CertificateRequest, Identity, Purpose};

use crate::harness::{Client, Outcome, Protocol, TestServer, check_record, get};

const PATH: &str = "/apis/test.io/v1/namespaces/shop/things/x";
const FORGED: [(&str, &str); 2] =
    [("x-remote-user", "alice"), ("x-remote-group", "system:masters")];

async fn get_thing(
    server: &TestServer,
    identity: Option<&Identity>,
    headers: &[(&str, &str)],
) -> Outcome {
    let ca = server.ca.pem();
    let mut client = Client::connect(server.address, &ca, identity, Protocol::Http2).await;
    client.send(get(PATH, headers)).await
}

fn client_request(name: &str) -> CertificateRequest<'_> {
    CertificateRequest { name, groups: &[], hosts: &[], purpose: Purpose::Client, last_year: 2090 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_front_proxys_certificate_may_name_users() {
    let server = TestServer::open().await;
    let other_ca = Authority::new("front-proxy");
    let valid = server.proxy_ca.client("front-proxy-client", &[]);
    let wrong_name = server.proxy_ca.client("other-client", &[]);
    let wrong_ca = other_ca.client("front-proxy-client", &[]);
    let expired = server
        .proxy_ca
        .issue(&CertificateRequest { last_year: 2021, ..client_request("front-proxy-client") });
    let server_only = server.proxy_ca.issue(&CertificateRequest {
        purpose: Purpose::Server,
        ..client_request("front-proxy-client")
    });
    for (identity, code) in [
        (Some(&valid), 404),
        (Some(&wrong_name), 401),
        (Some(&wrong_ca), 401),
        (Some(&expired), 401),
        (Some(&server_only), 401),
        (None, 401),
    ] {
        let reply = get_thing(&server, identity, &FORGED).await;
        assert_eq!(reply.code, code, "{}", reply.body);
    }
    // The front proxy's certificate without a user header authenticates no user.
    assert_eq!(get_thing(&server, Some(&valid), &FORGED[1..]).await.code, 401);
    // The headers do not override the certificate of a user.
    let mallory = server.ca.client("mallory", &[]);
    assert_eq!(get_thing(&server, Some(&mallory), &FORGED).await.code, 403);
    check_record(
        server,
        "
        ResponseComplete get /apis/test.io/v1/namespaces/shop/things/x 404 alice
        ResponseStarted get /apis/test.io/v1/namespaces/shop/things/x 401 -
        ResponseStarted get /apis/test.io/v1/namespaces/shop/things/x 401 -
        ResponseStarted get /apis/test.io/v1/namespaces/shop/things/x 401 -
        ResponseStarted get /apis/test.io/v1/namespaces/shop/things/x 401 -
        ResponseStarted get /apis/test.io/v1/namespaces/shop/things/x 401 -
        ResponseStarted get /apis/test.io/v1/namespaces/shop/things/x 401 -
        ResponseComplete get /apis/test.io/v1/namespaces/shop/things/x 403 mallory
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_authenticate_with_certificates_of_the_client_ca() {
    let server = TestServer::open().await;
    let alice = server.ca.client("alice", &["dev"]);
    let expired =
        server.ca.issue(&CertificateRequest { last_year: 2021, ..client_request("alice") });
    let nameless = server.ca.issue(&client_request(""));
    let stranger = Authority::new("clients").client("alice", &[]);
    for (identity, code) in
        [(Some(&alice), 404), (Some(&expired), 401), (Some(&nameless), 401), (Some(&stranger), 401)]
    {
        assert_eq!(get_thing(&server, identity, &[]).await.code, code);
    }
    let token = [("authorization", "Bearer secret-token")];
    let reply = get_thing(&server, None, &token).await;
    assert_eq!(reply.code, 401);
    assert!(reply.body.contains(r#""reason":"Unauthorized""#), "{}", reply.body);
    let events = server.close().await;
    assert_eq!(events.len(), 5);
    assert!(events.iter().all(|event| !format!("{event:?}").contains("secret-token")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unauthenticated_clients_are_disconnected() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let server = TestServer::open().await;
        let mut client = Client::connect(server.address, &server.ca.pem(), None, protocol).await;
        assert_eq!(client.call("GET", PATH).await.code, 401);
        client.closed().await;
        server.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn impersonation_is_authorized_and_recorded() {
    let server = TestServer::open().await;
    let robot = server.ca.client("robot", &[]);
    let as_alice = [("impersonate-user", "alice")];
    let as_bob = [("impersonate-user", "bob")];
    assert_eq!(get_thing(&server, Some(&robot), &as_alice).await.code, 404);
    let refused = get_thing(&server, Some(&robot), &as_bob).await;
    assert_eq!(refused.code, 403);
    let message =
        "cannot impersonate resource \\\"users\\\" in API group \\\"\\\" at the cluster scope";
    assert!(refused.body.contains(message), "{}", refused.body);
    assert_eq!(get_thing(&server, Some(&robot), &[]).await.code, 403);
    let events = server.close().await;
    let users: Vec<(&str, Option<&str>)> = events
        .iter()
        .map(|event| {
            let impersonated = event.impersonated_user.as_ref();
            (event.user.username.as_str(), impersonated.map(|user| user.username.as_str()))
        })
        .collect();
    assert_eq!(users, [("robot", Some("alice")), ("robot", None), ("robot", None)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_with_an_upgrade_header_is_answered_without_an_upgrade() {
    let server = TestServer::open().await;
    let mut alice = server.client_of("alice", &[], Protocol::Http1).await;
    let reply = alice.send(get(PATH, &[("connection", "upgrade"), ("upgrade", "websocket")])).await;
    assert_eq!(reply.code, 404);
    check_record(
        server,
        "ResponseComplete get /apis/test.io/v1/namespaces/shop/things/x 404 alice",
    )
    .await;
}
