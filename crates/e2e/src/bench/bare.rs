//! A minimal durable API server as a baseline: TLS, HTTP, one event per request with its bodies,
//! and a commit of that event before the response is sent.
//!
//! Its durability and the sizes of its bodies and events are Keepwatch's. Deliberately without
//! authorization, validation, watches, metrics, limits or sinks: it is the baseline of `bench apiserver --bare`, in the same run and with the same client. It supports only
//! the requests of that client.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rusqlite::Connection;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsAcceptor;

/// Maximum number of commits in the writer's queue and in one transaction.
const QUEUE: usize = 512;
/// The store's settings: pages of 16 KiB, a checkpoint after 1,000 pages of write-ahead log.
const SCHEMA: &str =
    "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    PRAGMA locking_mode = EXCLUSIVE; PRAGMA wal_autocheckpoint = 1000;
    CREATE TABLE events (seq INTEGER PRIMARY KEY, record BLOB NOT NULL) STRICT;
    CREATE TABLE objects (id INTEGER PRIMARY KEY, name TEXT NOT NULL, value BLOB NOT NULL) STRICT;";

/// The end of a stored object, with as many bytes as Keepwatch adds to a `BackupAction`: the two
/// servers store, record and send bodies of the same size.
const COMPLETION: &[u8] = br#","status":{"state":"Pending","startTime":"2026-11-30T12:00:00Z","endTime":null,"progress":0},"added":{"namespace":"kube-public","uid":"2f8b7f3f-9a10-4f6e-9d2a-5f7c2f0e0c1b","resourceVersion":"1795000000000000","generation":1,"creationTimestamp":"2026-11-30T12:00:00Z","k10.kasten.io/appName":"kube-public","k10.kasten.io/appNamespace":"kube-public","k10.kasten.io/appType":"namespace"}}"#;
/// The fields of an event that do not differ between requests here.
const EVENT_FIELDS: &str = r#","auditID":"9d0a4b3c-1111-4222-8333-444455556666","stage":"ResponseComplete","groups":["system:masters","system:authenticated"],"sourceIPs":["127.0.0.1"],"received":"2026-11-30T12:00:00.000000Z","time":"2026-11-30T12:00:00.000000Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}"#;

/// The rows that one request adds to the database.
struct Commit {
    event: Vec<u8>,
    object: Option<(String, Bytes)>,
    committed: oneshot::Sender<()>,
}

struct Server {
    objects: Mutex<HashMap<String, Bytes>>,
    writer: mpsc::Sender<Commit>,
}

/// The only field of an object that this server reads.
#[derive(Deserialize)]
struct Object<'o> {
    #[serde(borrow)]
    metadata: Metadata<'o>,
}

#[derive(Deserialize)]
struct Metadata<'m> {
    name: &'m str,
}

