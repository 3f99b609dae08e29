//! Unmodified clients with a standalone server: Helm, and the requests that kubectl sends about the
//! server itself.

use std::path::Path;
use std::process::Command;

use assets::Program;
use e2e::fixtures::standalone::Standalone;

const CHART: &str = "apiVersion: v2\nname: keys\nversion: 1.0.0\n";
const TEMPLATE: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: keys, labels: {colour: "{{ .Values.colour }}"}}
stringData: {colour: "{{ .Values.colour }}"}
---
apiVersion: config.kio.kasten.io/v1alpha1
kind: AuditConfig
metadata: {name: keys, labels: {colour: "{{ .Values.colour }}"}}
spec: {profile: {name: none, namespace: ""}}
"#;

/// Runs each line with a kubeconfig context. Its standard output or error must contain the expected
/// text.
fn check(home: &Path, cache: &Path, lines: &[(&str, &str, &str)]) {
    let kubectl = assets::ensure().unwrap().path(Program::Kubectl);
    let helm = assets::helm().unwrap();
    for (context, line, expected) in lines {
        let (program, arguments) = line.split_once(' ').unwrap();
        let mut command = Command::new(if program == "helm" { &helm } else { &kubectl });
        let context_flag = if program == "helm" { "--kube-context" } else { "--context" };
        let command = command
            .env("KUBECONFIG", home.join("kubeconfig"))
            .env("KUBECACHEDIR", cache)
            .env("HELM_CACHE_HOME", cache)
            .current_dir(cache)
            .args([context_flag, context])
            .args(arguments.split(' '));
        let output = command.output().unwrap();
        let output_text = [output.stdout, output.stderr].concat();
        let output_text = String::from_utf8_lossy(&output_text);
        assert!(output_text.contains(expected), "{context}: {line}: {output_text}");
    }
}

/// A release once stayed `pending-install` and could not be uninstalled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn helm_installs_upgrades_and_uninstalls() {
    let folder = tempfile::tempdir().unwrap();
    let server = Standalone::start(folder.path()).await.unwrap();
    std::fs::create_dir_all(folder.path().join("chart/templates")).unwrap();
    for (file, text) in [
        ("chart/Chart.yaml", CHART),
        ("chart/values.yaml", "colour: red\n"),
        ("chart/templates/all.yaml", TEMPLATE),
    ] {
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    check(
        server.home(),
        folder.path(),
        &[
            ("admin", "helm install keys chart -n kasten-io", "STATUS: deployed"),
            ("admin", "helm list -n kasten-io", "deployed"),
            ("admin", "helm upgrade keys chart -n kasten-io --set colour=blue", "REVISION: 2"),
            (
                "admin",
                "kubectl get secret keys -n kasten-io -o jsonpath={.metadata.labels}",
                "blue",
            ),
            (
                "admin",
                "kubectl get auditconfig keys -n kasten-io -o jsonpath={.metadata.labels}",
                "blue",
            ),
            ("admin", "helm rollback keys 1 -n kasten-io", "Rollback was a success"),
            ("admin", "kubectl get secret keys -n kasten-io -o jsonpath={.metadata.labels}", "red"),
            ("admin", "helm history keys -n kasten-io", "superseded"),
            ("admin", "helm uninstall keys -n kasten-io", "release \"keys\" uninstalled"),
            ("admin", "kubectl get secret keys -n kasten-io", "\"keys\" not found"),
            ("admin", "helm install keys chart -n kasten-io --wait", "STATUS: deployed"),
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_queries_identity_permissions_and_discovery() {
    let folder = tempfile::tempdir().unwrap();
    let server = Standalone::start(folder.path()).await.unwrap();
    check(
        server.home(),
        folder.path(),
        &[
            ("alice", "kubectl auth whoami", "developers"),
            ("alice", "kubectl auth can-i get restorepoints -n shop", "yes"),
            ("alice", "kubectl auth can-i delete passkeys", "no"),
            ("mallory", "kubectl auth can-i create secrets -n kasten-io", "no"),
            ("admin", "kubectl auth can-i * *", "yes"),
            ("alice", "kubectl auth can-i get /version", "yes"),
            ("alice", "kubectl auth can-i get /metrics", "no"),
            (
                "alice",
                "kubectl auth can-i --list -n shop",
                "selfsubjectreviews.authentication.k8s.io",
            ),
            ("admin", "kubectl cluster-info", "is running at https://127.0.0.1:"),
            ("admin", "kubectl get --raw /", "/openapi/v2"),
            ("admin", "kubectl get services -A", "No resources found"),
            ("admin", "kubectl explain secret.data --output=plaintext-openapiv2", "in base64"),
        ],
    );
}
