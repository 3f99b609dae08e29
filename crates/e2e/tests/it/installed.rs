//! The chart on a real control plane: installed by Helm, and run with the rendered arguments,
//! ConfigMap, token and permissions. It has a control plane of its own, because an API group can be
//! registered only once.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::fixtures::https::{self, Target};
use e2e::fixtures::{Chart, ControlPlane, Pod, Rendered, User, binary, free_port, until};
use serde_json::{Value, json};

use crate::fixture::{alice, backup, namespace, text};

const FOLDER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/chart");
const NAMESPACE: &str = "kasten-io";
const HOST: &str = "aggregatedapis-svc.kasten-io.svc";
const SECRET: &str = "secret aggregatedapis-svc-tls -n kasten-io";
/// The claim of a volume of the pod for events.
const EVENTS_CLAIM: &str = "audit-share";
const ACCOUNT: &str = "system:serviceaccount:kasten-io:aggregatedapis-svc";

#[test]
fn the_installed_chart_works_with_only_the_permissions_it_grants() {
    let plane = ControlPlane::start(Path::new(FOLDER)).unwrap();
    plane.apply(include_str!("../data/users.yaml")).unwrap();
    let port = free_port().unwrap();
    let release = Release::install(&plane, port);
    let pod = release.rendered.pod().unwrap();
    let mut running = Pod::start(&plane, "pod", &pod, &binary().unwrap()).unwrap();
    wait_available(&plane, &mut running);

    let alice = alice(&plane);
    namespace(&plane, "shop");
    wait_reached(&alice);
    alice.kubectl_with("create -f -", &backup("shop", "first")).unwrap();
    until("the line of what alice has read", || {
        Ok(container_log(&running).contains("K10Event get applications").then_some(()))
    })
    .unwrap();

    check_audit_configs(&plane, &running, &alice);
    check_certificate_rotation(&plane, &alice, port);
    release.upgrade(&plane, &["siem.logging.cluster.enabled=false"]);
    let authority = authority(&plane);
    assert!(ca_bundles(&plane).iter().all(|bundle| *bundle == authority), "an upgrade keeps it");
    running.process.stop().unwrap();
    check_disabled_outputs(&plane, &release, &alice);
    check_used_permissions(&plane, &release.rendered);
    check_concurrent_first_starts(&plane, &pod);
    check_uninstall(&plane, &release);
}

/// The chart as installed by Helm, with its Service directed to a port of this machine.
struct Release {
    chart: Chart,
    values: Vec<String>,
    rendered: Rendered,
}

impl Release {
    fn install(plane: &ControlPlane, port: u16) -> Self {
        let chart = Chart::open(NAMESPACE).unwrap();
        namespace(plane, NAMESPACE);
        let label = "pod-security.kubernetes.io/enforce=restricted";
        plane.admin().kubectl(&format!("label namespace {NAMESPACE} {label}")).unwrap();
        let values = vec![
            format!("service.aggregatedApiPort={port}"),
            format!("service.port={port}"),
            "clusterName=test".to_owned(),
            format!("destinations.claims={{{EVENTS_CLAIM}}}"),
            "destinations.sealAge=1s".to_owned(),
        ];
        let rendered = chart.render(&as_strs(&values)).unwrap();
        let release = Self { chart, values, rendered };
        release.check_accepted(plane);
        let output = release.chart.install(plane.admin(), &as_strs(&release.values)).unwrap();
        assert!(output.contains("v1alpha1.vault.kio.kasten.io"), "the notes: {output}");
        // EndpointSlices must not contain loopback addresses; an external name may resolve to one.
        let patch = json!({"spec": {"type": "ExternalName", "externalName": "localhost"}});
        let line = format!(
            "patch service aggregatedapis-svc -n {NAMESPACE} --type=merge \
             --patch-file=/dev/stdin"
        );
        plane.admin().kubectl_with(&line, &patch.to_string()).unwrap();
        release
    }

