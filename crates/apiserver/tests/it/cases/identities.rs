//! Headers that name a user: trusted only from the front proxy, and only with permission to
//! impersonate.

use super::Target;

/// Headers of the front proxy, sent by the front proxy and by other clients.
const PROXY: &str = r"
proxy GET {T}/allowed | X-Remote-User: alice => 200 get things shop/allowed by alice
proxy GET {T}/allowed | x-remote-user: alice => 200 get things shop/allowed by alice
proxy GET {T}/allowed | X-Remote-User: mallory | X-Remote-Group: system:masters => 200 get things shop/allowed by mallory
proxy GET {T}/allowed | X-Remote-User: mallory => 403 get things shop/allowed by mallory
proxy GET {T}/allowed | X-Remote-User: mallory | X-Remote-User: alice => 403 get things shop/allowed by mallory
proxy GET {T}/allowed | X-Remote-User: | X-Remote-User: alice => 401 get things shop/allowed
proxy GET {T}/allowed | X-Remote-User: => 401 get things shop/allowed
proxy GET {T}/allowed | X-Remote-Group: system:masters => 401 get things shop/allowed
proxy GET {T}/allowed => 401 get things shop/allowed
proxy GET {T}/allowed | X_Remote_User: alice => 401 get things shop/allowed
proxy GET {T}/allowed | X-Remote-User: alice%00 => 403 get things shop/allowed by alice%00
proxy GET {T}/allowed | X-Remote-User: Alice => 403 get things shop/allowed by Alice
proxy GET {T}/allowed | X-Remote-User: alice | X-Remote-Extra-scopes: a => 200 get things shop/allowed by alice
proxy GET {T}/allowed | X-Remote-User: alice | X-Remote-Extra-%ff: a => 200 get things shop/allowed by alice
proxy GET {T}/allowed | X-Remote-User: alice | Impersonate-User: bob => 403 get things shop/allowed by alice
proxy GET {T}/allowed | X-Remote-User: robot | Impersonate-User: alice => 200 get things shop/allowed by robot as alice
proxy GET {T}/allowed | X-Remote-User: system:anonymous => 403 get things shop/allowed by system:anonymous
proxy GET {T}/allowed | X-Remote-User: front-proxy-client => 403 get things shop/allowed by front-proxy-client
proxy GET {T}/allowed | X-Remote-User: \xe4lice => 403 get things shop/allowed by �lice
proxy GET {T}/allowed | X-Remote-User: alice | Authorization: Bearer guess => 200 get things shop/allowed by alice
anonymous GET {T}/allowed | X-Remote-User: alice => 401 get things shop/allowed
anonymous GET {T}/allowed | X-Remote-User: alice | X-Remote-Group: system:masters => 401 get things shop/allowed
anonymous GET /healthz | X-Remote-User: alice => 401 -
anonymous GET {T}/allowed | X-Forwarded-User: alice => 401 get things shop/allowed
anonymous GET {T}/allowed | X-Forwarded-Client-Cert: Subject=alice => 401 get things shop/allowed
anonymous GET {T}/allowed | X-SSL-Client-CN: alice => 401 get things shop/allowed
anonymous GET {T}/allowed | X-Real-Ip: 127.0.0.1 => 401 get things shop/allowed
mallory GET {T}/allowed | X-Remote-User: alice => 403 get things shop/allowed
mallory GET {T}/allowed | X-Remote-User: alice | X-Remote-Group: system:masters => 403 get things shop/allowed
mallory GET {T}/allowed | X-Remote-Group: system:masters => 403 get things shop/allowed
mallory GET {T}/allowed | X-Remote-Uid: 0 => 403 get things shop/allowed
mallory GET {T}/allowed | X-Remote-Extra-Scopes: all => 403 get things shop/allowed
mallory GET {T}/allowed | X-Remote-User: alice | Connection: X-Remote-User => 403 get things shop/allowed
mallory GET {T}/allowed | X-Remote-User\x20: alice => 400 -
mallory GET {T}/allowed | X-Remote-User: alice\x0d\x0aX-Remote-Group: system:masters => 403 get things shop/allowed
mallory GET {T}/allowed | Remote-User: alice => 403 get things shop/allowed
mallory GET {T}/allowed | X-WEBAUTH-USER: alice => 403 get things shop/allowed
mallory GET {T}/allowed?user=alice => 403 get things shop/allowed
mallory GET {T}/allowed?access_token=x => 403 get things shop/allowed
mallory GET {T}/allowed?impersonate-user=alice => 403 get things shop/allowed
mallory GET {T}/allowed | Cookie: user=alice => 403 get things shop/allowed
system:masters GET {T}/allowed => 403 get things shop/allowed
ALICE GET {T}/allowed => 403 get things shop/allowed
alice\x20 GET {T}/allowed => 403 get things shop/allowed
front-proxy-client GET {T}/allowed | X-Remote-User: alice => 403 get things shop/allowed
system:anonymous GET {T}/allowed => 403 get things shop/allowed
system:serviceaccount:shop:robot GET {T}/allowed => 403 get things shop/allowed
";

