//! The Helm values of the best set-up, and the steps that Helm values cannot perform.
//!
//! The values contain no secret: tokens and certificates are in Secrets that the steps create, and
//! the token of the admission webhook is set on the command line.

use detect::coverage::ADMISSION_GROUPS;
use serde_json::{Map, Value, json};

use crate::auditing::Auditing;
use crate::connections::{Connections, Installation};
use crate::facts::Facts;
use crate::findings::Options;
use crate::platform::{Cluster, Platform};
use crate::proxied::Proxied;
use crate::sources::{SourceFinding, SourceKind};
use crate::tools::is_of_k10;

/// Placeholder for the name of the cluster.
const CLUSTER: &str = "my-cluster";
/// The names that kubeadm and k3s give every cluster.
const DEFAULT_NAMES: [&str; 2] = ["default", "kubernetes"];
/// The namespace of a new release.
const NAMESPACE: &str = "keepwatch";
/// The usual namespace of K10.
const K10_NAMESPACE: &str = "kasten-io";
/// Maximum length of a cluster's name, as in the chart.
const NAME_BYTES_MAX: usize = 63;

/// Values and steps.
pub(crate) struct SetUp {
    pub(crate) values: Value,
    pub(crate) steps: Vec<String>,
}

/// What the steps and values are made from.
struct Plan<'f> {
    platform: Platform,
    auditing: &'f Auditing,
    options: &'f Options,
    installation: Option<&'f Installation>,
    recommended: Vec<SourceKind>,
    /// Namespace of the release.
    namespace: &'f str,
    cluster: String,
    /// Groups that the admission webhook leaves out now.
    missing_groups: &'f [String],
    /// Namespace of K10, if its own API server is there.
    k10: Option<&'f str>,
    /// The API servers that a proxy is recommended for.
    proxied: Proxied<'f>,
}

/// The best set-up.
pub(crate) fn of(
    facts: &Facts,
    cluster: &Cluster,
    auditing: &Auditing,
    connections: &Connections,
    (sources, options): (&[SourceFinding], &Options),
) -> SetUp {
    let mut services = facts.api_services.items.iter();
    let k10 = services.find(|service| is_of_k10(service) && !service.is_keepwatch);
    let recommended = sources.iter().filter(|source| source.is_recommended);
    let recommended: Vec<SourceKind> = recommended.map(|source| source.kind).collect();
    let installation = connections.installations.first();
    let proxied = if recommended.contains(&SourceKind::Proxy) {
        // A release that serves clients itself does not become a proxy.
        Proxied::of(facts, installation.is_none().then_some(NAMESPACE))
    } else {
        Proxied::default()
    };
    let plan = Plan {
        platform: cluster.platform,
        auditing,
        options,
        installation,
        recommended,
        namespace: installation.map_or(NAMESPACE, |server| server.namespace.as_str()),
        proxied,
        cluster: cluster_name(facts, options, installation),
        missing_groups: &connections.missing_groups,
        // After `proxy install`, the Service is that of the proxy.
        k10: k10.map(|service| match service.service_namespace.as_str() {
            _ if service.is_proxied => K10_NAMESPACE,
            namespace => namespace,
        }),
    };
    SetUp { values: plan.values(), steps: plan.steps() }
}