    /// kube-apiserver accepts every object, and Pod Security "restricted" admits the pod.
    fn check_accepted(&self, plane: &ControlPlane) {
        let all = self.rendered.manifest(|_| true);
        let dry_run = "apply --dry-run=server --validate=strict -f -";
        plane.admin().kubectl_with(dry_run, &all).unwrap();
        let account = self.rendered.manifest(|object| text(object, "/kind") == "ServiceAccount");
        // Helm adopts only objects with its release's annotations.
        plane.admin().kubectl_with("apply -f -", &account).unwrap();
        let pod = self.rendered.pod().unwrap().to_string();
        plane.admin().kubectl_with(dry_run, &pod).unwrap();
        plane.admin().kubectl_with("delete -f -", &account).unwrap();
    }

    fn upgrade(&self, plane: &ControlPlane, extra_values: &[&str]) {
        let mut values = as_strs(&self.values);
        values.extend(extra_values);
        self.chart.install(plane.admin(), &values).unwrap();
    }
}

fn as_strs(values: &[String]) -> Vec<&str> {
    values.iter().map(String::as_str).collect()
}

fn wait_available(plane: &ControlPlane, pod: &mut Pod) {
    until("every APIService is available", || {
        pod.process.check()?;
        let services = plane.admin().json("get apiservices -l app.kubernetes.io/name=keepwatch")?;
        let items = services["items"].as_array().cloned().unwrap_or_default();
        let available = |item: &Value| {
            let conditions = item.pointer("/status/conditions").and_then(Value::as_array);
            conditions.into_iter().flatten().any(|condition| {
                text(condition, "/type") == "Available" && text(condition, "/status") == "True"
            })
        };
        Ok((items.len() == 6 && items.iter().all(available)).then_some(()))
    })
    .unwrap();
}

/// Waits until alice can send a request that K10's policy records.
fn wait_reached(alice: &User) {
    until("kubectl reaches the server", || {
        Ok(alice.try_kubectl("get applications shop -n shop")?.success.then_some(()))
    })
    .unwrap();
}

/// The container's log.
fn container_log(pod: &Pod) -> String {
    std::fs::read_to_string(pod.process.log()).unwrap()
}

/// The CA bundle in the Secret.
fn authority(plane: &ControlPlane) -> String {
    let secret = plane.admin().json(&format!("get {SECRET}")).unwrap();
    String::from_utf8(STANDARD.decode(secret["data"]["ca.crt"].as_str().unwrap()).unwrap()).unwrap()
}

/// The CA bundles in the APIServices.
fn ca_bundles(plane: &ControlPlane) -> Vec<String> {
    let line = "get apiservices -l app.kubernetes.io/name=keepwatch";
    let services = plane.admin().json(line).unwrap();
    let bundles = services["items"].as_array().unwrap().iter().map(|service| {
        let bundle = STANDARD.decode(text(service, "/spec/caBundle")).unwrap();
        String::from_utf8(bundle).unwrap()
    });
    bundles.collect()
}

/// Whether the certificate of the server at `port` is signed by this CA.
fn serves_certificate_of(port: u16, authority: &str) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let target = Target { address, name: HOST, authority, identity: None, source: None };
    https::request(&target, "GET /livez", &[], "").is_ok_and(|response| response.code == 200)
}

/// Damages the certificate. The server must create a new one, and kubectl must never fail during
/// the rotation.
fn check_certificate_rotation(plane: &ControlPlane, alice: &User, port: u16) {
    let old = authority(plane);
    assert!(serves_certificate_of(port, &old));
    let patch = json!({"data": {"tls.crt": STANDARD.encode("nonsense")}}).to_string();
    let line = format!("patch {SECRET} --type=merge --patch-file=/dev/stdin");
    plane.admin().kubectl_with(&line, &patch).unwrap();
    let new_authority = until("the certificate is replaced", || {
        alice.kubectl("get backupactions -n shop")?;
        let bundle = authority(plane);
        // The bundle has the new CA before the old one.
        Ok(bundle.strip_suffix(&old).filter(|new| !new.is_empty()).map(str::to_owned))
    })
    .unwrap();
    until("the new certificate is served", || {
        alice.kubectl("get backupactions -n shop")?;
        Ok(serves_certificate_of(port, &new_authority).then_some(()))
    })
    .unwrap();
    assert!(!serves_certificate_of(port, &old), "the old one is no longer served");
    alice.kubectl("get backupactions -n shop").unwrap();
}

