//! Measures a server in a cluster without users: objects and heartbeats an hour, CPU time and
//! memory.
//!
//! The cluster is a kube-apiserver with its aggregator and kube-controller-manager. They poll and
//! watch the server, and everything is recorded. Deliberately absent: a bucket; the objects go to a
//! folder, through the same queue.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;

use super::{POLICY, machine};
use crate::fixtures::archive;
use crate::fixtures::control_plane::ControlPlane;
use crate::fixtures::keepwatch::{ExtraArgs, Keepwatch};
use crate::fixtures::proc_status;
use crate::fixtures::wait::until;

/// Maximum number of objects in an hour.
const OBJECTS_MAX: usize = 12;
/// The claim that the objects are written to.
const CLAIM: &str = "idle";
const DEFINITIONS: &str =
    include_str!("../../../../charts/keepwatch/crds/config.kio.kasten.io.yaml");

/// Runs the benchmark. It fails if there are more objects, or fewer heartbeats, than promised.
pub fn idle(minutes: u32) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plane = ControlPlane::start(folder.path())?;
    plane.apply(DEFINITIONS)?;
    // The default; other tests use less.
    let arguments = vec!["--audit-seal-age=1m".to_owned()];
    let extra = ExtraArgs { arguments, ..ExtraArgs::default() };
    let mut keepwatch = Keepwatch::start_with(&plane, POLICY, extra)?;
    let volume = keepwatch.volume(CLAIM)?;
    deliver(&plane)?;

    let pid = keepwatch.process.id();
    let objects = || archive::files(&volume).map(|files| files.len());
    let heartbeats = || {
        keepwatch.audit_log().matching(|event| event["Verb"] == "heartbeat").map(|list| list.len())
    };
    let (first_objects, first_heartbeats, cpu) = (objects()?, heartbeats()?, machine::cpu(&[pid])?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async { tokio::time::sleep(Duration::from_mins(u64::from(minutes))).await });
    let (objects, heartbeats) = (objects()? - first_objects, heartbeats()? - first_heartbeats);
    let cpu = machine::cpu(&[pid])?.saturating_sub(cpu);
    let events = keepwatch.audit_log().events()?.len();
    keepwatch.process.check()?;
    println!(
        "{minutes} minutes: {objects} objects, {heartbeats} heartbeats, {events} events since the \
         start, {:.1} s of CPU time, {} MiB resident",
        cpu.as_secs_f64(),
        proc_status::vm_rss(pid)? >> 20
    );
    // The interval may begin just before an object or after a heartbeat.
    ensure!((objects.saturating_sub(1)) * 60 <= OBJECTS_MAX * minutes as usize, "too many objects");
    ensure!(heartbeats + 1 >= minutes as usize, "too few heartbeats");
    Ok(())
}

/// Delivers events to a folder by an `AuditConfig`, and waits until it is accepted.
fn deliver(plane: &ControlPlane) -> anyhow::Result<()> {
    let admin = plane.admin();
    admin.kubectl("wait --for=condition=Established customresourcedefinition auditconfigs.config.kio.kasten.io")?;
    let location = json!({"type": "FileStore", "fileStore": {"claimName": CLAIM}});
    for (kind, spec) in [
        ("Profile", json!({"type": "Location", "locationSpec": location})),
        ("AuditConfig", json!({"profile": {"name": CLAIM, "namespace": ""}})),
    ] {
        let manifest = json!({
            "apiVersion": "config.kio.kasten.io/v1alpha1", "kind": kind,
            "metadata": {"name": CLAIM, "namespace": "kasten-io"},
            "spec": spec,
        });
        plane.apply(&manifest.to_string())?;
    }
    until("the AuditConfig delivers", || {
        let config = admin.json(&format!("get auditconfig {CLAIM} -n kasten-io"))?;
        Ok((config["status"]["validation"] == "Success").then_some(()))
    })
}
