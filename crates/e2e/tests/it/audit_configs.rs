//! `AuditConfigs` as custom resources of a real cluster, with the CRDs that the chart installs.

use std::io::Read as _;
use std::path::Path;

use e2e::fixtures::{ControlPlane, until};
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

use crate::fixture::{alice, alone, backup, namespace, text};

pub(crate) const DEFINITIONS: &str =
    include_str!("../../../../charts/keepwatch/crds/config.kio.kasten.io.yaml");
const DEFINITION: &str = "customresourcedefinition auditconfigs.config.kio.kasten.io";

#[test]
fn an_audit_config_is_delivered_with_and_without_a_status_subresource() {
    let (plane, keepwatch) = alone();
    plane.apply(DEFINITIONS).unwrap();
    let admin = plane.admin();
    admin.kubectl(&format!("wait --for=condition=Established {DEFINITION} --timeout=60s")).unwrap();
    namespace(&plane, "delivered");

    let volume = keepwatch.volume("first").unwrap();
    apply(&plane, "AuditConfig", "siem", &json!({"profile": {"name": "p", "namespace": ""}}));
    let errors = wait_status(&plane, "siem", "Pending");
    assert!(errors.contains("Profile kasten-io/p does not exist"), "{errors}");
    apply(&plane, "Profile", "p", &profile("first"));
    wait_status(&plane, "siem", "Success");
    let alice = alice(&plane);
    alice.kubectl_with("create -f -", &backup("delivered", "one")).unwrap();
    wait_delivered(&volume, &["one"]);
    let table = admin.kubectl("get auditconfigs -n kasten-io").unwrap();
    let words: Vec<&str> = table.split_whitespace().collect();
    assert_eq!(words.get(..5), Some(&["NAME", "STATUS", "AGE", "siem", "Success"][..]));

    // K10's own CRD of the kind may have a status subresource.
    let patch =
        "[{\"op\":\"add\",\"path\":\"/spec/versions/0/subresources\",\"value\":{\"status\":{}}}]";
    admin.kubectl(&format!("patch {DEFINITION} --type=json -p {patch}")).unwrap();
    let missing = json!({"profile": {"name": "nowhere", "namespace": ""}});
    apply(&plane, "AuditConfig", "siem", &missing);
    wait_status(&plane, "siem", "Pending");
    let volume = keepwatch.volume("second").unwrap();
    apply(&plane, "Profile", "nowhere", &profile("second"));
    wait_status(&plane, "siem", "Success");
    alice.kubectl_with("create -f -", &backup("delivered", "two")).unwrap();
    admin.kubectl("delete auditconfig siem -n kasten-io --timeout=60s").unwrap();
    wait_delivered(&volume, &["two"]);

    let events = admin.json("get events -n kasten-io").unwrap();
    let reasons: Vec<&str> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| text(event, "/involvedObject/name") == "siem")
        .map(|event| text(event, "/reason"))
        .collect();
    for reason in ["Pending", "Delivering", "DeleteRequested", "Stopped"] {
        assert!(reasons.contains(&reason), "{reason} is not among {reasons:?}");
    }
}

fn apply(plane: &ControlPlane, kind: &str, name: &str, spec: &Value) {
    let manifest = json!({
        "apiVersion": "config.kio.kasten.io/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "kasten-io"},
        "spec": spec,
    });
    plane.apply(&manifest.to_string()).unwrap();
}

fn profile(claim: &str) -> Value {
    json!({"type": "Location", "locationSpec": {
        "type": "FileStore", "fileStore": {"claimName": claim},
    }})
}

/// Waits for a status and returns its errors.
fn wait_status(plane: &ControlPlane, name: &str, validation: &str) -> String {
    until(&format!("{name} becomes {validation}"), || {
        let config = plane.admin().json(&format!("get auditconfig {name} -n kasten-io"))?;
        let is_reported = text(&config, "/status/validation") == validation;
        Ok(is_reported.then(|| config["status"]["error"].to_string()))
    })
    .unwrap()
}

/// Waits until a folder contains the creation of each of these backups, once.
fn wait_delivered(folder: &Path, names: &[&str]) {
    until(&format!("{names:?} are delivered"), || {
        let mut delivered = Vec::new();
        read_backup_names(folder, &mut delivered)?;
        delivered.sort();
        Ok((delivered == names).then_some(()))
    })
    .unwrap();
}

fn read_backup_names(folder: &Path, names: &mut Vec<String>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_backup_names(&path, names)?;
        } else if path.to_string_lossy().ends_with(".json.gz") {
            let mut lines = String::new();
            MultiGzDecoder::new(std::fs::File::open(&path)?).read_to_string(&mut lines)?;
            for line in lines.lines() {
                let event: Value = serde_json::from_str(line)?;
                if text(&event, "/Verb") == "create"
                    && text(&event, "/ObjectRef/Namespace") == "delivered"
                {
                    names.push(text(&event, "/RequestObject/metadata/name").to_owned());
                }
            }
        }
    }
    Ok(())
}
