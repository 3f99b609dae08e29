//! The pages of the built-in rules, one for each pack: one section for each rule that raises
//! signals.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, anyhow};
use detect::builtin::Pack;
use detect::rule::{Body, Case, Correlation, CorrelationKind};
use detect::{LoadOptions, Rule, RuleSet, builtin};

const TABLE: &str = "| Rule | Severity | Counts |\n|---|---|---|\n";

const EXPORTS_HEAD: &str = "# Rules in other SIEMs\n\n\
    Generated from the code: `cargo xtask codegen` writes this page. `keepwatch rules export --matrix` \
    prints it for your own rules. [Rules in another SIEM](../guides/export.md) describes the import.\n\n\
    *same*: the same events raise the rule; a note is about texts and groups, or about requests that \
    change nothing. *tighter*: it can miss events. *looser*: it can match more. *different*: both. These \
    are written only with `--allow-lossy`, and their descriptions say how they differ. *refused*: the \
    target cannot express the rule.\n\n\
    All of this is about the events of the target's own source. Records of Keepwatch's admission webhook are \
    in no other SIEM, so what only they show raises no exported rule: `coverage.md` names it.\n";

/// The page of exports.
pub(super) fn exports() -> Result<String> {
    Ok(EXPORTS_HEAD.to_owned() + &detect::export::matrix::markdown(&loaded()?))
}

fn loaded() -> Result<RuleSet> {
    RuleSet::load(builtin::documents(), &LoadOptions::default()).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow!("the rules cannot be read:\n{}", errors.join("\n"))
    })
}

/// The page of a pack, by the name of its folder.
pub(super) fn page(name: &str) -> Result<String> {
    let pack = builtin::packs().iter().find(|pack| pack.name == name);
    let pack = pack.ok_or_else(|| anyhow!("there is no pack of rules {name:?}"))?;
    let rules = loaded()?;
    let mut page = head(pack);
    let is_of_pack =
        |rule: &&Rule| pack.documents.iter().any(|document| document.file == rule.origin.file);
    let raising = || rules.rules().iter().filter(|rule| rule.raises).filter(is_of_pack);
    for rule in raising() {
        let anchor = anchor(&rule.title);
        let (title, severity, counts) = (&rule.title, severity(rule), counts(rule));
        writeln!(page, "| [{title}](#{anchor}) | {severity} | {counts} |")?;
    }
    for rule in raising() {
        section(&mut page, rule)?;
    }
    Ok(page)
}

/// The title, the common properties of all rules, and the packs of other programs.
fn head(pack: &Pack) -> String {
    let others = builtin::packs().iter().filter(|other| other.name != pack.name);
    let others: Vec<String> =
        others.map(|other| format!("[{}](rules-{}.md)", other.title, other.name)).collect();
    let others = if others.is_empty() {
        String::new()
    } else {
        format!(" Rules about other programs: {}.", others.join(", "))
    };
    let Pack { name, title, accounts, .. } = pack;
    format!(
        "# Built-in rules: {title}\n\n\
         Generated from `rules/{name}/`: `cargo xtask codegen` writes this page. Each rule has a file with \
         events and the signals that they must raise; `keepwatch rules test` evaluates them.{others}\n\n\
         No rule counts dry runs. Rules on damage count successful requests, rules on probing count \
         denied ones. {accounts} A request counts for the person who made it, also by impersonation or \
         through K10's dashboard. Groups and thresholds are per cluster.\n\n{TABLE}"
    )
}

