//! What is in an archive: every event once, in order, without a gap.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, ensure};
use bytes::Bytes;
use event::{Event, Json, Level, ObjectReference, Stage, Timestamp, UserInfo, View};
use store::Journal;

/// An event of about 1.3 KB, as long as most are, that knows its number.
pub fn event(number: u64) -> Event {
    let time = Timestamp::from_micros(1_795_566_600_000_000);
    let body = serde_json::json!({
        "kind": "RestorePoint", "apiVersion": "apps.kio.kasten.io/v1alpha1",
        "metadata": {"name": format!("rp-{number}"), "namespace": "shop", "uid": format!("{number:032x}")},
    });
    Event {
        level: Level::RequestResponse,
        audit_id: number.to_string(),
        stage: Stage::ResponseComplete,
        request_uri: format!(
            "/apis/apps.kio.kasten.io/v1alpha1/namespaces/shop/restorepoints/rp-{number}"
        ),
        verb: if number.is_multiple_of(3) { "delete" } else { "get" }.to_owned(),
        user: UserInfo {
            username: format!("system:serviceaccount:shop:robot-{}", number % 17),
            groups: vec!["system:serviceaccounts".to_owned(), "system:authenticated".to_owned()],
            ..UserInfo::default()
        },
        impersonated_user: None,
        authentication_metadata: None,
        source_ips: vec!["192.0.2.7".to_owned(), format!("10.0.{}.5", number % 200)],
        user_agent: "kubectl/v1.37.2 (linux/amd64) kubernetes/0123456".to_owned(),
        object_ref: Some(ObjectReference {
            resource: "restorepoints".to_owned(),
            namespace: "shop".to_owned(),
            name: format!("rp-{number}"),
            api_group: "apps.kio.kasten.io".to_owned(),
            api_version: "v1alpha1".to_owned(),
            ..ObjectReference::default()
        }),
        response_status: None,
        request_object: None,
        response_object: Json::of(&body).ok(),
        request_received_timestamp: time,
        stage_timestamp: time,
        annotations: [
            ("authorization.k8s.io/decision", "allow"),
            (
                "authorization.k8s.io/reason",
                "RBAC: allowed by RoleBinding \"robots/shop\" of Role \"robot\"",
            ),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
    }
}

/// The record of an event.
pub fn record(number: u64) -> Bytes {
    event::record::write(&event(number))
}

/// The files below a folder, by their path in it.
pub fn files(root: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let key = path.strip_prefix(root)?.to_string_lossy().into_owned();
                found.insert(key, std::fs::read(&path)?);
            }
        }
    }
    Ok(found)
}

/// An object of events.
pub struct Part<'o> {
    /// Its first record.
    pub first: u64,
    /// Its last record.
    pub last: u64,
    bytes: &'o [u8],
}

impl Part<'_> {
    /// Its lines, as many as its range says.
    pub fn lines(&self) -> anyhow::Result<Vec<String>> {
        let lines = lines(self.bytes)?;
        let wanted = self.last + 1 - self.first;
        let (first, last) = (self.first, self.last);
        ensure!(lines.len() as u64 == wanted, "{first}-{last} has {} lines", lines.len());
        Ok(lines)
    }
}

/// The objects of a source, in the order of their ranges. Ranges that overlap or leave a gap are an
/// error.
pub fn parts<'o>(
    objects: &'o BTreeMap<String, Vec<u8>>,
    source: &str,
) -> anyhow::Result<Vec<Part<'o>>> {
    let part = format!("/source={source}/");
    let keys = objects.iter().filter(|(key, _)| key.contains(&part));
    // Hours are folders, so that paths do not sort by range over a long time: file names do.
    let name = |key: &str| key.rsplit('/').next().unwrap_or_default().to_owned();
    let sorted: BTreeMap<String, &Vec<u8>> = keys.map(|(key, bytes)| (name(key), bytes)).collect();
    let mut parts: Vec<Part<'_>> = Vec::new();
    for (name, bytes) in sorted {
        let words: Vec<&str> = name.split('-').collect();
        let number = |at: usize| -> anyhow::Result<u64> {
            words
                .get(at)
                .with_context(|| format!("{name} has no range"))?
                .parse()
                .map_err(Into::into)
        };
        let (first, last) = (number(1)?, number(2)?);
        let next = parts.last().map(|part| part.last + 1);
        ensure!(next.is_none_or(|next| next == first), "{name} does not go on from {next:?}");
        parts.push(Part { first, last, bytes });
    }
    Ok(parts)
}

