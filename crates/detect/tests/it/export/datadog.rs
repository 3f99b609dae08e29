//! What Datadog gets.

mod run;
mod search;

use detect::export;
use serde_json::Value;

use super::exported;

pub(super) use run::evaluator;

#[test]
fn the_rules_that_k10_documents_come_out_as_documented() {
    let target = export::named("datadog").unwrap();
    let rules = exported(target, &target.profiles()[0], &target.formats()[0]);
    for (id, name, query, status) in [
        (
            "kasten-restorepoints-manually-deleted",
            "Kasten RestorePoints Manually Deleted",
            "deleted_k10_rps",
            "low",
        ),
        (
            "kasten-restorepointcontents-manually-deleted",
            "Kasten RestorePointContents Manually Deleted",
            "deleted_k10_rpcs",
            "high",
        ),
        (
            "kasten-clusterrestorepoints-manually-deleted",
            "Kasten ClusterRestorePoints Manually Deleted",
            "deleted_k10_crps",
            "high",
        ),
    ] {
        let rule = rules.iter().find(|it| it.rule == id).unwrap();
        assert!(rule.fidelity.is_same(), "{:?}", rule.fidelity);
        let json: Value = serde_json::from_str(&rule.files[0].text).unwrap();
        assert_eq!(json["name"], name);
        assert_eq!(json["type"], "log_detection");
        assert_eq!(json["options"]["detectionMethod"], "threshold");
        assert_eq!(json["queries"][0]["name"], query);
        assert_eq!(json["cases"][0]["condition"], format!("{query} > 0"));
        assert_eq!(json["cases"][0]["status"], status);
        let tags: Vec<&str> =
            json["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
        assert_eq!(tags, ["tactic:TA0040-impact", "technique:T1490-inhibit-system-recovery"]);
        let message = json["message"].as_str().unwrap();
        let place = if status == "low" { "{{@ObjectRef.Namespace}}" } else { "{{cluster-name}}" };
        for variable in ["{{@User.username}}", "{{@network.ip.list}}", place] {
            assert!(message.contains(variable), "{name}: {variable}");
        }
    }
}
