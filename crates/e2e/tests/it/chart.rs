//! The chart without a cluster: rendered objects and arguments for several sets of values, and
//! rejected values.

use std::collections::BTreeSet;
use std::process::Command;

use e2e::fixtures::{Chart, Rendered, binary};
use serde_json::Value;

use crate::fixture::text;

const NAMESPACE: &str = "kasten-io";

/// Objects that every set of values renders.
const COMMON_OBJECTS: [&str; 17] = [
    "ConfigMap/aggauditpolicy-config",
    "ClusterRole/kasten-io-aggregatedapis-svc",
    "ClusterRole/keepwatch-view",
    "ClusterRole/keepwatch-analyst",
    "ClusterRole/keepwatch-admin",
    "ClusterRoleBinding/kasten-io-aggregatedapis-svc",
    "ClusterRoleBinding/kasten-io-aggregatedapis-svc-auth-delegator",
    "RoleBinding/kasten-io-aggregatedapis-svc-auth-reader",
    "Service/aggregatedapis-svc",
    "ServiceAccount/aggregatedapis-svc",
    "Deployment/aggregatedapis-svc",
    "ServiceAccount/aggregatedapis-svc-uninstall",
    "Role/aggregatedapis-svc-uninstall-server",
    "RoleBinding/aggregatedapis-svc-uninstall-server",
    "ClusterRole/kasten-io-aggregatedapis-svc-uninstall",
    "ClusterRoleBinding/kasten-io-aggregatedapis-svc-uninstall",
    "Job/aggregatedapis-svc-uninstall",
];
const DATA_CLAIM: &str = "PersistentVolumeClaim/aggregatedapis-svc-data";
const POLICY_OBJECTS: [&str; 2] =
    ["NetworkPolicy/aggregatedapis-svc", "PodDisruptionBudget/aggregatedapis-svc"];
const DESTINATION_OBJECTS: [&str; 2] =
    ["Role/aggregatedapis-svc-destinations", "RoleBinding/aggregatedapis-svc-destinations"];
const CERTIFICATE_OBJECTS: [&str; 2] =
    ["Role/aggregatedapis-svc", "RoleBinding/aggregatedapis-svc"];
const API_SERVICES: [&str; 6] = [
    "APIService/v1alpha1.actions.kio.kasten.io",
    "APIService/v1alpha1.apps.kio.kasten.io",
    "APIService/v1alpha1.repositories.kio.kasten.io",
    "APIService/v1alpha1.vault.kio.kasten.io",
    "APIService/v1alpha1.dr.kio.kasten.io",
    "APIService/v1alpha1.siem.keepwatch.io",
];

/// A set of values, the objects that it renders in addition to [`COMMON_OBJECTS`], and some of the
/// expected arguments.
struct ValuesCase {
    name: &'static str,
    values: &'static [&'static str],
    objects: Vec<&'static str>,
    arguments: &'static [&'static str],
}

fn values_cases() -> [ValuesCase; 6] {
    [
        default_values(),
        to_a_file(),
        no_output(),
        with_operators(),
        own_certificate_and_account(),
        bounded(),
    ]
}

/// Objects that most sets render.
fn default_objects() -> Vec<&'static str> {
    let certificate = CERTIFICATE_OBJECTS.into_iter().chain(DESTINATION_OBJECTS);
    [DATA_CLAIM].into_iter().chain(POLICY_OBJECTS).chain(certificate).chain(API_SERVICES).collect()
}

/// The usual objects without these.
fn without(excluded: &[&str]) -> Vec<&'static str> {
    default_objects().into_iter().filter(|object| !excluded.contains(object)).collect()
}