/// Numbers of the events of a source, which are their audit ids, in the order of its keys.
pub fn numbers(objects: &BTreeMap<String, Vec<u8>>, source: &str) -> anyhow::Result<Vec<u64>> {
    let mut all = Vec::new();
    for part in parts(objects, source)? {
        for line in part.lines()? {
            let line: serde_json::Value = serde_json::from_str(&line)?;
            // Numbers are those of events; signals are about them.
            if line.get("signal").is_some() {
                continue;
            }
            let id = ["AuditID", "auditID"].iter().find_map(|key| line.get(key)?.as_str());
            all.push(id.context("a line without an audit id")?.parse()?);
        }
    }
    Ok(all)
}

/// The source of the objects, of which there is one.
fn source(objects: &BTreeMap<String, Vec<u8>>) -> anyhow::Result<String> {
    let source = |key: &String| Some(key.split_once("/source=")?.1.split_once('/')?.0.to_owned());
    // What checks of a destination wrote is no source of events.
    let sources: BTreeSet<String> =
        objects.keys().filter_map(source).filter(|one| one != "check").collect();
    ensure!(sources.len() == 1, "objects of one source are wanted: {sources:?}");
    sources.into_iter().next().context("no source")
}

/// Compares objects, of one source, with the journal: each record of it is one line, in order and
/// equal, from the first that is in an object to the last that is.
pub async fn compare(
    journal: &dyn Journal,
    objects: &BTreeMap<String, Vec<u8>>,
) -> anyhow::Result<Compared> {
    let parts = parts(objects, &source(objects)?)?;
    let first = parts.first().context("the archive is empty")?.first;
    let mut next = first;
    let labels = event::kasten::Labels { service: "keepwatch".to_owned(), ..Default::default() };
    for part in &parts {
        for line in part.lines()? {
            let records = journal.read(next - 1, 1, 1).await?;
            let record =
                records.first().with_context(|| format!("{next} is not in the journal"))?;
            ensure!(record.seq == next, "the journal has {} for {next}", record.seq);
            let mut expected = Vec::new();
            if let Some(signal) = event::record::signal_of(&record.bytes) {
                let signal = signal?.numbered(next);
                event::signal_line::kasten(&signal, &labels, "", &mut expected);
            } else {
                let event = View::of(&record.bytes)?.numbered(next);
                event::kasten::write(&event, &labels, &mut expected);
            }
            let expected = String::from_utf8(expected)?;
            ensure!(
                untitled(&line) == untitled(&expected),
                "record {next}:\n{line}\nis not\n{expected}"
            );
            next += 1;
        }
    }
    Ok(Compared { first, last: next - 1, objects: parts.len() })
}

/// What was found equal.
pub struct Compared {
    /// The first record in an object.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// Objects.
    pub objects: usize,
}

impl Compared {
    /// So many lines.
    pub fn events(&self) -> u64 {
        self.last + 1 - self.first
    }
}

/// A line without its title, which names resources only if they are known where it is written.
fn untitled(line: &str) -> &str {
    line.split_once(",\"timestamp\":").map_or(line, |(_, rest)| rest)
}

/// The lines of an object.
pub fn lines(bytes: &[u8]) -> anyhow::Result<Vec<String>> {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_string(&mut text)?;
    Ok(text.lines().map(str::to_owned).collect())
}
