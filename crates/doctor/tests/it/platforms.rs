//! The findings on each platform, and the advice for it.

use std::fmt::Write as _;

use doctor::facts::ApiService;
use doctor::{Findings, Options};
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{RULES, facts, findings};

/// The findings in short, without the table of coverage, which changes with the rules.
fn summary(findings: &Findings) -> String {
    let cluster = &findings.cluster;
    let managed = match cluster.is_managed {
        Some(true) => "managed",
        Some(false) => "own",
        None => "not known whether managed",
    };
    let mut text = format!("{}, {managed}: ", cluster.platform.title());
    let auditing = &cluster.auditing;
    writeln!(text, "{}", cluster.evidence.join("; ")).unwrap();
    writeln!(text, "audit: {}; webhook {:?}", auditing.policy, auditing.has_webhook).unwrap();
    for server in &findings.keepwatch {
        writeln!(text, "keepwatch: {} {}", server.namespace, server.cluster_name).unwrap();
    }
    for tool in &findings.tools {
        let list = |texts: &std::collections::BTreeSet<String>| {
            texts.iter().cloned().collect::<Vec<_>>().join(",")
        };
        let (versions, namespaces) = (list(&tool.versions), list(&tool.namespaces));
        let evidence = tool.evidence.join("; ");
        writeln!(text, "tool: {} [{versions}] [{namespaces}] {evidence}", tool.title).unwrap();
    }
    for source in &findings.sources {
        let possible = match source.is_possible {
            Some(true) => "possible",
            Some(false) => "impossible",
            None => "not known",
        };
        let connected = if source.connections.is_empty() { "" } else { ", connected" };
        let recommended = if source.is_recommended { ", set up" } else { "" };
        writeln!(text, "source: {}: {possible}{connected}{recommended}", source.kind.title())
            .unwrap();
    }
    for sentence in &findings.unknown {
        writeln!(text, "unknown: {sentence}").unwrap();
    }
    for step in &findings.steps {
        writeln!(text, "step: {step}").unwrap();
    }
    writeln!(text, "values: {}", findings.values).unwrap();
    text
}

#[track_caller]
fn check(name: &str, expected: &Expect) {
    expected.assert_eq(&summary(&findings(&facts(name))));
}

