//! Compares sample-apiserver that records everything itself with one that records nothing, behind
//! the proxy, which does.
//!
//! CPU is that of the server, its etcd and the proxy together.

use std::time::Duration;

use tokio::runtime::Runtime;

use super::report::Row;
use super::{POLICY, front_proxy, measure, report, sample_apiserver_subject};
use crate::fixtures::control_plane::ControlPlane;
use crate::fixtures::proxy::Proxy;
use crate::fixtures::sample_apiserver::SampleApiserver;

const NO_EVENTS: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n";

/// Turns of both, because single runs differ by more than the proxy costs.
const TURNS: usize = 3;

/// Runs all cases with both in turns, and prints the CPU time of each and the difference. `alone`
/// measures the proxy once, for a profiler.
pub fn proxy(seconds: u32, alone: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let duration = Duration::from_secs(u64::from(seconds));
    let (mut own_log, mut proxied) = (Vec::new(), Vec::new());
    if alone {
        return with_proxy(&runtime, duration, &mut proxied);
    }
    for turn in 0..TURNS {
        // Each is first at times, because the speed of the machine changes over minutes.
        if turn % 2 == 0 {
            with_own_log(&runtime, duration, &mut own_log)?;
            with_proxy(&runtime, duration, &mut proxied)?;
        } else {
            with_proxy(&runtime, duration, &mut proxied)?;
            with_own_log(&runtime, duration, &mut own_log)?;
        }
    }
    print!("{}", report::additions(&own_log, &proxied));
    Ok(())
}

fn with_own_log(runtime: &Runtime, duration: Duration, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plane = ControlPlane::start(folder.path())?;
    let peer = SampleApiserver::start(&plane, POLICY)?;
    let subject = sample_apiserver_subject(&plane, &peer)?;
    runtime.block_on(measure("sample-apiserver", &subject, duration, rows))
}

fn with_proxy(runtime: &Runtime, duration: Duration, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plane = ControlPlane::start(folder.path())?;
    let peer = SampleApiserver::start(&plane, NO_EVENTS)?;
    let proxy = Proxy::start(&plane, &peer, POLICY)?;
    proxy.install(&plane)?;
    let mut subject = sample_apiserver_subject(&plane, &peer)?;
    subject.endpoint = front_proxy(&plane, &proxy.extension, proxy.address())?;
    subject.pids.insert(0, proxy.process.id());
    runtime.block_on(measure("proxy", &subject, duration, rows))
}
