//! Attacks as tables: the request, the status code, and the audit events.
//!
//! A case is a line: `user METHOD target | Header: value => code record`. The record has the verb
//! and the object of the events: `get things shop/one`. It continues with `as alice` for an
//! impersonated user, and with code and user if they differ from the response and the certificate;
//! `-` means no event. Several requests on one connection have several records. Each case has its
//! own connection and user agent, which identifies its events: exactly those of the table must
//! exist.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use event::{Event, Stage};
use futures::StreamExt as _;
use testkit::pki::Identity;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Protocol, TestServer, thing, tls};

mod bodies;
mod connections;
mod heads;
mod identities;
mod paths;
mod streams;
mod watches;

/// The path of the test objects.
const THINGS: &str = "/apis/test.io/v1/namespaces/shop/things";
/// Timeout of a response; only a hanging server reaches it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Maximum length of a name in a table, in bytes; a longer one is shown as `long`.
const NAME_BYTES_MAX: usize = 128;
/// The expected results of heads that are rejected before they become requests.
const REFUSED_HEADS: [&str; 5] = ["0 -", "400 -", "417 -", "431 -", "501 -"];
/// Number of concurrent cases.
const LANES: usize = 16;

/// The bytes that one connection sends, and the expected result.
struct Case {
    text: String,
    user: String,
    agent: String,
    sent: Vec<u8>,
    expected: String,
    /// The bytes received.
    response: Vec<u8>,
}

/// The server under attack.
struct Target {
    server: TestServer,
    identities: BTreeMap<String, Option<Identity>>,
    count: usize,
    done: Vec<Case>,
}

impl Target {
    /// Opens a server with two things; the user `limited` may read only `allowed`.
    async fn open() -> Self {
        let server = TestServer::open().await;
        let mut alice = server.client("alice").await;
        for name in ["allowed", "secretb"] {
            assert_eq!(alice.post(THINGS, &thing(name)).await.code, 201);
        }
        let proxy = server.proxy_ca.client("front-proxy-client", &[]);
        let identities =
            BTreeMap::from([("anonymous".to_owned(), None), ("proxy".to_owned(), Some(proxy))]);
        Self { server, identities, count: 0, done: Vec::new() }
    }

    /// Sends the requests of a table without bodies.
    async fn lines(&mut self, table: &str) {
        let cases = table.lines().map(str::trim).filter(|line| !line.is_empty());
        let cases: Vec<Case> = cases.map(|line| self.case(line, b"")).collect();
        self.send(cases).await;
    }

    /// Sends requests with bodies, which follow `||`, one after another.
    async fn bodies(&mut self, table: &str) {
        for line in table.lines().filter(|line| !line.is_empty()) {
            let (line, body) = line.split_once(" || ").unwrap_or((line, ""));
            let case = self.case(line, &unescaped(body));
            self.send(vec![case]).await;
        }
    }

    /// Sends raw bytes, in which `AGENT` is replaced by the user agent.
    async fn bytes(&mut self, table: &[(&str, &str)]) {
        let mut cases = Vec::new();
        for (line, sent) in table {
            let (user, expected) = line.split_once(" => ").unwrap();
            let agent = self.agent(user);
            let sent = unescaped(&sent.replace("AGENT", &agent));
            cases.push(Case::new(&format!("{line} {sent:?}"), user, agent, sent, expected));
        }
        self.send(cases).await;
    }

    fn agent(&mut self, user: &str) -> String {
        let identity = || Some(self.server.ca.client(user, &[]));
        if !self.identities.contains_key(user) {
            let identity = identity();
            self.identities.insert(user.to_owned(), identity);
        }
        self.count += 1;
        format!("case-{}", self.count)
    }

    fn case(&mut self, line: &str, body: &[u8]) -> Case {
        let (request, expected) = line.split_once(" => ").unwrap();
        let mut parts = request.split(" | ");
        let (user, request) = parts.next().unwrap().split_once(' ').unwrap();
        let agent = self.agent(user);
        let mut head = format!("{} HTTP/1.1\r\n", request.replace("{T}", THINGS));
        let headers: Vec<&str> = parts.collect();
        if !headers.iter().any(|header| header.starts_with("Host:")) {
            head.push_str("Host: localhost\r\n");
        }
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        if !body.is_empty() || request.starts_with("POST") {
            write!(head, "Content-Length: {}\r\n", body.len()).unwrap();
        }
        write!(head, "User-Agent: {agent}\r\nConnection: close\r\n\r\n").unwrap();
        let sent = [&unescaped(&head)[..], body].concat();
        Case::new(line, user, agent, sent, expected)
    }

    async fn send(&mut self, cases: Vec<Case>) {
        let ca = self.server.ca.pem();
        let responses = futures::stream::iter(&cases).map(|case| {
            let identity = self.identities[&case.user].as_ref();
            exchange(&self.server, &ca, identity, &case.sent)
        });
        let responses: Vec<Vec<u8>> = responses.buffered(LANES).collect().await;
        let answered = cases.into_iter().zip(responses);
        self.done.extend(answered.map(|(case, response)| Case { response, ..case }));
    }

    /// The audit events of the cases so far.
    async fn events(&self) -> Vec<Event> {
        let mut events = self.server.events().await;
        events.retain(|event| event.user_agent.starts_with("case-"));
        events
    }

