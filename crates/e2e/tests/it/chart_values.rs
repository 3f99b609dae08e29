//! The chart's values as users pass them: in files, by flags, from older releases, from a parent
//! chart, and on other platforms.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use e2e::fixtures::{Chart, Rendered};
use serde_json::Value;

use crate::fixture::text;

const NAMESPACE: &str = "kasten-io";
/// Every value's path with its default.
const DEFAULTS: &str = include_str!("../../../../charts/keepwatch/files/defaults.yaml");

fn chart() -> Chart {
    Chart::open(NAMESPACE).unwrap()
}

/// Renders with a values file.
fn from_file(values: &str) -> anyhow::Result<Rendered> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("values.yaml");
    fs::write(&file, values)?;
    chart().render_with(&["--values", file.to_str().unwrap()], &[])
}

/// `maxRequestsInflight: 1000000` in a file once became `--max-requests-inflight=1e+06`.
#[test]
fn a_number_in_a_file_is_rendered_as_a_number() {
    let values = "
service: {aggregatedApiPort: 65535, port: 65535}
limits:
  maxRequestsInflight: 10000000
  maxMutatingRequestsInflight: 1000000
  terminationGracePeriodSeconds: 86400
siem: {logging: {cluster: {lineSize: 1048576, file: {enabled: true, path: /var/log/k/a.log,
  size: 1048576, maxBackups: 2147483647, maxAge: 36500}}}}
networkPolicy: {egressPorts: [65535], dnsPorts: [53, 65535]}
podSecurityContext: {runAsUser: 1000680000, fsGroup: 1000680000}
";
    let rendered = from_file(values).unwrap();
    let arguments = rendered.arguments().unwrap();
    for expected in [
        "--max-requests-inflight=10000000",
        "--max-mutating-requests-inflight=1000000",
        "--audit-line-size=1048576",
        "--audit-log-file-size=1048576",
        "--audit-log-maxbackup=2147483647",
        "--audit-log-maxage=36500",
        "--secure-port=65535",
    ] {
        assert!(arguments.iter().any(|argument| argument == expected), "{expected}: {arguments:?}");
    }
    let pod = rendered.pod().unwrap();
    assert_eq!(pod["spec"]["terminationGracePeriodSeconds"], 86400);
    assert_eq!(pod["spec"]["securityContext"]["runAsUser"], 1_000_680_000);
    for object in &rendered.objects {
        assert!(!has_float(object), "{object}");
    }
}

/// A flag whose file is in no volume would stop the server at its start.
#[test]
fn each_file_of_the_audit_webhook_is_in_a_volume() {
    let values = "auditWebhook: {enabled: true, clusters: [prod], tokenSecretName: tokens,
        clusterTokensSecretName: clusters, clientCaSecretName: ca, tlsSecretName: tls}";
    let rendered = from_file(values).unwrap();
    let (arguments, pod) = (rendered.arguments().unwrap(), rendered.pod().unwrap());
    let named = |list: &Value, key: &str, value: &str| {
        list.as_array().unwrap().iter().find(|item| item[key] == value).cloned()
    };
    for (flag, secret) in [
        ("--audit-webhook-token-file=", "tokens"),
        ("--audit-webhook-client-ca-file=", "ca"),
        ("--audit-webhook-tls-cert-file=", "tls"),
        ("--audit-webhook-tls-private-key-file=", "tls"),
    ] {
        let file = arguments.iter().find_map(|argument| argument.strip_prefix(flag)).unwrap();
        let (folder, file) = file.rsplit_once('/').unwrap();
        let mount =
            named(&pod["spec"]["containers"][0]["volumeMounts"], "mountPath", folder).unwrap();
        let volume =
            named(&pod["spec"]["volumes"], "name", mount["name"].as_str().unwrap()).unwrap();
        assert_eq!(volume["secret"]["secretName"], secret, "{flag}");
        assert!(named(&volume["secret"]["items"], "path", file).is_some(), "{flag}{file}");
        // A mount of a single file is not updated when the Secret changes.
        assert_eq!(mount.get("subPath"), None, "{flag}");
    }
    let folder = "/etc/keepwatch/audit-webhook-clusters";
    assert!(arguments.contains(&format!("--audit-webhook-token-dir={folder}")), "{arguments:?}");
    let mount = named(&pod["spec"]["containers"][0]["volumeMounts"], "mountPath", folder).unwrap();
    let volume = named(&pod["spec"]["volumes"], "name", mount["name"].as_str().unwrap()).unwrap();
    let secret = &volume["secret"];
    assert_eq!((&secret["secretName"], secret.get("items")), (&"clusters".into(), None));
}

