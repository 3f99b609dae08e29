//! About a hundred ways to pass values. Each renders objects that kube-apiserver accepts and
//! arguments that the binary accepts, or fails with an error that names the value.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use e2e::fixtures::{Chart, Rendered, binary};
use serde_json::Value;

use crate::fixture::{namespace, plane, text};

const NAMESPACE: &str = "chart-variations";
/// Kinds that are defined by CRDs.
const CRD_KINDS: [&str; 3] = ["Certificate", "Issuer", "ServiceMonitor"];

/// Helm's flag and its argument, or `-f` and the content of a file.
type ValuesInput = (&'static str, &'static str);

/// Inputs that must render.
const VALID_INPUTS: [ValuesInput; 67] = [
    ("-f", ""),
    ("-f", "# nothing\n---\n"),
    ("-f", "siem:\nauditPolicy:\nlimits:\n"),
    ("-f", "siem: {}\njournal: {}\nimage: {}\nuninstall: {}\n"),
    ("-f", "siem: {logging: {cluster: {file: {}}, cloud: }}"),
    ("-f", "siem: {logging: {cluster: {enabled: no}}}"),
    ("-f", "limits: {maxRequestsInflight: 1e6, maxMutatingRequestsInflight: 400.0}"),
    ("-f", "service: {aggregatedApiPort: 1.025e4, port: 4.43e2}"),
    ("-f", "siem: {logging: {cluster: {lineSize: 1_000_000}}}"),
    ("-f", "clusterName: \"null\""),
    ("-f", "clusterName: 'a \"b\" {{ c }} \\ $d'"),
    ("-f", "clusterName: |\n  prod\n"),
    (
        "-f",
        "podAnnotations: {a: '1', b: 'true', c: '{\"d\":1e6}', e: '', ad.datadoghq.com/x: '[]'}",
    ),
    ("-f", "podLabels: {team: '007', admission.datadoghq.com/enabled: 'true'}"),
    ("-f", "nodeSelector: {kubernetes.io/os: linux, fast: 'true'}"),
    (
        "-f",
        "tolerations: [{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 3600000}]",
    ),
    ("-f", "resources: {limits: {memory: 1Gi, cpu: 2}, requests: {cpu: 0.5, memory: 1e9}}"),
    ("-f", "resources: {limits: null}"),
    (
        "-f",
        "affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [
        {weight: 100, preference: {matchExpressions: [{key: a, operator: In, values: ['1']}]}}]}}",
    ),
    ("-f", "podSecurityContext: {supplementalGroups: [1000680000], runAsUser: 1000680000.0}"),
    ("-f", "podSecurityContext: {seLinuxOptions: {level: 's0:c1,c2'}, fsGroup: null}"),
    ("-f", "podSecurityContext: {}\nsecurityContext: {}\n"),
    (
        "-f",
        "auditPolicy: {name: custom, custom: \"\\r\\n\\r\\napiVersion: audit.k8s.io/v1\\r\\nkind: Policy\\r\\n\"}",
    ),
    (
        "-f",
        "auditPolicy:\n  name: custom\n  custom: |\n\n    # {{ .Values.x }}\n    apiVersion: audit.k8s.io/v1\n",
    ),
    (
        "-f",
        "extraVolumes: [{name: more, emptyDir: {sizeLimit: 1Gi}}]
extraVolumeMounts: [{name: more, mountPath: /more}]",
    ),
    ("-f", "extraVolumes: [{name: more, secret: {secretName: s, defaultMode: 288}}]"),
    (
        "-f",
        "siem: {logging: {cluster: {file: {enabled: true, path: /var/log/k/a.log, size: 1e2,
        volume: {persistentVolumeClaim: {claimName: logs}}}}}}",
    ),
    ("-f", "siem: {logging: {cluster: {file: {enabled: true, path: /a/b, volume: {}}}}}"),
    (
        "-f",
        "siem: {logging: {cluster: {file: {enabled: true, path: '/var/log//a b/#1: x.log', volume: null}}}}",
    ),
    ("-f", "destinations: {claims: [share.of.team-1, share-2, share-2], namespaces: [a, b, a]}"),
    ("-f", "destinations: {namespaces: ['*', a], secretNames: [], endpoints: null}"),
    ("-f", "networkPolicy: {dnsPorts: [], egressPorts: []}"),
    (
        "-f",
        "networkPolicy: {dnsPorts: null, egressPorts: [9.0e3], ingressFrom: [{podSelector: {}}]}",
    ),
    (
        "-f",
        "networkPolicy: {egressExtra: [{to: [{ipBlock: {cidr: 'fd00::/8'}}], ports: [{port: 9000}]}]}",
    ),
    ("-f", "global: {imageRegistry: r.example.com, imagePullSecrets: [a]}"),
    (
        "-f",
        "image: {repository: 'r.example.com:5000/team/keepwatch', tag: '1.10', pullSecrets: [{name: a}]}",
    ),
    (
        "-f",
        "image: {digest: 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'}",
    ),
    ("-f", "serviceMonitor: {enabled: true, labels: {release: prometheus}}"),
    ("-f", "certificate: {provider: secret, secretName: mine, caBundle: QUJD}"),
    ("-f", "certificate: {provider: certManager, issuerRef: {name: mine, kind: ClusterIssuer}}"),
    ("-f", "persistence: {storageClass: '-', accessMode: ReadWriteOncePod, keep: false}"),
    ("-f", "persistence: {enabled: false, size: 1Mi}"),
    (
        "-f",
        "auditWebhook: {enabled: true, clusters: [prod, test], tokenSecretName: a, \
         clientCaSecretName: b, tlsSecretName: c, service: {type: NodePort, nodePort: 31000}}",
    ),
    (
        "-f",
        "auditWebhook: {enabled: true, clusters: [prod, test], clusterTokensSecretName: a, \
         clientCaSecretName: b, clientNames: ['prod=a b', prod=c]}",
    ),
    (
        "-f",
        "bucketSources: {sources: [{cluster: prod, url: 's3://a/b/'}, {cluster: test, url: 'gs://c'}], \
         s3Endpoint: 'https://minio:9000', s3Region: eu, credentialsSecretName: a, \
         googleKeySecretName: b, pollPeriod: 5m}",
    ),
    ("-f", "bucketSources: {sources: [{cluster: prod, url: /audit}]}"),
    ("-f", "auditLogForwarder: {enabled: true, webhookConfigSecretName: a}"),
    (
        "-f",
        "auditLogForwarder: {enabled: true, webhookConfigSecretName: a, hostNetwork: true, \
         logPaths: [/var/lib/rancher/rke2/server/logs/audit.log, /var/log/a/b.log, /var/log/a/c.log], \
         nodeSelector: {a: b}, tolerations: [], bufferSize: 16Mi, serviceAccountName: b}",
    ),
    (
        "-f",
        "admissionWebhook: {enabled: true, cluster: prod, token: 0123456789abcdef, \
         failurePolicy: Fail, timeoutSeconds: 30, groups: [a.b]}",
    ),
    (
        "-f",
        "{clusterName: prod, certificate: {provider: certManager}, \
         admissionWebhook: {enabled: true, tokenSecretName: a, clientCaSecretName: b}}",
    ),
    (
        "-f",
        "proxy: {enabled: true, upstream: 'https://a.b.svc:8443', upstreamServerName: c, \
         upstreamInsecureSkipTlsVerify: true, apiPort: 10300, servicePort: 444}",
    ),
    ("--set", "siem=null,limits=null,image=null"),
    ("--set", "siem.logging.cluster.enabled=false,siem.logging.cloud.awsS3.enabled=false"),
    ("--set", "services.aggregatedapis.hostNetwork=true,service.aggregatedApiPort=10443"),
    ("--set", "limits.maxRequestsInflight=1000000,limits.terminationGracePeriodSeconds=86400"),
    ("--set", "journal.retentionAge=1h30m15s,limits.requestTimeout=1.5s,siem.logging.heartbeat=0s"),
    ("--set", "networkPolicy.egressPorts[0]=443,networkPolicy.egressPorts[1]=9000"),
    ("--set-json", "extraArgs=[]"),
    (
        "--set",
        "extraArgs={--client-ca-file=/x,--authorization-always-allow-paths=/livez\\,/readyz}",
    ),
    ("--set", "enabled=false"),
    ("--set-string", "clusterName=1e6,priorityClassName=0x10,k10Namespace=007"),
    ("--set-string", "podAnnotations.a=1,podLabels.b=true,nodeSelector.c=1e3"),
    ("--set-string", "podSecurityContext.runAsUser=1000680000"),
    ("--set-json", "resources={\"limits\":{\"memory\":\"1Gi\"}}"),
    ("--set-json", "tolerations=[{\"operator\":\"Exists\"}]"),
    ("--set-json", "siem.logging.cluster.lineSize=1048576"),
    ("--set-literal", "clusterName=a,b={c}"),
];