fn default_values() -> ValuesCase {
    ValuesCase {
        name: "as it comes",
        values: &[],
        objects: default_objects(),
        arguments: &[
            "serve",
            "--secure-port=10250",
            "--data-dir=/var/lib/keepwatch",
            "--tls-service=kasten-io/aggregatedapis-svc",
            "--audit-policy-file=/etc/kubernetes/agg-audit-policy.yaml",
            "--enable-k10-audit-cluster=true",
            "--audit-log-file=-",
            "--audit-log-format=kasten",
            "--audit-line-size=32000",
            "--audit-log-resume-from=now",
            "--siem-signals-match-k10-filter=false",
            "--heartbeat=1m",
            "--enable-k10-audit-cloud-aws-s3=true",
            "--audit-cloud-path=k10audit/",
            "--siem-detection=true",
            "--audit-seal-size=16Mi",
            "--audit-seal-age=1m",
            "--journal-retention-age=168h",
            "--journal-retention-size=4Gi",
            "--journal-limit=16Gi",
            "--history=10m",
            "--max-requests-inflight=400",
            "--max-mutating-requests-inflight=200",
            "--request-timeout=60s",
            "--shutdown-delay-duration=5s",
            "--log-format=json",
        ],
    }
}

fn to_a_file() -> ValuesCase {
    ValuesCase {
        name: "lines to a file, nothing to object stores",
        values: &[
            "siem.logging.cluster.file.enabled=true",
            "siem.logging.cluster.file.path=/var/log/keepwatch/audit.log",
            "siem.logging.cluster.file.size=50",
            "siem.logging.cluster.format=v1",
            "siem.detection.enabled=false",
            "siem.logging.heartbeat=0s",
            "siem.logging.cloud.awsS3.enabled=false",
            "siem.logging.cloud.path=audit/eu/",
            "clusterName=prod: eu",
        ],
        objects: default_objects(),
        arguments: &[
            "--audit-log-file=/var/log/keepwatch/audit.log",
            "--audit-log-file-size=50",
            "--audit-log-maxbackup=100",
            "--audit-log-maxage=366",
            "--audit-log-format=v1",
            "--heartbeat=0s",
            "--enable-k10-audit-cloud-aws-s3=false",
            "--audit-cloud-path=audit/eu/",
            "--siem-detection=false",
            "--cluster-name=prod: eu",
        ],
    }
}

fn no_output() -> ValuesCase {
    ValuesCase {
        name: "silent, the extended policy, nothing kept",
        values: &[
            "siem.logging.cluster.enabled=false",
            "siem.logging.cluster.file.enabled=true",
            "siem.logging.cluster.file.path=/var/log/keepwatch/audit.log",
            "auditPolicy.name=extended",
            "persistence.enabled=false",
            "networkPolicy.enabled=false",
            "podDisruptionBudget.enabled=false",
        ],
        objects: without(&[DATA_CLAIM, POLICY_OBJECTS[0], POLICY_OBJECTS[1]]),
        arguments: &["--enable-k10-audit-cluster=false", "--audit-log-file=-"],
    }
}

fn with_operators() -> ValuesCase {
    ValuesCase {
        name: "cert-manager and Prometheus",
        values: &[
            "certificate.provider=certManager",
            "serviceMonitor.enabled=true",
            "serviceMonitor.prometheusAccount.name=prometheus",
            "serviceMonitor.prometheusAccount.namespace=monitoring",
            "service.aggregatedApiPort=8443",
            "service.port=8443",
        ],
        objects: without(&CERTIFICATE_OBJECTS)
            .into_iter()
            .chain([
                "ClusterRole/kasten-io-aggregatedapis-svc-metrics",
                "ClusterRoleBinding/kasten-io-aggregatedapis-svc-metrics",
                "Certificate/aggregatedapis-svc-ca",
                "Certificate/aggregatedapis-svc",
                "Issuer/aggregatedapis-svc-self-signed",
                "Issuer/aggregatedapis-svc",
                "ServiceMonitor/aggregatedapis-svc",
            ])
            .collect(),
        arguments: &[
            "--secure-port=8443",
            "--tls-cert-file=/etc/keepwatch/tls/tls.crt",
            "--tls-private-key-file=/etc/keepwatch/tls/tls.key",
        ],
    }
}

