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

use super::script::{Object, Request, ScriptUser, requests};

/// The user agent of K10's own programs.
const K10_AGENT: &str = "executor-server/v0.0.0";
/// The last request. Once its signal exists, the detector has read all earlier events.
const LAST: &str =
    r#"1 the-last-one patch storagerepositories kasten-io/last {"disableMaintenance":true}"#;
/// Its signal.
const LAST_SIGNAL: &str = "high kasten-repository-tampered the-last-one ";

/// Polls after the last signal before the found signals are final.
const SETTLING_POLLS: usize = 60;

/// Makes the endpoint with a user's client certificate.
pub(super) type Connect<'s> = &'s dyn Fn(&ScriptUser) -> anyhow::Result<Endpoint>;

/// Sends the requests of scripts, with one connection per user.
pub(super) struct Player<'s> {
    connect: Connect<'s>,
    connections: BTreeMap<ScriptUser, (Endpoint, Connection)>,
    created: BTreeSet<Object>,
}

/// A signal: severity, rule, user and count in a readable line, and its ID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FoundSignal {
    pub(super) line: String,
    pub(super) id: String,
}

impl<'s> Player<'s> {
    pub(super) fn new(connect: Connect<'s>) -> Self {
        Self { connect, connections: BTreeMap::new(), created: BTreeSet::new() }
    }

    /// Plays the scripts in order, and returns the server's signals when it has processed all
    /// events. `expected` are the signals that end the wait early.
    pub(super) async fn play(
        &mut self,
        scripts: &[&str],
        expected: &[&str],
    ) -> anyhow::Result<Vec<FoundSignal>> {
        let all_requests: Vec<Request> =
            scripts.iter().flat_map(|script| requests(script)).collect();
        let last = requests(LAST);
        for request in all_requests.iter().chain(&last) {
            for object in &request.required_objects {
                self.create(object).await?;
            }
        }
        for request in &all_requests {
            if let Some(backup) = &request.cancels {
                self.set_backup_running(backup).await?;
            }
            self.send(request).await?;
        }
        for namespace in all_requests.iter().filter_map(|request| request.removes.as_ref()) {
            self.wait_gone(namespace).await?;
        }
        for request in &last {
            self.send(request).await?;
        }
        let polls = AtomicUsize::new(0);
        wait("the last signal", async || {
            let mut found_signals = self.signals().await?;
            let all = found_signals.len();
            found_signals.retain(|signal| !signal.line.starts_with(LAST_SIGNAL));
            let is_over = all > found_signals.len();
            // All signals exist by then, but an update of one is written a little later.
            let is_settled = sorted_lines(&found_signals) == expected
                || is_over && polls.fetch_add(1, Ordering::Relaxed) > SETTLING_POLLS;
            Ok((is_over && is_settled).then_some(found_signals))
        })
        .await
    }

    /// The signals that the server serves.
    pub(super) async fn signals(&mut self) -> anyhow::Result<Vec<FoundSignal>> {
        let path = Object::new("signals", "", "").collection();
        let reply =
            self.request(&ScriptUser::admin(), "GET", &path, &[], None).await?.expect(200)?;
        let list: Value = serde_json::from_slice(&reply.body)?;
        Ok(list["items"].as_array().into_iter().flatten().map(summarize).collect())
    }

    async fn send(&mut self, request: &Request) -> anyhow::Result<()> {
        let mut headers = vec![("user-agent", request.agent.as_str())];
        headers.extend(request.impersonates.as_deref().map(|user| ("impersonate-user", user)));
        let Request { user, method, path, body, code, .. } = request;
        let mut body = body.clone();
        if let Some(body) = body.as_mut().filter(|_| *method == "PUT") {
            // The resource version of the replacement is read as K10, so that no read is recorded
            // for the user.
            let current =
                self.request(&ScriptUser::k10(), "GET", path, &[], None).await?.expect(200)?;
            let current: Value = serde_json::from_slice(&current.body)?;
            body["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"].clone();
        }
        let reply = self.request(user, method, path, &headers, body.as_ref()).await?;
        let context = || format!("{method} {path} as {}", user.name);
        reply.expect(*code).map(drop).with_context(context)
    }