/// Bearer tokens and other credentials; this server accepts no tokens.
const TOKENS: &str = r"
anonymous GET {T}/allowed | Authorization: Bearer guess => 401 get things shop/allowed
anonymous GET {T}/allowed | Authorization: bearer guess => 401 get things shop/allowed
anonymous GET {T}/allowed | Authorization: Bearer => 401 get things shop/allowed
anonymous GET {T}/allowed | Authorization: Bearer\x20\x20 => 401 get things shop/allowed
anonymous GET {T}/allowed | Authorization: Basic YWxpY2U6YWxpY2U= => 401 get things shop/allowed
anonymous GET {T}/allowed | Authorization: Negotiate YII= => 401 get things shop/allowed
anonymous GET {T}/allowed | Authorization: guess => 401 get things shop/allowed
anonymous GET {T}/allowed | Authorization: Bearer guess | Authorization: Bearer other => 401 get things shop/allowed
anonymous GET /healthz | Authorization: Bearer guess => 401 get path
anonymous GET /healthz/ping | Authorization: Bearer guess => 401 get path
anonymous GET /readyz?verbose | Authorization: Bearer guess => 401 get path
anonymous GET /livez | Authorization: Bearer guess => 401 get path
anonymous GET /metrics | Authorization: Bearer guess => 401 get path
anonymous GET /version | Authorization: Bearer guess => 401 get path
anonymous HEAD /healthz | Authorization: Bearer guess => 401 head path
anonymous POST /healthz | Authorization: Bearer guess => 401 post path
anonymous GET /healthz | Authorization: Basic YTpi => 401 -
anonymous GET /healthz | Proxy-Authorization: Bearer guess => 401 -
anonymous GET {T}/allowed | Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.Z3Vlc3M => 401 get things shop/allowed
anonymous GET {T}?watch=1 | Connection: Upgrade | Upgrade: websocket | Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.Z3Vlc3M, other => 401 watch things shop/
anonymous GET /healthz | Connection: Upgrade | Upgrade: websocket | Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.Z3Vlc3M, other => 401 get path
alice GET {T}/allowed | Authorization: Bearer guess => 200 get things shop/allowed
mallory GET {T}/allowed | Authorization: Bearer guess => 403 get things shop/allowed
";

/// Impersonation. `robot` may impersonate alice, the group dev, the uid 7 and the scope view.
const IMPERSONATION: &str = r"
robot GET {T}/allowed | Impersonate-User: alice => 200 get things shop/allowed as alice
robot GET {T}/allowed | impersonate-user: alice => 200 get things shop/allowed as alice
robot GET {T}/allowed | Impersonate-User: bob => 403 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: Alice => 403 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: alice | Impersonate-User: bob => 200 get things shop/allowed as alice
robot GET {T}/allowed | Impersonate-User: bob | Impersonate-User: alice => 403 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: => 500 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: | Impersonate-User: alice => 500 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: alice | Impersonate-Group: dev => 200 get things shop/allowed as alice
robot GET {T}/allowed | Impersonate-User: alice | Impersonate-Group: system:masters => 403 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: alice | Impersonate-Group: dev | Impersonate-Group: system:masters => 403 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: alice | Impersonate-Group: => 403 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: alice | Impersonate-Uid: 7 => 200 get things shop/allowed as alice
robot GET {T}/allowed | Impersonate-User: alice | Impersonate-Uid: 8 => 403 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: alice | Impersonate-Extra-Scopes: view => 200 get things shop/allowed as alice
robot GET {T}/allowed | Impersonate-User: alice | Impersonate-Extra-Scopes: all => 403 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: alice | Impersonate-Extra-Scopes: view | Impersonate-Extra-Scopes: all => 403 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: alice | Impersonate-Extra-sc%6fpes: view => 200 get things shop/allowed as alice
robot GET {T}/allowed | Impersonate-User: alice | Impersonate-Extra-other: view => 403 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: alice | Impersonate-Extra-: view => 403 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: alice | Impersonate-Nonsense: x => 200 get things shop/allowed as alice
robot GET {T}/allowed | Impersonate_User: alice => 403 get things shop/allowed
robot GET {T}/allowed | Impersonate-Group: dev => 500 get things shop/allowed
robot GET {T}/allowed | Impersonate-Uid: 7 => 500 get things shop/allowed
robot GET {T}/allowed | Impersonate-Extra-Scopes: view => 500 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: system:masters => 403 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: system:anonymous => 403 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: robot => 403 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: system:serviceaccount:shop:robot => 403 get things shop/allowed as system:serviceaccount:shop:robot
robot GET {T}/allowed | Impersonate-User: system:serviceaccount:shop:other => 403 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: system:serviceaccount:shop => 403 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: system:serviceaccount:shop:robot:x => 403 get things shop/allowed
robot GET {T}/allowed | Impersonate-User: alice\x00 => 400 -
robot GET {T}/allowed | Impersonate-User: \xe4lice => 403 get things shop/allowed
robot GET /healthz | Impersonate-User: alice => 200 -
robot GET /version | Impersonate-User: alice => 200 get path as alice
robot GET /version | Impersonate-User: bob => 403 get path
robot GET {T}/allowed => 403 get things shop/allowed
robot DELETE {T}/nothing | Impersonate-User: alice => 404 delete things shop/nothing as alice
alice GET {T}/allowed | Impersonate-User: alice => 403 get things shop/allowed
alice GET {T}/allowed | Impersonate-User: bob => 403 get things shop/allowed
mallory GET {T}/allowed | Impersonate-User: alice => 403 get things shop/allowed
anonymous GET {T}/allowed | Impersonate-User: alice => 401 get things shop/allowed
";

