//! Rules for Splunk.

mod run;
mod spl;
mod value;

use detect::export::{self, Choice};

use super::exported;
use crate::pack;

pub(super) use run::evaluator;

#[test]
fn a_saved_search_has_the_settings_of_an_alert() {
    let target = export::named("splunk").unwrap();
    for profile in target.profiles() {
        for rule in exported(target, profile, &target.formats()[0]) {
            let Some(file) = rule.files.first() else { continue };
            let stanza = run::settings(&file.text);
            for (key, value) in [
                ("enableSched", "1"),
                ("realtime_schedule", "0"),
                ("counttype", "number of events"),
                ("relation", "greater than"),
                ("quantity", "0"),
                ("alert.digest_mode", "0"),
                ("alert.suppress", "1"),
            ] {
                assert_eq!(stanza[key], value, "{} {key}", rule.rule);
            }
            let severity: u8 = stanza["alert.severity"].parse().unwrap();
            assert!((1..=5).contains(&severity), "{}", rule.rule);
            // A setting is one line; only the search spans several.
            let text = file.text.replace(" \\\n", " ");
            let strays = text.lines().skip(1).filter(|line| !line.contains(" = "));
            assert_eq!(strays.count(), 0, "{}", file.text);
            for field in stanza["alert.suppress.fields"].split(',') {
                assert!(stanza["search"].contains(field), "{}: {field}", rule.rule);
            }
        }
    }
}

#[test]
fn the_app_has_every_search_and_the_macros_that_they_use() {
    let target = export::named("splunk").unwrap();
    for profile in target.profiles() {
        let format = &target.formats()[0];
        let rules = exported(target, profile, format);
        let written = rules.iter().filter(|rule| !rule.files.is_empty());
        let written: Vec<&str> = written.map(|rule| rule.rule.as_str()).collect();
        let set = pack::all();
        let choice = Choice { profile, format, options: set.options(), has_suppressions: false };
        let files = target.package(&set, &written, &choice);
        let text = |name: &str| {
            let name = format!("keepwatch/{name}");
            files.iter().find(|file| file.name == name).map(|file| file.text.clone()).unwrap()
        };
        let searches = text("default/savedsearches.conf");
        for rule in rules.iter().filter(|rule| !rule.files.is_empty()) {
            assert!(searches.contains(&rule.files[0].text), "{}", rule.rule);
        }
        for name in ["keepwatch_events", "keepwatch_cluster"] {
            assert!(text("default/macros.conf").contains(&format!("[{name}]\n")), "{name}");
        }
        assert!(text("default/props.conf").contains("KV_MODE = json\n"));
    }
}

#[test]
fn expressions_on_missing_fields_are_null() {
    for (expression, holds) in [
        ("missing=\"x\"", false),
        ("NOT (missing=\"x\")", false),
        ("coalesce(missing,\"x\")=\"x\"", true),
        ("true() OR missing=\"x\"", true),
        ("name=\"Ana\"", true),
        ("name=\"ana\"", false),
        ("lower(name)=\"ana\"", true),
        ("NOT name=\"Eva\" AND match(name,\"^A\")", true),
        ("coalesce(tonumber(name),-1e308)>=200", false),
        ("isnotnull(mvfilter('list{}'=\"b\"))", true),
        ("isnotnull(mvfilter('list{}'=\"c\"))", false),
    ] {
        let search = spl::read(&format!("`keepwatch_events` | where {expression}")).unwrap();
        let [spl::Command::Where(test)] = search.commands.as_slice() else { panic!("{search:?}") };
        let name = value::Cell::Text("Ana".to_owned());
        let list = value::Cell::List(vec!["a".to_owned(), "b".to_owned()]);
        let cells = [("name".to_owned(), name), ("list{}".to_owned(), list)];
        let row =
            value::Row { indexed: 0, raw: serde_json::Value::Null.into(), cells: cells.into() };
        assert_eq!(value::eval(test, &row, 0).is_true(), holds, "{expression}");
    }
    for invalid in ["x", "`keepwatch_events` | where", "`keepwatch_events` | tstats count"] {
        assert!(spl::read(invalid).is_err(), "{invalid}");
    }
}
