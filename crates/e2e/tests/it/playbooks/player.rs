//! Sends the requests of scripts to a server, and reads the signals that it raised.
//!
//! Everything goes through the API: objects are created as K10 creates them, a request has the
//! client certificate of the script's user, and signals are read as an analyst reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use bytes::Bytes;
use e2e::fixtures::load_client::{Connection, Endpoint, Protocol, Reply};
use e2e::fixtures::standalone::wait;
use serde_json::{Value, json};

use super::script::{Object, Person, Request, requests};

/// The user agent of K10's own programs.
const K10_AGENT: &str = "executor-server/v0.0.0";
/// The last request. Once its signal exists, the detector has read all earlier events.
const LAST: &str =
    r#"1 the-last-one patch storagerepositories kasten-io/last {"disableMaintenance":true}"#;
/// Its signal.
const LAST_SIGNAL: &str = "high kasten-repository-tampered the-last-one ";

/// Polls after the last signal before the found signals are final.
const SETTLING_LOOKS: usize = 60;

/// Makes the endpoint with a user's client certificate.
pub(super) type Connect<'s> = &'s dyn Fn(&Person) -> anyhow::Result<Endpoint>;

/// Sends the requests of scripts, with one connection per user.
pub(super) struct Player<'s> {
    connect: Connect<'s>,
    connections: BTreeMap<Person, (Endpoint, Connection)>,
    made: BTreeSet<Object>,
}

/// A signal: severity, rule, user and count in a readable line, and its ID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) line: String,
    pub(super) id: String,
}

impl<'s> Player<'s> {
    pub(super) fn new(connect: Connect<'s>) -> Self {
        Self { connect, connections: BTreeMap::new(), made: BTreeSet::new() }
    }

    /// Plays the scripts in order, and returns the server's signals when it has processed all
    /// events. `expected` are the signals that end the wait early.
    pub(super) async fn play(
        &mut self,
        scripts: &[&str],
        expected: &[&str],
    ) -> anyhow::Result<Vec<Found>> {
        let played: Vec<Request> = scripts.iter().flat_map(|script| requests(script)).collect();
        let last = requests(LAST);
        for request in played.iter().chain(&last) {
            for object in &request.needs {
                self.make(object).await?;
            }
        }
        for request in &played {
            if let Some(backup) = &request.cancels {
                self.run_backup(backup).await?;
            }
            self.send(request).await?;
        }
        for namespace in played.iter().filter_map(|request| request.removes.as_ref()) {
            self.wait_gone(namespace).await?;
        }
        for request in &last {
            self.send(request).await?;
        }
        let looks = AtomicUsize::new(0);
        wait("the last signal", async || {
            let mut found = self.signals().await?;
            let all = found.len();
            found.retain(|found| !found.line.starts_with(LAST_SIGNAL));
            let is_over = all > found.len();
            // All signals exist by then, but an update of one is written a little later.
            let is_settled = lines(&found) == expected
                || is_over && looks.fetch_add(1, Ordering::Relaxed) > SETTLING_LOOKS;
            Ok((is_over && is_settled).then_some(found))
        })
        .await
    }

    /// The signals that the server serves.
    pub(super) async fn signals(&mut self) -> anyhow::Result<Vec<Found>> {
        let path = Object::of("signals", "", "").collection();
        let reply = self.request(&Person::admin(), "GET", &path, &[], None).await?.expect(200)?;
        let list: Value = serde_json::from_slice(&reply.body)?;
        Ok(list["items"].as_array().into_iter().flatten().map(found).collect())
    }

    async fn send(&mut self, request: &Request) -> anyhow::Result<()> {
        let mut headers = vec![("user-agent", request.agent.as_str())];
        headers.extend(request.acts_as.as_deref().map(|user| ("impersonate-user", user)));
        let Request { person, method, path, body, code, .. } = request;
        let mut body = body.clone();
        if let Some(body) = body.as_mut().filter(|_| *method == "PUT") {
            // The resource version of the replacement is read as K10, so that no read is recorded
            // for the user.
            let current =
                self.request(&Person::k10(), "GET", path, &[], None).await?.expect(200)?;
            let current: Value = serde_json::from_slice(&current.body)?;
            body["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"].clone();
        }
        let reply = self.request(person, method, path, &headers, body.as_ref()).await?;
        let what = || format!("{method} {path} as {}", person.name);
        reply.expect(*code).map(drop).with_context(what)
    }

