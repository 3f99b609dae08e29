//! Audit lines for the commands that read them.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::server::{run, text};

/// A line of kube-apiserver for a request of `user` at this second of the day.
pub(crate) fn line(second: u32, user: &str, verb: &str, resource: &str, name: &str) -> String {
    with_code(second, user, verb, resource, name, 200)
}

/// Like [`line`], with this status code.
pub(crate) fn with_code(
    second: u32,
    user: &str,
    verb: &str,
    resource: &str,
    name: &str,
    code: u16,
) -> String {
    let time = format!(
        "2026-11-23T{:02}:{:02}:{:02}.000000Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    );
    let namespace = if resource == "restorepoints" { "shop" } else { "" };
    let group = if resource == "passkeys" { "vault.kio.kasten.io" } else { "apps.kio.kasten.io" };
    let mut line = json!({
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": format!("{user}-{verb}-{resource}-{name}-{second}"),
        "stage": "ResponseComplete",
        "requestURI": format!("/apis/{group}/v1alpha1/{resource}/{name}"),
        "verb": verb,
        "user": {"username": user, "groups": ["developers", "system:authenticated"]},
        "sourceIPs": ["192.0.2.7"],
        "userAgent": "kubectl/v1.37.0",
        "objectRef": {"resource": resource, "name": name, "apiGroup": group, "apiVersion": "v1alpha1"},
        "responseStatus": {"metadata": {}, "code": code},
        "requestReceivedTimestamp": time,
        "stageTimestamp": time,
    });
    if !namespace.is_empty() {
        line["objectRef"]["namespace"] = namespace.into();
    }
    line.to_string()
}

/// `count` deletions of different restore points, ten seconds apart.
pub(crate) fn deletions(first: u32, user: &str, count: u32) -> String {
    let line = |number: u32| {
        line(first + 10 * number, user, "delete", "restorepoints", &format!("rp-{number}")) + "\n"
    };
    (0..count).map(line).collect()
}

/// The same lines in K10's encoding.
pub(crate) fn kasten(lines: &str, cluster: &str) -> String {
    let arguments = ["events", "convert", "--to", "kasten", "--cluster-name", cluster];
    let output = run(&arguments, lines);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// A gzip file with one member.
pub(crate) fn gzip(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

/// The objects that a command printed, one per line.
pub(crate) fn objects(stdout: &[u8]) -> Vec<Value> {
    text(stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
