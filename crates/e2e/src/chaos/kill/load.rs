//! The load of the kill test, and the log of its clients.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;

use super::CLIENTS;
use super::requests::{Sender, next_request};
use super::users::Users;
use crate::fixtures::kubeconfig;
use crate::fixtures::load_client::{Connection, Endpoint, Protocol};
use crate::fixtures::process::Process;
use crate::fixtures::wait::WAIT_MAX;

/// The namespace of the collection, which a new server creates soon after it starts.
const NAMESPACE: &str = "/api/v1/namespaces/kasten-io";
/// The server's endpoints for its k10, its administrator, and a user without permission.
pub(super) struct Endpoints {
    pub(super) k10: Endpoint,
    pub(super) admin: Endpoint,
    unauthorized: Endpoint,
}

/// A request with a response, which the store must contain.
pub(super) struct LoggedResponse {
    /// The user agent or the audit ID that identifies its event.
    pub(super) id: String,
    /// The status code of the response.
    pub(super) code: u16,
}

/// The responses of one client.
#[derive(Default)]
pub(super) struct ResponseLog {
    responses: Vec<LoggedResponse>,
    /// The number of responses of all clients.
    response_count: Arc<AtomicUsize>,
}

impl ResponseLog {
    /// Adds a response whose body was read completely.
    pub(super) fn push(&mut self, id: String, code: u16) {
        self.responses.push(LoggedResponse { id, code });
        self.response_count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Running clients, and the number of their responses.
#[derive(Default)]
pub(super) struct Clients {
    tasks: JoinSet<Vec<LoggedResponse>>,
    response_count: Arc<AtomicUsize>,
}

impl Clients {
    /// Starts a client, which returns its log when its connection has ended.
    pub(super) fn spawn<F>(&mut self, client: impl FnOnce(ResponseLog) -> F)
    where
        F: Future<Output = ResponseLog> + Send + 'static,
    {
        let response_count = Arc::clone(&self.response_count);
        let client = client(ResponseLog { responses: Vec::new(), response_count });
        self.tasks.spawn(async move { client.await.responses });
    }

    /// Waits for all clients after the server was killed, and collects their logs.
    pub(super) async fn response_log(self) -> Vec<LoggedResponse> {
        self.tasks.join_all().await.into_iter().flatten().collect()
    }

    /// Waits until the clients have read this many responses.
    pub(super) async fn wait_for_responses(&self, response_count: usize) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + WAIT_MAX;
        while self.response_count.load(Ordering::Relaxed) < response_count {
            anyhow::ensure!(
                tokio::time::Instant::now() < deadline,
                "fewer than {response_count} responses"
            );
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
            && let Ok(mut connections) = endpoints.k10.connections(Protocol::Http1, 1).await
            && let Some(connection) = connections.first_mut()
            && let Ok(reply) =
                connection.send(&endpoints.k10, "GET", NAMESPACE, &[], Bytes::new()).await
            && reply.code == 200
        {
            return Ok(endpoints);
        }
        anyhow::ensure!(
            tokio::time::Instant::now() < deadline,
            "not ready:\n{}",
            server.log_tail()
        );
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

fn read(home: &Path) -> anyhow::Result<Endpoints> {
    let kubeconfig = kubeconfig::read(home)?;
    Ok(Endpoints {
        k10: kubeconfig.endpoint("kasten")?,
        admin: kubeconfig.endpoint("admin")?,
        unauthorized: kubeconfig.endpoint("alice")?,
    })
}

/// Starts all clients. Each runs until the server is killed. A client also sends requests as one of
/// the users, another one in each round.
pub(super) fn start(
    endpoints: Endpoints,
    users: &Users,
    round: u32,
    seed: u64,
) -> anyhow::Result<Clients> {
    let endpoints = Arc::new(endpoints);
    let mut clients = Clients::default();
    for client in 0..CLIENTS {
        let endpoints = Arc::clone(&endpoints);
        let random = StdRng::seed_from_u64(seed.wrapping_add(client as u64));
        let user = users.endpoint(client + CLIENTS * round as usize, &endpoints.k10)?;
        clients.spawn(|mut response_log| async move {
            // The client ends when the connection ends, which is not an error.
            run_client(
                [&endpoints.k10, &endpoints.unauthorized, &user],
                (round, client),
                random,
                &mut response_log,
            )
            .await
            .err();
            response_log
        });
    }
    Ok(clients)
}

/// Sends requests as the k10, as the user without permission, and as one of the users.
async fn run_client(
    [k10, unauthorized, user]: [&Endpoint; 3],
    (round, client): (u32, usize),
    mut random: StdRng,
    response_log: &mut ResponseLog,
) -> anyhow::Result<()> {
    let protocol = if client.is_multiple_of(2) { Protocol::Http1 } else { Protocol::Http2 };
    let mut k10_connection = k10.connections(protocol, 1).await?.remove(0);
    let mut unauthorized_connection = unauthorized.connections(protocol, 1).await?.remove(0);
    let mut user_connection = user.connections(protocol, 1).await?.remove(0);
    for number in 0_u64.. {
        let user_agent = format!("kill-{round}-{client}-{number}");
        let request = next_request(client, number, &mut random);
        let (connection, endpoint): (&mut Connection, _) = match request.sender {
            Sender::K10 => (&mut k10_connection, k10),
            Sender::Unauthorized => (&mut unauthorized_connection, unauthorized),
            Sender::User => (&mut user_connection, user),
        };
        let headers = [("user-agent", user_agent.as_str()), ("content-type", request.content_type)];
        let reply = connection
            .send(endpoint, request.method, &request.path, &headers, request.body)
            .await?;
        response_log.push(user_agent, reply.code);
    }
    Ok(())
}
