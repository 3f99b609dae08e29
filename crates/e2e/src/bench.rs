//! Compares the API server with Go's sample-apiserver, on the same machine, in one run.
//!
//! Both get the same requests from the same client: a front proxy with a user in `system:masters`,
//! so that neither server sends a SubjectAccessReview, over HTTP/1.1 with 32 connections and HTTP/2
//! with 2 connections of 16 streams. Both record everything at `RequestResponse`. The
//! sample-apiserver does not wait until its audit log is on disk, and its etcd does not fsync;
//! Keepwatch responds after the event is durable. CPU is the operating system's count for the
//! server and its store.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "prints a table, and how far it is")]

mod bare;
pub(crate) mod constant_rate;
mod delivery;
mod idle;
mod index;
mod ingestion;
pub(crate) mod machine;
mod proxy;
mod report;
mod signals;
mod traffic;
mod weight;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;

use crate::fixtures::control_plane::ControlPlane;
use crate::fixtures::extension::Extension;
use crate::fixtures::keepwatch::{ExtraArgs, Keepwatch};
use crate::fixtures::load_client::{Endpoint, Protocol};
use crate::fixtures::proc_status;
use crate::fixtures::process::{Process, free_port};
use crate::fixtures::sample_apiserver::SampleApiserver;

pub use bare::bare_server;
pub use delivery::{compress, delivery};
pub use idle::idle;
pub use index::index;
pub use ingestion::ingestion;
pub use proxy::proxy;
use report::{Case, Figures, Row};
pub use signals::signals;
pub use weight::weight;

/// Requests in flight of each case: one per connection, or per stream.
const CONNECTIONS: usize = 32;
/// Number of objects in the listed namespace.
const LISTED: usize = 100;
/// Namespace of the objects that are read.
const LIST_NAMESPACE: &str = "default";
/// Namespace of the objects that are created. It is another one, so that lists keep their length.
const CREATE_NAMESPACE: &str = "kube-public";
/// The audit policy of both servers.
const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\n\
rules:\n- level: RequestResponse\n";

/// Turns of the comparison with a server without detection. Single turns differ by more than the
/// cost of the detector.
const TURNS: usize = 6;

/// Turns of the comparison with the bare server.
const BARE_TURNS: usize = 3;

/// What the API server is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// Go's sample-apiserver.
    SampleApiserver,
    /// Keepwatch without the detector.
    NoDetection,
    /// A minimal durable server, see the module `bare`.
    Bare,
    /// Nothing, for profiling.
    Nothing,
}

/// Runs all cases and prints the results with their ratios.
pub fn apiserver(seconds: u32, baseline: Baseline) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let mut plane = ControlPlane::start(folder.path())?;
    let mut rows = Vec::new();
    let duration = Duration::from_secs(u64::from(seconds));
    if baseline == Baseline::NoDetection {
        return detection(&runtime, &plane, duration);
    }
    if baseline == Baseline::Bare {
        // Nothing watches the bare server, so nothing must watch ours.
        plane.stop_controller_manager()?;
        return bare(&runtime, &plane, duration);
    }
    if baseline == Baseline::SampleApiserver {
        let peer = SampleApiserver::start(&plane, POLICY)?;
        let subject = sample_apiserver_subject(&plane, &peer)?;
        runtime.block_on(measure("sample-apiserver", &subject, duration, &mut rows))?;
    }
    let server = Keepwatch::start(&plane, POLICY)?;
    let subject = keepwatch_subject(&plane, &server)?;
    runtime.block_on(measure("keepwatch", &subject, duration, &mut rows))?;
    if baseline == Baseline::SampleApiserver {
        print!("{}", report::markdown(&rows, machine::fsync(folder.path())?));
    }
    Ok(())
}

/// Compares with the bare server, in turns.
fn bare(
    runtime: &tokio::runtime::Runtime,
    plane: &ControlPlane,
    duration: Duration,
) -> anyhow::Result<()> {
    let (mut bare_rows, mut keepwatch_rows) = (Vec::new(), Vec::new());
    for _ in 0..BARE_TURNS {
        let folder = tempfile::tempdir_in(plane.folder())?;
        let (process, subject) = start_bare(plane, folder.path())?;
        runtime.block_on(measure("bare", &subject, duration, &mut bare_rows))?;
        drop(process);
        let server = Keepwatch::start(plane, POLICY)?;
        runtime.block_on(measure(
            "keepwatch",
            &keepwatch_subject(plane, &server)?,
            duration,
            &mut keepwatch_rows,
        ))?;
        let data = server.data();
        drop(server);
        std::fs::remove_dir_all(data)?;
    }
    print!("{}", report::multiples(&bare_rows, &keepwatch_rows));
    Ok(())
}