#[test]
fn kubeadm_shows_its_flags_and_the_log_is_forwarded() {
    check(
        "kubeadm",
        &expect![[r#"
            kubeadm, own: 1 pod of kube-apiserver in kube-system; annotation of kubeadm
            audit: a policy file, whose content the API does not show; webhook Some(false)
            tool: CSI snapshots [v8.2.0] [kube-system] 1 CustomResourceDefinition of snapshot.storage.k8s.io; Deployment kube-system/snapshot-controller
            tool: Velero [v1.18.3] [velero] 2 CustomResourceDefinitions of velero.io; Deployment velero/velero
            source: audit webhook: possible
            source: audit log, forwarded: possible, set up
            source: provider's log in a bucket: impossible
            source: admission webhook: possible
            source: auditing proxy: impossible
            step: choose a name for the cluster instead of my-cluster (--cluster-name)
            step: check that kube-apiserver's policy records bodies of the tools' groups: docs/guides/platform-kubeadm.md
            step: create the Secrets audit-webhook, audit-webhook-tls and audit-webhook-config in namespace keepwatch: docs/guides/platform-kubeadm.md
            step: helm install keepwatch charts/keepwatch -n keepwatch --create-namespace -f values.yaml --set image.repository=REGISTRY/keepwatch
            step: look at the source: kubectl get eventsources; then change a backup of cluster my-cluster and see its event
            values: {"clusterName":"my-cluster","auditWebhook":{"enabled":true,"clusters":["my-cluster"],"clusterTokensSecretName":"audit-webhook","tlsSecretName":"audit-webhook-tls"},"auditLogForwarder":{"enabled":true,"webhookConfigSecretName":"audit-webhook-config","logPaths":["/var/log/kubernetes/audit/audit.log"]}}
        "#]],
    );
}

#[test]
fn k3s_shows_its_arguments_in_an_annotation() {
    check(
        "k3s",
        &expect![[r#"
            k3s, own: version v1.33.4+k3s1; annotation k3s.io/node-args on 2 nodes
            audit: a policy file, whose content the API does not show; webhook Some(false)
            tool: etcd snapshots of k3s, RKE2 and Rancher [] [] CustomResourceDefinition etcdsnapshotfiles.k3s.cattle.io
            tool: Longhorn [v1.9.1] [longhorn-system] 2 CustomResourceDefinitions of longhorn.io; Deployment longhorn-system/longhorn-driver-deployer
            source: audit webhook: possible
            source: audit log, forwarded: possible, set up
            source: provider's log in a bucket: impossible
            source: admission webhook: possible
            source: auditing proxy: impossible
            step: choose a name for the cluster instead of my-cluster (--cluster-name)
            step: check that kube-apiserver's policy records bodies of the tools' groups: docs/guides/platform-k3s-rke2.md
            step: create the Secrets audit-webhook, audit-webhook-tls and audit-webhook-config in namespace keepwatch: docs/guides/platform-k3s-rke2.md
            step: helm install keepwatch charts/keepwatch -n keepwatch --create-namespace -f values.yaml --set image.repository=REGISTRY/keepwatch
            step: look at the source: kubectl get eventsources; then change a backup of cluster my-cluster and see its event
            values: {"clusterName":"my-cluster","auditWebhook":{"enabled":true,"clusters":["my-cluster"],"clusterTokensSecretName":"audit-webhook","tlsSecretName":"audit-webhook-tls"},"auditLogForwarder":{"enabled":true,"webhookConfigSecretName":"audit-webhook-config","logPaths":["/var/lib/rancher/k3s/server/logs/audit.log"]}}
        "#]],
    );
}

#[test]
fn rke2_with_a_connected_keepwatch_needs_nothing_more() {
    check(
        "rke2",
        &expect![[r#"
            RKE2, own: version v1.33.4+rke2r1; annotation rke2.io/node-args on 1 node
            audit: a policy file, whose content the API does not show; webhook Some(false)
            keepwatch: keepwatch prod-eu
            tool: etcd snapshots of k3s, RKE2 and Rancher [] [] CustomResourceDefinition etcdsnapshotfiles.k3s.cattle.io
            tool: Velero [] [velero] 1 CustomResourceDefinition of velero.io; Deployment velero/velero
            source: audit webhook: possible, connected
            source: audit log, forwarded: possible
            source: provider's log in a bucket: impossible
            source: admission webhook: possible
            source: auditing proxy: impossible
            step: nothing to set up: the sources that are best here are connected
            values: {"clusterName":"prod-eu"}
        "#]],
    );
}

#[test]
fn eks_with_k10_gets_the_bucket_the_admission_webhook_and_the_proxy() {
    check(
        "eks",
        &expect![[r#"
            EKS, managed: version v1.33.4-eks-99d6cc0; label eks.amazonaws.com/nodegroup on 2 nodes
            audit: fixed by EKS: custom resources are recorded without bodies; webhook Some(false)
            tool: Veeam Kasten and Keepwatch [8.0.2] [kasten-io] CustomResourceDefinition policies.config.kio.kasten.io; APIService v1alpha1.actions.kio.kasten.io; APIService v1alpha1.apps.kio.kasten.io; Deployment kasten-io/catalog-svc
            tool: Velero [v1.18.3] [velero] 1 CustomResourceDefinition of velero.io; Deployment velero/velero
            source: audit webhook: impossible
            source: audit log, forwarded: impossible
            source: provider's log in a bucket: possible, set up
            source: admission webhook: possible, set up
            source: auditing proxy: possible, set up
            step: let the provider write its log to a bucket, and set its URL (--bucket): docs/guides/platform-eks.md
            step: find the CA of aggregatedapis-svc.kasten-io.svc if it has one, and set proxy.upstreamCaSecretName instead of proxy.upstreamInsecureSkipTlsVerify: kube-apiserver does not verify it either
            step: helm install keepwatch charts/keepwatch -n keepwatch --create-namespace -f values.yaml --set admissionWebhook.token=$(openssl rand -hex 32) --set image.repository=REGISTRY/keepwatch
            step: let the proxy get the requests (docs/guides/proxy.md): keepwatch proxy install --service=keepwatch/aggregatedapis-svc --service-account=aggregatedapis-svc --apiservice=v1alpha1.actions.kio.kasten.io,v1alpha1.apps.kio.kasten.io; repeat it with --apply
            step: look at the source: kubectl get eventsources; then change a backup of cluster shop and see its event
            values: {"clusterName":"shop","k10Namespace":"kasten-io","destinations":{"namespaces":["keepwatch"]},"proxy":{"enabled":true,"upstream":"https://aggregatedapis-svc.kasten-io.svc","upstreamInsecureSkipTlsVerify":true},"bucketSources":{"sources":[{"cluster":"shop","url":"s3://BUCKET/PREFIX/"}]},"admissionWebhook":{"enabled":true}}
        "#]],
    );
}

#[test]
fn gke_that_allows_little_says_what_it_does_not_allow() {
    check(
        "gke",
        &expect![[r#"
        GKE, managed: version v1.33.4-gke.1134000
        audit: fixed by GKE: custom resources are recorded without bodies; webhook Some(false)
        tool: K8up [] [k8up] API group k8up.io
        source: audit webhook: impossible
        source: audit log, forwarded: impossible
        source: provider's log in a bucket: possible, set up
        source: admission webhook: possible, connected
        source: auditing proxy: impossible
        unknown: not allowed: nodes; the platform follows from other facts
        unknown: not allowed: customresourcedefinitions; tools are found by their API groups, and etcd snapshots of k3s, RKE2, Rancher and OpenShift are not
        unknown: no answer in time: deployments; not known which versions the tools have, and whether Keepwatch is installed
        unknown: not allowed: pods in kube-system; not known which flags kube-apiserver has
        unknown: not allowed: eventsources.siem.keepwatch.io; not known which sources deliver events; the ClusterRole keepwatch-view allows it
        step: let the provider write its log to a bucket, and set its URL (--bucket): docs/guides/platform-gke.md
        step: helm install keepwatch charts/keepwatch -n keepwatch --create-namespace -f values.yaml --set image.repository=REGISTRY/keepwatch
        step: look at the source: kubectl get eventsources; then change a backup of cluster shop and see its event
        values: {"clusterName":"shop","bucketSources":{"sources":[{"cluster":"shop","url":"gs://BUCKET/cloudaudit.googleapis.com/"}]}}
    "#]],
    );
}

#[test]
fn aks_is_known_by_the_labels_of_its_nodes() {
    check(
        "aks",
        &expect![[r#"
        AKS, managed: label kubernetes.azure.com/cluster on 1 node; label kubernetes.azure.com/mode on 1 node
        audit: fixed by AKS: custom resources are recorded without bodies; webhook Some(false)
        tool: CloudNativePG [1.27.0] [cnpg-system] 1 CustomResourceDefinition of postgresql.cnpg.io; Deployment cnpg-system/cnpg-controller-manager
        tool: CSI snapshots [] [] 1 CustomResourceDefinition of snapshot.storage.k8s.io
        source: audit webhook: impossible
        source: audit log, forwarded: impossible
        source: provider's log in a bucket: possible, set up
        source: admission webhook: possible, set up
        source: auditing proxy: impossible
        step: let the provider write its log to a bucket, and set its URL (--bucket): docs/guides/platform-aks.md
        step: helm install keepwatch charts/keepwatch -n keepwatch --create-namespace -f values.yaml --set admissionWebhook.token=$(openssl rand -hex 32) --set image.repository=REGISTRY/keepwatch
        step: look at the source: kubectl get eventsources; then change a backup of cluster prod and see its event
        values: {"clusterName":"prod","bucketSources":{"sources":[{"cluster":"prod","url":"https://ACCOUNT.blob.core.windows.net/insights-logs-kube-audit/"}]},"admissionWebhook":{"enabled":true}}
    "#]],
    );
}

#[test]
fn openshift_is_advised_to_record_bodies() {
    check(
        "openshift",
        &expect![[r#"
        OpenShift, own: API group config.openshift.io; controlPlaneTopology HighlyAvailable
        audit: profile Default: no bodies; webhook None
        tool: etcd backups of OpenShift [] [openshift-etcd] CustomResourceDefinition backups.config.openshift.io; CustomResourceDefinition etcdbackups.operator.openshift.io
        tool: Velero [] [openshift-adp] 1 CustomResourceDefinition of velero.io
        source: audit webhook: impossible
        source: audit log, forwarded: possible, set up
        source: provider's log in a bucket: impossible
        source: admission webhook: possible
        source: auditing proxy: impossible
        step: record bodies: kubectl patch apiserver cluster --type=merge -p '{"spec":{"audit":{"profile":"WriteRequestBodies"}}}'
        step: create the Secrets audit-webhook, audit-webhook-tls and audit-webhook-config in namespace keepwatch: docs/guides/platform-openshift.md
        step: helm install keepwatch charts/keepwatch -n keepwatch --create-namespace -f values.yaml --set image.repository=REGISTRY/keepwatch
        step: look at the source: kubectl get eventsources; then change a backup of cluster api-shop-example-com and see its event
        values: {"clusterName":"api-shop-example-com","platform":"openshift","auditWebhook":{"enabled":true,"clusters":["api-shop-example-com"],"clusterTokensSecretName":"audit-webhook","tlsSecretName":"audit-webhook-tls"},"auditLogForwarder":{"enabled":true,"webhookConfigSecretName":"audit-webhook-config","logPaths":["/var/log/kube-apiserver/audit.log"],"nodeSelector":{"node-role.kubernetes.io/master":""},"tolerations":[{"key":"node-role.kubernetes.io/master","operator":"Exists"}],"serviceAccountName":"audit-log-forwarder","securityContext":{"seLinuxOptions":{"type":"spc_t"}}}}
    "#]],
    );
}

#[test]
fn without_rights_nothing_is_guessed() {
    check(
        "unknown",
        &expect![[r#"
        unknown platform, not known whether managed: nothing that may be read tells the platform
        audit: not known; webhook None
        tool: Velero [] [] API group velero.io
        source: audit webhook: not known
        source: audit log, forwarded: not known
        source: provider's log in a bucket: not known
        source: admission webhook: possible, set up
        source: auditing proxy: not known
        unknown: not allowed: nodes; not known whether the cluster is managed
        unknown: not allowed: customresourcedefinitions; tools are found by their API groups, and etcd snapshots of k3s, RKE2, Rancher and OpenShift are not
        unknown: not allowed: apiservices; not known which aggregated APIs there are, and which Keepwatch serves
        unknown: not allowed: namespaces; only those of Deployments are shown
        unknown: not allowed: deployments; not known which versions the tools have, and whether Keepwatch is installed
        unknown: not allowed: pods in kube-system; not known which flags kube-apiserver has
        unknown: not allowed: validatingwebhookconfigurations; not known whether an admission webhook points to Keepwatch
        step: choose a name for the cluster instead of my-cluster (--cluster-name)
        step: helm install keepwatch charts/keepwatch -n keepwatch --create-namespace -f values.yaml --set admissionWebhook.token=$(openssl rand -hex 32) --set image.repository=REGISTRY/keepwatch
        step: look at the source: kubectl get eventsources; then change a backup of cluster my-cluster and see its event
        values: {"clusterName":"my-cluster","admissionWebhook":{"enabled":true}}
    "#]],
    );
}

/// EKS Anywhere and GDC have the versions of EKS and GKE, and the old aks-engine the labels of AKS.
#[test]
fn a_control_plane_with_pods_is_not_mistaken_for_a_managed_one() {
    for name in ["eks", "gke", "aks"] {
        let mut facts = facts(name);
        facts.api_servers = super::facts("kubeadm").api_servers;
        let cluster = findings(&facts).cluster;
        assert_eq!(cluster.is_managed, Some(false), "{name}");
        assert_eq!(cluster.platform.title(), "kubeadm", "{name}");
    }
}

/// A hosted control plane, as that of ROSA, has no nodes in the cluster.
#[test]
fn the_log_of_a_hosted_openshift_is_not_advised() {
    let mut facts = facts("openshift");
    facts.openshift.items[0].topology = "External".to_owned();
    let findings = findings(&facts);
    assert_eq!(findings.cluster.is_managed, Some(true));
    assert_eq!(findings.values.get("auditLogForwarder"), None);
    assert!(findings.values.get("admissionWebhook").is_some());
}

#[test]
fn options_of_the_user_are_in_the_values() {
    let options = Options {
        cluster_name: Some("shop-eu".to_owned()),
        bucket: Some("s3://logs/eks/".to_owned()),
    };
    let findings = Findings::of(&facts("eks"), &options, &RULES);
    let source = &findings.values["bucketSources"]["sources"][0];
    assert_eq!(findings.values["clusterName"], "shop-eu");
    assert_eq!((&source["cluster"], &source["url"]), (&"shop-eu".into(), &"s3://logs/eks/".into()));
    assert!(!findings.steps.iter().any(|step| step.contains("--bucket")), "{:?}", findings.steps);
}

/// Keepwatch's chart installs definitions and APIServices of K10's groups.
#[test]
fn keepwatch_alone_is_not_mistaken_for_k10() {
    let mut facts = facts("rke2");
    facts.groups.items.push("config.kio.kasten.io".to_owned());
    facts.definitions.items.push("profiles.config.kio.kasten.io".to_owned());
    let titles =
        |facts| findings(facts).tools.iter().map(|tool| tool.title).collect::<Vec<_>>().join(", ");
    assert_eq!(titles(&facts), "etcd snapshots of k3s, RKE2 and Rancher, Velero");
}

/// The values and steps lacked the proxy: only a step named it.
#[test]
fn a_proxy_is_in_front_of_the_api_server_of_a_backup_tool() {
    let check = |change: fn(&mut Vec<ApiService>), expected: Value, step: &str| {
        let mut facts = facts("eks");
        change(&mut facts.api_services.items);
        let findings = findings(&facts);
        assert_eq!(findings.values["proxy"], expected);
        let is_without = expected.is_null();
        assert_eq!(findings.values["apiservices"]["deployed"] == false, is_without);
        assert!(findings.steps.iter().any(|line| line.contains(step)), "{:?}", findings.steps);
    };
    let upstream = "https://aggregatedapis-svc.kasten-io.svc";
    check(
        |_| (),
        json!({"enabled": true, "upstream": upstream, "upstreamInsecureSkipTlsVerify": true}),
        "find the CA of aggregatedapis-svc.kasten-io.svc",
    );
    check(
        |services| {
            services[0].has_ca = true;
            services[0].service_port = 443;
        },
        json!({"enabled": true, "upstream": upstream, "upstreamCaSecretName": "upstream-ca"}),
        "kubectl get apiservice v1alpha1.actions.kio.kasten.io",
    );
    check(
        |services| services.iter_mut().for_each(|service| service.service_port = 8443),
        json!({"enabled": true, "upstream": format!("{upstream}:8443"),
            "upstreamInsecureSkipTlsVerify": true}),
        "--service=keepwatch/aggregatedapis-svc --service-account=aggregatedapis-svc \
         --apiservice=v1alpha1.actions.kio.kasten.io,v1alpha1.apps.kio.kasten.io;",
    );
    // Another tool has another API server.
    check(
        |services| {
            services.push(ApiService {
                name: "v1alpha1.repositories.stash.appscode.com".to_owned(),
                group: "repositories.stash.appscode.com".to_owned(),
                service_namespace: "stash".to_owned(),
                service_name: "stash".to_owned(),
                ..ApiService::default()
            });
        },
        json!({"enabled": true, "upstream": upstream, "upstreamInsecureSkipTlsVerify": true}),
        "run another proxy in a namespace of its own (docs/guides/proxy.md) for \
         v1alpha1.repositories.stash.appscode.com",
    );
    // The chart rejects an API server in the namespace of the release.
    check(
        |services| {
            for service in services {
                "keepwatch".clone_into(&mut service.service_namespace);
            }
        },
        Value::Null,
        "run another proxy in a namespace of its own",
    );
    // Another release is the proxy.
    check(
        |services| services.iter_mut().for_each(|service| service.is_proxied = true),
        Value::Null,
        "register v1alpha1.siem.keepwatch.io only",
    );
}
