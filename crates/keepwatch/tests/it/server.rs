//! A running binary, and clients of it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// A running server.
pub(crate) struct TestServer {
    pub(crate) process: Child,
    stderr: BufReader<ChildStderr>,
    pub(crate) folder: PathBuf,
}

/// The command for the binary.
pub(crate) fn keepwatch() -> Command {
    Command::new(env!("CARGO_BIN_EXE_keepwatch"))
}

/// Runs the binary until it exits.
pub(crate) fn run(arguments: &[&str], input: &str) -> Output {
    let mut command = keepwatch();
    let command = command.args(arguments).stdin(Stdio::piped());
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    // The program may exit without reading its input.
    std::io::Write::write_all(&mut stdin, input.as_bytes()).ok();
    drop(stdin);
    process.wait_with_output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

impl TestServer {
    /// Starts `keepwatch up` in `folder` with additional flags.
    pub(crate) fn up(folder: &Path, flags: &[&str], stdout: Stdio) -> Self {
        let mut command = keepwatch();
        command.arg("up").arg("--dir").arg(folder).args(["--listen", "127.0.0.1:0"]).args(flags);
        let mut process = command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(process.stderr.take().unwrap());
        wait_for(&mut stderr, "Keepwatch serves at");
        Self { process, stderr, folder: folder.to_owned() }
    }

    /// Starts `keepwatch serve` for the users of `up` with additional flags.
    pub(crate) fn serve(up: &Self, folder: &Path, flags: &[&str]) -> (Self, String) {
        let pki = up.folder.join("pki");
        let file = |flag: &str, path: PathBuf| format!("--{flag}={}", path.display());
        let mut command = keepwatch();
        command
            .args(["serve", "--secure-port=0", "--bind-address=127.0.0.1", "--log-format=json"])
            .args(["--authentication-skip-lookup", "--shutdown-delay-duration=0s"])
            .arg(file("kubeconfig", up.folder.join("kubeconfig")))
            .arg(file("client-ca-file", pki.join("ca.crt")))
            .arg(file("tls-cert-file", pki.join("server.crt")))
            .arg(file("tls-private-key-file", pki.join("server.key")))
            .arg(file("data-dir", folder.join("data")))
            .args(flags);
        let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut stderr = BufReader::new(process.stderr.take().unwrap());
        let line = wait_for(&mut stderr, "\"serving\"");
        let ready: Value = serde_json::from_str(&line).unwrap();
        let address = ready["address"].as_str().unwrap().to_owned();
        (Self { process, stderr, folder: folder.to_owned() }, address)
    }

    /// A client with the user of a kubeconfig context, optionally for another address.
    pub(crate) async fn client(&self, context: &str, address: Option<&str>) -> kube::Client {
        let mut kubeconfig = Kubeconfig::read_from(self.folder.join("kubeconfig")).unwrap();
        if let Some(address) = address {
            kubeconfig.clusters[0].cluster.as_mut().unwrap().server =
                Some(format!("https://{address}"));
        }
        let options =
            KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        kube::Client::try_from(config).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Stops the server like Ctrl-C. Returns its exit status and the rest of stderr.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        self.signal(Signal::INT);
        self.wait()
    }

    /// Waits until it exits. Returns its exit status and the rest of stderr.
    pub(crate) fn wait(&mut self) -> (ExitStatus, String) {
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).unwrap();
        (self.process.wait().unwrap(), stderr)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // In most tests it has already exited.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn wait_for(stderr: &mut BufReader<ChildStderr>, words: &str) -> String {
    let mut output = String::new();
    loop {
        let start = output.len();
        let read = stderr.read_line(&mut output).unwrap();
        assert!(read > 0, "the server exited before it printed {words:?}: {output}");
        let line = output.get(start..).unwrap_or_default();
        if line.contains(words) {
            return line.to_owned();
        }
    }
}

/// A runtime for clients.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Creates a `RunAction` whose body has about this many bytes.
pub(crate) async fn create(client: &kube::Client, name: &str, bytes: usize) -> kube::Result<()> {
    let kind = kind("actions.kio.kasten.io", "RunAction", "runactions");
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &kind);
    let mut object = DynamicObject::new(name, &kind);
    object.metadata.annotations = Some([("padding".to_owned(), "x".repeat(bytes))].into());
    let subject = json!({"kind": "Policy", "name": "daily", "namespace": "kasten-io"});
    object.data = json!({"spec": {"subject": subject}});
    api.create(&PostParams::default(), &object).await.map(drop)
}

pub(crate) fn kind(group: &str, kind: &str, plural: &str) -> ApiResource {
    let version = if group.is_empty() { "v1" } else { "v1alpha1" };
    let gvk = kube::core::GroupVersionKind::gvk(group, version, kind);
    ApiResource::from_gvk_with_plural(&gvk, plural)
}

/// The events in the lines. Every line must be a JSON object: an event with the marker, or a
/// signal.
pub(crate) fn events(lines: &str) -> Vec<Value> {
    assert!(lines.is_empty() || lines.ends_with('\n'), "the last line is incomplete");
    let parsed = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events: Vec<Value> = parsed.filter(|line| line.get("signal").is_none()).collect();
    for event in &events {
        assert!(event["message"].as_str().unwrap().starts_with("K10Event "), "{event}");
    }
    events
}

/// Fails if the work takes longer than the limit.
pub(crate) fn within<T>(limit: Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    assert!(start.elapsed() < limit, "it took {:?}", start.elapsed());
    done
}