    /// Creates an object as K10, or a namespace as the administrator, unless it was created before.
    async fn make(&mut self, object: &Object) -> anyhow::Result<()> {
        if !self.made.insert(object.clone()) {
            return Ok(());
        }
        let person = if object.resource == "namespaces" { Person::admin() } else { Person::k10() };
        let (path, body) = (object.collection(), object.manifest(None));
        let agent = [("user-agent", K10_AGENT)];
        // The server learns about a new namespace with a delay.
        wait(&format!("{object:?} is made"), async || {
            let reply = self.request(&person, "POST", &path, &agent, Some(&body)).await?;
            let what = || String::from_utf8_lossy(&reply.body).into_owned();
            ensure!([201, 409, 404, 403].contains(&reply.code), "{}: {}", reply.code, what());
            Ok([201, 409].contains(&reply.code).then_some(()))
        })
        .await
    }

    /// Sets a backup's state to Running, so that it can be cancelled.
    async fn run_backup(&mut self, backup: &Object) -> anyhow::Result<()> {
        self.make(backup).await?;
        let path = format!("{}/{}/status", backup.collection(), backup.name);
        let running = json!({"status": {"state": "Running"}});
        let agent = [("user-agent", K10_AGENT)];
        let reply = self.request(&Person::k10(), "PATCH", &path, &agent, Some(&running)).await?;
        reply.expect(200).map(drop).context("a backup does not begin")
    }

    async fn wait_gone(&mut self, object: &Object) -> anyhow::Result<()> {
        let path = format!("{}/{}", object.collection(), object.name);
        wait(&format!("{object:?} is gone"), async || {
            let reply = self.request(&Person::admin(), "GET", &path, &[], None).await?;
            Ok((reply.code == 404).then_some(()))
        })
        .await
    }

    async fn request(
        &mut self,
        person: &Person,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> anyhow::Result<Reply> {
        if !self.connections.contains_key(person) {
            let endpoint = (self.connect)(person)?;
            let connection = endpoint.connections(Protocol::Http1, 1).await?.remove(0);
            self.connections.insert(person.clone(), (endpoint, connection));
        }
        let (endpoint, connection) = self.connections.get_mut(person).context("a connection")?;
        let kind =
            if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let mut headers = headers.to_vec();
        headers.push(("content-type", kind));
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        // The aggregator answers 503 until it notices that the server is available again.
        wait("the server is reached", async || {
            let reply = connection.send(endpoint, method, path, &headers, body.clone()).await?;
            Ok((reply.code != 503).then_some(reply))
        })
        .await
    }
}

/// The signals that `keepwatch detect` finds in a file.
pub(super) fn detect(binary: &Path, lines: &Path) -> anyhow::Result<Vec<Found>> {
    let output = Command::new(binary).arg("detect").arg(lines).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && !error.contains("no event"), "keepwatch detect: {error}");
    let printed = String::from_utf8(output.stdout)?;
    let signals = printed.lines().map(|line| Ok(found(&serde_json::from_str(line)?)));
    let found: anyhow::Result<Vec<Found>> = signals.collect();
    Ok(found?.into_iter().filter(|found| !found.line.starts_with(LAST_SIGNAL)).collect())
}

/// The lines of the signals, sorted.
pub(super) fn lines(found: &[Found]) -> Vec<&str> {
    let mut lines: Vec<&str> = found.iter().map(|found| found.line.as_str()).collect();
    lines.sort_unstable();
    lines
}

fn found(signal: &Value) -> Found {
    let text = |pointer: &str| signal.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let user = text("/spec/actor/username").rsplit(':').next().unwrap_or_default();
    let user = if user.is_empty() { "several" } else { user };
    let user = match text("/spec/actor/impersonatedBy") {
        "" => user.to_owned(),
        by => format!("{user}/{by}"),
    };
    let (severity, rule) = (text("/spec/severity"), text("/spec/rule/id"));
    let line = format!("{severity} {rule} {user} {}", signal["spec"]["count"]);
    Found { line, id: text("/metadata/name").to_owned() }
}