/// Starts the bare server as a separate process, so that its CPU time does not include the
/// client's.
fn start_bare(
    plane: &ControlPlane,
    folder: &std::path::Path,
) -> anyhow::Result<(Process, Subject)> {
    let extension = Extension::new("bare", "api", &[]);
    extension.serving_identity().write(folder, "serving");
    std::fs::copy(plane.folder().join("front-proxy-ca.crt"), folder.join("client-ca.crt"))?;
    let port = free_port()?;
    let arguments = [
        "bare-server".to_owned(),
        format!("--folder={}", folder.display()),
        format!("--port={port}"),
    ];
    let mut process = Process::start("bare", &std::env::current_exe()?, &arguments, folder)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    process.wait_listening(address)?;
    let subject = backup_actions(front_proxy(plane, &extension, address)?, process.id());
    Ok((process, subject))
}

/// Compares with and without the detector, in turns, each with an empty store.
fn detection(
    runtime: &tokio::runtime::Runtime,
    plane: &ControlPlane,
    duration: Duration,
) -> anyhow::Result<()> {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let mut pair = [
            ("without detection", "--siem-detection=false", &mut without),
            ("keepwatch", "--siem-detection=true", &mut with),
        ];
        // Each is first equally often, because the speed of the machine changes over minutes.
        if turn % 2 == 1 {
            pair.reverse();
        }
        for (name, flag, rows) in pair {
            let extra = ExtraArgs { arguments: vec![flag.to_owned()], ..ExtraArgs::default() };
            let server = Keepwatch::start_with(plane, POLICY, extra)?;
            runtime.block_on(machine::cpu_when_idle(&[server.process.id()]))?;
            let idle = proc_status::vm_rss(server.process.id())?;
            eprintln!("{name}: {} KiB idle", idle / 1024);
            runtime.block_on(measure(name, &keepwatch_subject(plane, &server)?, duration, rows))?;
            let data = server.data();
            drop(server);
            std::fs::remove_dir_all(data)?;
        }
    }
    print!("{}", report::costs(&without, &with));
    Ok(())
}

fn keepwatch_subject(plane: &ControlPlane, server: &Keepwatch) -> anyhow::Result<Subject> {
    let endpoint = front_proxy(plane, &server.extension, server.address())?;
    Ok(backup_actions(endpoint, server.process.id()))
}

/// The requests for Keepwatch and the bare server.
fn backup_actions(endpoint: Endpoint, pid: u32) -> Subject {
    Subject {
        endpoint,
        collection: "/apis/actions.kio.kasten.io/v1alpha1/namespaces",
        resource: "backupactions",
        api_version: "actions.kio.kasten.io/v1alpha1",
        kind: "BackupAction",
        spec: |namespace| serde_json::json!({"subject": {"name": namespace, "namespace": namespace}}),
        pids: vec![pid],
    }
}

fn sample_apiserver_subject(
    plane: &ControlPlane,
    peer: &SampleApiserver,
) -> anyhow::Result<Subject> {
    Ok(Subject {
        endpoint: front_proxy(plane, &peer.extension, peer.address)?,
        collection: "/apis/wardle.example.com/v1alpha1/namespaces",
        resource: "flunders",
        api_version: "wardle.example.com/v1alpha1",
        kind: "Flunder",
        spec: |_| serde_json::json!({"reference": "object-0"}),
        pids: vec![peer.process.id(), plane.etcd_pid()],
    })
}

/// A server under test.
struct Subject {
    endpoint: Endpoint,
    collection: &'static str,
    resource: &'static str,
    api_version: &'static str,
    kind: &'static str,
    spec: fn(&str) -> serde_json::Value,
    pids: Vec<u32>,
}

impl Subject {
    fn object(&self, namespace: &str, name: &str) -> Bytes {
        serde_json::json!({
            "apiVersion": self.api_version,
            "kind": self.kind,
            "metadata": {
                "name": name,
                "labels": {"app": "shop", "team": "storefront", "tier": "backend"},
                "annotations": {"example.com/note": "x".repeat(180)},
            },
            "spec": (self.spec)(namespace),
        })
        .to_string()
        .into()
    }

