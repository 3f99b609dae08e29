//! Writes whose request times out, or whose client disconnects, while the store has them.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use apiserver::authn::Anonymous;
use apiserver::limits::Limits;
use async_trait::async_trait;
use bytes::Bytes;
use store::{
    Health, ListOptions, Object, Page, PendingCommit, ReadError, Sqlite, Storage, StoreError,
    TransactionFn, Watch,
};

use crate::harness::{Protocol, TestServer, TestServerOptions, check_record, thing};

const THINGS: &str = "/apis/test.io/v1/namespaces/shop/things";
/// Longer than the timeout of the requests here.
const LATE: Duration = Duration::from_millis(1500);

/// Sends a create of `name` with a timeout of 50 ms, while `held` blocks the writer.
async fn check_late(name: &str, code: u16, record: &str) {
    let server = TestServer::open().await;
    let mut first = server.client("alice").await;
    let mut second = server.client("alice").await;
    let writer_lock = server.gate.writer.lock().await;
    let (body, other) = (thing("held"), thing(name));
    let late = format!("{THINGS}?timeout=50ms");
    let path = if name == "held" { &late } else { THINGS };
    let mut begun = std::pin::pin!(first.post(path, &body));
    tokio::select! {
        response = &mut begun => panic!("the writer is blocked, but {response:?}"),
        () = server.gate.arrived.notified() => {}
    }
    if name == "held" {
        let early = tokio::time::timeout(LATE, &mut begun).await;
        assert!(early.is_err(), "no response before the outcome is known: {early:?}");
        drop(writer_lock);
        assert_eq!(begun.await.code, code);
    } else {
        let mut waiting = std::pin::pin!(second.post(&late, &other));
        let early = tokio::time::timeout(LATE, &mut waiting).await;
        assert!(early.is_err(), "no response before the event is recorded: {early:?}");
        drop(writer_lock);
        assert_eq!((waiting.await.code.as_u16(), begun.await.code.as_u16()), (code, 201));
    }
    let mut alice = server.client("alice").await;
    let exists = alice.call("GET", &format!("{THINGS}/{name}")).await.code;
    assert_eq!(
        exists == 200,
        code == 201,
        "the object exists only if the response reports success"
    );
    check_record(server, record).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claimed_write_is_answered_with_its_outcome() {
    check_late(
        "held",
        201,
        "
        ResponseComplete create /apis/test.io/v1/namespaces/shop/things?timeout=50ms 201 alice
        ResponseComplete get /apis/test.io/v1/namespaces/shop/things/held 200 alice
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queued_write_is_cancelled_on_timeout() {
    check_late(
        "other",
        504,
        "
        ResponseComplete create /apis/test.io/v1/namespaces/shop/things 201 alice
        ResponseComplete create /apis/test.io/v1/namespaces/shop/things?timeout=50ms 504 alice
        ResponseComplete get /apis/test.io/v1/namespaces/shop/things/other 404 alice
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_own_timeout_cancels_as_well() {
    let limits = Limits { request_time_max: Duration::from_millis(50), ..Limits::default() };
    let server = TestServer::open_with(limits, Anonymous::Refused).await;
    let mut alice = server.client("alice").await;
    let writer_lock = server.gate.writer.lock().await;
    let body = thing("held");
    let mut begun = std::pin::pin!(alice.post(THINGS, &body));
    assert!(tokio::time::timeout(LATE, &mut begun).await.is_err());
    drop(writer_lock);
    assert_eq!(begun.await.code, 201);
    check_record(
        server,
        "ResponseComplete create /apis/test.io/v1/namespaces/shop/things 201 alice",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnect_during_a_write_leaves_one_event() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let server = TestServer::open().await;
        let mut leaving = server.client_of("alice", &[], protocol).await;
        let (writer_lock, body) = (server.gate.writer.lock().await, thing("held"));
        tokio::select! {
            response = leaving.post(THINGS, &body) => panic!("{response:?}"),
            () = server.gate.arrived.notified() => {}
        }
        leaving.abort();
        drop(writer_lock);
        check_record(
            server,
            "ResponseComplete create /apis/test.io/v1/namespaces/shop/things 201 alice",
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_on_the_writer_is_a_panic_of_the_request() {
    let server = TestServer::open().await;
    let mut alice = server.client("alice").await;
    assert_eq!(alice.post(THINGS, &thing("burst")).await.code, 500);
    assert_eq!(alice.post(THINGS, &thing("one")).await.code, 201);
    assert_eq!(alice.call("GET", &format!("{THINGS}/burst")).await.code, 404);
    check_record(
        server,
        "
        Panic create /apis/test.io/v1/namespaces/shop/things 500 alice
        ResponseComplete create /apis/test.io/v1/namespaces/shop/things 201 alice
        ResponseComplete get /apis/test.io/v1/namespaces/shop/things/burst 404 alice
        ",
    )
    .await;
}

/// A store that reports a full disk for each change: before the transaction begins, or after the
/// write, when the outcome is in doubt.
struct Full {
    store: Arc<Sqlite>,
    begins: bool,
}

#[async_trait]
impl Storage for Full {
    async fn get(&self, key: &str) -> Result<Option<Arc<Object>>, ReadError> {
        self.store.get(key).await
    }

    async fn newest_revision(&self) -> Result<u64, ReadError> {
        self.store.newest_revision().await
    }

    fn observed_revision(&self) -> u64 {
        self.store.observed_revision()
    }

    async fn wait_for_revision(&self, revision: u64) -> Result<(), ReadError> {
        self.store.wait_for_revision(revision).await
    }

    fn oldest_revision(&self) -> u64 {
        self.store.oldest_revision()
    }

    async fn list(&self, prefix: &str, options: ListOptions) -> Result<Page, ReadError> {
        self.store.list(prefix, options).await
    }

    async fn watch(&self, prefix: &str, after: u64) -> Result<Watch, ReadError> {
        self.store.watch(prefix, after).await
    }

    fn submit(&self, work: TransactionFn) -> PendingCommit {
        if self.begins {
            let (begun, wait) = mpsc::channel();
            drop(self.store.submit(Box::new(move |transaction| {
                work(transaction);
                begun.send(()).unwrap();
            })));
            wait.recv().unwrap();
        }
        PendingCommit::rejected(StoreError::NoSpace)
    }

    fn append(&self, record: Bytes) -> PendingCommit {
        self.store.append(record)
    }

    fn health(&self) -> Health {
        self.store.health()
    }

    fn take_rejected(&self) -> u64 {
        self.store.take_rejected()
    }
}

async fn check_full(storage: fn(Arc<Sqlite>) -> Arc<dyn Storage>, record: &str) {
    let server =
        TestServer::open_options(TestServerOptions { storage, ..TestServerOptions::default() })
            .await;
    let mut alice = server.client("alice").await;
    let refused = alice.post(THINGS, &thing("one")).await;
    assert_eq!(refused.code, 503, "{}", refused.body);
    assert!(refused.headers.contains_key("retry-after"));
    assert!(refused.body.contains("no space is left on the disk"), "{}", refused.body);
    server.store.journal().wait_past(0).await.unwrap();
    alice.call("GET", &format!("{THINGS}/one")).await;
    check_record(server, record).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_in_doubt_change_has_only_its_own_event() {
    check_full(
        |store| Arc::new(Full { store, begins: true }),
        "
        ResponseComplete create /apis/test.io/v1/namespaces/shop/things 201 alice
        ResponseComplete get /apis/test.io/v1/namespaces/shop/things/one 200 alice
        ResponseComplete gap  503 system:keepwatch
        ",
    )
    .await;
    check_full(
        |store| Arc::new(Full { store, begins: false }),
        "
        ResponseComplete create /apis/test.io/v1/namespaces/shop/things 503 alice
        ResponseComplete get /apis/test.io/v1/namespaces/shop/things/one 404 alice
        ",
    )
    .await;
}
