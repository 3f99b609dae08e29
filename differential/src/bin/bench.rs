//! Compares the detector with another engine in one run: events per second and core, memory of groups,
//! and the cost of the built-in rules of all packs beside that of 100 rules.
//!
//! Time is this thread's CPU time, so other load on the machine matters only through caches. All
//! engines get the same events, in turns.

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use detect::engine::Limits;
use detect::{Document, Engine, Input, LoadOptions, RuleSet, Settings, builtin};
use differential::{Cluster, rules};
use event::{Event, EventRef, record, v1};
use rsigma_eval::{CorrelationConfig, CorrelationEngine, JsonEvent};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Number of events in a round.
const EVENTS: usize = 30_000;
const ROUNDS: usize = 8;
const GROUPS: usize = 1_000_000;
/// The goals.
const GOAL_RATE: f64 = 600_000.0;
const GOAL_RATIO: f64 = 4.0;
const GOAL_MIB: f64 = 512.0;
/// The cost of an event with the rules of all packs, as a multiple of that with 100 rules.
const GOAL_PACKS: f64 = 1.15;

fn main() -> anyhow::Result<()> {
    let argument = std::env::args().nth(1);
    match argument.as_deref() {
        None => {
            beside()?;
            growth()?;
            packs()?;
            // A separate process, so that its memory contains nothing else.
            let program = std::env::current_exe().context("cannot find this program")?;
            let status = std::process::Command::new(program).arg("groups").status();
            anyhow::ensure!(status.context("cannot start")?.success(), "groups failed");
            Ok(())
        }
        Some("ours") => alone(),
        Some("packs") => packs(),
        Some("groups") => groups(),
        Some(other) => {
            Err(anyhow!("unknown argument {other}: leave it away, or say ours, packs or groups"))
        }
    }
}

/// The same events as records of the journal and as lines of a file.
struct Round {
    arrivals: Vec<event::Timestamp>,
    records: Vec<Bytes>,
    lines: Vec<Vec<u8>>,
}

impl Round {
    fn next(cluster: &mut Cluster) -> Self {
        let events: Vec<Event> = (0..EVENTS).map(|_| cluster.next_event()).collect();
        let line = |event: &Event| {
            let mut line = Vec::new();
            v1::write(&EventRef::from(event), &mut line);
            line
        };
        Self {
            arrivals: events.iter().map(|event| event.stage_timestamp).collect(),
            records: events.iter().map(record::write).collect(),
            lines: events.iter().map(line).collect(),
        }
    }

    fn bytes(&self) -> usize {
        self.lines.iter().map(Vec::len).sum()
    }
}

/// An engine and its CPU time.
struct Runner<E> {
    engine: E,
    took: Duration,
}

impl<E> Runner<E> {
    fn new(engine: E) -> Self {
        Self { engine, took: Duration::ZERO }
    }

    fn time(&mut self, run: impl FnOnce(&mut E) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let before = on_cpu()?;
        run(&mut self.engine)?;
        self.took += on_cpu()?.saturating_sub(before);
        Ok(())
    }

    fn rate(&self, events: usize) -> f64 {
        events as f64 / self.took.as_secs_f64()
    }
}

fn ours(count: usize, limits: Limits) -> anyhow::Result<Engine> {
    let documents = [Document::new("rules.yaml", rules(count))];
    let rules = RuleSet::load(&documents, &LoadOptions::default()).map_err(|errors| {
        anyhow!("{}", errors.first().map(ToString::to_string).unwrap_or_default())
    })?;
    Ok(Engine::new(Arc::new(rules), Settings { limits, ..Settings::default() }))
}

fn theirs(count: usize) -> anyhow::Result<CorrelationEngine> {
    let collection = rsigma_parser::parse_sigma_yaml(&rules(count))?;
    anyhow::ensure!(collection.errors.is_empty(), "{:?}", collection.errors);
    let mut engine = CorrelationEngine::new(CorrelationConfig {
        timestamp_fields: vec!["stageTimestamp".to_owned()],
        emit_detections: false,
        ..CorrelationConfig::default()
    });
    engine.add_collection(&collection)?;
    Ok(engine)
}

