//! The figures of a benchmark case, and the report table.

use std::fmt;
use std::fmt::Write;
use std::time::Duration;

use crate::fixtures::load_client::Protocol;

/// A case: the request and its load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) operation: &'static str,
    pub(super) protocol: Protocol,
}

/// The measured figures of one case.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    requests_per_second: f64,
    cpu_us: f64,
    /// Of it, that of the server without its other processes.
    server_cpu_us: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Resident memory of the server.
    rss_mib: f64,
    /// Resident memory of the server and its store.
    rss_all_mib: f64,
}

/// Server, case and figures.
pub(super) type Row = (&'static str, Case, Figures);

impl Figures {
    /// Computes the figures from the latency of each request. `cpu` is the CPU time of all processes and
    /// of the server alone, `rss` the resident memory of the server and of each of its other processes,
    /// in bytes.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(super) fn new(
        mut latencies: Vec<Duration>,
        elapsed: Duration,
        cpu: [Duration; 2],
        rss: &[u64],
    ) -> Self {
        latencies.sort_unstable();
        let count = latencies.len().max(1);
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let [cpu_us, server_cpu_us] = cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / count as f64);
        let percentile = |percent: usize| {
            let latency = latencies.get((count * percent / 100).min(count - 1));
            latency.copied().unwrap_or_default().as_secs_f64() * 1e3
        };
        Self {
            requests_per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
            cpu_us,
            server_cpu_us,
            p50_ms: percentile(50),
            p99_ms: percentile(99),
            rss_mib: mib(rss.first().copied().unwrap_or_default()),
            rss_all_mib: mib(rss.iter().sum()),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = if self.protocol == Protocol::Http1 { "HTTP/1.1" } else { "HTTP/2" };
        write!(f, "{} {protocol}", self.operation)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} CPU µs/request ({:.0} of the server alone), {:.0} requests/s, p50 {:.2} ms, \
             p99 {:.2} ms, {:.0} MiB",
            self.cpu_us,
            self.server_cpu_us,
            self.requests_per_second,
            self.p50_ms,
            self.p99_ms,
            self.rss_mib
        )
    }
}

/// Additional CPU of the servers of the second list over the first, by case, as means and for each
/// turn.
pub(super) fn costs(before: &[Row], after: &[Row]) -> String {
    let mut page = String::from("| case | CPU µs/request | with it | more | in single turns |\n");
    page.push_str("|---|---:|---:|---:|---|\n");
    for (case, baseline, keepwatch) in by_case(before, after) {
        let increase = |baseline: f64, keepwatch: f64| (keepwatch / baseline - 1.0) * 100.0;
        let mut turns: Vec<f64> =
            baseline.iter().zip(&keepwatch).map(|(a, b)| increase(*a, *b)).collect();
        turns.sort_by(f64::total_cmp);
        let turns: Vec<String> = turns.iter().map(|turn| format!("{turn:.0}")).collect();
        let (baseline, keepwatch) = (mean(&baseline), mean(&keepwatch));
        // Writing to a string cannot fail.
        writeln!(
            page,
            "| {case} | {baseline:.1} | {keepwatch:.1} | {:.1} % | {} |",
            increase(baseline, keepwatch),
            turns.join(", ")
        )
        .ok();
    }
    page
}

/// Additional CPU time of the proxy and the server behind it over a server with its own log, by case,
/// as means and for each turn.
pub(super) fn additions(own_log: &[Row], proxied: &[Row]) -> String {
    let mut page = String::from(
        "| case | with its own log, CPU µs/request | without it, behind the proxy | of it, the proxy \
         | more | in single turns |\n",
    );
    page.push_str("|---|---:|---:|---:|---:|---|\n");
    for (case, own_log, with_proxy) in by_case(own_log, proxied) {
        let turns = own_log.iter().zip(&with_proxy).map(|(own, proxied)| proxied - own);
        let turns: Vec<String> = turns.map(|more| format!("{more:.0}")).collect();
        let of_case = proxied.iter().filter(|(_, other, _)| *other == case);
        let proxy: Vec<f64> = of_case.map(|(.., figures)| figures.server_cpu_us).collect();
        let (own_log, with_proxy, proxy) = (mean(&own_log), mean(&with_proxy), mean(&proxy));
        let (more, turns) = (with_proxy - own_log, turns.join(", "));
        // Writing to a string cannot fail.
        writeln!(
            page,
            "| {case} | {own_log:.0} | {with_proxy:.0} | {proxy:.0} | {more:.0} | {turns} |"
        )
        .ok();
    }
    page
}

