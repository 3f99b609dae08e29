//! Compares the table of crates in ARCHITECTURE.md with `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;
use cargo_metadata::{DependencyKind, MetadataCommand};

/// Maximum number of packages in the lock file. About ten of them are never built: cargo lists
/// `ring` and its dependencies, although AWS-LC replaces it. 26 packages came with the feature
/// `runtime` of `kube`, for its watcher. 22 of them are built, most of them for parts of it that
/// are not used (`ahash`, `async-broadcast`, `educe`, `hashbrown` 0.16, `json-patch` 4 and their
/// own). `zstd` has three.
const LOCKED_PACKAGES_MAX: usize = 388;

type Table = BTreeMap<String, BTreeSet<String>>;

/// The differences between the table and the workspace.
pub(super) fn violations(root: &Path) -> anyhow::Result<Vec<String>> {
    let document = std::fs::read_to_string(root.join("ARCHITECTURE.md"))
        .context("cannot read ARCHITECTURE.md")?;
    let lock =
        std::fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let allowed = table(&document);
    let mut violations = differences(&allowed, &workspace(root)?);
    let locked = lock.lines().filter(|line| *line == "[[package]]").count();
    if locked > LOCKED_PACKAGES_MAX {
        violations
            .push(format!("Cargo.lock: {locked} packages, the budget is {LOCKED_PACKAGES_MAX}"));
    }
    Ok(violations)
}

fn differences(allowed: &Table, used: &Table) -> Vec<String> {
    let mut violations = Vec::new();
    for (name, uses) in used {
        let Some(permitted) = allowed.get(name) else {
            violations.push(format!("crate {name} is not in the table of ARCHITECTURE.md"));
            continue;
        };
        for forbidden in uses.difference(permitted) {
            violations.push(format!("crate {name} uses {forbidden}; ARCHITECTURE.md forbids it"));
        }
    }
    for name in allowed.keys().filter(|name| !used.contains_key(*name)) {
        violations.push(format!("ARCHITECTURE.md lists the crate {name}, which does not exist"));
    }
    violations
}

/// Rows such as ``| `audit` | what for | event store |``; several names in the first cell share
/// the row; `all` means every crate of the table.
fn table(document: &str) -> Table {
    let rows: Vec<(Vec<String>, Vec<String>)> = document
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim().trim_matches('|').split('|').collect();
            let [names, _, uses] = cells.as_slice() else { return None };
            let names: Vec<String> =
                names.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            let uses = uses.split_whitespace().map(|word| word.trim_matches('`').to_owned());
            (!names.is_empty()).then(|| (names, uses.collect()))
        })
        .collect();
    let all: BTreeSet<String> = rows.iter().flat_map(|(names, _)| names.clone()).collect();
    rows.into_iter()
        .flat_map(|(names, uses)| {
            let uses: BTreeSet<String> = if uses.iter().any(|word| word == "all") {
                all.clone()
            } else {
                uses.into_iter().collect()
            };
            names.into_iter().map(move |name| (name, uses.clone()))
        })
        .collect()
}

/// The dependencies of each crate on other crates of the workspace, without development
/// dependencies.
fn workspace(root: &Path) -> anyhow::Result<Table> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cargo metadata failed")?;
    let names: BTreeSet<String> =
        metadata.packages.iter().map(|package| package.name.to_string()).collect();
    Ok(metadata
        .packages
        .iter()
        .map(|package| {
            let uses = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind == DependencyKind::Normal)
                .filter(|dependency| dependency.path.is_some() && names.contains(&dependency.name))
                .map(|dependency| dependency.name.clone())
                .collect();
            (package.name.to_string(), uses)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_crates_and_their_dependencies() {
        let document = "| crate | for | may use |\n|---|---|---|\n| `a` | x | – |\n| `b`, `c` | y | a |\n| `d` | z | all |\n";
        let table = table(document);
        assert!(table["b"].contains("a") && table["c"].contains("a"));
        assert!(table["d"].contains("c"));
        let mut used = table.clone();
        used.insert("a".to_owned(), BTreeSet::from(["b".to_owned()]));
        used.insert("e".to_owned(), BTreeSet::new());
        used.remove("c");
        assert_eq!(
            differences(&table, &used),
            [
                "crate a uses b; ARCHITECTURE.md forbids it",
                "crate e is not in the table of ARCHITECTURE.md",
                "ARCHITECTURE.md lists the crate c, which does not exist",
            ]
        );
    }
}
