//! The kill test of uploads: kills the uploading process repeatedly (SIGKILL) while it uploads
//! objects and moves cursors. At the end, every event is in exactly one object of each reader.
//!
//! The killed process is this program itself in another role ([`upload`]): it records numbered
//! events and uploads them for two readers. The object store is in the parent process, is not
//! killed, and sometimes responds late or with an error.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use delivery::Delivery;
use event::Timestamp;
use objectstore::{
    Bucket, BucketConfig, Credentials, Destination, Limits, Prefix, Provider, S3, WorkloadIdentity,
};
use prometheus_client::registry::Registry;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sink::Encoding;
use sink::http::EgressPolicy;
use store::Sqlite;
use testkit::s3::{Fault, S3Double};

use crate::fixtures::archive;
use crate::fixtures::process::Process;

/// The readers, with the approximate number of events per object.
const READERS: [(&str, usize); 2] = [("small", 5), ("large", 60)];
/// The largest backlog: large enough that kills interrupt uploads, and small enough that the test
/// ends.
const LAG_MAX: u64 = 500;
/// The file by which the child reports that it has started.
const READY: &str = "ready";
/// The uploading process is killed after a random time in this range, in milliseconds.
const RUN_MS: std::ops::Range<u64> = 20..220;

/// Kills `child` (this program) this often. Fails at the end with the first difference.
pub async fn uploads(child: &Path, rounds: u32, seed: Option<u64>) -> anyhow::Result<()> {
    let seed = seed.unwrap_or_else(rand::random);
    println!("kill test of uploads: {rounds} rounds, --seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut random_faults = StdRng::seed_from_u64(random.random());
    let double = S3Double::start(Box::new(move |_| match random_faults.random_range(0..40) {
        0 => Some(Fault::StoreThenClose),
        1 => Some(Fault::StoreThenError(500, "InternalError")),
        2 => Some(Fault::CloseInBody),
        _ => None,
    }))
    .await?;
    let folder = tempfile::tempdir()?;
    let ready = folder.path().join(READY);
    for _ in 0..rounds {
        let mut uploader = start(child, folder.path(), &double.endpoint(), false)?;
        while !ready.exists() {
            uploader.check()?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(RUN_MS))).await;
        uploader.kill()?;
        std::fs::remove_file(&ready)?;
    }
    let mut last = start(child, folder.path(), &double.endpoint(), true)?;
    tokio::task::spawn_blocking(move || {
        crate::fixtures::until("everything is delivered", || {
            if last.check().is_ok() { Ok(None) } else { Ok(Some(())) }
        })
    })
    .await??;
    let store = Sqlite::open(&folder.path().join("store.db"), store::Settings::default(), clock())?;
    let recorded = store.journal().last_seq();
    store.close().await;
    let objects = double.objects();
    for (reader, _) in READERS {
        let delivered = archive::numbers(&objects, reader)?;
        let expected: Vec<u64> = (1..=recorded).collect();
        ensure!(
            delivered == expected,
            "--seed {seed}: {reader} has {} of {recorded} events",
            delivered.len()
        );
    }
    ensure!(recorded > 2 * u64::from(rounds), "too little was recorded: {recorded}");
    let (requests, faults) = double.counts();
    println!(
        "kill test of uploads passed: {rounds} kills, {recorded} events, {} objects, {requests} requests, {faults} of them faulty",
        objects.len()
    );
    Ok(())
}

fn start(child: &Path, folder: &Path, endpoint: &str, finish: bool) -> anyhow::Result<Process> {
    let mut arguments = vec!["upload".to_owned(), "--folder".to_owned()];
    arguments.extend([folder.display().to_string(), "--endpoint".to_owned(), endpoint.to_owned()]);
    if finish {
        arguments.push("--finish".to_owned());
    }
    Process::start("upload", child, &arguments, folder)
}

/// Records and uploads until it is killed; with `finish`, uploads the rest and returns.
pub async fn upload(folder: &Path, endpoint: &str, finish: bool) -> anyhow::Result<()> {
    let store = Sqlite::open(&folder.join("store.db"), store::Settings::default(), clock())?;
    let delivery = Delivery::new(store.journal(), &mut Registry::default());
    for (reader, events) in READERS {
        let limits = Limits {
            seal_bytes: 1300 * events,
            seal_age: Duration::from_millis(5),
            ..Limits::default()
        };
        let provider = Provider::S3(S3 {
            endpoint: Some(endpoint.to_owned()),
            region: String::new(),
            path_style: true,
        });
        let bucket = Bucket::open(&destination(provider, limits), bucket_config()?)?;
        delivery.attach(reader, bucket, 0).await?;
    }
    if finish {
        delivery.delivered().await;
        delivery.close().await;
        store.close().await;
        return Ok(());
    }
    std::fs::write(folder.join(READY), [])?;
    // Each run continues with the number after the last durable one.
    for number in store.journal().last_seq() + 1.. {
        let recorded = store::append(&store, archive::record(number));
        if number.is_multiple_of(8) {
            recorded.await.context("a record was refused")?;
            while store.journal().readers().iter().any(|reader| reader.lag > LAG_MAX) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    Ok(())
}

/// A destination for tests.
pub(crate) fn destination(provider: Provider, limits: Limits) -> Destination {
    Destination {
        provider,
        bucket: "archive".to_owned(),
        prefix: Prefix::default(),
        skip_tls_verify: false,
        ca_pem: None,
        credentials: Credentials::AwsAccessKey {
            access_key_id: crate::emulators::s3::ACCESS_KEY.to_owned(),
            secret_access_key: crate::emulators::s3::SECRET_KEY.into(),
            session_token: None,
            role: None,
        },
        retention: None,
        limits,
    }
}

/// The bucket configuration: connections to loopback are allowed.
pub(crate) fn bucket_config() -> anyhow::Result<BucketConfig> {
    let egress = EgressPolicy {
        allowed: vec!["127.0.0.0/8".parse()?],
        plain_http: true,
        ..EgressPolicy::default()
    };
    Ok(BucketConfig {
        cluster: "test".to_owned(),
        encoding: Encoding::Kasten(event::k10::LineContext::default()),
        egress,
        workload_identity: WorkloadIdentity::default(),
        clock: Arc::new(now),
    })
}

fn clock() -> store::Clock {
    Arc::new(|| now().as_micros())
}

#[expect(clippy::disallowed_methods, reason = "signatures want the time of day")]
fn now() -> Timestamp {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_micros(
        elapsed.map_or(0, |elapsed| i64::try_from(elapsed.as_micros()).unwrap_or(0)),
    )
}