/// Ratio of the CPU of the second list's server to the first's, by case, as means and for each
/// turn.
pub(super) fn multiples(floor: &[Row], ours: &[Row]) -> String {
    let mut page =
        String::from("| case | bare, CPU µs/request | keepwatch | multiple | in single turns |\n");
    page.push_str("|---|---:|---:|---:|---|\n");
    for (case, floor, ours) in by_case(floor, ours) {
        let turns: Vec<String> =
            floor.iter().zip(&ours).map(|(a, b)| format!("{:.2}", b / a)).collect();
        let (floor, ours) = (mean(&floor), mean(&ours));
        let (multiple, turns) = (ours / floor, turns.join(", "));
        // Writing to a string cannot fail.
        writeln!(page, "| {case} | {floor:.1} | {ours:.1} | {multiple:.2} | {turns} |").ok();
    }
    page
}

/// The CPU of each turn by case, for both lists.
fn by_case(baseline: &[Row], keepwatch: &[Row]) -> Vec<(Case, Vec<f64>, Vec<f64>)> {
    let mut cases: Vec<Case> = Vec::new();
    for (_, case, _) in baseline {
        if !cases.contains(case) {
            cases.push(*case);
        }
    }
    let of_case = |rows: &[Row], case: Case| -> Vec<f64> {
        rows.iter()
            .filter(|(_, other, _)| *other == case)
            .map(|(.., figures)| figures.cpu_us)
            .collect()
    };
    cases
        .into_iter()
        .map(|case| (case, of_case(baseline, case), of_case(keepwatch, case)))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn mean(list: &[f64]) -> f64 {
    list.iter().sum::<f64>() / list.len().max(1) as f64
}

/// A table of both servers with ratios (peer / Keepwatch; above 1 Keepwatch is better).
pub(super) fn markdown(rows: &[Row], fsync: Duration) -> String {
    let mut page = String::new();
    let half = rows.len() / 2;
    let (theirs, ours) = rows.split_at(half);
    let line = |page: &mut String, text: String| {
        // Writing to a string cannot fail.
        writeln!(page, "{text}").ok();
    };
    line(&mut page, format!("fdatasync of 4 KiB: {} µs (median)\n", fsync.as_micros()));
    line(
        &mut page,
        "| case | server | CPU µs/request | requests/s | p50 ms | p99 ms | RSS MiB | with its store |".into(),
    );
    line(&mut page, "|---|---|---:|---:|---:|---:|---:|---:|".into());
    for (baseline, keepwatch) in theirs.iter().zip(ours) {
        for (name, case, f) in [baseline, keepwatch] {
            line(
                &mut page,
                format!(
                    "| {case} | {name} | {:.0} | {:.0} | {:.2} | {:.2} | {:.0} | {:.0} |",
                    f.cpu_us, f.requests_per_second, f.p50_ms, f.p99_ms, f.rss_mib, f.rss_all_mib
                ),
            );
        }
        let (t, o) = (baseline.2, keepwatch.2);
        line(
            &mut page,
            format!(
                "| {} | **ratio** | **{:.1}** | **{:.1}** | **{:.1}** | **{:.1}** | **{:.1}** | **{:.1}** |",
                keepwatch.1,
                t.cpu_us / o.cpu_us,
                o.requests_per_second / t.requests_per_second,
                t.p50_ms / o.p50_ms,
                t.p99_ms / o.p99_ms,
                t.rss_mib / o.rss_mib,
                t.rss_all_mib / o.rss_all_mib
            ),
        );
    }
    page
}