/// Audit IDs from clients; the front proxy's are accepted if they are harmless.
const IDS: &[(&str, &str, &str)] = &[
    ("alice", "chosen", "new"),
    ("alice", "keepwatch-heartbeat-1", "new"),
    ("alice", "", "new"),
    ("robot", "00000000-0000-0000-0000-000000000000", "new"),
    ("mallory", "chosen", "new"),
    ("anonymous", "chosen", "new"),
    ("proxy", "5b0f3ae0-95a4-4b10-9a37-6f0bd5a39c1e", "kept"),
    ("proxy", "a", "kept"),
    ("proxy", "", "new"),
    ("proxy", "keepwatch-heartbeat-1", "hash"),
    ("proxy", "KEEPWATCH-x", "hash"),
    ("proxy", "with a space", "hash"),
    ("proxy", "\\xff\\xfe", "hash"),
    ("proxy", "tab\\x09", "kept"),
    ("proxy", "quote\"quote", "kept"),
    ("proxy", "LONG64", "kept"),
    ("proxy", "LONG65", "hash"),
    ("proxy", "LONG60000", "hash"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn front_proxy_headers_of_others_are_ignored() {
    let mut target = Target::open().await;
    target.lines(PROXY).await;
    let count = target.close().await;
    assert!(count > 40, "{count}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_credentials_are_recorded_everywhere() {
    let mut target = Target::open().await;
    target.lines(TOKENS).await;
    let count = target.close().await;
    assert!(count > 20, "{count}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_part_of_an_impersonation_is_authorized_and_recorded() {
    let mut target = Target::open().await;
    target.lines(IMPERSONATION).await;
    let count = target.close().await;
    assert!(count > 40, "{count}");
}

/// Regressions: a client reused the audit ID of another request, and a long ID displaced the user
/// from the record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_ids_are_the_front_proxys_or_new_and_never_long() {
    let mut target = Target::open().await;
    for (user, id, _) in IDS {
        let long = id.strip_prefix("LONG").map(|len| "i".repeat(len.parse().unwrap()));
        let id = long.as_deref().unwrap_or(id);
        let remote = if *user == "proxy" { " | X-Remote-User: alice" } else { "" };
        let line = format!("{user} GET /nothing{remote} | Audit-ID: {id} => any");
        target.lines(&line).await;
    }
    let events = target.events().await;
    assert_eq!(events.len(), IDS.len());
    for ((user, id, expected), event) in IDS.iter().zip(events) {
        let actual = event.audit_id.as_str();
        let sent = id.strip_prefix("LONG").map(|len| "i".repeat(len.parse().unwrap()));
        let sent = sent.unwrap_or_else(|| id.replace("\\x09", ""));
        let is_as_expected = match *expected {
            "kept" => actual == sent,
            "hash" => actual.starts_with("sha256-") && actual.len() == 39,
            _ => actual.len() == 36 && !actual.contains(&sent) || sent.is_empty(),
        };
        assert!(is_as_expected, "{user} {id:?} {expected}: {actual:?}");
    }
}