    /// Closes the server, compares the results, and returns the number of cases. Rejections without
    /// an event must be in the server's counter.
    async fn close(self) -> usize {
        let is_counted = |case: &&Case| REFUSED_HEADS.contains(&case.expected.as_str());
        let malformed = self.done.iter().filter(is_counted).count();
        let mut alice = self.server.client("alice").await;
        let metrics = alice.call("GET", "/metrics").await.body;
        let counted = format!("\nkeepwatch_malformed_requests_total {malformed}\n");
        let mut events: BTreeMap<String, Vec<Event>> = BTreeMap::new();
        for event in self.server.close().await {
            events.entry(event.user_agent.clone()).or_default().push(event);
        }
        let mut failures = Vec::new();
        let count = self.done.len();
        for case in self.done {
            let events = events.remove(&case.agent).unwrap_or_default();
            let actual = format!("{} {}", case.code(), records_of(&case, &events));
            if actual.trim_end() != case.expected {
                failures.push(format!("{}\n  found {actual}", case.text));
            }
            let body = String::from_utf8_lossy(&case.response);
            if case.user == "limited" && case.code() == 200 && body.contains("\"name\":\"secretb\"")
            {
                failures.push(format!("{}\n  shows another object", case.text));
            }
        }
        assert!(
            failures.is_empty(),
            "{} of {count} cases:\n{}",
            failures.len(),
            failures.join("\n")
        );
        let others: Vec<&String> =
            events.keys().filter(|agent| !matches!(agent.as_str(), "" | "test")).collect();
        assert!(others.is_empty(), "events of no case: {others:?}");
        let line = metrics.lines().find(|line| line.starts_with("keepwatch_malformed_requests"));
        assert!(metrics.contains(&counted), "{line:?} and not {malformed}");
        count
    }
}

impl Case {
    fn new(text: &str, user: &str, agent: String, sent: Vec<u8>, expected: &str) -> Self {
        let (text, user) = (text.to_owned(), user.to_owned());
        Self { text, user, agent, sent, expected: expected.trim().to_owned(), response: Vec::new() }
    }

    /// The status code of the first response; 0 if there is none.
    fn code(&self) -> u16 {
        let code = self.response.get(9..12).and_then(|code| str::from_utf8(code).ok());
        code.and_then(|code| code.parse().ok()).unwrap_or(0)
    }
}

/// Sends the bytes and returns everything that the connection receives.
async fn exchange(
    server: &TestServer,
    ca: &str,
    identity: Option<&Identity>,
    sent: &[u8],
) -> Vec<u8> {
    let mut stream = tls(server.address, ca, identity, Protocol::Http1).await.unwrap();
    let mut response = Vec::new();
    let exchanged = async {
        // The server may respond and close before it has received everything.
        drop(stream.write_all(sent).await);
        drop(stream.flush().await);
        drop(stream.read_to_end(&mut response).await);
    };
    if tokio::time::timeout(PATIENCE, exchanged).await.is_err() {
        // This text differs from every expected response, so the case fails.
        response = b"the connection does not end".to_vec();
    }
    response
}

/// The records of a case's events: one per request, with the stages if they are unexpected.
fn records_of(case: &Case, events: &[Event]) -> String {
    let mut requests: Vec<(&Event, Vec<Stage>)> = Vec::new();
    for event in events {
        let is_same = |(first, _): &&mut (&Event, Vec<Stage>)| {
            first.audit_id == event.audit_id && request_of(case, first) == request_of(case, event)
        };
        match requests.iter_mut().find(is_same) {
            Some((_, stages)) => stages.push(event.stage),
            None => requests.push((event, vec![event.stage])),
        }
    }
    let records = requests.iter().map(|(event, stages)| {
        let expected: &[Stage] = match (event.verb.as_str(), &event.user.username) {
            (_, name) if name.is_empty() => &[Stage::ResponseStarted],
            ("watch", _) if event.object_ref.is_some() => {
                &[Stage::ResponseStarted, Stage::ResponseComplete]
            }
            _ => &[Stage::ResponseComplete],
        };
        let request = request_of(case, event);
        if stages == expected { request } else { format!("{request} {stages:?}") }
    });
    let records: Vec<String> = records.collect();
    if records.is_empty() { "-".to_owned() } else { records.join(", ") }
}

fn request_of(case: &Case, event: &Event) -> String {
    let object = event.object_ref.as_ref().map(|object| {
        let subresource = match object.subresource.as_str() {
            "" => String::new(),
            subresource => format!("/{subresource}"),
        };
        let name = if object.name.len() > NAME_BYTES_MAX { "long" } else { object.name.as_str() };
        let path = format!("{subresource} {}/{name}", object.namespace);
        format!("{}{}", object.resource.escape_default(), path.escape_default())
    });
    let mut text = format!("{} {}", event.verb, object.unwrap_or_else(|| "path".to_owned()));
    let code = event.response_status.as_ref().map_or(0, |status| status.code);
    if code != case.code() {
        write!(text, " {code}").unwrap();
    }
    let user = event.user.username.as_str();
    if user != case.user && !(user.is_empty() && code == 401) {
        write!(text, " by {user}").unwrap();
    }
    if let Some(other) = &event.impersonated_user {
        write!(text, " as {}", other.username).unwrap();
    }
    text
}

/// Replaces `\x00` escapes by their bytes, and `\r\n` by line ends.
fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        if let Some(byte) = after.strip_prefix('x').and_then(|hex| hex.get(..2)) {
            out.push(u8::from_str_radix(byte, 16).unwrap());
            rest = after.get(3..).unwrap_or_default();
        } else {
            out.push(match after.as_bytes().first() {
                Some(b'r') => b'\r',
                Some(b'n') => b'\n',
                _ => b'\\',
            });
            rest = after.get(1..).unwrap_or_default();
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out
}