fn from_records(engine: &mut Engine, round: &Round) -> anyhow::Result<()> {
    let mut changes = Vec::new();
    for (record, arrival) in round.records.iter().zip(&round.arrivals) {
        let view = EventRef::parse(record)?;
        process(engine, &view, *arrival, &mut changes);
    }
    Ok(())
}

fn from_lines(engine: &mut Engine, round: &Round) -> anyhow::Result<()> {
    let mut changes = Vec::new();
    for (line, arrival) in round.lines.iter().zip(&round.arrivals) {
        let event = v1::read(line)?;
        process(engine, &EventRef::from(&event), *arrival, &mut changes);
    }
    Ok(())
}

fn process<'a>(
    engine: &mut Engine,
    event: &'a EventRef<'a>,
    arrival: event::Timestamp,
    changes: &mut Vec<detect::SignalChange>,
) {
    let input = Input { source: "journal", cluster: "prod-eu", arrival, event };
    engine.process(&input, changes);
    black_box(&changes);
    changes.clear();
}

fn of_other(engine: &mut CorrelationEngine, round: &Round) -> anyhow::Result<()> {
    for line in &round.lines {
        let value: serde_json::Value = serde_json::from_slice(line)?;
        black_box(engine.process_event(&JsonEvent::borrow(&value)));
    }
    Ok(())
}

/// Compares with 100 rules: our engine from records and from lines, the other from lines.
fn beside() -> anyhow::Result<()> {
    let mut records = Runner::new(ours(100, Limits::default())?);
    let mut lines = Runner::new(ours(100, Limits::default())?);
    let mut other = Runner::new(theirs(100)?);
    let mut cluster = Cluster::new(7);
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let round = Round::next(&mut cluster);
        bytes += round.bytes();
        records.time(|engine| from_records(engine, &round))?;
        lines.time(|engine| from_lines(engine, &round))?;
        other.time(|engine| of_other(engine, &round))?;
    }
    let events = EVENTS * ROUNDS;
    let statistics = records.engine.engine_statistics();
    println!(
        "100 rules, {events} events of {} bytes, {} of which a rule counted\n",
        bytes / events,
        statistics.hits
    );
    let (records, lines, other) = (records.rate(events), lines.rate(events), other.rate(events));
    println!("| | events/s per core | ratio |\n|---|---:|---:|");
    println!("| rsigma-eval 0.23, JSON lines | {other:.0} | 1 |");
    println!("| keepwatch, JSON lines | {lines:.0} | {:.1} |", lines / other);
    println!("| keepwatch, journal records | {records:.0} | {:.1} |\n", records / other);
    println!("goals: {GOAL_RATE:.0} events/s, {GOAL_RATIO} times the other\n");
    Ok(())
}

/// Measures the cost of an event by number of rules.
fn growth() -> anyhow::Result<()> {
    println!("| rules | ns an event, journal records |\n|---:|---:|");
    for count in [10, 100, 1000] {
        let mut runner = Runner::new(ours(count, Limits::default())?);
        let mut cluster = Cluster::new(11);
        for _ in 0..4 {
            let round = Round::next(&mut cluster);
            runner.time(|engine| from_records(engine, &round))?;
        }
        println!("| {count} | {:.0} |", 1e9 / runner.rate(EVENTS * 4));
    }
    println!();
    Ok(())
}

