//! The load of the kill test, and what its clients write down.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;

use super::CLIENTS;
use super::acts::{Sender, act};
use super::cast::Cast;
use crate::fixtures::kubeconfig;
use crate::fixtures::load_client::{Endpoint, Lane, Protocol};
use crate::fixtures::process::Process;
use crate::fixtures::wait::PATIENCE;

/// The namespace of the collection; a new server makes it soon after it serves.
const NAMESPACE: &str = "/api/v1/namespaces/kasten-io";
/// The server as its writer, as its administrator, and as a user who is refused.
pub(super) struct Endpoints {
    pub(super) writer: Endpoint,
    pub(super) admin: Endpoint,
    refused: Endpoint,
}

/// What one answered request must have left behind.
pub(super) struct Answered {
    /// The user agent by which its event is found.
    pub(super) mark: String,
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
        admin: known.endpoint("admin")?,
        refused: known.endpoint("alice")?,
    })
}

/// Starts all clients; each works until the server is gone, also as one of the people, who are others
/// in each round.
pub(super) fn start(
    endpoints: Endpoints,
    cast: &Cast,
    round: u32,
    seed: u64,
) -> anyhow::Result<Clients> {
    let endpoints = Arc::new(endpoints);
    let answers = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for client in 0..CLIENTS {
        let endpoints = Arc::clone(&endpoints);
        let random = StdRng::seed_from_u64(seed.wrapping_add(client as u64));
        let person = cast.person(client + CLIENTS * round as usize, &endpoints.writer)?;
        let mut ledger = Ledger { answered: Vec::new(), answers: Arc::clone(&answers) };
        tasks.spawn(async move {
            // The end of the connection is the end of the client's life, not a fault.
            work(
                [&endpoints.writer, &endpoints.refused, &person],
                (round, client),
                random,
                &mut ledger,
            )
            .await
            .err();
            ledger.answered
        });
    }
    Ok(Clients { tasks, answers })
}

/// What one client writes down.
struct Ledger {
    answered: Vec<Answered>,
    /// Of all clients.
    answers: Arc<AtomicUsize>,
}

/// Works as the writer, as the user who is refused, and as a person.
async fn work(
    [writer, refused, person]: [&Endpoint; 3],
    (round, client): (u32, usize),
    mut random: StdRng,
    ledger: &mut Ledger,
) -> anyhow::Result<()> {
    let protocol = if client.is_multiple_of(2) { Protocol::Http1 } else { Protocol::Http2 };
    let mut as_writer = writer.lanes(protocol, 1).await?.remove(0);
    let mut as_refused = refused.lanes(protocol, 1).await?.remove(0);
    let mut as_person = person.lanes(protocol, 1).await?.remove(0);
    for number in 0_u64.. {
        let mark = format!("kill-{round}-{client}-{number}");
        let act = act(client, number, &mut random);
        let (lane, endpoint): (&mut Lane, _) = match act.sender {
            Sender::Writer => (&mut as_writer, writer),
            Sender::Refused => (&mut as_refused, refused),
            Sender::Person => (&mut as_person, person),
        };
        let headers = [("user-agent", mark.as_str()), ("content-type", act.content_type)];
        let reply = lane.send(endpoint, act.method, &act.path, &headers, act.body).await?;
        ledger.answered.push(Answered { mark, code: reply.code });
        ledger.answers.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
