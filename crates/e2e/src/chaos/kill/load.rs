//! The load of the kill test, and the log of its clients.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;

use super::CLIENTS;
use super::acts::{Sender, act};
use super::cast::TestUsers;
use crate::fixtures::kubeconfig;
use crate::fixtures::load_client::{Connection, Endpoint, Protocol};
use crate::fixtures::process::Process;
use crate::fixtures::wait::WAIT_MAX;

/// The namespace of the collection, which a new server creates soon after it starts.
const NAMESPACE: &str = "/api/v1/namespaces/kasten-io";
/// The server's endpoints for its writer, its administrator, and a user without permission.
pub(super) struct Endpoints {
    pub(super) writer: Endpoint,
    pub(super) admin: Endpoint,
    refused: Endpoint,
}

/// A request with a response, which the store must contain.
pub(super) struct Answered {
    /// The user agent that identifies its event.
    pub(super) mark: String,
    /// The status code of the response.
    pub(super) code: u16,
}

/// Running clients, and the number of their responses.
pub(super) struct Clients {
    tasks: JoinSet<Vec<Answered>>,
    answers: Arc<AtomicUsize>,
}

impl Clients {
    /// Waits for all clients after the server was killed, and collects their logs.
    pub(super) async fn answered_log(self) -> Vec<Answered> {
        self.tasks.join_all().await.into_iter().flatten().collect()
    }

    /// Waits until the clients have read this many responses.
    pub(super) async fn answered(&self, answers: usize) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + WAIT_MAX;
        while self.answers.load(Ordering::Relaxed) < answers {
            anyhow::ensure!(tokio::time::Instant::now() < deadline, "no {answers} answers");
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

/// Reads the users of the server, and waits until the namespace of the load exists.
pub(super) async fn endpoints(home: &Path, server: &mut Process) -> anyhow::Result<Endpoints> {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        server.check()?;
        if let Ok(endpoints) = read(home)
            && let Ok(mut connections) = endpoints.writer.connections(Protocol::Http1, 1).await
            && let Some(connection) = connections.first_mut()
            && let Ok(reply) =
                connection.send(&endpoints.writer, "GET", NAMESPACE, &[], Bytes::new()).await
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

/// Starts all clients. Each runs until the server is killed. A client also sends requests as one of
/// the users, another one in each round.
pub(super) fn start(
    endpoints: Endpoints,
    cast: &TestUsers,
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
        let mut answered_log = AnsweredLog { answered: Vec::new(), answers: Arc::clone(&answers) };
        tasks.spawn(async move {
            // The client ends when the connection ends, which is not an error.
            work(
                [&endpoints.writer, &endpoints.refused, &person],
                (round, client),
                random,
                &mut answered_log,
            )
            .await
            .err();
            answered_log.answered
        });
    }
    Ok(Clients { tasks, answers })
}

/// The log of one client.
struct AnsweredLog {
    answered: Vec<Answered>,
    /// The number of responses of all clients.
    answers: Arc<AtomicUsize>,
}

/// Sends requests as the writer, as the user without permission, and as one of the users.
async fn work(
    [writer, refused, person]: [&Endpoint; 3],
    (round, client): (u32, usize),
    mut random: StdRng,
    answered_log: &mut AnsweredLog,
) -> anyhow::Result<()> {
    let protocol = if client.is_multiple_of(2) { Protocol::Http1 } else { Protocol::Http2 };
    let mut as_writer = writer.connections(protocol, 1).await?.remove(0);
    let mut as_refused = refused.connections(protocol, 1).await?.remove(0);
    let mut as_person = person.connections(protocol, 1).await?.remove(0);
    for number in 0_u64.. {
        let mark = format!("kill-{round}-{client}-{number}");
        let act = act(client, number, &mut random);
        let (connection, endpoint): (&mut Connection, _) = match act.sender {
            Sender::Writer => (&mut as_writer, writer),
            Sender::Refused => (&mut as_refused, refused),
            Sender::Person => (&mut as_person, person),
        };
        let headers = [("user-agent", mark.as_str()), ("content-type", act.content_type)];
        let reply = connection.send(endpoint, act.method, &act.path, &headers, act.body).await?;
        answered_log.answered.push(Answered { mark, code: reply.code });
        answered_log.answers.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