#[test]
fn the_keys_of_buckets_come_from_secrets_and_only_if_buckets_are_read() {
    let secrets = "credentialsSecretName: keys, googleKeySecretName: google, pollPeriod: 5m, quietPeriod: 25h";
    let sources = "sources: [{cluster: prod, url: 's3://a/b/'}, {cluster: test, url: 'gs://c'}]";
    let rendered = from_file(&format!("bucketSources: {{{secrets}, {sources}}}")).unwrap();
    let arguments = rendered.arguments().unwrap();
    for expected in [
        "--bucket-source=prod=s3://a/b/",
        "--bucket-source=test=gs://c",
        "--bucket-source-poll-period=5m",
        "--bucket-source-quiet-period=25h",
    ] {
        assert!(arguments.iter().any(|argument| argument == expected), "{expected}: {arguments:?}");
    }
    let pod = rendered.pod().unwrap();
    let container = &pod["spec"]["containers"][0];
    let variable = |name: &str| {
        let variables = container["env"].as_array().unwrap();
        variables.iter().find(|variable| variable["name"] == name).cloned().unwrap()
    };
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_KEY"] {
        let key = &variable(name)["valueFrom"]["secretKeyRef"];
        assert_eq!((&key["name"], &key["key"]), (&"keys".into(), &name.into()));
    }
    let file = variable("GOOGLE_APPLICATION_CREDENTIALS")["value"].clone();
    let mounts = container["volumeMounts"].as_array().unwrap();
    let is_above =
        |mount: &&Value| file.as_str().unwrap().starts_with(mount["mountPath"].as_str().unwrap());
    let mount = mounts.iter().find(is_above).unwrap();
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
    assert_eq!(volume["secret"]["secretName"], "google");
    let unused = from_file(&format!("bucketSources: {{{secrets}}}")).unwrap();
    assert_eq!(unused.pod().unwrap(), chart().render(&[]).unwrap().pod().unwrap());
}