fn own_certificate_and_account() -> ValuesCase {
    ValuesCase {
        name: "a certificate of yours, an account of yours, not registered, on the node's network",
        values: &[
            "certificate.provider=secret",
            "certificate.secretName=mine",
            "serviceAccount.create=true",
            "serviceAccount.annotations.role=arn",
            "apiservices.deployed=false",
            "services.aggregatedapis.hostNetwork=true",
            "persistence.existingClaim=mine",
            "destinations.namespaces={*}",
            "destinations.claims={share}",
            "destinations.refusedNetworks={10.0.0.0/8,192.168.0.0/16}",
            "destinations.allowedNetworks={10.1.2.0/24}",
            "destinations.endpoints={s3.example.com:9000,s3.example.org}",
            "destinations.stsEndpoint=https://sts.example.com",
        ],
        objects: POLICY_OBJECTS
            .into_iter()
            .chain([
                "ClusterRole/kasten-io-aggregatedapis-svc-destinations",
                "ClusterRoleBinding/kasten-io-aggregatedapis-svc-destinations",
            ])
            .collect(),
        arguments: &[
            "--tls-cert-file=/etc/keepwatch/tls/tls.crt",
            "--audit-config-namespaces=*",
            "--audit-volumes=/mnt/claims",
            "--audit-refused-networks=10.0.0.0/8,192.168.0.0/16",
            "--audit-allowed-networks=10.1.2.0/24",
            "--audit-endpoints=s3.example.com:9000,s3.example.org",
            "--audit-sts-endpoint=https://sts.example.com",
        ],
    }
}

fn bounded() -> ValuesCase {
    ValuesCase {
        name: "a policy of yours, other bounds, more flags",
        values: &[
            "auditPolicy.name=custom",
            "auditPolicy.custom=apiVersion: audit.k8s.io/v1",
            "journal.limit=1Ti",
            "journal.retentionSize=512Mi",
            "journal.retentionAge=1h30m",
            "persistence.size=2Ti",
            "limits.maxRequestsInflight=10",
            "limits.requestTimeout=90s",
            "logFormat=text",
            "extraArgs={--authorization-always-allow-paths=/livez\\,/readyz}",
            "priorityClassName=system-cluster-critical",
        ],
        objects: default_objects(),
        arguments: &[
            "--journal-limit=1Ti",
            "--journal-retention-size=512Mi",
            "--journal-retention-age=1h30m",
            "--max-requests-inflight=10",
            "--request-timeout=90s",
            "--log-format=text",
            "--authorization-always-allow-paths=/livez,/readyz",
        ],
    }
}

#[test]
fn six_sets_of_values_pass_lint_and_render_the_expected_objects() {
    let chart = Chart::open(NAMESPACE).unwrap();
    for case in values_cases() {
        chart.lint(case.values).unwrap();
        let rendered = chart.render(case.values).unwrap();
        let rendered_names: BTreeSet<String> = rendered.names().into_iter().collect();
        let expected = COMMON_OBJECTS.iter().chain(&case.objects).map(|name| (*name).to_owned());
        assert_eq!(rendered_names, expected.collect(), "{}", case.name);
        let arguments = rendered.arguments().unwrap();
        for argument in case.arguments {
            assert!(
                arguments.iter().any(|rendered| rendered == argument),
                "{}: {arguments:?}",
                case.name
            );
        }
    }
    let defaults = chart.render(&[]).unwrap().arguments().unwrap();
    assert_eq!(defaults, values_cases()[0].arguments);
}

