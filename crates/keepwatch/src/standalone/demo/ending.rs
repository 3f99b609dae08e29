//! The end of the demo: the signals, and commands that can be copied.

use std::cmp::Reverse;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use event::Severity;
use event::short::{COLUMNS_DEFAULT, fit};
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use serde_json::Value;
use sink::Terminal;

use super::{Demo, destination};
use crate::program;
use crate::terminal::eprint_line;

/// Time between two polls for more signals; each poll is an audit event.
const POLL_PERIOD: Duration = Duration::from_millis(500);
/// Polls without a change after which the signals count as complete.
const QUIET_POLLS: usize = 3;
/// Maximum number of polls.
const POLLS_MAX: usize = 16;
/// Maximum number of signals that are printed.
const PRINTED_MAX: usize = 12;

/// Prints the signals and the next commands.
pub(super) async fn print(demo: &Demo) {
    let signals = signals(&demo.admin).await;
    demo.narrator.wait_for_lines().await;
    if !signals.is_empty() {
        let columns = columns();
        eprint_line(&format!(
            "\nKeepwatch raised {} signals, the most severe first:\n",
            signals.len()
        ));
        for signal in signals.iter().take(PRINTED_MAX) {
            eprint_line(&fit(&row(signal), columns));
        }
        if signals.len() > PRINTED_MAX {
            eprint_line(&format!("and {} more", signals.len() - PRINTED_MAX));
        }
    }
    eprint_line("");
    let data_dir = demo.data_dir();
    if demo.keeps_running {
        let signal = signals.first().map(|signal| text(signal, "/metadata/name"));
        print_live_commands(&demo.kubeconfig, data_dir, signal.unwrap_or_default());
    } else {
        print_offline_commands(data_dir);
    }
}

/// One signal: severity, number of events, title.
fn row(signal: &Value) -> String {
    let count = signal.pointer("/spec/count").and_then(Value::as_u64).unwrap_or_default();
    let (severity, title) = (text(signal, "/spec/severity"), text(signal, "/spec/title"));
    format!("{severity:<13} {count:>4}  {title}")
}

/// Commands for a server that keeps running.
fn print_live_commands(kubeconfig: &Path, data_dir: &Path, signal: &str) {
    let (config, command) = (program::quoted(kubeconfig), program::command());
    eprint_line("In another terminal, in this folder:\n");
    eprint_line(&format!("  export KUBECONFIG={config}"));
    if !signal.is_empty() {
        eprint_line("  kubectl get signals                # what Keepwatch noticed");
        eprint_line(&format!("  kubectl describe signal {signal}"));
    }
    eprint_line("  kubectl get auditevents --field-selector user=mallory,order=newest");
    eprint_line("  kubectl get restorepoints -A       # what is left");
    eprint_line(&format!("  {command} investigate user mallory --output html > mallory.html"));
    print_detect_command(&command, data_dir);
    if let Ok(file) = std::fs::read_link("/proc/self/fd/1")
        && file.is_file()
    {
        eprint_line(&format!("  tail -F {}    # the events as they come", program::quoted(&file)));
    }
    eprint_line("");
    hint_at_kubectl();
    let end = if io::stdin().is_terminal() {
        "Ctrl-C here".to_owned()
    } else {
        format!("kill {}", std::process::id())
    };
    let data_dir = program::quoted(data_dir);
    eprint_line(&format!(
        "{end} stops the server; `{command} up --dir {data_dir}` continues with the stored data."
    ));
}

/// Commands for the files that the server leaves.
fn print_offline_commands(data_dir: &Path) {
    let (command, folder) = (program::command(), program::quoted(data_dir));
    eprint_line("The server ends now. What it recorded stays:\n");
    print_detect_command(&command, data_dir);
    let archive = program::quoted(&destination::folder(data_dir));
    eprint_line(&format!("  {command} investigate user mallory {archive}"));
    eprint_line(&format!("  {command} up --dir {folder}    # serves the stored data, for kubectl"));
}

fn print_detect_command(command: &str, data_dir: &Path) {
    let archive = program::quoted(&destination::folder(data_dir));
    eprint_line(&format!(
        "  {command} detect --output table {archive}    # signals, from the archive"
    ));
}

/// Prints a hint if kubectl is not in `PATH`.
fn hint_at_kubectl() {
    if program::on_path("kubectl").is_none() {
        eprint_line(
            "kubectl is not in your PATH: https://kubernetes.io/docs/tasks/tools/ describes how to install it.",
        );
    }
}

/// Width of the terminal on stderr, in columns.
fn columns() -> usize {
    let fd = io::stderr().as_fd().try_clone_to_owned();
    fd.map_or(COLUMNS_DEFAULT, |fd| Terminal::new(fd, false).style().columns)
}

/// The signals, the most severe first, once no more appear; empty if the server has none.
async fn signals(admin: &kube::Client) -> Vec<Value> {
    let gvk = GroupVersionKind::gvk(siem::GROUP, siem::VERSION, "Signal");
    let kind = ApiResource::from_gvk_with_plural(&gvk, siem::signal::SIGNALS.plural);
    let api: Api<DynamicObject> = Api::all_with(admin.clone(), &kind);
    let (mut items, mut version, mut quiet) = (Vec::new(), 0, 0);
    for _ in 0..POLLS_MAX {
        let Ok(list) = api.list(&ListParams::default()).await else { return Vec::new() };
        let versions =
            list.items.iter().filter_map(|object| object.metadata.resource_version.as_ref());
        let newest = versions.filter_map(|version| version.parse::<u64>().ok()).max().unwrap_or(0);
        quiet = if newest == version { quiet + 1 } else { 0 };
        version = newest;
        items = list.items;
        if quiet >= QUIET_POLLS && !items.is_empty() {
            break;
        }
        tokio::time::sleep(POLL_PERIOD).await;
    }
    let mut signals: Vec<Value> =
        items.iter().filter_map(|signal| serde_json::to_value(signal).ok()).collect();
    signals.sort_by_key(|signal| {
        let severity: Severity = text(signal, "/spec/severity").parse().unwrap_or_default();
        (Reverse(severity), text(signal, "/spec/firstSeen").to_owned())
    });
    signals
}

fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}