/// A volume receives events; a bucket at a denied address fails, with the reason in the status. It
/// is tested with our CRDs, and with a status subresource as in K10's.
fn check_audit_configs(plane: &ControlPlane, pod: &Pod, alice: &User) {
    plane.apply(&destination_manifests()).unwrap();
    let share = pod.volumes.join(format!("claim-{EVENTS_CLAIM}"));
    wait_status(plane, "share", "Success");
    alice.kubectl("get applications shop -n shop").unwrap();
    until("an object in the share", || Ok(has_uploaded_object(&share).then_some(()))).unwrap();
    let errors = wait_status(plane, "bucket", "Failed");
    assert!(errors.contains("127.0.0.1"), "{errors}");

    for plural in ["auditconfigs", "profiles"] {
        let patch = json!([{"op": "add", "path": "/spec/versions/0/subresources",
            "value": {"status": {}}}]);
        let name = format!("crd {plural}.config.kio.kasten.io");
        let line = format!("patch {name} --type=json --patch-file=/dev/stdin");
        plane.admin().kubectl_with(&line, &patch.to_string()).unwrap();
    }
    let line = "patch auditconfig bucket -n kasten-io --type=merge --patch-file=/dev/stdin";
    let patch = json!({"spec": {"profile": {"name": "share"}}}).to_string();
    plane.admin().kubectl_with(line, &patch).unwrap();
    wait_status(plane, "bucket", "Success");
    check_profile_status(plane);
    plane.admin().kubectl("delete auditconfig bucket -n kasten-io --timeout=60s").unwrap();
}

/// `kubectl get profiles` once showed no STATUS in a cluster.
fn check_profile_status(plane: &ControlPlane) {
    let status = |name: &str, validation: &str, error: &str| {
        until(&format!("Profile {name} is {validation}"), || {
            let profile = plane.admin().json(&format!("get profile {name} -n {NAMESPACE}"))?;
            let errors = profile["status"]["error"].to_string();
            let is_reported =
                text(&profile, "/status/validation") == validation && errors.contains(error);
            Ok(is_reported.then_some(()))
        })
        .unwrap();
    };
    status("share", "Success", "");
    status("bucket", "Failed", "127.0.0.1");
    let line = "patch profile bucket -n kasten-io --type=merge --patch-file=/dev/stdin";
    let store = json!({"objectStore": {"endpoint": "http://127.0.0.2:9"}});
    let patch = json!({"spec": {"locationSpec": store}}).to_string();
    plane.admin().kubectl_with(line, &patch).unwrap();
    status("bucket", "Failed", "http");
}

/// Two Profiles with an `AuditConfig` each, and the Secret that one of them needs.
fn destination_manifests() -> String {
    let group = "config.kio.kasten.io/v1alpha1";
    let metadata = |name: &str| json!({"name": name, "namespace": NAMESPACE});
    let profile = |name: &str, location: Value| {
        json!({"apiVersion": group, "kind": "Profile", "metadata": metadata(name),
            "spec": {"type": "Location", "locationSpec": location}})
    };
    let config = |name: &str| {
        json!({"apiVersion": group, "kind": "AuditConfig", "metadata": metadata(name),
            "spec": {"profile": {"name": name}}})
    };
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "name": "keys",
        "namespace": NAMESPACE});
    let items = [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata("keys"),
            "type": "secrets.kanister.io/aws",
            "stringData": {"aws_access_key_id": "a", "aws_secret_access_key": "b"}}),
        profile(
            "bucket",
            json!({"type": "ObjectStore", "credential": {
                "secretType": "AwsAccessKey", "secret": secret},
                "objectStore": {"objectStoreType": "S3", "name": "audit", "region": "eu-central-1",
                    "endpoint": "https://127.0.0.1:9"}}),
        ),
        profile(
            "share",
            json!({"type": "FileStore", "fileStore": {"claimName": EVENTS_CLAIM, "path": ""}}),
        ),
        config("bucket"),
        config("share"),
    ];
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// Waits until an `AuditConfig` has this status, and returns its errors.
fn wait_status(plane: &ControlPlane, name: &str, validation: &str) -> String {
    until(&format!("AuditConfig {name} is {validation}"), || {
        let config = plane.admin().json(&format!("get auditconfig {name} -n {NAMESPACE}"))?;
        let is_reported = text(&config, "/status/validation") == validation;
        Ok(is_reported.then(|| config["status"]["error"].to_string()))
    })
    .unwrap()
}