#[test]
fn the_binary_accepts_every_rendered_argument() {
    let chart = Chart::open(NAMESPACE).unwrap();
    let binary = binary().unwrap();
    for case in values_cases() {
        let arguments = chart.render(case.values).unwrap().arguments().unwrap();
        let output = Command::new(&binary).args(&arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        // Exit code 2 means an invalid command line. This one is valid, and fails at the first file
        // that exists only in the pod.
        assert_eq!(output.status.code(), Some(1), "{}: {stderr}", case.name);
        assert!(
            stderr.contains("/etc/kubernetes/agg-audit-policy.yaml"),
            "{}: {stderr}",
            case.name
        );
    }
}

#[test]
fn invalid_values_are_rejected_by_name() {
    let chart = Chart::open(NAMESPACE).unwrap();
    let cases: [(&str, &str); 19] = [
        ("siem.loging.cluster.enabled=true", "loging"),
        ("siem.logging.cluster.enabled=maybe", "/siem/logging/cluster/enabled"),
        ("siem.logging.cluster.file.size=0", "/siem/logging/cluster/file/size"),
        ("siem.logging.cluster.file.path=audit.log", "/siem/logging/cluster/file/path"),
        ("siem.logging.heartbeat=often", "/siem/logging/heartbeat"),
        ("siem.logging.cloud.path=/audit", "/siem/logging/cloud/path"),
        ("siem.logging.cloud.awsS3.enabled=yes please", "/siem/logging/cloud/awsS3/enabled"),
        ("auditPolicy.name=mine", "/auditPolicy/name"),
        ("auditPolicy.name=custom", "auditPolicy.custom is needed"),
        ("certificate.provider=secret", "certificate.secretName is needed"),
        ("service.aggregatedApiPort=443", "/service/aggregatedApiPort"),
        ("journal.limit=16GB", "/journal/limit"),
        ("journal.limit=30Gi", "persistence.size=20Gi must be more than journal.limit=30Gi"),
        ("journal.retentionSize=17Gi", "journal.retentionSize=17Gi is more than"),
        ("persistence.accessMode=ReadWriteMany", "/persistence/accessMode"),
        ("extraArgs={now}", "/extraArgs/0"),
        ("image.digest=sha256:abc", "/image/digest"),
        ("useNamespacedAPI=kasten", "/useNamespacedAPI"),
        ("k10Namespace=Kasten.io", "/k10Namespace"),
    ];
    for (value, expected) in cases {
        let error = chart.rendering_error(&[value]).unwrap();
        assert!(error.contains(expected), "{value}: {error}");
    }
    let inside_data_dir = [
        "siem.logging.cluster.file.enabled=true",
        "siem.logging.cluster.file.path=/var/lib/keepwatch/audit.log",
    ];
    let error = chart.rendering_error(&inside_data_dir).unwrap();
    assert!(error.contains("is in a folder that the server uses itself"), "{error}");
}

#[test]
fn the_image_and_the_pod_agree() {
    let root = e2e::fixtures::chart::folder().join("../..");
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let (image, toolchain) = (read("Dockerfile"), read("rust-toolchain.toml"));
    let version = image.lines().find_map(|line| line.strip_prefix("ARG RUST_VERSION=")).unwrap();
    assert!(toolchain.contains(&format!("channel = \"{version}")), "{toolchain}");
    let pod = Chart::open(NAMESPACE).unwrap().render(&[]).unwrap().pod().unwrap();
    let user = &pod["spec"]["securityContext"]["runAsUser"];
    assert!(image.contains(&format!("\nUSER {user}:{user}\n")), "{user}");
    assert!(image.contains("\nENTRYPOINT [\"/keepwatch\"]\n"));
    assert!(image.contains("\nFROM scratch\n"), "no shell, no libraries");
    assert!(pod["spec"]["containers"][0].get("command").is_none(), "the image's own");
}

#[test]
fn rendering_the_chart_does_not_query_the_cluster() {
    let folder = e2e::fixtures::chart::folder().join("templates");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let template = std::fs::read_to_string(&path).unwrap();
        // Tools that render without a cluster can set the platform.
        let platform = ".Capabilities.APIVersions.Has \"security.openshift.io/v1\"";
        let template = template.replace(platform, "");
        for function in ["lookup", "Capabilities", "genSelfSigned", "genCA", "rand"] {
            assert!(!template.contains(function), "{}: {function}", path.display());
        }
    }
    let chart = Chart::open(NAMESPACE).unwrap();
    assert_eq!(chart.render(&[]).unwrap().objects, chart.render(&[]).unwrap().objects);
}