    fn path(&self, namespace: &str) -> String {
        format!("{}/{namespace}/{}", self.collection, self.resource)
    }
}

pub(crate) fn front_proxy(
    plane: &ControlPlane,
    extension: &Extension,
    address: SocketAddr,
) -> anyhow::Result<Endpoint> {
    let identity = plane.front_proxy();
    Endpoint::new(
        address,
        &extension.server_name(),
        extension.authority(),
        &identity.certificate,
        &identity.key,
    )
}

async fn measure(
    name: &'static str,
    subject: &Subject,
    duration: Duration,
    rows: &mut Vec<Row>,
) -> anyhow::Result<()> {
    create_objects(subject)
        .await
        .with_context(|| format!("cannot create the objects of {name}"))?;
    for operation in ["GET", "LIST", "CREATE"] {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let case = Case { operation, protocol };
            // The first second is not measured, so that caches fill and connections open.
            run(subject, case, Duration::from_secs(1)).await?;
            let figures = run(subject, case, duration).await?;
            eprintln!("{name} {case}: {figures}");
            rows.push((name, case, figures));
        }
    }
    Ok(())
}

const ADMIN_HEADERS: [(&str, &str); 3] = [
    ("x-remote-user", "bench"),
    ("x-remote-group", "system:masters"),
    ("content-type", "application/json"),
];

/// Creates the objects to get and list.
async fn create_objects(subject: &Subject) -> anyhow::Result<()> {
    let mut connection = subject.endpoint.connections(Protocol::Http1, 1).await?.remove(0);
    for number in 0..LISTED {
        let body = subject.object(LIST_NAMESPACE, &format!("object-{number}"));
        connection
            .send(&subject.endpoint, "POST", &subject.path(LIST_NAMESPACE), &ADMIN_HEADERS, body)
            .await?
            .expect(201)?;
    }
    Ok(())
}

async fn run(subject: &Subject, case: Case, duration: Duration) -> anyhow::Result<Figures> {
    let connections = subject.endpoint.connections(case.protocol, CONNECTIONS).await?;
    let run = rand::random::<u32>();
    let server = subject.pids.get(..1).unwrap_or_default();
    let before = [machine::cpu(&subject.pids)?, machine::cpu(server)?];
    let start = machine::now();
    let context = Arc::new((
        subject.endpoint.clone(),
        subject.path(LIST_NAMESPACE),
        subject.path(CREATE_NAMESPACE),
    ));
    let mut tasks = tokio::task::JoinSet::new();
    for (number, mut connection) in connections.into_iter().enumerate() {
        let context = Arc::clone(&context);
        // The bodies of creates differ only in the name. The template is made here, so that it
        // costs both servers the same.
        let template = String::from_utf8(subject.object(CREATE_NAMESPACE, "NAME").to_vec())?;
        tasks.spawn(async move {
            let (endpoint, listed, created) = &*context;
            let mut latencies = Vec::new();
            let mut count = 0_u64;
            while start.elapsed() < duration {
                let request_start = machine::now();
                let (method, path, body, code) = match case.operation {
                    "GET" => ("GET", format!("{listed}/object-{}", count % 100), Bytes::new(), 200),
                    "LIST" => ("GET", listed.clone(), Bytes::new(), 200),
                    _ => {
                        let name = format!("o-{run}-{number}-{count}");
                        ("POST", created.clone(), template.replace("NAME", &name).into(), 201)
                    }
                };
                connection
                    .send(endpoint, method, &path, &ADMIN_HEADERS, body)
                    .await?
                    .expect(code)?;
                latencies.push(request_start.elapsed());
                count += 1;
            }
            anyhow::Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(result) = tasks.join_next().await {
        latencies.extend(result??);
    }
    let elapsed = start.elapsed();
    // Work that is left for these requests, for example writing their lines, is counted.
    let after = [machine::cpu_when_idle(&subject.pids).await?, machine::cpu(server)?];
    let cpu = [0, 1].map(|index| after[index].saturating_sub(before[index]));
    let rss = subject.pids.iter().map(|pid| proc_status::vm_rss(*pid));
    let rss = rss.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Figures::new(latencies, elapsed, cpu, &rss))
}
