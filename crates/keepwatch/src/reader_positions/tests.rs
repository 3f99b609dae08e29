//! Runs of a server one after the other: which readers it has, and what each of them delivers.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use sink::{Batch, DeliverError, Delivered, Encoding};
use store::{Settings, Storage as _};

use super::*;

/// A sink that has a name and delivers nothing.
struct Named(&'static str, Encoding);

#[async_trait]
impl Sink for Named {
    fn name(&self) -> &'static str {
        self.0
    }

    fn encoding(&self) -> &Encoding {
        &self.1
    }

    async fn resume(&mut self, _state: &str) -> Result<(), DeliverError> {
        Ok(())
    }

    async fn deliver(&mut self, _batch: &Batch) -> Result<Delivered, DeliverError> {
        Err(DeliverError::Closed)
    }
}

/// One run of the server: its sinks, whether it detects, and how many records it does not deliver.
struct Run {
    sinks: &'static [&'static str],
    detects: bool,
    /// How many records are not delivered yet when it is killed.
    undelivered: u64,
}

fn run(sinks: &'static [&'static str]) -> Run {
    Run { sinks, detects: false, undelivered: 0 }
}

/// Runs the servers one after the other. Each records three of `r1`, `r2` and so on, and each reader
/// delivers all but the last `undelivered`. Returns the records that each reader delivered in all runs,
/// without the records about cursors.
async fn delivered(runs: &[Run], from: ResumeFrom) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut delivered: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut number = 0;
    for run in runs {
        let store = Sqlite::open(&path, Settings::default(), crate::clock::for_store()).unwrap();
        let sinks =
            run.sinks.iter().map(|name| Box::new(Named(name, Encoding::V1)) as Box<dyn Sink>);
        set(&store, &sinks.collect::<Vec<_>>(), run.detects, from).await.unwrap();
        let journal = store.journal();
        if run.detects {
            // As the detector does it.
            journal.register(DETECTOR, journal.first_seq().saturating_sub(1)).await.unwrap();
        }
        for _ in 0..3 {
            number += 1;
            store.append(Bytes::from(format!("r{number}"))).await.unwrap();
        }
        for reader in journal.readers() {
            // A reader registers before it delivers, and then owns its cursor.
            journal.register(&reader.name, 0).await.unwrap();
            let until = journal.last_seq() - run.undelivered;
            let records = journal.read(reader.cursor.seq, 100, 1 << 20).await.unwrap();
            let texts = delivered.entry(reader.name.clone()).or_default();
            for record in records.into_iter().filter(|record| record.seq <= until) {
                let text = String::from_utf8_lossy(&record.bytes).into_owned();
                texts.extend(text.starts_with('r').then_some(text));
            }
            journal.advance_durably(&reader.name, until, "").await.unwrap();
        }
        store.close().await;
    }
    let line = |(name, records): (&String, &Vec<String>)| format!("{name}: {}", records.join(" "));
    delivered.iter().map(line).collect::<Vec<_>>().join("; ")
}

/// Regression: nearly all lines were printed a second time.
#[tokio::test]
async fn a_reader_that_was_off_delivers_nothing_twice_and_missed_events_only_on_request() {
    let (stdout, file, off) = (&["stdout"][..], &["file"][..], &[][..]);
    let killed = |sinks| Run { sinks, detects: false, undelivered: 2 };
    let detects = |detects| Run { sinks: &[], detects, undelivered: 0 };
    for (runs, now, cursor) in [
        (vec![run(stdout), run(stdout)], "stdout: r1 r2 r3 r4 r5 r6", ""),
        (vec![killed(stdout), run(stdout)], "stdout: r1 r2 r3 r4 r5 r6", ""),
        (
            vec![run(stdout), run(off), run(stdout)],
            "stdout: r1 r2 r3 r7 r8 r9",
            "stdout: r1 r2 r3 r4 r5 r6 r7 r8 r9",
        ),
        (
            vec![run(stdout), run(off), run(off), run(file)],
            "file: r10 r11 r12; stdout: r1 r2 r3",
            "file: r4 r5 r6 r7 r8 r9 r10 r11 r12; stdout: r1 r2 r3",
        ),
        (
            vec![run(stdout), run(file), run(stdout)],
            "file: r4 r5 r6; stdout: r1 r2 r3 r7 r8 r9",
            "",
        ),
        // The second sink delivers the records that the first one had not delivered when it was killed.
        (
            vec![killed(stdout), run(file), run(off), run(stdout)],
            "file: r2 r3 r4 r5 r6; stdout: r1 r10 r11 r12",
            "file: r2 r3 r4 r5 r6; stdout: r1 r7 r8 r9 r10 r11 r12",
        ),
        (vec![run(off), run(stdout)], "stdout: r4 r5 r6", ""),
        // A sink that was renamed.
        (vec![run(&["lines"]), run(stdout)], "lines: r1 r2 r3; stdout: r4 r5 r6", ""),
        (
            vec![detects(true), detects(false), detects(true)],
            "detector: r1 r2 r3 r7 r8 r9",
            "detector: r1 r2 r3 r4 r5 r6 r7 r8 r9",
        ),
        // A detector that never ran before reads the whole journal.
        (vec![detects(false), detects(true)], "detector: r1 r2 r3 r4 r5 r6", ""),
    ] {
        let cursor = if cursor.is_empty() { now } else { cursor };
        assert_eq!(delivered(&runs, ResumeFrom::Now).await, now);
        assert_eq!(delivered(&runs, ResumeFrom::Cursor).await, cursor);
    }
}

#[tokio::test]
async fn disabled_readers_retain_no_records_and_this_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = Sqlite::open(&path, Settings::default(), crate::clock::for_store()).unwrap();
    let journal = store.journal();
    for reader in ["stdout", DETECTOR, "auditconfig/kasten-io/siem/u1"] {
        journal.register(reader, 0).await.unwrap();
    }
    store.append(Bytes::from_static(b"r1")).await.unwrap();
    set(&store, &[], false, ResumeFrom::Now).await.unwrap();
    let names: Vec<_> = journal.readers().into_iter().map(|reader| reader.name).collect();
    assert_eq!(names, ["auditconfig/kasten-io/siem/u1"], "the controller decides on that one");
    let mut texts = Vec::new();
    for record in journal.read(1, 100, 1 << 20).await.unwrap() {
        let event = event::EventRef::parse(&record.bytes).unwrap();
        let mut line = Vec::new();
        event::v1::write(&event, &mut line);
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let text = line["annotations"][event::annotations::CURSOR].as_str().unwrap().to_owned();
        texts.push(format!("{} {text}", line["verb"].as_str().unwrap()));
    }
    let expected = [
        "release detector: released at 0; 1 records were not delivered",
        "release stdout: released at 0; 1 records were not delivered",
    ];
    assert_eq!(texts, expected);
    store.close().await;
}