/// A folder that is missing, or a log that could be changed, would be noticed on a node only.
#[test]
fn the_forwarder_has_the_folders_of_its_logs_read_only_and_no_token() {
    let values = "auditLogForwarder: {enabled: true, webhookConfigSecretName: webhook,
        logPaths: [/var/log/a/audit.log, /var/log/a/other.log, /b/c/audit.log]}";
    let rendered = from_file(values).unwrap();
    let [forwarder] = rendered.of_kind("DaemonSet").collect::<Vec<_>>()[..] else {
        panic!("{:?}", rendered.names())
    };
    let pod = &forwarder["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
    let arguments: Vec<&str> =
        container["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let volumes = pod["volumes"].as_array().unwrap();
    for (flag, folder, source) in [
        ("--audit-log-path=/var/log/a/audit.log", "/var/log/a", "/hostPath/path"),
        ("--audit-log-path=/var/log/a/other.log", "/var/log/a", "/hostPath/path"),
        ("--audit-log-path=/b/c/audit.log", "/b/c", "/hostPath/path"),
        (
            "--webhook-config=/etc/keepwatch/webhook/webhook.yaml",
            "/etc/keepwatch/webhook",
            "/secret/secretName",
        ),
        ("--data-dir=/var/lib/keepwatch-forward", "/var/lib/keepwatch-forward", "/hostPath/path"),
    ] {
        assert!(arguments.contains(&flag), "{flag}: {arguments:?}");
        let mounts = container["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|mount| mount["mountPath"] == folder).unwrap();
        let is_buffer = folder == "/var/lib/keepwatch-forward";
        assert_eq!(mount["readOnly"] == true, !is_buffer, "{folder}");
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
        let expected = if source == "/secret/secretName" { "webhook" } else { folder };
        assert_eq!(volume.pointer(source).unwrap(), expected, "{flag}");
    }
}

/// Two descriptions of the same webhook must not drift apart.
#[test]
fn the_admission_webhook_of_the_chart_is_that_of_the_command() {
    let values = "admissionWebhook: {enabled: true, cluster: prod, token: 0123456789abcdef}";
    let rendered = from_file(values).unwrap();
    let kind = "ValidatingWebhookConfiguration";
    let [chart] = rendered.of_kind(kind).collect::<Vec<_>>()[..] else { panic!("not one {kind}") };
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "0123456789abcdef").unwrap();
    let output = Command::new(e2e::fixtures::binary().unwrap())
        .args(["source", "admission-config", "--cluster=prod"])
        .args(["--service=kasten-io/aggregatedapis-svc", "--token-file"])
        .arg(&token)
        .output()
        .unwrap();
    let command: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(chart["webhooks"], command["webhooks"]);
    let label = "admissions.enforcer/disabled";
    assert_eq!(chart["metadata"]["labels"][label], command["metadata"]["labels"][label]);
    let arguments = rendered.arguments().unwrap();
    for expected in [
        "--admission-webhook-port=10252",
        "--admission-webhook-clusters=prod",
        "--admission-webhook-token-dir=/etc/keepwatch/admission-webhook-clusters",
        "--admission-webhook-configuration=kasten-io-aggregatedapis-svc",
    ] {
        assert!(arguments.iter().any(|argument| argument == expected), "{expected}: {arguments:?}");
    }
    let secret = rendered
        .of_kind("Secret")
        .find(|secret| secret["metadata"]["name"] == "aggregatedapis-svc-admission-webhook");
    assert_eq!(secret.unwrap()["stringData"]["prod"], "0123456789abcdef");
}

/// The chart could not run the proxy.
#[test]
fn the_proxy_had_no_chart_values() {
    let values = "proxy: {enabled: true, upstream: 'https://aggregatedapis-svc.k10.svc',
        upstreamCaSecretName: k10-ca, apiPort: 10300, servicePort: 9443}";
    let rendered = from_file(values).unwrap();
    let arguments = rendered.arguments().unwrap();
    assert_eq!(arguments[0], "proxy");
    for expected in [
        "--upstream=https://aggregatedapis-svc.k10.svc",
        "--upstream-ca-file=/etc/keepwatch/upstream-ca/ca.crt",
        "--api-port=10300",
    ] {
        assert!(arguments.iter().any(|argument| argument == expected), "{expected}: {arguments:?}");
    }
    let pod = rendered.pod().unwrap();
    let container = &pod["spec"]["containers"][0];
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], "api", "the upstream has its own");
    }
    let registered: Vec<&str> =
        rendered.of_kind("APIService").map(|service| text(service, "/metadata/name")).collect();
    assert_eq!(registered, ["v1alpha1.siem.keepwatch.io"], "K10's chart registers the others");
    let api_service = rendered.of_kind("APIService").next().unwrap();
    assert_eq!(api_service["spec"]["service"]["port"], 9443);
    let impersonates =
        rendered.of_kind("ClusterRole").any(|role| role.to_string().contains("impersonate"));
    assert!(impersonates);
    let without = from_file("proxy: {enabled: false, upstream: 'https://a.b.svc'}").unwrap();
    assert_eq!(without.arguments().unwrap()[0], "serve");
    let impersonates =
        without.of_kind("ClusterRole").any(|role| role.to_string().contains("impersonate"));
    assert!(!impersonates, "only the proxy may impersonate");
    for (values, named) in [
        ("enabled: true", "proxy.upstream"),
        ("enabled: true, upstream: 'https://a.b.svc'", "proxy.upstreamCaSecretName"),
        (
            "enabled: true, upstream: 'https://a.kasten-io.svc', upstreamCaSecretName: x",
            "namespace of its own",
        ),
        (
            "enabled: true, upstream: 'https://a.b.svc', upstreamCaSecretName: x, apiPort: 10250",
            "proxy.apiPort",
        ),
        ("upstream: 'http://a.b.svc'", "upstream"),
    ] {
        let error = from_file(&format!("proxy: {{{values}}}")).unwrap_err().to_string();
        assert!(error.contains(named), "{values}: {error}");
    }
}

fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_float),
        Value::Object(members) => members.values().any(has_float),
        _ => false,
    }
}

/// `helm upgrade --reuse-values` brings back values that lack newer keys, and some tools write
/// null.
#[test]
fn a_value_that_is_missing_or_null_has_its_default() {
    let expected = chart().render(&[]).unwrap().objects;
    let paths: Vec<&str> =
        DEFAULTS.lines().filter_map(|line| line.split_once(": ")).map(|(path, _)| path).collect();
    let paths: Vec<&str> = paths.into_iter().filter(|path| !path.starts_with('#')).collect();
    assert!(paths.len() > 60, "{paths:?}");
    let nulls: Vec<String> = paths.iter().map(|path| format!("{path}=null")).collect();
    let nulls: Vec<&str> = nulls.iter().map(String::as_str).collect();
    assert_eq!(chart().render(&nulls).unwrap().objects, expected);
    // Whole sections and free-form maps that an older release did not have.
    for sections in [
        &["siem=null", "journal=null", "limits=null", "persistence=null"][..],
        &["destinations=null", "networkPolicy=null", "image=null", "uninstall=null"],
        &["podSecurityContext=null", "securityContext=null", "platform=null", "enabled=null"],
        &["siem.logging.cluster.file.volume=null", "global=null", "rbac=null"],
    ] {
        assert_eq!(chart().render(sections).unwrap().objects, expected, "{sections:?}");
    }
}

#[test]
fn an_unusual_value_renders_or_is_rejected_by_name() {
    let chart = chart();
    for (arguments, name) in [
        (["--set-string", "siem.logging.cluster.enabled=false"], "siem/logging/cluster/enabled"),
        (["--set-string", "limits.maxRequestsInflight=10"], "limits/maxRequestsInflight"),
        (["--set", "limits.maxRequestsInflight=1e20"], "limits/maxRequestsInflight"),
        (["--set", "limits.maxRequestsInflight=1.5"], "limits/maxRequestsInflight"),
        (["--set", "journal.limit=99999999999999Ti"], "journal/limit"),
        (["--set", "journal.retentionAge=99999999999h"], "journal/retentionAge"),
        (["--set", "image.tag=1"], "image/tag"),
        (["--set", "destinations.namespaces=a"], "destinations/namespaces"),
        (["--set", "clusterName=7"], "clusterName"),
        (["--set", "siem.logging=off"], "siem/logging"),
        (["--set", "siem.logging.cluster.resumeFrom=yesterday"], "resumeFrom"),
        (["--set", "platform=eks"], "platform"),
    ] {
        let error = chart.render_with(&arguments, &[]).unwrap_err().to_string();
        assert!(error.contains(name), "{arguments:?}: {error}");
    }
    let both_volumes = "siem.logging.cluster.file.volume.hostPath.path=/a,\
               siem.logging.cluster.file.volume.persistentVolumeClaim.claimName=b,\
               siem.logging.cluster.file.enabled=true,siem.logging.cluster.file.path=/var/log/k/a.log";
    let error = chart.render(&[&both_volumes.replace(' ', "")]).unwrap_err().to_string();
    assert!(error.contains("siem.logging.cluster.file.volume"), "{error}");
}