/// The anchor that GitHub generates for a heading.
fn anchor(title: &str) -> String {
    let letters = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-'));
    letters.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn section(page: &mut String, rule: &Rule) -> Result<()> {
    let (signal, guide) = (&rule.signal, &rule.signal.guide);
    write!(page, "\n## {}\n\n`{}`, {}. ", rule.title, rule.id, severity(rule))?;
    let tags: Vec<&str> = rule.tags.iter().filter_map(|tag| tag.strip_prefix("attack.")).collect();
    writeln!(page, "ATT&CK: {}.\n\n{}\n", tags.join(", "), rule.description.trim_end())?;
    writeln!(
        page,
        "Counts {}. {}\n",
        counts(rule),
        lifetime(signal.keep_alive, signal.max_duration)
    )?;
    if !signal.supersedes.is_empty() {
        let names: Vec<String> = signal.supersedes.iter().map(|id| format!("`{id}`")).collect();
        writeln!(
            page,
            "While it has an open signal, these rules raise none: {}.\n",
            names.join(", ")
        )?;
    }
    writeln!(page, "**Goal.** {}\n", guide.goal.trim_end())?;
    writeln!(page, "**Strategy.** {}\n", guide.strategy.trim_end())?;
    writeln!(page, "**Triage and response.**\n\n{}\n", guide.response.trim_end())?;
    list(page, "False positives", &rule.false_positives)?;
    list(page, "Blind spots", &signal.blind_spots)
}

fn list(page: &mut String, name: &str, items: &[String]) -> Result<()> {
    writeln!(page, "**{name}.**\n")?;
    for item in items {
        writeln!(page, "- {}", item.trim_end())?;
    }
    if name != "Blind spots" {
        writeln!(page)?;
    }
    Ok(())
}

fn severity(rule: &Rule) -> String {
    let of_case = |case: &Case| format!("{} from {}", case.severity, case.at_least);
    if rule.signal.cases.is_empty() {
        return rule.severity.to_string();
    }
    let cases: Vec<String> = rule.signal.cases.iter().rev().map(of_case).collect();
    cases.join(", ")
}

/// What is counted, the threshold, the time range and the group.
fn counts(rule: &Rule) -> String {
    match &rule.body {
        Body::Detection(_) if rule.signal.first_seen.is_some() => {
            "the first event of each identity".to_owned()
        }
        Body::Detection(_) => {
            let fields: Vec<String> =
                rule.signal.group_by.iter().map(|field| format!("`{field}`")).collect();
            format!("each event{}", grouped(&fields))
        }
        Body::Correlation(correlation) => correlated(correlation),
    }
}

fn correlated(correlation: &Correlation) -> String {
    let least = correlation.condition.at_least;
    let micros = u64::try_from(correlation.timespan).unwrap_or_default();
    let within = time(Duration::from_micros(micros));
    let what = match &correlation.kind {
        CorrelationKind::EventCount => format!("{least} events"),
        CorrelationKind::ValueCount(counted) => {
            let names: Vec<String> = counted.iter().map(|field| format!("`{field}`")).collect();
            format!("{least} distinct values of {}", names.join(" and "))
        }
        CorrelationKind::Temporal => "all of its events".to_owned(),
        CorrelationKind::TemporalOrdered => "all of its events in order".to_owned(),
        CorrelationKind::Absence => return format!("{within} without an event"),
    };
    let fields: Vec<String> =
        correlation.group_by.iter().map(|field| format!("`{}`", field.name)).collect();
    format!("{what} within {within}{}", grouped(&fields))
}

fn grouped(fields: &[String]) -> String {
    if fields.is_empty() { String::new() } else { format!(" per {}", fields.join(" and ")) }
}

fn lifetime(keep_alive: Duration, max_duration: Duration) -> String {
    let (idle, total) = (time(keep_alive), time(max_duration));
    format!("A signal closes after {idle} without an event, at the latest after {total}.")
}

fn time(time: Duration) -> String {
    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;
    let (number, unit) = match time.as_secs() {
        seconds if seconds >= 2 * DAY && seconds.is_multiple_of(DAY) => (seconds / DAY, "days"),
        HOUR => (1, "hour"),
        seconds if seconds.is_multiple_of(HOUR) => (seconds / HOUR, "hours"),
        seconds if seconds.is_multiple_of(60) => (seconds / 60, "minutes"),
        seconds => (seconds, "seconds"),
    };
    format!("{number} {unit}")
}
