//! The end of the story: what was noticed, and the commands to look at it.

use std::cmp::Reverse;
use std::path::Path;
use std::time::Duration;

use event::Severity;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use serde_json::Value;

use super::{Story, destination};
use crate::commands::say;
use crate::signal_table;

/// How often is looked whether there are more signals.
const LOOK_PERIOD: Duration = Duration::from_millis(50);
/// Looks without a change after which the signals count as complete.
const QUIET_LOOKS: usize = 30;
/// Looks at most.
const LOOKS_MAX: usize = 160;
/// Signals that are shown.
const SHOWN_MAX: usize = 12;

/// Shows the signals, and says what to do next.
pub(super) async fn tell(story: &Story) {
    say("That is all. Every line on standard output is one request of this story, or a signal.");
    let signals = signals(&story.admin).await;
    let kubeconfig = story.kubeconfig.as_str();
    if !signals.is_empty() {
        say("");
        say("Keepwatch noticed:");
        say("");
        say(&signal_table::head());
        for signal in signals.iter().take(SHOWN_MAX) {
            say(&signal_table::row(signal));
        }
        if signals.len() > SHOWN_MAX {
            say(&format!("and {} more", signals.len() - SHOWN_MAX));
        }
    }
    say("");
    if let Some(name) = signals.first().map(|signal| text(signal, "/metadata/name")) {
        say(&format!("  kubectl --kubeconfig {kubeconfig} get signals"));
        say(&format!("  kubectl --kubeconfig {kubeconfig} describe signal {name}"));
        say(&format!(
            "  keepwatch investigate user mallory --kubeconfig {kubeconfig} --output html > mallory.html"
        ));
    }
    say(&format!("  kubectl --kubeconfig {kubeconfig} get restorepointcontents    # what is left"));
    say(&format!("  {}", follow_command(kubeconfig)));
    say(&format!(
        "  find {} -name '*.json.gz' | sort | xargs zcat    # the same, as a bucket has it",
        destination::folder(story.home()).display()
    ));
    say(&format!(
        "  kill {}    # or Ctrl-C here: stops it; a second start goes on from here",
        std::process::id()
    ));
}

/// The signals, the most severe first, once no more come. None if the server has none to show.
async fn signals(admin: &kube::Client) -> Vec<Value> {
    let gvk = GroupVersionKind::gvk(siem::GROUP, siem::VERSION, "Signal");
    let kind = ApiResource::from_gvk_with_plural(&gvk, siem::signal::SIGNALS.plural);
    let api: Api<DynamicObject> = Api::all_with(admin.clone(), &kind);
    let (mut found, mut version, mut quiet) = (Vec::new(), 0, 0);
    for _ in 0..LOOKS_MAX {
        let Ok(list) = api.list(&ListParams::default()).await else { return Vec::new() };
        let versions = list.items.iter().filter_map(|one| one.metadata.resource_version.as_ref());
        let newest = versions.filter_map(|version| version.parse::<u64>().ok()).max().unwrap_or(0);
        quiet = if newest == version { quiet + 1 } else { 0 };
        version = newest;
        found = list.items;
        if quiet >= QUIET_LOOKS && !found.is_empty() {
            break;
        }
        tokio::time::sleep(LOOK_PERIOD).await;
    }
    let mut signals: Vec<Value> =
        found.iter().filter_map(|signal| serde_json::to_value(signal).ok()).collect();
    signals.sort_by_key(|signal| {
        let severity: Severity = text(signal, "/spec/severity").parse().unwrap_or_default();
        (Reverse(severity), text(signal, "/spec/firstSeen").to_owned())
    });
    signals
}

fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// How to follow the events from another terminal.
fn follow_command(kubeconfig: &str) -> String {
    match std::fs::read_link("/proc/self/fd/1") {
        Ok(path) if path.is_file() => {
            format!("tail -F {}    # the events as they come", path.display())
        }
        _ => {
            let folder = Path::new(kubeconfig).parent().unwrap_or(Path::new("."));
            let folder = folder.display();
            format!(
                "keepwatch up --dir {folder} | jq -c '[.timestamp, .User.username, .message]'    \
                 # the next time: the events, short"
            )
        }
    }
}
