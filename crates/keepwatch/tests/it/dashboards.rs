//! `keepwatch dashboards export`, and every metric in the dashboard is exposed by the server.

use std::collections::BTreeSet;
use std::process::Stdio;

use kube::api::{Api, DynamicObject, PostParams};
use serde_json::{Value, json};

use crate::server::{TestServer, create, kind, run, runtime, text};

#[test]
fn each_dashboard_is_written_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("made/grafana");
    let output =
        run(&["dashboards", "export", "--to", "grafana", "--out", out.to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "3 dashboards for Grafana exported\n");
    for name in ["keepwatch-events-loki", "keepwatch-events-elasticsearch", "keepwatch-server"] {
        let file = std::fs::read_to_string(out.join(format!("{name}.json"))).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&file).unwrap()["uid"], name);
    }
}

#[test]
fn a_single_dashboard_can_be_printed() {
    let datadog = ["dashboards", "export", "--to", "datadog", "--profile", "kubernetes.audit"];
    let output = run(&datadog, "");
    let dashboard: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert_eq!(dashboard["template_variables"][0]["prefix"], "@user.username");
}

#[test]
fn unknown_targets_and_profiles_are_named() {
    for (arguments, expected) in [
        (vec!["--to", "kibana"], "--to=\"kibana\" is not known: one of datadog, grafana"),
        (
            vec!["--to", "grafana", "--profile", "falco"],
            "--profile=\"falco\" is not known: one of kasten, kubernetes.audit",
        ),
    ] {
        let output = run(&[vec!["dashboards", "export"], arguments].concat(), "");
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(expected), "{}", text(&output.stderr));
    }
}

/// The names of the series in an exposition, with the suffixes of their types.
fn series(exposition: &str) -> BTreeSet<String> {
    let types = exposition.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names = types.flat_map(|line| {
        let (name, kind) = line.split_once(' ').unwrap();
        let suffixes: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_count", "_sum"],
            "gauge" => &[""],
            other => panic!("{name} is a {other}"),
        };
        suffixes.iter().map(move |suffix| format!("{name}{suffix}"))
    });
    names.collect()
}

/// Metric and labels of each selector, and the labels of each `by`: `name{a="b",c=~"d"}`.
fn selectors(expression: &str) -> Vec<(String, Vec<String>)> {
    let is_of_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let by = expression.split(" by (").skip(1).filter_map(|rest| rest.split(')').next());
    let by: Vec<String> = by.filter(|label| *label != "le").map(str::to_owned).collect();
    let mut selectors = Vec::new();
    let mut rest = expression;
    while let Some((before, behind)) = rest.split_once('{') {
        let start = before.rfind(|char| !is_of_name(char)).map_or(0, |at| at + 1);
        let (inside, behind) = behind.split_once('}').unwrap();
        // Prometheus adds the label `job`.
        let labels = inside.split(',').filter_map(|matcher| matcher.split(['=', '!']).next());
        let labels = labels.filter(|label| *label != "job").map(str::to_owned).chain(by.clone());
        selectors.push((before.get(start..).unwrap().to_owned(), labels.collect()));
        rest = behind;
    }
    selectors
}

#[test]
fn every_metric_of_the_dashboard_is_exposed_with_its_labels() {
    let output = run(&["dashboards", "export", "--to", "grafana"], "");
    let printed = text(&output.stdout);
    let (_, server) = printed.split_once("==> keepwatch-server.json <==\n").unwrap();
    let dashboard: Value = serde_json::from_str(server).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::up(&folder.path().join("home"), &[], Stdio::null());
    let exposition = runtime().block_on(async {
        let admin = server.client("admin", None).await;
        create(&admin, "one", 10).await.unwrap();
        create(&admin, "one", 10).await.unwrap_err();
        let notifiers = kind("siem.keepwatch.io", "Notifier", "notifiers");
        let api: Api<DynamicObject> = Api::all_with(admin.clone(), &notifiers);
        let mut notifier = DynamicObject::new("nobody", &notifiers);
        let spec = json!({"type": "Alertmanager", "url": "https://127.0.0.1:1"});
        notifier.data = json!({"spec": spec});
        api.create(&PostParams::default(), &notifier).await.unwrap();
        loop {
            let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
            let exposition = admin.request_text(request).await.unwrap();
            // The server starts a notifier asynchronously.
            if exposition.contains("keepwatch_notifier_errors") {
                break exposition;
            }
            tokio::task::yield_now().await;
        }
    });
    let known = series(&exposition);
    let mut count = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            for (metric, labels) in selectors(target["expr"].as_str().unwrap()) {
                assert!(known.contains(&metric), "{metric} is not in {known:#?}");
                for label in labels {
                    let has = |line: &str| {
                        line.starts_with(&format!("{metric}{{"))
                            && [format!("{{{label}=\""), format!(",{label}=\"")]
                                .iter()
                                .any(|start| line.contains(start.as_str()))
                    };
                    // No signal was suppressed.
                    let is_empty = !exposition.lines().any(|line| line.starts_with(&metric));
                    let is_expected = metric == "keepwatch_detector_suppressed_signals_total";
                    assert!(
                        exposition.lines().any(has) || (is_empty && is_expected),
                        "{metric} has no {label}"
                    );
                }
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count} metrics");
    assert!(server.stop().0.success());
}
