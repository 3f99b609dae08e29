//! The page of coverage: which built-in rules can fire on the events of which source.

use std::fmt::Write as _;

use anyhow::{Result, anyhow};
use detect::coverage::{self, Source, Visibility};
use detect::{LoadOptions, RuleSet, builtin};

const HEAD: &str = "# What each source shows\n\n\
    Generated from the rules: `cargo xtask codegen` writes this page. A cell follows from the verbs and \
    fields of a rule, and from what the source records. A test evaluates the examples of each rule as each \
    source would record them, and compares the result with this page.\n\n\
    - **seen**: the rule fires, and the event has everything that the source records of such a request.\n\
    - **no body**: the rule fires, but the event has no body: who, what and when, but not which values.\n\
    - **–**: the rule cannot fire on this source.\n\
    - **reads**: only if the source records reads. The log `data_access` of GKE is off by default, and \
    `kube-audit-admin` of AKS has no reads.\n\n\
    EKS, GKE and AKS record custom resources and aggregated APIs without bodies (level Metadata), whatever \
    you configure. Rules on fields, such as a paused schedule or another bucket, cannot fire there: connect \
    kube-apiserver's audit webhook on a cluster whose control plane is yours. kube-apiserver records requests \
    that it passes on to an aggregated API server without bodies too: connect Keepwatch's own server or its \
    proxy.\n\n\
    The column *Admission webhook* is that of the [admission webhook](../guides/admission-webhook.md) with its default API \
    groups. It sends bodies on every cluster, EKS, GKE and AKS too, and the object before each change, but no \
    reads and no refused requests. A request that impersonates a user looks like one of that user. *Keepwatch or \
    its proxy* is for aggregated APIs. No log shows what happens past the cluster, in the bucket or the storage \
    system.\n";

/// The page.
pub(super) fn page() -> Result<String> {
    let rules = RuleSet::load(builtin::documents(), &LoadOptions::default())
        .map_err(|errors| anyhow!("the rules cannot be read: {errors:?}"))?;
    let mut page = HEAD.to_owned();
    for pack in builtin::packs() {
        write!(page, "\n## {}\n\n| Rule |", pack.title)?;
        for source in Source::ALL {
            write!(page, " {} |", source.title())?;
        }
        writeln!(page, "\n|---|{}", "---|".repeat(Source::ALL.len()))?;
        for rule in rules.rules().iter().filter(|rule| rule.raises) {
            if !pack.documents.iter().any(|document| document.file == rule.origin.file) {
                continue;
            }
            write!(page, "| `{}` |", rule.id)?;
            let is_of_reads = coverage::is_of_reads(&rules, rule);
            for source in Source::ALL {
                let visibility = coverage::of(&rules, rule, source);
                write!(page, " {} |", cell(visibility, source, is_of_reads))?;
            }
            page.push('\n');
        }
    }
    Ok(page)
}

fn cell(visibility: Visibility, source: Source, is_of_reads: bool) -> &'static str {
    let may_lack_reads = is_of_reads && matches!(source, Source::Gke | Source::Aks);
    match visibility {
        Visibility::Hidden => "–",
        _ if may_lack_reads => "reads",
        Visibility::WithoutBody => "no body",
        Visibility::Seen => "seen",
    }
}