/// Measures the cost of an event with the built-in rules of all packs, with a hundred of them, and with
/// the 100 rules of the other comparisons.
fn packs() -> anyhow::Result<()> {
    let documents = builtin::documents();
    let hundred = (1..=documents.len())
        .map(|count| packed(&documents[..count]))
        .find(|rules| rules.rules().len() >= 100)
        .context("the packs have less than 100 rules")?;
    let engine = |rules| Engine::new(Arc::new(rules), Settings::default());
    let all = packed(documents);
    let names = [
        "100 rules of this benchmark".to_owned(),
        format!("{} rules of packs", hundred.rules().len()),
        format!("all {} rules of packs", all.rules().len()),
    ];
    let mut runners =
        [ours(100, Limits::default())?, engine(hundred), engine(all)].map(Runner::new);
    let mut cluster = Cluster::new(13);
    for turn in 0..ROUNDS {
        let round = Round::next(&mut cluster);
        // In turns, because the first one after new events has cold caches.
        for at in 0..runners.len() {
            let at = (at + turn) % runners.len();
            runners[at].time(|engine| from_records(engine, &round))?;
        }
    }
    println!("| rules | ns an event, journal records | hits | ratio |\n|---|---:|---:|---:|");
    let base = runners[0].rate(EVENTS * ROUNDS);
    for (name, runner) in names.iter().zip(&runners) {
        let (rate, hits) = (runner.rate(EVENTS * ROUNDS), runner.engine.engine_statistics().hits);
        println!("| {name} | {:.0} | {hits} | {:.2} |", 1e9 / rate, base / rate);
    }
    println!("\ngoal: all packs take at most {GOAL_PACKS} times as long as 100 rules\n");
    Ok(())
}

/// The rules of some of the packs' files. A rule may supersede one of another file.
fn packed(documents: &[Document]) -> RuleSet {
    RuleSet::load_lenient(documents, &LoadOptions::default()).0
}

/// Runs only our engine, for a profiler.
fn alone() -> anyhow::Result<()> {
    let mut runner = Runner::new(ours(100, Limits::default())?);
    let mut cluster = Cluster::new(7);
    for _ in 0..ROUNDS {
        let round = Round::next(&mut cluster);
        runner.time(|engine| from_records(engine, &round))?;
    }
    println!("{:.0} events/s", runner.rate(EVENTS * ROUNDS));
    Ok(())
}

/// Measures the memory of a million users who delete one object each.
fn groups() -> anyhow::Result<()> {
    const RULE: &str = "title: A\nname: a\ndetection:\n  s: {verb: delete}\n  condition: s\n---\n\
        title: Many\nid: many\ncorrelation:\n  type: event_count\n  rules: [a]\n  \
        group-by: [user.username]\n  timespan: 1h\n  condition: {gte: 5}\n";
    let limits = Limits { groups_per_rule: GROUPS, state_bytes: 1 << 30, ..Limits::default() };
    let documents = [Document::new("rule.yaml", RULE)];
    let rules = RuleSet::load(&documents, &LoadOptions::default())
        .map_err(|_| anyhow!("the rule cannot be read"))?;
    let engine = Engine::new(Arc::new(rules), Settings { limits, ..Settings::default() });
    let mut runner = Runner::new(engine);
    let mut cluster = Cluster::new(3);
    let mut changes = Vec::new();
    let before = resident_mib()?;
    for number in 0..GROUPS {
        let mut event = cluster.next_event();
        event.verb = "delete".to_owned();
        event.user.username = format!("user-{number}@example.com");
        let record = record::write(&event);
        let arrival = event.stage_timestamp;
        runner.time(|engine| {
            let view = EventRef::parse(&record)?;
            process(engine, &view, arrival, &mut changes);
            Ok(())
        })?;
    }
    let held = resident_mib()? - before;
    let statistics = runner.engine.engine_statistics();
    let groups: usize = runner.engine.statistics().iter().map(|rule| rule.groups).sum();
    println!(
        "{groups} groups: {held:.0} MiB resident (goal {GOAL_MIB:.0}), {:.0} MiB by its own count, {:.0} events/s",
        statistics.state_bytes as f64 / f64::from(1 << 20),
        runner.rate(GROUPS)
    );
    Ok(())
}

/// The CPU time of this thread.
fn on_cpu() -> anyhow::Result<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").context("cannot read the time")?;
    let nanos = text.split_whitespace().next().and_then(|text| text.parse().ok());
    nanos.map(Duration::from_nanos).context("the time is not a number")
}

fn resident_mib() -> anyhow::Result<f64> {
    const PAGE: f64 = 4096.0;
    let text = fs::read_to_string("/proc/self/statm").context("cannot read the memory")?;
    let pages: Option<f64> = text.split_whitespace().nth(1).and_then(|text| text.parse().ok());
    Ok(pages.context("the memory is not a number")? * PAGE / f64::from(1 << 20))
}