/// `helm uninstall` failed, and left all finalizers, if a namespace was deleted first.
#[test]
fn uninstalling_needed_every_namespace_of_the_destinations() {
    let chart = Chart::open(NAMESPACE).unwrap();
    let rendered = chart.render(&["destinations.namespaces={kasten-io,gone}"]).unwrap();
    let hooks = rendered
        .objects
        .iter()
        .filter(|object| object.pointer("/metadata/annotations/helm.sh~1hook").is_some());
    let mut count = 0;
    for hook in hooks {
        let namespace = hook.pointer("/metadata/namespace").and_then(Value::as_str);
        assert!(namespace.is_none_or(|namespace| namespace == NAMESPACE), "{hook}");
        count += 1;
    }
    assert_eq!(count, 6);
    let pod = rendered.uninstall_pod().unwrap().to_string();
    assert!(pod.contains("\"--audit-config-namespaces=kasten-io,gone\""), "{pod}");
}

#[test]
fn the_service_account_has_exactly_these_permissions() {
    let chart = Chart::open(NAMESPACE).unwrap();
    let permissions = |values: &[&str]| permissions(&chart.render(values).unwrap());
    let services = "v1alpha1.actions.kio.kasten.io v1alpha1.apps.kio.kasten.io \
                    v1alpha1.repositories.kio.kasten.io v1alpha1.vault.kio.kasten.io \
                    v1alpha1.dr.kio.kasten.io v1alpha1.siem.keepwatch.io";
    let own = [
        "cluster: namespaces: get list watch".to_owned(),
        format!("cluster: apiservices.apiregistration.k8s.io [{services}]: get patch"),
        "kasten-io: secrets: create".to_owned(),
        "kasten-io: secrets [aggregatedapis-svc-tls]: get update".to_owned(),
    ];
    let destinations = |scope: &str, secrets: &str| {
        [
            format!("{scope}: auditconfigs.config.kio.kasten.io: list watch patch"),
            format!("{scope}: auditconfigs/status.config.kio.kasten.io: patch"),
            format!("{scope}: profiles.config.kio.kasten.io: list watch patch"),
            format!("{scope}: profiles/status.config.kio.kasten.io: patch"),
            format!("{scope}: secrets{secrets}: list watch"),
            format!("{scope}: events: create"),
        ]
    };
    let check = |values: &[&str], expected: &[&[String]]| {
        let (actual, expected) = (permissions(values), expected.concat());
        let sorted = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!(sorted(&actual), sorted(&expected), "{values:?}");
        assert_eq!(actual.len(), expected.len(), "{values:?}");
    };
    check(&[], &[&own, &destinations("kasten-io", "")]);
    check(
        &["certificate.provider=certManager", "destinations.namespaces={*}"],
        &[&own[..1], &destinations("cluster", "")],
    );
    check(
        &["destinations.namespaces={a,b}", "destinations.secretNames={keys}"],
        &[&own, &destinations("a", " [keys]"), &destinations("b", " [keys]")],
    );
    assert_eq!(permissions(&["rbac.create=false"]), Vec::<String>::new());
}

/// Every permission that the chart's roles grant the server, one per line.
pub(crate) fn permissions(rendered: &Rendered) -> Vec<String> {
    let strings = |rule: &Value, key: &str| -> Vec<String> {
        let strings = rule.get(key).and_then(Value::as_array).into_iter().flatten();
        strings.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut permissions = Vec::new();
    // The roles for users are not bound to the server's account, and the uninstall Job has an
    // account of its own.
    let is_own = |role: &&Value| {
        let name = text(role, "/metadata/name");
        !name.starts_with("keepwatch-") && !name.contains("-uninstall")
    };
    let roles = rendered.of_kind("ClusterRole").chain(rendered.of_kind("Role"));
    for role in roles.filter(is_own) {
        let scope = text(role, "/metadata/namespace");
        let scope = if scope.is_empty() { "cluster" } else { scope };
        for rule in role.get("rules").and_then(Value::as_array).into_iter().flatten() {
            let names = strings(rule, "resourceNames").join(" ");
            let names = if names.is_empty() { names } else { format!(" [{names}]") };
            let verbs = strings(rule, "verbs").join(" ");
            for group in strings(rule, "apiGroups") {
                let group = if group.is_empty() { group } else { format!(".{group}") };
                for resource in strings(rule, "resources") {
                    permissions.push(format!("{scope}: {resource}{group}{names}: {verbs}"));
                }
            }
        }
    }
    permissions
}