/// Whether a folder contains an uploaded object of events.
fn has_uploaded_object(folder: &Path) -> bool {
    std::fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        let path = entry.path();
        path.to_string_lossy().ends_with(".json.gz")
            || (path.is_dir() && has_uploaded_object(&path))
    })
}

fn check_disabled_outputs(plane: &ControlPlane, release: &Release, alice: &User) {
    let mut values = as_strs(&release.values);
    values.push("siem.logging.cluster.enabled=false");
    values.push("siem.logging.cloud.awsS3.enabled=false");
    let pod = release.chart.render(&values).unwrap().pod().unwrap();
    let mut quiet_pod = Pod::start(plane, "silent-pod", &pod, &binary().unwrap()).unwrap();
    wait_available(plane, &mut quiet_pod);
    wait_reached(alice);
    let errors = wait_status(plane, "share", "Failed");
    assert!(errors.contains("siem.logging.cloud.awsS3.enabled"), "{errors}");
    let share = quiet_pod.volumes.join(format!("claim-{EVENTS_CLAIM}"));
    assert!(!has_uploaded_object(&share), "nothing is uploaded");
    assert!(quiet_pod.process.stop().unwrap().success());
    assert!(!container_log(&quiet_pod).contains("K10Event"), "{}", container_log(&quiet_pod));
}