/// Inputs that must be rejected, and the name that the error contains.
const INVALID_INPUTS: [(&str, &str, &str); 75] = [
    ("--set", "auditLogForwarder.enabled=true", "auditLogForwarder.webhookConfigSecretName"),
    ("-f", "auditLogForwarder: {bufferSize: 15Mi}", "auditLogForwarder.bufferSize=15Mi"),
    ("-f", "auditLogForwarder: {logPaths: [/audit.log]}", "/auditLogForwarder/logPaths/0"),
    ("--set", "admissionWebhook.enabled=true", "admissionWebhook.cluster"),
    ("-f", "admissionWebhook: {enabled: true, cluster: a}", "admissionWebhook.token"),
    ("--set", "admissionWebhook.token=short", "/admissionWebhook/token"),
    (
        "-f",
        "admissionWebhook: {enabled: true, cluster: a, token: 0123456789abcdef, port: 10251}",
        "admissionWebhook.port",
    ),
    ("--set", "auditWebhook.enabled=true", "auditWebhook.clusters"),
    ("-f", "auditWebhook: {enabled: true, clusters: [a]}", "auditWebhook.tokenSecretName"),
    ("-f", "auditWebhook: {clusters: [A]}", "/auditWebhook/clusters/0"),
    (
        "-f",
        "bucketSources: {sources: [{cluster: a, url: 'ftp://x'}]}",
        "/bucketSources/sources/0/url",
    ),
    (
        "-f",
        "bucketSources: {sources: [{cluster: a, url: 's3://x'}], s3Endpoint: 'https://minio'}",
        "bucketSources.credentialsSecretName",
    ),
    (
        "-f",
        "auditWebhook: {enabled: true, clusters: [a], tokenSecretName: t, port: 10250}",
        "service.aggregatedApiPort",
    ),
    (
        "-f",
        "auditWebhook: {enabled: true, clusters: [a], tokenSecretName: t, clientNames: [a=b]}",
        "auditWebhook.clientNames needs",
    ),
    ("-f", "auditWebhook: {clientNames: ['a=b,c']}", "/auditWebhook/clientNames/0"),
    ("-f", "auditWebhook: {tlsSecretName: [a]}", "/auditWebhook/tlsSecretName"),
    (
        "-f",
        "extraVolumes: [{name: audit-webhook-tls, emptyDir: {}}]",
        "extraVolumes: volume audit-webhook-tls",
    ),
    ("-f", "service: {port: \"443\"}", "/service/port"),
    ("-f", "service: {port: 443.5}", "/service/port"),
    ("-f", "service: {aggregatedApiPort: 70000}", "/service/aggregatedApiPort"),
    ("-f", "limits: {maxRequestsInflight: ''}", "/limits/maxRequestsInflight"),
    ("-f", "limits: {maxRequestsInflight: -1}", "/limits/maxRequestsInflight"),
    ("-f", "limits: {maxRequestsInflight: 1e30}", "/limits/maxRequestsInflight"),
    ("-f", "limits: {requestTimeout: 60}", "/limits/requestTimeout"),
    ("-f", "limits: 400", "/limits"),
    ("-f", "siem: true", "/siem"),
    ("-f", "siem: {logging: {cluster: {enabled: 'false'}}}", "/siem/logging/cluster/enabled"),
    ("-f", "siem: {logging: {cluster: {enabled: 1}}}", "/siem/logging/cluster/enabled"),
    ("-f", "siem: {logging: {heartbeat: 0}}", "/siem/logging/heartbeat"),
    ("-f", "siem: {logging: {cluster: {lineSize: 16Ki}}}", "/siem/logging/cluster/lineSize"),
    ("-f", "siem: {loging: {}}", "loging"),
    ("-f", "persistence: {size: 20}", "/persistence/size"),
    ("-f", "persistence: {size: 20GB}", "/persistence/size"),
    ("-f", "persistence: {size: 10Gi}", "persistence.size=10Gi"),
    ("-f", "journal: {limit: 1.5Gi}", "/journal/limit"),
    ("-f", "journal: {history: 10}", "/journal/history"),
    ("-f", "image: {tag: 1.10}", "/image/tag"),
    ("-f", "image: {pullSecrets: [a]}", "/image/pullSecrets/0"),
    ("-f", "clusterName: 2026", "/clusterName"),
    ("-f", "clusterName: yes", "/clusterName"),
    ("-f", "clusterName: [a]", "/clusterName"),
    ("-f", "podAnnotations: {a: 1}", "/podAnnotations/a"),
    ("-f", "podAnnotations: [a]", "/podAnnotations"),
    ("-f", "podLabels: {a: true}", "/podLabels/a"),
    ("-f", "podLabels: {component: mine}", "podLabels: label component"),
    (
        "-f",
        "podAnnotations: {checksum/audit-policy: mine}",
        "podAnnotations: annotation checksum/audit-policy",
    ),
    ("-f", "serviceMonitor: {labels: {run: mine}}", "serviceMonitor.labels: label run"),
    ("-f", "serviceMonitor: {interval: 30}", "/serviceMonitor/interval"),
    ("-f", "nodeSelector: {a: 1}", "/nodeSelector/a"),
    ("-f", "tolerations: {operator: Exists}", "/tolerations"),
    ("-f", "destinations: {endpoints: [null]}", "/destinations/endpoints/0"),
    ("-f", "destinations: {namespaces: a}", "/destinations/namespaces"),
    ("-f", "destinations: {claims: [a.b, a-b]}", "destinations.claims: a-b"),
    ("-f", "destinations: {claims: [Share]}", "/destinations/claims/0"),
    ("-f", "networkPolicy: {egressPorts: ['443']}", "/networkPolicy/egressPorts/0"),
    ("-f", "networkPolicy: {egressPorts: [0]}", "/networkPolicy/egressPorts/0"),
    ("-f", "podDisruptionBudget: {maxUnavailable: 50%}", "/podDisruptionBudget/maxUnavailable"),
    ("-f", "extraArgs: --log-format=text", "/extraArgs"),
    ("-f", "extraArgs: [--log-format=text]", "extraArgs: --log-format"),
    ("-f", "extraArgs: [--tls-service=a/b]", "extraArgs: --tls-service"),
    ("-f", "extraVolumes: [{name: data, emptyDir: {}}]", "extraVolumes: volume data"),
    ("-f", "podSecurityContext: {runAsUser: root}", "podSecurityContext.runAsUser=root"),
    ("-f", "podSecurityContext: {fsGroup: 1.5}", "podSecurityContext.fsGroup=1.5"),
    ("-f", "podSecurityContext: {runAsGroup: -1}", "podSecurityContext.runAsGroup=-1"),
    (
        "-f",
        "siem: {logging: {cluster: {file: {enabled: true, path: /dev/stdout}}}}",
        "siem.logging.cluster.file.path",
    ),
    (
        "-f",
        "siem: {logging: {cluster: {file: {enabled: true, path: /a/../etc/b}}}}",
        "siem.logging.cluster.file.path",
    ),
    (
        "-f",
        "siem: {logging: {cluster: {file: {enabled: true, path: /a.log}}}}",
        "/siem/logging/cluster/file/path",
    ),
    (
        "-f",
        "siem: {logging: {cluster: {file: {enabled: true, path: '/a:b/c'}}}}",
        "siem.logging.cluster.file.path",
    ),
    (
        "-f",
        "certificate: {provider: secret, secretName: a, caBundle: \"QUJD\\nQUJD\"}",
        "/certificate/caBundle",
    ),
    (
        "-f",
        "serviceMonitor: {enabled: true, prometheusAccount: {name: a}}",
        "serviceMonitor.prometheusAccount.namespace",
    ),
    ("--set", "podAnnotations.a=1", "/podAnnotations/a"),
    ("--set", "certificate.provider=none", "/certificate/provider"),
    // For Helm, `{}` is a list of one empty string.
    ("--set", "tolerations={}", "/tolerations/0"),
    ("--set-string", "networkPolicy.enabled=true", "/networkPolicy/enabled"),
    ("--set-json", "destinations.claims={\"a\":1}", "/destinations/claims"),
];

