//! `keepwatch doctor` with a cluster that answers badly or not at all.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Output;
use std::thread;

use serde_json::{Value, json};

use crate::server::{run, text};

/// What a server does with a request.
enum Reaction {
    /// Answers with this status and body.
    Answer(u16, String),
    /// Never answers.
    Silence,
}

/// A kube-apiserver that serves what `react` says, and of everything else empty lists. Returns its
/// kubeconfig.
fn serve(folder: &Path, react: fn(&str) -> Option<Reaction>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "shop", "cluster": {
            "server": format!("http://{}", listener.local_addr().unwrap())}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "shop", "user": "u"}}]});
    let file = folder.join("kubeconfig");
    std::fs::write(&file, config.to_string()).unwrap();
    // The threads end with the test process.
    drop(thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            drop(thread::spawn(move || handle(&mut stream, react)));
        }
    }));
    file.to_str().unwrap().to_owned()
}

fn handle(stream: &mut TcpStream, react: fn(&str) -> Option<Reaction>) {
    let path = path_of(stream);
    match react(&path).unwrap_or_else(|| usual(&path)) {
        Reaction::Answer(status, body) => answer(stream, status, &body),
        // Until the client closes the connection.
        Reaction::Silence => drop(stream.read(&mut [0])),
    }
}

/// Reads the head of a request.
fn path_of(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count > 0) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned()
}

fn usual(path: &str) -> Reaction {
    let body = match path {
        "/version" => version("v1.33.4"),
        "/apis" => json!({"kind": "APIGroupList", "groups": [{"name": "velero.io"}]}),
        _ => json!({"kind": "List", "metadata": {}, "items": []}),
    };
    Reaction::Answer(200, body.to_string())
}

fn version(text: &str) -> Value {
    json!({"major": "1", "minor": "33", "gitVersion": text, "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "", "platform": ""})
}

fn answer(stream: &mut TcpStream, status: u16, body: &str) {
    let head = format!(
        "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    // A client that has read enough closes the connection.
    _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

fn doctor(react: fn(&str) -> Option<Reaction>, flags: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = format!("--kubeconfig={}", serve(folder.path(), react));
    run(&[&["doctor", kubeconfig.as_str()], flags].concat(), "")
}

#[track_caller]
fn check(react: fn(&str) -> Option<Reaction>, flags: &[&str], expected: &str) {
    let output = doctor(react, flags);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(printed.contains(expected), "{printed}");
    // The rest is read nevertheless.
    assert!(printed.contains("API group velero.io"), "{printed}");
}

#[test]
fn a_list_without_end_is_not_read_for_ever() {
    let endless = |path: &str| {
        let page =
            json!({"metadata": {"continue": "more"}, "items": [{"metadata": {"name": "a"}}]});
        path.starts_with("/api/v1/nodes").then(|| Reaction::Answer(200, page.to_string()))
    };
    check(endless, &[], "too many to read all: nodes");
}

#[test]
fn a_kind_that_does_not_answer_is_reported_after_its_time() {
    let silent = |path: &str| path.starts_with("/api/v1/namespaces?").then_some(Reaction::Silence);
    check(silent, &["--request-timeout=300ms"], "no answer in time: namespaces");
}

#[test]
fn an_error_of_the_cluster_is_reported() {
    let broken =
        |path: &str| path.starts_with("/apis/apps").then(|| Reaction::Answer(500, String::new()));
    check(broken, &[], "cannot be read: deployments");
    let garbage =
        |path: &str| path.starts_with("/apis/apps").then(|| Reaction::Answer(200, "<".to_owned()));
    check(garbage, &[], "cannot be read: deployments");
}

#[test]
fn a_response_that_is_too_long_is_not_kept_in_memory() {
    let long = |path: &str| {
        let body = || " ".repeat(33 << 20);
        path.contains("apiservices").then(|| Reaction::Answer(200, body()))
    };
    check(long, &[], "too many to read all: apiservices");
}

#[test]
fn names_from_the_cluster_cannot_control_the_terminal() {
    let hostile = |path: &str| {
        (path == "/version").then(|| Reaction::Answer(200, version("v1\u{1b}[2J").to_string()))
    };
    check(hostile, &[], "v1\\u{1b}[2J");
}

#[test]
fn a_cluster_that_is_away_is_an_error() {
    let away = |_: &str| Some(Reaction::Silence);
    let output = doctor(away, &["--request-timeout=300ms"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("does not answer in time"), "{output:?}");
    let missing = run(&["doctor", "--kubeconfig=/no/such/file"], "");
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("/no/such/file"), "{missing:?}");
}

#[test]
fn a_bucket_that_the_chart_would_reject_is_a_usage_error() {
    for url in ["", "bucket", "s3://", "s3://a,b", "ftp://a/b"] {
        let output = run(&["doctor", &format!("--bucket={url}")], "");
        assert_eq!(output.status.code(), Some(2), "{url}: {output:?}");
    }
}
