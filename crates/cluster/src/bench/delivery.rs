//! Delivery beside the bare compressor: the same lines, the same level, in one run.
//!
//! A journal of events is delivered to a folder as objects: read, decoded, encoded, measured, hashed,
//! compressed, written. Then the same lines, already there in memory, go through the compressor
//! alone. Both are measured by the CPU time of this process, so that a second core does not flatter.

#![expect(clippy::cast_precision_loss, reason = "rates for people")]

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use delivery::Delivery;
use event::{Event, Timestamp};
use prometheus_client::registry::Registry;
use sha2::{Digest as _, Sha256};
use sink::Encoding;
use sink::bucket::{Bucket, Limits, Provider};
use store::Sqlite;

use super::machine;
use crate::archive;
use crate::kill::uploads::{destination, parts};

/// Events that are in flight to the writer at a time.
const IN_FLIGHT: u64 = 512;
/// Lines for the bare compressor, as many as fit into memory without disturbing anybody.
const SAMPLE: u64 = 100_000;
/// Bytes the compressor gets at a time, as delivery does.
const CHUNK_BYTES: usize = 1 << 20;
/// What the goal says: the share of the bare compressor, and events per core-second.
const GOALS: (f64, f64) = (0.70, 50_000.0);

/// Delivers so many events and prints how that compares.
pub fn delivery(events: u64) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let ours = runtime.block_on(haul(folder.path(), events))?;
    let bare = compress()?;
    let per_core = |count: u64, cpu: Duration| count as f64 / cpu.as_secs_f64();
    let (mine, theirs) = (per_core(events, ours.cpu), per_core(SAMPLE, bare.cpu));
    println!("| | events/s per core | MB/s per core | events/s | ratio |");
    println!("|---|---|---|---|---|");
    for (name, figures, rate) in [("delivery", &ours, mine), ("bare compressor", &bare, theirs)] {
        println!(
            "| {name} | {rate:.0} | {:.0} | {:.0} | {:.1} |",
            figures.raw as f64 / 1e6 / figures.cpu.as_secs_f64(),
            figures.events as f64 / figures.wall.as_secs_f64(),
            figures.raw as f64 / figures.packed as f64,
        );
    }
    println!(
        "\n{events} events of {} bytes; share of the bare compressor: {:.0} % (goal {:.0} %); \
         goal {:.0} events per core-second; memory before {:.1} MiB, at most {:.1} MiB",
        ours.raw / events,
        100.0 * mine / theirs,
        100.0 * GOALS.0,
        GOALS.1,
        ours.resident.0 as f64 / f64::from(1 << 20),
        ours.resident.1 as f64 / f64::from(1 << 20),
    );
    Ok(())
}

struct Figures {
    events: u64,
    raw: u64,
    packed: u64,
    cpu: Duration,
    wall: Duration,
    /// Before, and at most.
    resident: (u64, u64),
}

async fn haul(folder: &std::path::Path, events: u64) -> anyhow::Result<Figures> {
    let settings = store::Settings { limit_bytes: 1 << 40, ..store::Settings::default() };
    let store =
        Sqlite::open(&folder.join("store.db"), settings, Arc::new(|| 1_795_566_600_000_000))?;
    let mut pending = std::collections::VecDeque::new();
    for number in 1..=events {
        pending.push_back(store::record(&store, event::record::write(&event(number))));
        if pending.len() as u64 >= IN_FLIGHT {
            pending.pop_front().context("nothing pends")?.await?;
        }
    }
    for one in pending {
        one.await?;
    }
    let place = folder.join("place");
    std::fs::create_dir(&place)?;
    let delivery = Delivery::new(store.journal(), &mut Registry::default());
    let me = [std::process::id()];
    let before = machine::resident(me[0])?;
    let (cpu, start) = (machine::cpu(&me)?, machine::now());
    let provider = Provider::File { root: place.clone() };
    let bucket = Bucket::open(&destination(provider, Limits::default()), parts()?)?;
    delivery.attach("bench", bucket, 0).await?;
    let mut most = before;
    let delivered = delivery.delivered();
    tokio::pin!(delivered);
    loop {
        tokio::select! {
            () = &mut delivered => break,
            () = tokio::time::sleep(Duration::from_millis(50)) => most = most.max(machine::resident(me[0])?),
        }
    }
    let (wall, cpu) = (start.elapsed(), machine::cpu(&me)?.saturating_sub(cpu));
    delivery.close().await;
    store.close().await;
    let (mut raw, mut packed, mut lines) = (0, 0, 0);
    for bytes in archive::files(&place)?.values() {
        packed += bytes.len() as u64;
        for line in archive::lines(bytes)? {
            raw += line.len() as u64 + 1;
            lines += 1;
        }
    }
    ensure!(lines == events, "{lines} of {events} events arrived");
    Ok(Figures { events, raw, packed, cpu, wall, resident: (before, most) })
}

/// An event as different from its neighbours as real ones are: ids, times and versions of its own.
fn event(number: u64) -> Event {
    let mut event = archive::event(number);
    let noise: [u8; 32] = Sha256::digest(number.to_be_bytes()).into();
    let id = |at: usize| {
        let mut half = [0; 16];
        half.copy_from_slice(&noise[at..at + 16]);
        let id = u128::from_be_bytes(half);
        let part = |shift: u32, mask: u128| (id >> shift) & mask;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            part(96, 0xffff_ffff),
            part(80, 0xffff),
            part(64, 0xffff),
            part(48, 0xffff),
            part(0, 0xffff_ffff_ffff)
        )
    };
    let spread = i64::from(u16::from_be_bytes([noise[0], noise[1]]));
    let time =
        event.stage_timestamp.as_micros() + i64::try_from(number).unwrap_or(0) * 1000 + spread;
    event.audit_id = id(0);
    event.request_received_timestamp = Timestamp::from_micros(time);
    event.stage_timestamp = Timestamp::from_micros(time + spread / 16);
    let body = serde_json::json!({
        "kind": "RestorePoint", "apiVersion": "apps.kio.kasten.io/v1alpha1",
        "metadata": {"name": format!("rp-{number}"), "namespace": "shop", "uid": id(16),
            "resourceVersion": (number * 3 + u64::from(noise[2])).to_string(),
            "creationTimestamp": event.stage_timestamp.to_string()},
    });
    event.response_object = event::Json::of(&body).ok();
    event
}

/// The compressor alone.
fn compress() -> anyhow::Result<Figures> {
    let encoding = Encoding::Kasten(event::kasten::Labels::default());
    let mut lines = Vec::new();
    for number in 1..=SAMPLE {
        encoding.write(&event(number), &mut lines);
        lines.push(b'\n');
    }
    let me = [std::process::id()];
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let (cpu, start) = (machine::cpu(&me)?, machine::now());
    let mut packed = 0;
    let mut out = Vec::new();
    for chunk in lines.chunks(CHUNK_BYTES) {
        out.resize(compressor.gzip_compress_bound(chunk.len()), 0);
        packed += compressor.gzip_compress(chunk, &mut out).context("no room")? as u64;
    }
    let (wall, cpu) = (start.elapsed(), machine::cpu(&me)?.saturating_sub(cpu));
    Ok(Figures { events: SAMPLE, raw: lines.len() as u64, packed, cpu, wall, resident: (0, 0) })
}
