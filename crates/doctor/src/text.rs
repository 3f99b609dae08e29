//! The findings as text for a terminal: tables, what is not known, the steps and the values.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use crate::behaviours::{Behaviour, Visible};
use crate::findings::Findings;

/// Maximum width of a column that is not the last one.
const WIDTH_MAX: usize = 58;

/// The page. `values` is the YAML text of the values.
pub fn page(findings: &Findings, values: &str) -> String {
    let mut page = String::new();
    // Writing to a string does not fail.
    write(&mut page, findings, values).unwrap_or_default();
    page
}

fn write(page: &mut String, findings: &Findings, values: &str) -> fmt::Result {
    cluster(page, findings)?;
    tools(page, findings)?;
    sources(page, findings)?;
    coverage(page, findings)?;
    if !findings.unknown.is_empty() {
        writeln!(page, "\nNOT KNOWN")?;
        for sentence in &findings.unknown {
            writeln!(page, "- {sentence}")?;
        }
    }
    writeln!(page, "\nSTEPS")?;
    for (number, step) in findings.steps.iter().enumerate() {
        writeln!(page, "{}. {step}", number + 1)?;
    }
    write!(page, "\nVALUES (values.yaml)\n{values}")
}

fn cluster(page: &mut String, findings: &Findings) -> fmt::Result {
    let cluster = &findings.cluster;
    let managed = match cluster.is_managed {
        Some(true) => "managed control plane",
        Some(false) => "own control plane",
        None => "not known whether the control plane is managed",
    };
    writeln!(page, "CLUSTER    {}, {}, {managed}", cluster.version, cluster.platform.title())?;
    writeln!(page, "           {}", cluster.evidence.join("; "))?;
    writeln!(page, "AUDIT      {}", cluster.auditing.policy)?;
    if findings.keepwatch.is_empty() {
        writeln!(page, "KEEPWATCH  not found")?;
    }
    for server in &findings.keepwatch {
        let name = match server.cluster_name.as_str() {
            "" => "without a name of its cluster".to_owned(),
            name => format!("cluster {name}"),
        };
        let release = match server.release.as_str() {
            "" => "without a release".to_owned(),
            release => format!("release {release}"),
        };
        let (namespace, image) = (&server.namespace, &server.image);
        writeln!(page, "KEEPWATCH  namespace {namespace}, {release}, {image}, {name}")?;
    }
    for source in &findings.sources_of_other_clusters {
        writeln!(page, "           of another cluster: {source}")?;
    }
    Ok(())
}

fn tools(page: &mut String, findings: &Findings) -> fmt::Result {
    if findings.tools.is_empty() {
        return writeln!(page, "\nNo backup tool was found for which there are rules.");
    }
    let joined =
        |texts: &BTreeSet<String>| texts.iter().map(String::as_str).collect::<Vec<_>>().join(",");
    let rows = findings.tools.iter().map(|tool| {
        [
            tool.title.to_owned(),
            joined(&tool.versions),
            joined(&tool.namespaces),
            tool.evidence.join("; "),
        ]
    });
    table(page, ["BACKUP TOOL", "VERSION", "NAMESPACE", "EVIDENCE"], &rows.collect::<Vec<_>>())
}

fn sources(page: &mut String, findings: &Findings) -> fmt::Result {
    let rows = findings.sources.iter().map(|source| {
        let possible = match source.is_possible {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not known",
        };
        let connected = if source.connections.is_empty() { "no" } else { "yes" };
        let recommended = if source.is_recommended { "yes" } else { "" };
        let mut reason = source.connections.clone();
        reason.push(source.reason.clone());
        [
            source.kind.title().to_owned(),
            possible.to_owned(),
            connected.to_owned(),
            recommended.to_owned(),
            reason.join("; "),
        ]
    });
    table(page, ["SOURCE", "POSSIBLE", "CONNECTED", "SET UP", "REASON"], &rows.collect::<Vec<_>>())
}

fn coverage(page: &mut String, findings: &Findings) -> fmt::Result {
    let all: Vec<_> = findings.coverage.iter().flat_map(|tool| &tool.behaviours).collect();
    if all.is_empty() {
        return Ok(());
    }
    let unseen = |is_unseen: &dyn Fn(&Behaviour) -> bool| {
        all.iter().filter(|behaviour| is_unseen(behaviour)).count()
    };
    writeln!(
        page,
        "\nOf {} things that an attacker can do to these backups, {} are unseen now, and {} with the \
         values below.",
        all.len(),
        unseen(&|behaviour: &Behaviour| behaviour.now == Visible::No),
        unseen(&|behaviour: &Behaviour| behaviour.then == Visible::No),
    )?;
    for tool in &findings.coverage {
        let rows = tool.behaviours.iter().map(|behaviour| {
            let more = match behaviour.variants {
                0 => String::new(),
                count => format!(" (+{count})"),
            };
            [
                shortened(&behaviour.title, WIDTH_MAX - more.len()) + &more,
                behaviour.now.cell().to_owned(),
                behaviour.then.cell().to_owned(),
                behaviour.by.join(", "),
            ]
        });
        table(page, [tool.title, "NOW", "THEN", "BY"], &rows.collect::<Vec<_>>())?;
    }
    Ok(())
}

/// A table whose last column has any width.
fn table<const N: usize>(page: &mut String, head: [&str; N], rows: &[[String; N]]) -> fmt::Result {
    let head = head.map(str::to_owned);
    let width = |column: usize| {
        let cells = rows.iter().chain([&head]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default().min(WIDTH_MAX)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    page.push('\n');
    for row in [&head].into_iter().chain(rows) {
        let mut line = String::new();
        for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
            if index + 1 == N {
                line.push_str(cell);
            } else {
                write!(line, "{:<width$}  ", shortened(cell, width))?;
            }
        }
        writeln!(page, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A text of at most so many characters.
fn shortened(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}
