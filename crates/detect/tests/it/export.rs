//! The exported rules of one pack are compared with golden files. Those of all packs are evaluated
//! on events.
//!
//! `UPDATE_GOLDEN=1 cargo test -p detect --test it export` updates the golden files; read the diff.

mod dashboards;
mod datadog;
mod elastic;
mod falco;
mod loki;
pub(super) mod meaning;
mod sentinel;
mod sigma;
mod splunk;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use detect::export::{self, Choice, Exported, Format, Profile, Target, dashboard};
use detect::{Document, LoadOptions, RuleSet, builtin};

use super::pack;

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Exports every built-in rule to a target, including those that differ.
fn exported(
    target: &dyn Target,
    profile: &'static Profile,
    format: &'static Format,
) -> Vec<Exported> {
    exported_of(&pack::all(), target, profile, format)
}

fn exported_of(
    rules: &RuleSet,
    target: &dyn Target,
    profile: &'static Profile,
    format: &'static Format,
) -> Vec<Exported> {
    let choice = Choice { profile, format, options: rules.options(), has_suppressions: false };
    export::raising(rules).map(|rule| export::export(rules, rule, target, &choice, true)).collect()
}

/// The pack with golden files. The files of all packs would be too many to read.
const GOLDEN_PACK: &str = "kasten";

/// The output of `keepwatch rules export --allow-lossy`, by the path below the golden files.
fn all_files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let set = pack::rules_of(GOLDEN_PACK);
    for target in export::all() {
        for profile in target.profiles() {
            for (index, format) in target.formats().iter().enumerate() {
                // The other profiles in one format only: they differ only in field names.
                if index > 0 && profile.name != target.profiles()[0].name {
                    continue;
                }
                let folder = format!("{}/{}/{}", target.name(), profile.name, format.name);
                let rules = exported_of(&set, *target, profile, format);
                let written: Vec<&str> = rules
                    .iter()
                    .filter(|rule| !rule.files.is_empty())
                    .map(|rule| rule.rule.as_str())
                    .collect();
                if target.name() == "datadog" {
                    for file in datadog::suppressions(profile, format) {
                        files.insert(format!("{folder}/{}", file.name), file.text);
                    }
                }
                let choice =
                    Choice { profile, format, options: set.options(), has_suppressions: false };
                let package = target.package(&set, &written, &choice);
                for file in rules.iter().flat_map(|rule| rule.files.clone()).chain(package) {
                    let path = format!("{folder}/{}", file.name);
                    assert!(file.text.ends_with('\n'), "{path}");
                    assert!(files.insert(path.clone(), file.text).is_none(), "twice: {path}");
                }
            }
        }
    }
    for system in dashboard::all() {
        for profile in system.profiles {
            for file in system.write(profile) {
                let path = format!("dashboards/{}/{profile}/{}", system.name, file.name);
                files.insert(path, file.text);
            }
        }
    }
    files
}

fn files_in(folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_in(&path, files);
        } else {
            let name = path.strip_prefix(golden()).unwrap().to_str().unwrap().to_owned();
            files.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn exports_equal_the_golden_files() {
    let generated = all_files();
    let mut golden_files = BTreeMap::new();
    files_in(&golden(), &mut golden_files);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        for name in golden_files.keys().filter(|name| !generated.contains_key(*name)) {
            fs::remove_file(golden().join(name)).unwrap();
        }
        for (name, text) in &generated {
            let path = golden().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        return;
    }
    let is_stale = |name: &&String| golden_files.get(*name) != generated.get(*name);
    let stale: Vec<&String> =
        generated.keys().chain(golden_files.keys()).filter(is_stale).collect();
    assert!(stale.is_empty(), "out of date, run with UPDATE_GOLDEN=1: {stale:#?}");
}

#[test]
fn every_rule_is_exported_or_refused_with_a_reason() {
    for target in export::all() {
        for profile in target.profiles() {
            let format = target.formats().first().unwrap();
            for rule in exported(*target, profile, format) {
                let (id, fidelity) = (&rule.rule, &rule.fidelity);
                assert_eq!(rule.files.is_empty(), fidelity.is_refused(), "{id}: {fidelity:?}");
                assert!(fidelity.is_same() || !fidelity.reasons().is_empty(), "{id}");
            }
        }
    }
}

/// Rules about events that only Keepwatch records were once exported for the cluster's own audit
/// log.
#[test]
fn rules_about_events_that_a_profile_lacks_are_refused() {
    let own = [
        "keepwatch-cursor-moved",
        "keepwatch-cursor-moved-back",
        "keepwatch-destination-released",
        "keepwatch-heartbeat-silent",
        "keepwatch-journal-gap",
        "keepwatch-source-silent",
    ];
    let mut profiles = Vec::new();
    for target in export::all() {
        for profile in target.profiles() {
            if !profile.lacks.iter().any(|lack| lack.what.contains("records about itself")) {
                continue;
            }
            profiles.push(profile.name);
            for rule in exported(*target, profile, target.formats().first().unwrap()) {
                let is_own = own.contains(&&*rule.rule);
                assert!(!is_own || rule.fidelity.is_refused(), "{} {}", profile.name, rule.rule);
            }
        }
    }
    for profile in ["kubernetes.audit", "AKSAudit", "kube-apiserver-audit", "k8saudit"] {
        assert!(profiles.contains(&profile), "{profile} is not in {profiles:?}");
    }
}

#[test]
fn rules_that_differ_are_written_only_on_request_with_the_differences() {
    let rules = pack::all();
    for target in export::all() {
        for profile in target.profiles() {
            let format = target.formats().first().unwrap();
            let choice =
                Choice { profile, format, options: rules.options(), has_suppressions: false };
            for rule in export::raising(&rules) {
                let strict = export::export(&rules, rule, *target, &choice, false);
                assert_eq!(strict.files.is_empty(), !strict.fidelity.is_same(), "{}", rule.id);
                let lossy = export::export(&rules, rule, *target, &choice, true);
                let says = lossy.files.iter().any(|file| file.text.contains("This export finds"));
                let differs = !lossy.fidelity.is_same() && !lossy.fidelity.is_refused();
                assert_eq!(says, differs, "{} for {}", rule.id, target.name());
            }
        }
    }
}

#[test]
fn a_filter_is_part_of_the_exported_rule() {
    let filter = "title: t\nlogsource: {product: kubernetes, service: audit}\nfilter:\n  rules: \
                  [kasten-passkey-changed]\n  known: {user.username: 'system:robot'}\n  condition: \
                  not known\n";
    let documents = [builtin::documents().to_vec(), vec![Document::new("filter.yaml", filter)]];
    let rules = RuleSet::load(&documents.concat(), &LoadOptions::default()).unwrap();
    let rule = &rules.rules()[rules.find("kasten-passkey-changed").unwrap()];
    for target in export::all() {
        let (profile, format) = (&target.profiles()[0], &target.formats()[0]);
        let choice = Choice { profile, format, options: rules.options(), has_suppressions: false };
        let exported = export::export(&rules, rule, *target, &choice, true);
        let is_in = exported.files.iter().any(|file| file.text.contains("system:robot"));
        assert!(is_in || exported.fidelity.is_refused(), "{}", target.name());
    }
}