#[test]
fn strings_that_look_like_other_types_stay_strings() {
    for namespace in ["1234", "0x1f", "1e3", "null", "on", "true"] {
        let chart = Chart::open(namespace).unwrap();
        let rendered = chart.render_with(
            &[
                "--set-string=priorityClassName=true",
                "--set-string=persistence.storageClass=on",
                "--set-string=serviceAccount.name=007",
                "--set-string=destinations.namespaces={1234}",
                "--set-string=destinations.claims={12}",
            ],
            &[],
        );
        let rendered = rendered.unwrap_or_else(|error| panic!("{namespace}: {error}"));
        for object in &rendered.objects {
            for name in ["/metadata/name", "/metadata/namespace", "/subjects/0/namespace"] {
                let value = object.pointer(name);
                assert!(value.is_none_or(Value::is_string), "{namespace} {name}: {object}");
            }
            let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
            let mut labels = labels.into_iter().flatten();
            assert!(labels.all(|(_, value)| value.is_string()), "{namespace}: {object}");
        }
        let pod = rendered.pod().unwrap();
        assert_eq!(pod["spec"]["priorityClassName"], "true");
        assert_eq!(pod["spec"]["serviceAccountName"], "007");
    }
    let path = "siem.logging.cluster.file.path=/var/log/a b/#1: x.log";
    let rendered = chart().render(&["siem.logging.cluster.file.enabled=true", path]).unwrap();
    let arguments = rendered.arguments().unwrap();
    assert!(arguments.contains(&"--audit-log-file=/var/log/a b/#1: x.log".to_owned()));
}

/// The SCC restricted-v2 rejects a pod whose IDs are outside the project's range.
#[test]
fn on_openshift_the_platform_assigns_the_ids() {
    let ids = |arguments: &[&str], values: &[&str]| {
        let rendered = chart().render_with(arguments, values).unwrap();
        let pods = [rendered.pod().unwrap(), rendered.uninstall_pod().unwrap()];
        let ids = pods.map(|pod| {
            let context = &pod["spec"]["securityContext"];
            assert_eq!(context["runAsNonRoot"], true);
            let container = &pod["spec"]["containers"][0]["securityContext"];
            assert_eq!(container["readOnlyRootFilesystem"], true);
            assert_eq!(container.get("runAsUser"), None);
            let mut text = String::new();
            for key in ["runAsUser", "runAsGroup", "fsGroup"] {
                write!(text, "{} ", context.get(key).unwrap_or(&Value::Null)).unwrap();
            }
            text.trim_end().to_owned()
        });
        assert_eq!(ids[0], ids[1]);
        ids[0].clone()
    };
    let openshift = ["--api-versions", "security.openshift.io/v1"];
    for (arguments, values, expected) in [
        (&[][..], &[][..], "65532 65532 65532"),
        (&openshift, &[], "null null null"),
        (&[], &["platform=openshift"], "null null null"),
        (&openshift, &["platform=kubernetes"], "65532 65532 65532"),
        (&openshift, &["podSecurityContext.runAsUser=1000680000"], "1000680000 null null"),
        (&[], &["podSecurityContext.fsGroup=null"], "65532 65532 null"),
        (
            &[],
            &["podSecurityContext.runAsUser=1000", "podSecurityContext.runAsGroup=0"],
            "1000 0 65532",
        ),
    ] {
        assert_eq!(ids(arguments, values), expected, "{arguments:?} {values:?}");
    }
}

