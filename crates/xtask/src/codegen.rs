//! Generates reference pages and files of the chart.

mod values;

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::{cargo, root, target};

/// Each generated file and the hidden command of the binary that prints it.
const PAGES: [(&str, &str); 12] = [
    ("docs/reference/kinds.md", "kinds"),
    ("docs/reference/cli.md", "cli"),
    ("docs/reference/limits.md", "limits"),
    ("docs/reference/metrics.md", "metrics"),
    ("docs/reference/annotations.md", "annotations"),
    ("docs/reference/rules-export.md", "rules-export"),
    ("docs/reference/coverage.md", "coverage"),
    ("charts/keepwatch/crds/config.kio.kasten.io.yaml", "crds"),
    ("charts/keepwatch/files/apiservices.yaml", "apiservices"),
    ("charts/keepwatch/files/policy-k10.yaml", "policy-k10"),
    ("charts/keepwatch/files/policy-k10-7.yaml", "policy-k10-7"),
    ("charts/keepwatch/files/policy-extended.yaml", "policy-extended"),
];

/// K10's roles for users. The chart installs the same roles as a standalone server.
const ROLES: [&str; 3] = ["k10-admin.yaml", "k10-basic.yaml", "k10-config-view.yaml"];

/// The source of the chart's settings.
const SCHEMA: &str = "charts/keepwatch/values.schema.json";

/// Writes the files; with `check`, only compares them. Builds a server unless `server` names one.
pub(crate) fn run(check: bool, server: Option<&Path>) -> anyhow::Result<()> {
    let keepwatch = if let Some(server) = server {
        server.to_owned()
    } else {
        cargo(&["build", "--workspace", "--bin", "keepwatch"])?;
        target()?.join("debug/keepwatch")
    };
    for (page, name) in PAGES {
        write_or_check(page, &print(&keepwatch, &[name])?, check)?;
    }
    for pack in packs()? {
        let page = print(&keepwatch, &["rules", "--pack", &pack])?;
        write_or_check(&format!("docs/reference/rules-{pack}.md"), &page, check)?;
    }
    for role in ROLES {
        let source = root().join("crates/kasten/src/roles").join(role);
        let text = fs::read_to_string(source).with_context(|| format!("cannot read {role}"))?;
        write_or_check(&format!("charts/keepwatch/files/roles/{role}"), &text, check)?;
    }
    let schema = fs::read_to_string(root().join(SCHEMA)).context("cannot read the schema")?;
    write_or_check("charts/keepwatch/files/defaults.yaml", &values::defaults(&schema)?, check)?;
    write_or_check("charts/keepwatch/values.yaml", &values::file(&schema)?, check)?;
    write_or_check("docs/reference/values.md", &values::page(&schema)?, check)
}

/// Writes one file if it differs; with `check`, that is an error.
fn write_or_check(page: &str, generated: &str, check: bool) -> anyhow::Result<()> {
    let path = root().join(page);
    let current = fs::read_to_string(&path).unwrap_or_default();
    if current == generated {
        return Ok(());
    }
    if check {
        bail!("{page} is out of date: run `cargo xtask codegen` and commit the result");
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&path, generated).with_context(|| format!("cannot write {page}"))?;
    println!("wrote {page}");
    Ok(())
}

/// The packs of rules, which are the folders of `rules/`, in the order of their names.
fn packs() -> anyhow::Result<Vec<String>> {
    let entries = fs::read_dir(root().join("rules")).context("cannot read the folder of rules")?;
    let name = |entry: io::Result<fs::DirEntry>| -> anyhow::Result<String> {
        Ok(entry?.file_name().to_string_lossy().into_owned())
    };
    let mut names = entries.map(name).collect::<anyhow::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn print(keepwatch: &Path, page: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(keepwatch)
        .arg("reference")
        .args(page)
        .output()
        .context("cannot start keepwatch")?;
    if !output.status.success() {
        bail!(
            "`keepwatch reference {}`: {}",
            page.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}
