//! The load of the kill test, and what its clients write down.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::task::JoinSet;

use super::CLIENTS;
use crate::kubeconfig;
use crate::load::{Endpoint, Lane, Protocol};
use crate::process::Process;
use crate::wait::PATIENCE;

/// The collection that the clients work on. Nobody but them writes to it.
const COLLECTION: &str =
    "/apis/repositories.kio.kasten.io/v1alpha1/namespaces/kasten-io/storagerepositories";
/// The namespace of the collection; a new server makes it soon after it serves.
const NAMESPACE: &str = "/api/v1/namespaces/kasten-io";
/// Names that each client creates, changes and deletes, over and over.
const NAMES: u32 = 8;

/// The server as its writer, as a user who is refused, and as a person whose changes raise signals.
pub(super) struct Endpoints {
    writer: Endpoint,
    refused: Endpoint,
    person: Endpoint,
}

/// Who sends a request.
#[derive(Clone, Copy)]
enum Sender {
    Writer,
    Refused,
    Person,
}

/// What one answered request must have left behind.
pub(super) struct Answered {
    /// The id the client chose.
    pub(super) audit_id: String,
    /// The code the client saw.
    pub(super) code: u16,
}

/// Clients at work, and how many answers they have.
pub(super) struct Clients {
    tasks: JoinSet<Vec<Answered>>,
    answers: Arc<AtomicUsize>,
}

impl Clients {
    /// Waits for all clients, whose server is gone, and collects what they wrote down.
    pub(super) async fn ledger(self) -> Vec<Answered> {
        self.tasks.join_all().await.into_iter().flatten().collect()
    }

    /// Waits until there are so many answers.
    pub(super) async fn answered(&self, answers: usize) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.answers.load(Ordering::Relaxed) < answers {
            anyhow::ensure!(tokio::time::Instant::now() < deadline, "no {answers} answers");
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

/// Reads whom the server knows, and waits until the namespace that the load needs is there.
pub(super) async fn endpoints(home: &Path, server: &mut Process) -> anyhow::Result<Endpoints> {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        server.check()?;
        if let Ok(endpoints) = read(home)
            && let Ok(mut lanes) = endpoints.writer.lanes(Protocol::Http1, 1).await
            && let Some(lane) = lanes.first_mut()
            && let Ok(reply) =
                lane.send(&endpoints.writer, "GET", NAMESPACE, &[], Bytes::new()).await
            && reply.code == 200
        {
            return Ok(endpoints);
        }
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "not ready:\n{}", server.log_end());
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

fn read(home: &Path) -> anyhow::Result<Endpoints> {
    let known = kubeconfig::read(home)?;
    Ok(Endpoints {
        writer: known.endpoint("kasten")?,
        refused: known.endpoint("alice")?,
        person: known.endpoint("admin")?,
    })
}

/// Starts all clients; each works until the server is gone.
pub(super) fn start(endpoints: Endpoints, round: u32, seed: u64) -> Clients {
    let endpoints = Arc::new(endpoints);
    let answers = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for client in 0..CLIENTS {
        let endpoints = Arc::clone(&endpoints);
        let random = StdRng::seed_from_u64(seed.wrapping_add(client as u64));
        let mut ledger = Ledger { answered: Vec::new(), answers: Arc::clone(&answers) };
        tasks.spawn(async move {
            // The end of the connection is the end of the client's life, not a fault.
            work(&endpoints, round, client, random, &mut ledger).await.err();
            ledger.answered
        });
    }
    Clients { tasks, answers }
}

/// What one client writes down.
struct Ledger {
    answered: Vec<Answered>,
    /// Of all clients.
    answers: Arc<AtomicUsize>,
}

async fn work(
    endpoints: &Endpoints,
    round: u32,
    client: usize,
    mut random: StdRng,
    ledger: &mut Ledger,
) -> anyhow::Result<()> {
    let protocol = if client.is_multiple_of(2) { Protocol::Http1 } else { Protocol::Http2 };
    let mut writer = endpoints.writer.lanes(protocol, 1).await?.remove(0);
    let mut refused = endpoints.refused.lanes(protocol, 1).await?.remove(0);
    let mut person = endpoints.person.lanes(protocol, 1).await?.remove(0);
    for number in 0_u64.. {
        let audit_id = format!("kill-{round}-{client}-{number}");
        let act = act(client, number, &mut random);
        let (lane, endpoint): (&mut Lane, _) = match act.sender {
            Sender::Writer => (&mut writer, &endpoints.writer),
            Sender::Refused => (&mut refused, &endpoints.refused),
            Sender::Person => (&mut person, &endpoints.person),
        };
        let headers = [("audit-id", audit_id.as_str()), ("content-type", act.content_type)];
        let reply = lane.send(endpoint, act.method, &act.path, &headers, act.body).await?;
        ledger.answered.push(Answered { audit_id, code: reply.code });
        ledger.answers.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

struct Act {
    method: &'static str,
    path: String,
    content_type: &'static str,
    body: Bytes,
    sender: Sender,
}

fn act(client: usize, number: u64, random: &mut StdRng) -> Act {
    let name = format!("repository-{client}-{}", random.random_range(0..NAMES));
    let object = format!("{COLLECTION}/{name}");
    let plain = |method, path| Act {
        method,
        path,
        content_type: "application/json",
        body: Bytes::new(),
        sender: Sender::Writer,
    };
    let create = json!({
        "apiVersion": "repositories.kio.kasten.io/v1alpha1",
        "kind": "StorageRepository",
        "metadata": {"name": name, "namespace": "kasten-io", "labels": {"number": number.to_string()}},
        "spec": {"disableMaintenance": false},
    });
    match random.random_range(0..100) {
        0..35 => Act { body: create.to_string().into(), ..plain("POST", COLLECTION.to_owned()) },
        35..60 => {
            let patch = json!({"spec": {"disableMaintenance": random.random_bool(0.5)}});
            let content_type = "application/merge-patch+json";
            let sender = if random.random_ratio(1, 5) { Sender::Person } else { Sender::Writer };
            Act { content_type, body: patch.to_string().into(), sender, ..plain("PATCH", object) }
        }
        60..78 => plain("DELETE", object),
        78..90 => plain("GET", object),
        90..95 => plain("GET", format!("{COLLECTION}?limit=10")),
        _ => Act {
            body: create.to_string().into(),
            sender: Sender::Refused,
            ..plain("POST", COLLECTION.to_owned())
        },
    }
}