#[test]
fn the_dns_ports_of_every_platform_are_allowed() {
    let ports = |values: &[&str]| {
        let rendered = chart().render(values).unwrap();
        let policy = rendered.of_kind("NetworkPolicy").next().unwrap().clone();
        let ports = policy["spec"]["egress"][0]["ports"].as_array().unwrap().clone();
        let format_port = |port: &Value| format!("{}/{}", port["port"], text(port, "/protocol"));
        ports.iter().map(format_port).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ports(&[]), "53/UDP 53/TCP 5353/UDP 5353/TCP 443/TCP 6443/TCP");
    assert_eq!(ports(&["networkPolicy.dnsPorts={54}"]), "54/UDP 54/TCP 443/TCP 6443/TCP");
}

#[test]
fn k10s_roles_for_users_equal_those_of_a_standalone_server() {
    let names = |values: &[&str]| -> Vec<String> {
        let names = chart().render(values).unwrap().names();
        names.into_iter().filter(|name| name.contains("/k10-")).collect()
    };
    assert!(names(&[]).is_empty());
    let expected = [
        "ClusterRole/k10-admin",
        "ClusterRole/k10-basic",
        "ClusterRole/k10-config-view",
        "ClusterRoleBinding/k10-admin",
    ];
    assert_eq!(names(&["rbac.k10Roles=true"]), expected);
    let values = ["rbac.k10Roles=true", "useNamespacedAPI=true", "k10Namespace=team-backup"];
    let rendered = chart().render(&values).unwrap();
    let role = |name: &str| {
        let role =
            rendered.of_kind("ClusterRole").find(|role| text(role, "/metadata/name") == name);
        role.unwrap().to_string()
    };
    // The domain is the release's namespace with dots for hyphens.
    assert!(role("k10-basic").contains("\"actions.kio.team.backup\""), "{}", role("k10-basic"));
    assert!(role("k10-config-view").contains("\"config.kio.kasten.io\""));
}

#[test]
fn the_chart_can_be_a_dependency_of_another_chart() {
    let folder = tempfile::tempdir().unwrap();
    let parent = folder.path();
    fs::create_dir_all(parent.join("charts")).unwrap();
    let (from, to) = (e2e::fixtures::chart::folder(), parent.join("charts"));
    let copy_status = Command::new("cp").arg("-r").args([from, &to]).status().unwrap();
    assert!(copy_status.success(), "the chart cannot be copied");
    for (alias, enabled, count) in
        [("keepwatch", true, 1), ("keepwatch", false, 0), ("audit", true, 1), ("audit", false, 0)]
    {
        let dependency = format!(
            "{{name: keepwatch, alias: {alias}, version: '*', condition: {alias}.enabled}}"
        );
        let text =
            format!("apiVersion: v2\nname: parent\nversion: 0.1.0\ndependencies: [{dependency}]\n");
        fs::write(parent.join("Chart.yaml"), text).unwrap();
        let values = format!(
            "global: {{domain: example.org, tags: [a]}}\n\
             {alias}: {{enabled: {enabled}, clusterName: prod, limits: {{maxRequestsInflight: 1e6}}}}\n"
        );
        fs::write(parent.join("values.yaml"), values).unwrap();
        let rendered = chart().render_chart(parent, &[], &[]).unwrap();
        assert_eq!(rendered.of_kind("Deployment").count(), count);
        if enabled {
            let arguments = rendered.arguments().unwrap();
            for expected in ["--cluster-name=prod", "--max-requests-inflight=1000000"] {
                assert!(
                    arguments.iter().any(|argument| argument == expected),
                    "{alias}: {arguments:?}"
                );
            }
        }
    }
}

#[test]
fn every_template_fills_in_the_defaults_first() {
    let folder = e2e::fixtures::chart::folder().join("templates");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let template = fs::read_to_string(&path).unwrap();
        let is_helper = path.file_name() == Some(Path::new("_helpers.tpl").as_os_str());
        let first = "{{- include \"keepwatch.defaults\" . -}}\n";
        assert!(is_helper || template.starts_with(first), "{}", path.display());
    }
}