    /// Creates an object as K10, or a namespace as the administrator, unless it was created before.
    async fn create(&mut self, object: &Object) -> anyhow::Result<()> {
        if !self.created.insert(object.clone()) {
            return Ok(());
        }
        let user =
            if object.resource == "namespaces" { ScriptUser::admin() } else { ScriptUser::k10() };
        let (path, body) = (object.collection(), object.manifest(None));
        let agent = [("user-agent", K10_AGENT)];
        // The server learns about a new namespace with a delay.
        wait(&format!("{object:?} is created"), async || {
            let reply = self.request(&user, "POST", &path, &agent, Some(&body)).await?;
            let context = || String::from_utf8_lossy(&reply.body).into_owned();
            ensure!([201, 409, 404, 403].contains(&reply.code), "{}: {}", reply.code, context());
            Ok([201, 409].contains(&reply.code).then_some(()))
        })
        .await
    }

    /// Sets a backup's state to Running, so that it can be cancelled.
    async fn set_backup_running(&mut self, backup: &Object) -> anyhow::Result<()> {
        self.create(backup).await?;
        let path = format!("{}/{}/status", backup.collection(), backup.name);
        let running = json!({"status": {"state": "Running"}});
        let agent = [("user-agent", K10_AGENT)];
        let reply =
            self.request(&ScriptUser::k10(), "PATCH", &path, &agent, Some(&running)).await?;
        reply.expect(200).map(drop).context("the state of a backup cannot be set to Running")
    }

    async fn wait_gone(&mut self, object: &Object) -> anyhow::Result<()> {
        let path = format!("{}/{}", object.collection(), object.name);
        wait(&format!("{object:?} is gone"), async || {
            let reply = self.request(&ScriptUser::admin(), "GET", &path, &[], None).await?;
            Ok((reply.code == 404).then_some(()))
        })
        .await
    }

    async fn request(
        &mut self,
        user: &ScriptUser,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> anyhow::Result<Reply> {
        if !self.connections.contains_key(user) {
            let endpoint = (self.connect)(user)?;
            let connection = endpoint.connections(Protocol::Http1, 1).await?.remove(0);
            self.connections.insert(user.clone(), (endpoint, connection));
        }
        let (endpoint, connection) = self.connections.get_mut(user).context("a connection")?;
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
pub(super) fn detect(binary: &Path, log: &Path) -> anyhow::Result<Vec<FoundSignal>> {
    let output = Command::new(binary).arg("detect").arg(log).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && !error.contains("no event"), "keepwatch detect: {error}");
    let stdout = String::from_utf8(output.stdout)?;
    let signals = stdout.lines().map(|line| Ok(summarize(&serde_json::from_str(line)?)));
    let found_signals: anyhow::Result<Vec<FoundSignal>> = signals.collect();
    Ok(found_signals?.into_iter().filter(|signal| !signal.line.starts_with(LAST_SIGNAL)).collect())
}

/// The lines of the signals, sorted.
pub(super) fn sorted_lines(signals: &[FoundSignal]) -> Vec<&str> {
    let mut lines: Vec<&str> = signals.iter().map(|signal| signal.line.as_str()).collect();
    lines.sort_unstable();
    lines
}

fn summarize(signal: &Value) -> FoundSignal {
    let text = |pointer: &str| signal.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let user = text("/spec/actor/username").rsplit(':').next().unwrap_or_default();
    let user = if user.is_empty() { "several" } else { user };
    let user = match text("/spec/actor/impersonatedBy") {
        "" => user.to_owned(),
        by => format!("{user}/{by}"),
    };
    let (severity, rule) = (text("/spec/severity"), text("/spec/rule/id"));
    let line = format!("{severity} {rule} {user} {}", signal["spec"]["count"]);
    FoundSignal { line, id: text("/metadata/name").to_owned() }
}
