//! `keepwatch serve` for a K10 with another API domain.

use std::fs;
use std::process::Stdio;

use kube::api::{Api, DynamicObject, PostParams};
use serde_json::json;

use crate::server::{TestServer, events, kind, runtime};

#[test]
fn the_built_in_policy_records_the_groups_of_the_other_domain() {
    let folder = tempfile::tempdir().unwrap();
    let up = TestServer::up(&folder.path().join("home"), &[], Stdio::null());
    let path = folder.path().join("audit.log");
    let file = format!("--audit-log-file={}", path.display());
    let flags = [&file, "--k10-api-domain=kio.team.backup", "--k10-namespace=team-backup"];
    let (server, address) = TestServer::serve(&up, folder.path(), &flags);
    runtime().block_on(async {
        let client = up.client("admin", Some(&address)).await;
        let create = async |group: &str| {
            let kind = kind(group, "RunAction", "runactions");
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &kind);
            let mut object = DynamicObject::new("run", &kind);
            object.data = json!({"spec": {"subject": {"kind": "Policy", "name": "daily"}}});
            api.create(&PostParams::default(), &object).await
        };
        create("actions.kio.team.backup").await.unwrap();
        create("actions.kio.kasten.io").await.unwrap_err();
    });
    assert!(server.stop().0.success());
    let events = events(&fs::read_to_string(&path).unwrap());
    // Events of the server itself, for example about new applications, use the other domain too. A
    // heartbeat has no object.
    for group in events.iter().filter_map(|event| event["ObjectRef"]["APIGroup"].as_str()) {
        assert!(group.ends_with(".kio.team.backup"), "{group}");
    }
    let creates: Vec<_> =
        events.iter().filter(|event| event["ObjectRef"]["Resource"] == "runactions").collect();
    assert_eq!(creates.len(), 1, "{creates:?}");
    assert_eq!(creates[0]["ResponseObject"]["apiVersion"], "actions.kio.team.backup/v1alpha1");
}