fn render(chart: &Chart, flag: &str, value: &str) -> anyhow::Result<Rendered> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("values.yaml");
    fs::write(&file, value)?;
    let value = if flag == "-f" { file.to_str().unwrap_or_default() } else { value };
    chart.render_with(&[flag, value], &[])
}

#[test]
fn valid_values_render_accepted_objects_and_arguments() {
    let chart = Chart::open(NAMESPACE).unwrap();
    let binary = binary().unwrap();
    let mut distinct = BTreeSet::new();
    for (flag, value) in VALID_INPUTS {
        let rendered =
            render(&chart, flag, value).unwrap_or_else(|error| panic!("{flag} {value}: {error}"));
        let arguments = rendered.arguments().unwrap();
        // As in the pod, where they come from a Secret.
        let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
        let output = Command::new(&binary).args(&arguments).envs(keys).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        // It fails at the first file that exists only in the pod.
        assert_eq!(output.status.code(), Some(1), "{flag} {value}: {stderr}");
        let mut names = BTreeSet::new();
        for object in &rendered.objects {
            let identity = ["/kind", "/metadata/namespace", "/metadata/name"]
                .map(|pointer| text(object, pointer));
            assert!(names.insert(identity), "{flag} {value}: {identity:?} twice");
            if !CRD_KINDS.contains(&identity[0]) {
                distinct.insert(in_test_namespace(object).to_string());
            }
        }
    }
    let plane = plane();
    namespace(&plane, NAMESPACE);
    let items: Vec<&str> = distinct.iter().map(String::as_str).collect();
    let list = format!(r#"{{"apiVersion":"v1","kind":"List","items":[{}]}}"#, items.join(","));
    let line = "apply --dry-run=server --validate=strict -f -";
    plane.admin().kubectl_with(line, &list).unwrap();
}

/// The object, moved into the namespace that exists in this test.
fn in_test_namespace(object: &Value) -> Value {
    let mut object = object.clone();
    let metadata = &mut object["metadata"];
    if metadata["namespace"].is_string() {
        metadata["namespace"] = NAMESPACE.into();
    }
    object
}

#[test]
fn invalid_values_of_files_and_flags_are_rejected_by_name() {
    let chart = Chart::open(NAMESPACE).unwrap();
    for (flag, value, name) in INVALID_INPUTS {
        match render(&chart, flag, value) {
            Ok(_) => panic!("{flag} {value} is not refused"),
            Err(error) => assert!(error.to_string().contains(name), "{flag} {value}: {error}"),
        }
    }
}

/// Without ports, the rules once let out nothing at all, or everything.
#[test]
fn without_ports_no_egress_is_allowed() {
    let chart = Chart::open(NAMESPACE).unwrap();
    let egress = |value: &str| {
        let rendered = render(&chart, "--set-json", value).unwrap();
        rendered.of_kind("NetworkPolicy").next().unwrap()["spec"]["egress"].clone()
    };
    let none = r#"networkPolicy={"dnsPorts":[],"egressPorts":[]}"#;
    assert_eq!(egress(none), Value::Null);
    let rules = egress("networkPolicy.dnsPorts=[]");
    assert_eq!(rules[0]["ports"].as_array().unwrap().len(), 2, "{rules}");
}

/// A Service without an IP family gets the cluster's, even if that is IPv6 only.
#[test]
fn no_address_family_is_set() {
    let rendered = Chart::open(NAMESPACE).unwrap().render(&[]).unwrap();
    let service = &rendered.of_kind("Service").next().unwrap()["spec"];
    assert_eq!((service.get("ipFamilies"), service.get("ipFamilyPolicy")), (None, None));
    assert!(
        !rendered
            .arguments()
            .unwrap()
            .iter()
            .any(|argument| argument.starts_with("--bind-address"))
    );
}
