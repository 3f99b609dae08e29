//! Queries the events and signals of a user from a server through its API.

use anyhow::{Context as _, Result, bail};
use event::{Event, Signal, SignalState};
use kube::config::{KubeConfigOptions, Kubeconfig};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::sync::Arc;

use super::timeline::{Scope, Timeline};
use crate::args::investigate::UserArgs;
use crate::terminal::eprint_line;

/// Number of objects per list request.
const PAGE: usize = 500;
/// Maximum number of events that are read from a server.
const EVENTS_MAX: usize = 200_000;
/// Maximum number of addresses whose other users are queried.
const ADDRESSES_MAX: usize = 8;
/// Maximum number of events of other users that are read for each address.
const NEIGHBOURS_MAX: usize = 1000;

/// The events that report gaps in the journal.
const GAPS: &str = "user=system:keepwatch,verb=gap";

/// Reads everything.
pub(super) fn read(args: &UserArgs, scope: Scope) -> Result<Timeline> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot query a server")?;
    runtime.block_on(async {
        let (client, url) = connect(args).await?;
        let mut timeline = Timeline::new(scope, url);
        fill(&client, &mut timeline).await?;
        timeline.finish();
        Ok(timeline)
    })
}

/// A client, configured as kubectl is.
async fn connect(args: &UserArgs) -> Result<(kube::Client, String)> {
    let options = KubeConfigOptions { context: args.context.clone(), ..<_>::default() };
    let config = match &args.kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            kube::Config::from_custom_kubeconfig(kubeconfig, &options).await
        }
        None => kube::Config::from_kubeconfig(&options).await,
    };
    let config = config.context(
        "there is no server to query: pass its kubeconfig with --kubeconfig, or inputs to read",
    )?;
    let url = config.cluster_url.to_string();
    let client = kube::Client::try_from(config).context("cannot create a client")?;
    Ok((client, url.trim_end_matches('/').to_owned()))
}

async fn fill(client: &kube::Client, timeline: &mut Timeline) -> Result<()> {
    let range = range(&timeline.scope);
    let name = timeline.scope.name.clone();
    let of_user = format!("user={},order=newest{range}", escaped(&name));
    let is_complete = events(client, &of_user, EVENTS_MAX, timeline).await?;
    if !is_complete {
        eprint_line(&format!(
            "only the newest {EVENTS_MAX} events are shown: choose a shorter time range"
        ));
    }
    // Other users of the addresses come last, because they are less important.
    let addresses: Vec<String> = timeline.addresses.0.keys().take(ADDRESSES_MAX).cloned().collect();
    for address in addresses {
        let of_address = format!("sourceIP={},order=newest{range}", escaped(&address));
        events(client, &of_address, NEIGHBOURS_MAX, timeline).await?;
    }
    signals(client, timeline).await?;
    report_gaps(client).await
}

/// Reports missing records of the journal, because the user's may be among them.
async fn report_gaps(client: &kube::Client) -> Result<()> {
    let page = list(client, "auditevents", GAPS, "").await?;
    let count = items(&page).count();
    if count > 0 {
        eprint_line(&format!(
            "records of the journal are missing or damaged, so events may be missing here: see \
             `kubectl get auditevents --field-selector {GAPS} -o yaml` ({count} gaps)"
        ));
    }
    Ok(())
}

/// The newest events that match a field selector, and whether these are all.
async fn events(
    client: &kube::Client,
    selector: &str,
    max: usize,
    timeline: &mut Timeline,
) -> Result<bool> {
    let mut token = String::new();
    let mut count = 0;
    loop {
        let page = list(client, "auditevents", selector, &token).await?;
        for item in items(&page) {
            timeline.add(&event(item)?, "");
            count += 1;
        }
        token = continuation(&page);
        if token.is_empty() || count >= max {
            return Ok(token.is_empty());
        }
    }
}

async fn signals(client: &kube::Client, timeline: &mut Timeline) -> Result<()> {
    let mut token = String::new();
    loop {
        let page = list(client, "signals", "", &token).await?;
        for item in items(&page) {
            timeline.add_signal(&Arc::new(signal(item)?));
        }
        token = continuation(&page);
        if token.is_empty() {
            return Ok(());
        }
    }
}

async fn list(client: &kube::Client, plural: &str, selector: &str, token: &str) -> Result<Value> {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let uri = format!(
        "/apis/{}/{plural}?limit={PAGE}&fieldSelector={}&continue={}",
        siem::API_VERSION,
        encoded(selector),
        encoded(token)
    );
    let request = http::Request::get(uri).body(Vec::new())?;
    match client.request::<Value>(request).await {
        Ok(page) => Ok(page),
        Err(kube::Error::Api(status)) if status.code == 404 => bail!(
            "the server has no {plural}.{}: it is not Keepwatch, or an older one",
            siem::GROUP
        ),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            bail!("the server refuses: {}; the role keepwatch-view allows it", status.message)
        }
        Err(error) => Err(anyhow::Error::new(error).context(format!("cannot list {plural}"))),
    }
}

fn items(page: &Value) -> impl Iterator<Item = &Value> {
    page.get("items").and_then(Value::as_array).into_iter().flatten()
}

fn continuation(page: &Value) -> String {
    page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The event in an object of the API.
fn event(item: &Value) -> Result<Event> {
    let inner = item.get("event").unwrap_or(item);
    let mut inner = inner.clone();
    if let Some(object) = inner.as_object_mut() {
        // The API object has these fields.
        object.remove("kind");
        object.remove("apiVersion");
    }
    let line = serde_json::to_vec(&inner)?;
    event::v1::read(&line).context("the server lists something that is not an audit event")
}

/// The signal in an object of the API.
fn signal(item: &Value) -> Result<Signal> {
    let text = |path: &str| item.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let state = match text("/status/state") {
        "closed" => SignalState::Closed,
        "updated" => SignalState::Updated,
        _ => SignalState::Open,
    };
    let spec = item.get("spec").cloned().unwrap_or_default();
    // Parsed from text, because some fields are stored as text.
    let spec = serde_json::from_str(&spec.to_string())
        .context("the server lists something that is not a signal")?;
    Ok(Signal { id: text("/metadata/name").to_owned(), spec, state })
}

/// The time range as field selectors.
fn range(scope: &Scope) -> String {
    let parameter = |name: &str, time: Option<event::Timestamp>| {
        time.map(|time| format!(",{name}={time}")).unwrap_or_default()
    };
    parameter("since", scope.since) + &parameter("until", scope.until)
}

/// A value in a field selector.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}