/// Compares the account's requests in kube-apiserver's audit log with the permissions that the
/// chart grants.
fn check_used_permissions(plane: &ControlPlane, rendered: &Rendered) {
    let events = plane.audit_log().matching(|event| text(event, "/user/username") == ACCOUNT);
    let events = events.unwrap();
    let mut used_permissions = BTreeSet::new();
    let mut decision_reasons = String::new();
    for event in &events {
        let annotations = event.get("annotations").cloned().unwrap_or_default();
        let annotation = |name: &str| annotations[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(annotation("authorization.k8s.io/decision"), "allow", "{event}");
        decision_reasons.push_str(&annotation("authorization.k8s.io/reason"));
        let field = |pointer: &str| text(event, pointer).to_owned();
        let (group, mut resource) = (field("/objectRef/apiGroup"), field("/objectRef/resource"));
        let subresource = field("/objectRef/subresource");
        if !subresource.is_empty() {
            resource = format!("{resource}/{subresource}");
        }
        for name in [String::new(), field("/objectRef/name")] {
            used_permissions.insert((group.clone(), resource.clone(), field("/verb"), name));
        }
    }
    // The chart does not bind the roles for users, and the uninstall Job has not run yet.
    let is_own = |role: &&Value| {
        let name = text(role, "/metadata/name");
        !name.starts_with("keepwatch-") && !name.contains("-uninstall")
    };
    let roles = rendered.of_kind("ClusterRole").chain(rendered.of_kind("Role"));
    for role in roles.filter(is_own) {
        for permission in permissions(role) {
            assert!(
                used_permissions.contains(&permission),
                "{permission:?} is granted and not used"
            );
        }
    }
    for kind in ["ClusterRoleBinding", "RoleBinding"] {
        for binding in rendered.of_kind(kind).filter(is_own) {
            let name = text(binding, "/metadata/name");
            // The reason names role bindings with their namespace.
            let is_used = decision_reasons.contains(&format!("{kind} \"{name}"))
                || decision_reasons.contains(&format!("{kind} \"{name}/"));
            assert!(is_used, "{kind} {name} is not used: {decision_reasons}");
        }
    }
}

/// Group, resource, verb and name of each permission of a role.
fn permissions(role: &Value) -> Vec<(String, String, String, String)> {
    let strings = |rule: &Value, key: &str| -> Vec<String> {
        let strings = rule.get(key).and_then(Value::as_array).into_iter().flatten();
        strings.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut permissions = Vec::new();
    for rule in role.get("rules").and_then(Value::as_array).into_iter().flatten() {
        let mut names = strings(rule, "resourceNames");
        if names.is_empty() {
            names.push(String::new());
        }
        for group in strings(rule, "apiGroups") {
            for resource in strings(rule, "resources") {
                for verb in strings(rule, "verbs") {
                    for name in &names {
                        let (group, resource) = (group.clone(), resource.clone());
                        permissions.push((group, resource, verb.clone(), name.clone()));
                    }
                }
            }
        }
    }
    permissions
}

/// Two servers that start without a Secret end up with the same certificate.
fn check_concurrent_first_starts(plane: &ControlPlane, pod: &Value) {
    plane.admin().kubectl(&format!("delete {SECRET}")).unwrap();
    let ports = [free_port().unwrap(), free_port().unwrap()];
    let start = |port: u16| {
        let mut pod = pod.clone();
        let arguments = pod.pointer_mut("/spec/containers/0/args").unwrap().as_array_mut().unwrap();
        for argument in arguments {
            if argument.as_str().unwrap().starts_with("--secure-port=") {
                *argument = json!(format!("--secure-port={port}"));
            }
        }
        Pod::start(plane, &format!("twin-{port}"), &pod, &binary().unwrap()).unwrap()
    };
    let mut pods = ports.map(start);
    for port in ports {
        until("both serve with the certificate in the Secret", || {
            for pod in &mut pods {
                pod.process.check()?;
            }
            let secret = plane.admin().try_kubectl(&format!("get {SECRET}"))?;
            Ok((secret.success && serves_certificate_of(port, &authority(plane))).then_some(()))
        })
        .unwrap();
    }
    let authority = authority(plane);
    assert_eq!(authority.matches("BEGIN CERTIFICATE").count(), 1, "{authority}");
    assert!(ca_bundles(plane).iter().all(|bundle| *bundle == authority));
}

/// The finalizer once stayed, so that `kubectl delete auditconfig` and the namespace's deletion
/// hung forever.
fn check_uninstall(plane: &ControlPlane, release: &Release) {
    let config = || plane.admin().json(&format!("get auditconfig share -n {NAMESPACE}")).unwrap();
    let line =
        format!("patch auditconfig share -n {NAMESPACE} --type=merge --patch-file=/dev/stdin");
    let finalizers = json!({"metadata": {"finalizers": ["audit.keepwatch.io/delivery"]}});
    plane.admin().kubectl_with(&line, &finalizers.to_string()).unwrap();
    let is_hook = |object: &Value| object.pointer("/metadata/annotations/helm.sh~1hook").is_some();
    let is_account = |object: &Value| is_hook(object) && text(object, "/kind") != "Job";
    let run_uninstall_job = |name: &str| {
        plane.admin().kubectl_with("apply -f -", &release.rendered.manifest(is_account)).unwrap();
        let pod = release.rendered.uninstall_pod().unwrap();
        let mut pod = Pod::start(plane, name, &pod, &binary().unwrap()).unwrap();
        assert!(pod.process.wait().unwrap().success(), "{}", container_log(&pod));
        container_log(&pod)
    };
    let output = run_uninstall_job("uninstall-too-early");
    assert!(output.contains("the server is installed"), "{output}");
    assert!(config()["metadata"]["finalizers"].is_array());
    release.chart.uninstall(plane.admin()).unwrap();
    let output = run_uninstall_job("uninstall");
    assert!(output.contains("released 1 AuditConfigs"), "{output}");
    let config = config();
    assert!(config["metadata"].get("finalizers").is_none(), "{config}");
    assert_eq!(text(&config, "/status/validation"), "Failed");
    let line = format!("delete auditconfig share -n {NAMESPACE} --timeout=10s");
    plane.admin().kubectl(&line).unwrap();
}
