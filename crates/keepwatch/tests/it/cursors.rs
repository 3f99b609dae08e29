//! `keepwatch cursors`: the readers of the journal are listed and moved.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use crate::destinations::{
    Cluster, once, run_action_counts, volume, wait_for_validation, wait_until,
};
use crate::server::{TestServer, create, run, runtime, text};

/// A server's folder, with a destination that is a folder in it.
struct TestDataDir {
    _folder: tempfile::TempDir,
    home: PathBuf,
}

impl TestDataDir {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        Self { _folder: folder, home }
    }

    fn archive(&self) -> PathBuf {
        self.home.join("volumes/all")
    }

    fn up(&self) -> TestServer {
        TestServer::up(&self.home, &[], Stdio::null())
    }

    fn cursors(&self, arguments: &[&str]) -> Output {
        cursors(&self.home, arguments)
    }

    fn list(&self) -> CursorStatus {
        let output = self.cursors(&["list"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        CursorStatus::parse(&text(&output.stdout))
    }

    /// Moves the cursor. Returns the output.
    fn move_cursor(&self, command: &str, reader: &str, to: u64) -> String {
        let output = self.cursors(&[command, reader, "--to", &to.to_string()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout) + &text(&output.stderr)
    }

    /// Expects that the command fails and changes nothing. Returns stderr.
    fn expect_refusal(&self, command: &str, reader: &str, to: &str) -> String {
        let before = self.list();
        let output = self.cursors(&[command, reader, "--to", to]);
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        assert_eq!(self.list(), before);
        text(&output.stderr)
    }
}

fn cursors(home: &Path, arguments: &[&str]) -> Output {
    let (verb, rest) = arguments.split_first().unwrap();
    let home = home.to_str().unwrap();
    let mut all = vec!["cursors", verb, "--data-dir", home];
    all.extend(rest);
    run(&all, "")
}

/// The line of `list` about the destination.
#[derive(Debug, PartialEq, Eq)]
struct CursorStatus {
    first: u64,
    last: u64,
    reader: String,
    seq: u64,
    backlog: u64,
}

impl CursorStatus {
    fn parse(listed: &str) -> Self {
        let mut lines = listed.lines();
        let range = lines.next().unwrap().strip_prefix("journal: ").unwrap();
        let (first, last) = range.split_once(" to ").unwrap();
        assert!(lines.next().unwrap().starts_with("READER "), "{listed}");
        let line = lines.find(|line| line.starts_with("auditconfig/kasten-io/siem/")).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |text: &str| text.parse::<u64>().unwrap();
        let (seq, backlog) = (number(words[1]), number(words[2]));
        let (first, last) = (number(first), number(last));
        assert_eq!(seq + backlog, last, "{listed}");
        Self { first, last, reader: words[0].to_owned(), seq, backlog }
    }
}

#[test]
fn an_operator_can_list_rewind_and_skip_readers() {
    let (data_dir, runtime) = (TestDataDir::new(), runtime());
    let server = data_dir.up();
    let archive = data_dir.archive();
    runtime.block_on(async {
        let cluster = Cluster::connect(&server).await;
        cluster.profile("p", volume("all")).await;
        cluster.config("siem", "p").await;
        wait_for_validation(&cluster.configs, "siem", "Success").await;
        create(&cluster.admin, "one", 10).await.unwrap();
        wait_until(|| run_action_counts(&archive) == once(&["one"])).await;
        create(&cluster.admin, "two", 10).await.unwrap();
        wait_until(|| run_action_counts(&archive) == once(&["one", "two"])).await;
    });
    // `list` works while a server runs; the cursor of a running sink cannot be moved.
    let running = data_dir.list();
    let output = data_dir.cursors(&["skip", &running.reader, "--to", &running.last.to_string()]);
    let stderr = text(&output.stderr);
    assert!(!output.status.success() && stderr.contains("in use"), "{stderr}");
    assert!(server.stop().0.success());

    let status = data_dir.list();
    assert_eq!((status.backlog, status.seq), (0, status.last));
    let (reader, last) = (status.reader.as_str(), status.last);
    let output = data_dir.move_cursor("rewind", reader, 0);
    let expected = format!("{reader}: {last} -> 0; {last} records will be delivered again");
    assert!(output.contains(&expected), "{output}");
    let rewound = data_dir.list();
    // The move has its own event.
    assert_eq!((rewound.seq, rewound.last), (0, last + 1));
    let output = data_dir.move_cursor("skip", reader, last);
    assert!(
        output.contains(&format!("0 -> {last}; {last} records will not be delivered")),
        "{output}"
    );
    assert_eq!(data_dir.list().backlog, 2);

    let server = data_dir.up();
    runtime.block_on(async {
        let cluster = Cluster::connect(&server).await;
        create(&cluster.admin, "three", 10).await.unwrap();
        wait_until(|| run_action_counts(&archive) == once(&["one", "two", "three"])).await;
    });
    assert!(server.stop().0.success());
    data_dir.move_cursor("rewind", reader, 0);
    let server = data_dir.up();
    let mut twice = once(&["one", "two", "three"]);
    for count in twice.values_mut() {
        *count = 2;
    }
    runtime.block_on(wait_until(|| run_action_counts(&archive) == twice));
    assert!(server.stop().0.success());
    let moves = crate::destinations::verbs(&archive);
    assert_eq!((moves["rewind"] > 0, moves["skip"] > 0), (true, true), "{moves:?}");
}

#[test]
fn a_cursor_that_cannot_be_moved_is_reported_and_unchanged() {
    let (data_dir, runtime) = (TestDataDir::new(), runtime());
    let server = data_dir.up();
    runtime.block_on(async {
        let cluster = Cluster::connect(&server).await;
        cluster.profile("p", volume("all")).await;
        cluster.config("siem", "p").await;
        wait_for_validation(&cluster.configs, "siem", "Success").await;
    });
    assert!(server.stop().0.success());
    let CursorStatus { last, reader, .. } = data_dir.list();
    let (beyond, here) = ((last + 1).to_string(), last.to_string());
    for (command, reader, to, expected) in [
        ("skip", reader.as_str(), beyond.as_str(), format!("the journal ends at {last}")),
        ("skip", &reader, &here, format!("{reader} is already at {last}")),
        ("skip", &reader, "0", format!("{reader} is already at {last}")),
        ("rewind", &reader, &here, format!("{last} is not behind it")),
        ("rewind", &reader, &beyond, format!("{beyond} is not behind it")),
        ("rewind", "unknown", "0", "there is no reader \"unknown\"".to_owned()),
        ("skip", "unknown", &here, "`keepwatch cursors list` lists the readers".to_owned()),
        ("skip", &reader, "-1", "-1".to_owned()),
        ("skip", &reader, "all", "invalid value 'all'".to_owned()),
        ("rewind", &reader, "18446744073709551616", "number too large".to_owned()),
    ] {
        let message = data_dir.expect_refusal(command, reader, to);
        assert!(message.contains(&expected), "{command} {reader} {to}: {message}");
    }
    let nowhere = tempfile::tempdir().unwrap();
    for arguments in [&["list"][..], &["skip", "x", "--to", "1"]] {
        let output = cursors(nowhere.path(), arguments);
        let stderr = text(&output.stderr);
        let path = nowhere.path().join("keepwatch.db");
        assert!(!output.status.success() && stderr.contains(path.to_str().unwrap()), "{stderr}");
        assert!(std::fs::read_dir(nowhere.path()).unwrap().next().is_none());
    }
    let output = cursors(nowhere.path(), &["skip", "x"]);
    assert!(text(&output.stderr).contains("--to <SEQ>"), "{output:?}");
}

/// Regression: the commands did not know released readers.
#[test]
fn the_cursor_of_a_released_reader_is_listed_and_can_be_moved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keepwatch.db");
    let runtime = runtime();
    let open = || {
        let clock = std::sync::Arc::new(|| 1);
        store::Sqlite::open(&path, store::Settings::default(), clock).unwrap()
    };
    runtime.block_on(async {
        let store = open();
        // Another reader retains the records.
        store.journal().register("file", 0).await.unwrap();
        for _ in 0..9 {
            store::append(&store, b"record".to_vec().into()).await.unwrap();
        }
        let cursor = store::Cursor { seq: 3, state: String::new() };
        store.journal().park("stdout", cursor).await.unwrap();
        store.close().await;
    });
    let run = |arguments: &[&str]| {
        let output = cursors(folder.path(), arguments);
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };
    let listed = |expected: &str| {
        let (_, listed) = run(&["list"]);
        let line = listed.lines().find(|line| line.starts_with("stdout ")).unwrap();
        assert_eq!(line.split_whitespace().collect::<Vec<_>>().join(" "), expected);
    };
    listed("stdout 3 - released");
    for (arguments, is_moved, expected) in [
        (["skip", "stdout", "--to", "2"], false, "stdout is already at 3"),
        (["skip", "stdout", "--to", "99"], false, "99 is not in it"),
        (["skip", "stdout", "--to", "7"], true, "stdout: 3 -> 7; stdout is released"),
        (["rewind", "stdout", "--to", "5"], true, "stdout: 7 -> 5; stdout is released"),
        (["rewind", "unknown", "--to", "0"], false, "there is no reader \"unknown\""),
    ] {
        let (success, output) = run(&arguments);
        assert!(success == is_moved && output.contains(expected), "{arguments:?}: {output}");
    }
    listed("stdout 5 - released");
    let verbs = runtime.block_on(async {
        let store = open();
        let journal = store.journal();
        assert!(journal.cursor("stdout").is_none(), "no records are retained for it");
        let records = journal.read(9, 10, 1 << 20).await.unwrap();
        store.close().await;
        let verb = |record: store::Record| event::record::read(record.bytes).unwrap().verb;
        records.into_iter().map(verb).collect::<Vec<_>>()
    });
    assert_eq!(verbs, ["skip", "rewind"]);
}