impl Plan<'_> {
    /// Whether the values are those of a new release whose groups K10 serves, and that is no proxy.
    fn is_beside_k10(&self) -> bool {
        self.k10.is_some() && self.installation.is_none() && self.proxied.values().is_none()
    }

    fn has(&self, kind: SourceKind) -> bool {
        self.recommended.contains(&kind)
    }

    fn values(&self) -> Value {
        let mut values = Map::new();
        values.insert("clusterName".to_owned(), self.cluster.as_str().into());
        if let Some(namespace) = self.k10 {
            values.insert("k10Namespace".to_owned(), namespace.into());
            // The AuditConfigs in K10's namespace are K10's.
            values.insert("destinations".to_owned(), json!({"namespaces": [self.namespace]}));
        }
        if let Some(proxy) = self.proxied.values() {
            values.insert("proxy".to_owned(), proxy);
        } else if self.is_beside_k10() {
            values.insert("apiservices".to_owned(), json!({"deployed": false}));
        }
        if self.platform == Platform::OpenShift {
            values.insert("platform".to_owned(), "openshift".into());
        }
        if self.has(SourceKind::AuditLog) {
            let webhook = json!({
                "enabled": true,
                "clusters": [self.cluster],
                "clusterTokensSecretName": "audit-webhook",
                "tlsSecretName": "audit-webhook-tls",
            });
            values.insert("auditWebhook".to_owned(), webhook);
            values.insert("auditLogForwarder".to_owned(), self.forwarder());
        }
        if self.has(SourceKind::Bucket) {
            let source = json!({"cluster": self.cluster, "url": self.bucket()});
            values.insert("bucketSources".to_owned(), json!({"sources": [source]}));
        }
        if self.has(SourceKind::AdmissionWebhook) {
            let mut webhook = json!({"enabled": true});
            if !self.missing_groups.is_empty() {
                webhook["groups"] = json!(ADMISSION_GROUPS);
            }
            values.insert("admissionWebhook".to_owned(), webhook);
        }
        Value::Object(values)
    }

    fn forwarder(&self) -> Value {
        let mut forwarder = Map::new();
        forwarder.insert("enabled".to_owned(), true.into());
        forwarder.insert("webhookConfigSecretName".to_owned(), "audit-webhook-config".into());
        forwarder.insert("logPaths".to_owned(), self.log_paths().into());
        if self.platform == Platform::OpenShift {
            let label = json!({"node-role.kubernetes.io/master": ""});
            let taint = json!({"key": "node-role.kubernetes.io/master", "operator": "Exists"});
            let context = json!({"seLinuxOptions": {"type": "spc_t"}});
            forwarder.insert("nodeSelector".to_owned(), label);
            forwarder.insert("tolerations".to_owned(), json!([taint]));
            forwarder.insert("serviceAccountName".to_owned(), "audit-log-forwarder".into());
            forwarder.insert("securityContext".to_owned(), context);
        }
        Value::Object(forwarder)
    }

    /// The paths that are visible, or those of the platform's guide.
    fn log_paths(&self) -> Vec<String> {
        if !self.auditing.log_paths.is_empty() {
            return self.auditing.log_paths.clone();
        }
        let path = match self.platform {
            Platform::Rke2 => "/var/lib/rancher/rke2/server/logs/audit.log",
            Platform::K3s => "/var/lib/rancher/k3s/server/logs/audit.log",
            Platform::OpenShift => "/var/log/kube-apiserver/audit.log",
            _ => "/var/log/kubernetes/audit/audit.log",
        };
        vec![path.to_owned()]
    }

    /// The prefix to read, with `BUCKET` or `ACCOUNT` where only the user knows it.
    fn bucket(&self) -> &str {
        match (&self.options.bucket, self.platform) {
            (Some(url), _) => url,
            (None, Platform::Gke) => "gs://BUCKET/cloudaudit.googleapis.com/",
            (None, Platform::Aks) => {
                "https://ACCOUNT.blob.core.windows.net/insights-logs-kube-audit/"
            }
            (None, _) => "s3://BUCKET/PREFIX/",
        }
    }

    fn steps(&self) -> Vec<String> {
        let (cluster, namespace) = (&self.cluster, self.namespace);
        let guide = self.platform.guide();
        if self.recommended.is_empty() {
            return vec![
                "nothing to set up: the sources that are best here are connected".to_owned(),
            ];
        }
        let mut steps = Vec::new();
        if self.cluster == CLUSTER {
            steps.push(format!(
                "choose a name for the cluster instead of {CLUSTER} (--cluster-name)"
            ));
        }
        steps.extend(self.policy().filter(|_| self.has(SourceKind::AuditLog)));
        if self.has(SourceKind::AuditLog) {
            steps.push(format!(
                "create the Secrets audit-webhook, audit-webhook-tls and audit-webhook-config in \
                 namespace {namespace}: {guide}"
            ));
        }
        if self.has(SourceKind::Bucket) && self.options.bucket.is_none() {
            steps.push(format!(
                "let the provider write its log to a bucket, and set its URL (--bucket): {guide}"
            ));
        }
        if let Some(server) = self.installation.filter(|server| !server.release.is_empty()) {
            steps.push(format!(
                "compare the values with `helm get values {} -n {}`: lists replace those of the \
                 release",
                server.release, server.namespace
            ));
        }
        steps.extend(self.proxied.steps_before(namespace));
        steps.push(self.helm());
        if self.is_beside_k10() {
            steps.push(
                "register v1alpha1.siem.keepwatch.io only, because K10 serves its own groups: \
                 docs/guides/doctor.md#beside-a-running-k10"
                    .to_owned(),
            );
        }
        steps.extend(self.proxied.steps_after(namespace));
        steps.push(format!(
            "look at the source: kubectl get eventsources; then change a backup of cluster {cluster} \
             and see its event"
        ));
        steps
    }

    /// What to do about kube-apiserver's policy.
    fn policy(&self) -> Option<String> {
        let guide = self.platform.guide();
        match (self.auditing.has_bodies, self.platform) {
            (Some(true), _) => None,
            (Some(false), Platform::OpenShift) => Some(
                "record bodies: kubectl patch apiserver cluster --type=merge \
                 -p '{\"spec\":{\"audit\":{\"profile\":\"WriteRequestBodies\"}}}'"
                    .to_owned(),
            ),
            (Some(false), _) => {
                Some(format!("give kube-apiserver an audit policy and a log: {guide}"))
            }
            (None, Platform::Rke2) => Some(format!(
                "check that /etc/rancher/rke2/audit-policy.yaml is not RKE2's default, which records \
                 nothing: {guide}"
            )),
            (None, _) if !self.auditing.log_paths.is_empty() => Some(format!(
                "check that kube-apiserver's policy records bodies of the tools' groups: {guide}"
            )),
            (None, _) => Some(format!(
                "check that kube-apiserver has an audit log, and that its policy records bodies of \
                 the tools' groups: {guide}"
            )),
        }
    }

    fn helm(&self) -> String {
        let mut command = match self.installation {
            Some(server) if !server.release.is_empty() => {
                format!(
                    "helm upgrade {} charts/keepwatch -n {} --reuse-values",
                    server.release, server.namespace
                )
            }
            _ => {
                format!("helm install keepwatch charts/keepwatch -n {NAMESPACE} --create-namespace")
            }
        };
        command.push_str(" -f values.yaml");
        if self.has(SourceKind::AdmissionWebhook) {
            command.push_str(" --set admissionWebhook.token=$(openssl rand -hex 32)");
        }
        if self.installation.is_none() {
            command.push_str(" --set image.repository=REGISTRY/keepwatch");
        }
        command
    }
}

/// The name of the cluster: as given, as in the release, in a label of eksctl or in the kubeconfig.
fn cluster_name(facts: &Facts, options: &Options, installation: Option<&Installation>) -> String {
    let in_release = installation.map(|server| server.cluster_name.as_str());
    let in_label = facts.nodes.items.iter().map(|node| node.cluster_name.as_str());
    // EKS writes an ARN, GKE the project and the zone before the name, OpenShift a port after it.
    let in_kubeconfig = facts.context_cluster.rsplit(['/', '_']).next();
    let in_kubeconfig = in_kubeconfig.and_then(|name| name.split(':').next());
    let in_kubeconfig = in_kubeconfig.filter(|name| !DEFAULT_NAMES.contains(name));
    let names = options.cluster_name.as_deref().into_iter().chain(in_release);
    let mut names = names.chain(in_label).chain(in_kubeconfig).map(str::to_ascii_lowercase);
    names.find(|name| is_cluster_name(name)).unwrap_or_else(|| CLUSTER.to_owned())
}

/// Whether the chart accepts the name.
fn is_cluster_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(is_letter)
        && name.ends_with(is_letter)
        && name.chars().all(|c| is_letter(c) || c == '-' || c == '.')
}
