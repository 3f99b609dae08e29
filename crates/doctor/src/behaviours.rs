//! What an attacker can do to the backups of a tool, and whether a set of sources shows it: the
//! table of [`detect::coverage`], which is also the page docs/reference/coverage.md.
//!
//! Rules of one file that the same sources show are one behaviour with variants. Rules about
//! Keepwatch itself are left out, and those that only say that a body is missing.

use std::collections::BTreeMap;

use detect::coverage::{self, Source, Visibility};
use detect::{RuleSet, builtin};
use serde::Serialize;

use crate::tools::{ANY_TOOL, title};

/// The suffix of rules that say that a change was recorded without its body.
const WITHOUT_BODY: &str = "-without-body";
/// The prefix of rules about Keepwatch itself.
const OWN_RULES: &str = "keepwatch-";

/// Whether a behaviour raises a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Visible {
    /// No.
    No,
    /// If the source records reads, which it does not by default.
    WithReads,
    /// Yes; the event does not have the values.
    WithoutBody,
    /// Yes.
    Yes,
}

impl Visible {
    /// As a cell of a table.
    pub fn cell(self) -> &'static str {
        match self {
            Self::No => "UNSEEN",
            Self::WithReads => "reads",
            Self::WithoutBody => "no body",
            Self::Yes => "seen",
        }
    }
}

/// What an attacker can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Behaviour {
    /// The first of its rules.
    pub rule: String,
    /// Title of that rule.
    pub title: String,
    /// Number of further rules that the same sources show.
    pub variants: usize,
    /// Whether it raises a signal with the sources that are connected.
    pub now: Visible,
    /// Whether it would with the recommended sources too.
    pub then: Visible,
    /// The sources that show it best.
    pub by: Vec<&'static str>,
}

/// The behaviours against one tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolBehaviours {
    /// The pack of rules.
    pub pack: &'static str,
    /// Name of the tool.
    pub title: &'static str,
    /// The behaviours, in the order of the rules.
    pub behaviours: Vec<Behaviour>,
}

/// The behaviours against the tools, with the sources that are connected and with those that will
/// be.
pub(crate) fn of(
    packs: &[&'static str],
    now: &[Source],
    then: &[Source],
    rules: &RuleSet,
) -> Vec<ToolBehaviours> {
    let packs = packs.iter().copied().chain((!packs.is_empty()).then_some(ANY_TOOL));
    packs
        .map(|pack| ToolBehaviours {
            pack,
            title: title(pack),
            behaviours: of_pack(pack, now, then, rules),
        })
        .collect()
}

fn of_pack(name: &str, now: &[Source], then: &[Source], rules: &RuleSet) -> Vec<Behaviour> {
    let pack = builtin::packs().iter().find(|pack| pack.name == name);
    let files = pack.map(|pack| pack.documents.as_slice()).unwrap_or_default();
    let mut behaviours: Vec<Behaviour> = Vec::new();
    // The behaviour of a file and of what each source shows.
    let mut known: BTreeMap<(&str, Vec<Visible>), usize> = BTreeMap::new();
    for rule in rules.rules().iter().filter(|rule| rule.raises) {
        let is_of_pack = files.iter().any(|document| document.file == rule.origin.file);
        if !is_of_pack || rule.id.contains(WITHOUT_BODY) || rule.id.starts_with(OWN_RULES) {
            continue;
        }
        let is_of_reads = coverage::is_of_reads(rules, rule);
        let row: Vec<(Source, Visible)> = Source::ALL
            .into_iter()
            .map(|source| (source, visible(coverage::of(rules, rule, source), source, is_of_reads)))
            .collect();
        let cells = row.iter().map(|(_, visible)| *visible).collect();
        let key = (rule.origin.file.as_str(), cells);
        if let Some(behaviour) = known.get(&key).and_then(|index| behaviours.get_mut(*index)) {
            behaviour.variants += 1;
            continue;
        }
        known.insert(key, behaviours.len());
        let expected = best(&row, then);
        let by = row.iter().filter(|(source, visible)| {
            *visible == expected && then.contains(source) && *visible != Visible::No
        });
        behaviours.push(Behaviour {
            rule: rule.id.clone(),
            title: rule.title.clone(),
            variants: 0,
            now: best(&row, now),
            then: expected,
            by: by.map(|(source, _)| source.title()).collect(),
        });
    }
    behaviours
}

/// What the best of some sources shows.
fn best(row: &[(Source, Visible)], sources: &[Source]) -> Visible {
    let cells = row.iter().filter(|(source, _)| sources.contains(source));
    cells.map(|(_, visible)| *visible).max().unwrap_or(Visible::No)
}

fn visible(visibility: Visibility, source: Source, is_of_reads: bool) -> Visible {
    let may_lack_reads = is_of_reads && matches!(source, Source::Gke | Source::Aks);
    match visibility {
        Visibility::Hidden => Visible::No,
        _ if may_lack_reads => Visible::WithReads,
        Visibility::WithoutBody => Visible::WithoutBody,
        Visibility::Seen => Visible::Yes,
    }
}