/// Serves until the process is killed. `folder` contains `serving.crt`, `serving.key` and
/// `client-ca.crt`; the database is created there.
pub fn bare_server(folder: &Path, port: u16) -> anyhow::Result<()> {
    let database = Connection::open(folder.join("bare.db"))?;
    database.execute_batch(SCHEMA)?;
    let (writer, commits) = mpsc::channel(QUEUE);
    std::thread::spawn(move || write(database, commits));
    let server = Arc::new(Server { objects: Mutex::default(), writer });
    let acceptor = TlsAcceptor::from(Arc::new(tls(folder)?));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(accept(server, acceptor, SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
}

fn tls(folder: &Path) -> anyhow::Result<ServerConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(folder.join("client-ca.crt"))? {
        roots.add(certificate?)?;
    }
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(folder.join("serving.crt"))?.collect();
    let key = PrivateKeyDer::from_pem_file(folder.join("serving.key"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients.build()?)
        .with_single_cert(chain?, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[expect(clippy::disallowed_methods, reason = "this process ends by being killed")]
async fn accept(
    server: Arc<Server>,
    acceptor: TlsAcceptor,
    address: SocketAddr,
) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await.context("cannot listen")?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (server, acceptor) = (Arc::clone(&server), acceptor.clone());
        tokio::spawn(async move {
            stream.set_nodelay(true).ok();
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2".as_slice());
            let service = service_fn(|request| respond(Arc::clone(&server), request));
            let io = TokioIo::new(stream);
            if is_http2 {
                http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await.ok();
            } else {
                http1::Builder::new().serve_connection(io, service).await.ok();
            }
        });
    }
}

async fn respond(
    server: Arc<Server>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let outcome = match (&head.method, path.rsplit_once('/')) {
        (&Method::POST, _) => create(body).await.map(|(name, request_body, object)| {
            server.objects().insert(format!("{path}/{name}"), object.clone());
            (StatusCode::CREATED, Some((name, request_body)), object)
        }),
        (_, Some((_, last))) if last.starts_with("object-") => {
            let object = server.objects().get(path).cloned();
            object.map(|object| (StatusCode::OK, None, object))
        }
        _ => Some((StatusCode::OK, None, server.list(path))),
    };
    let (code, created, body) =
        outcome.unwrap_or((StatusCode::NOT_FOUND, None, Bytes::from_static(b"{}")));
    let user = head.headers.get("x-remote-user").and_then(|user| user.to_str().ok());
    let mut event = format!(
        r#"{{"verb":"{}","uri":"{}","user":"{}","code":{}{EVENT_FIELDS}"#,
        head.method,
        head.uri,
        user.unwrap_or_default(),
        code.as_u16()
    )
    .into_bytes();
    let request_body = created.as_ref().map(|(_, request_body)| request_body);
    for (field, part) in [("requestObject", request_body), ("responseObject", Some(&body))] {
        if let Some(part) = part {
            event.extend_from_slice(format!(r#","{field}":"#).as_bytes());
            event.extend_from_slice(part);
        }
    }
    event.push(b'}');
    let object = created.map(|(name, _)| (name, body.clone()));
    let (committed, durable) = oneshot::channel();
    let is_sent = server.writer.send(Commit { event, object, committed }).await.is_ok();
    let is_durable = is_sent && durable.await.is_ok();
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = if is_durable { code } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(response)
}

/// Returns the name, the sent body, and the object that is stored and returned.
async fn create(body: Incoming) -> Option<(String, Bytes, Bytes)> {
    let request_body = body.collect().await.ok()?.to_bytes();
    let name = serde_json::from_slice::<Object<'_>>(&request_body).ok()?.metadata.name.to_owned();
    let mut object = request_body.strip_suffix(b"}")?.to_vec();
    object.extend_from_slice(COMPLETION);
    Some((name, request_body, object.into()))
}

impl Server {
    fn objects(&self) -> std::sync::MutexGuard<'_, HashMap<String, Bytes>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A list of the objects in no particular order; the client ignores its contents.
    fn list(&self, path: &str) -> Bytes {
        let objects = self.objects();
        let mut list = br#"{"kind":"List","items":["#.to_vec();
        for number in 0..super::LISTED {
            if let Some(object) = objects.get(&format!("{path}/object-{number}")) {
                if number > 0 {
                    list.push(b',');
                }
                list.extend_from_slice(object);
            }
        }
        list.extend_from_slice(b"]}");
        list.into()
    }
}

/// Commits the changes that arrived during the last transaction. A disk error ends the benchmark:
/// the responses stop.
fn write(mut database: Connection, mut commits: mpsc::Receiver<Commit>) {
    while let Some(first) = commits.blocking_recv() {
        let mut group = vec![first];
        while group.len() < QUEUE
            && let Ok(next) = commits.try_recv()
        {
            group.push(next);
        }
        if commit(&mut database, &group).is_err() {
            return;
        }
        for commit in group {
            commit.committed.send(()).ok();
        }
    }
}

fn commit(database: &mut Connection, group: &[Commit]) -> rusqlite::Result<()> {
    let transaction = database.transaction()?;
    {
        let mut record = transaction.prepare("INSERT INTO events (record) VALUES (?1)")?;
        let mut created =
            transaction.prepare("INSERT INTO objects (name, value) VALUES (?1, ?2)")?;
        for Commit { event, object, .. } in group {
            record.execute([event.as_slice()])?;
            if let Some((name, value)) = object {
                created.execute((name, value.as_ref()))?;
            }
        }
    }
    transaction.commit()
}
