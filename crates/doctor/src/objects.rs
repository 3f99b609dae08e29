//! Reduces API objects to facts: what is not needed is left out, above all what may be secret.
//!
//! Of flags, only those in [`AUDIT_FLAGS`] and [`OWN_FLAGS`] remain. The path of a webhook, which
//! may contain a token, and environment variables are never read.

use serde_json::Value;

use crate::facts::{ApiServer, ApiService, Deployment, EventSource, Node, OpenShift, Webhook};

/// Flags of kube-apiserver that say how it audits. Their values are paths and numbers.
const AUDIT_FLAGS: [&str; 7] = [
    "--admission-control-config-file",
    "--audit-log-maxage",
    "--audit-log-maxbackup",
    "--audit-log-path",
    "--audit-policy-file",
    "--audit-webhook-config-file",
    "--audit-webhook-mode",
];
/// Flags of Keepwatch that name clusters. Of those with a location, only the cluster remains.
const OWN_FLAGS: [&str; 5] = [
    "--admission-webhook-clusters",
    "--audit-log-source",
    "--audit-webhook-clusters",
    "--bucket-source",
    "--cluster-name",
];
/// Labels of nodes that tell the platform.
const NODE_LABELS: [&str; 9] = [
    "alpha.eksctl.io/cluster-name",
    "cloud.google.com/gke-nodepool",
    "eks.amazonaws.com/compute-type",
    "eks.amazonaws.com/nodegroup",
    "kubernetes.azure.com/cluster",
    "kubernetes.azure.com/mode",
    "kubernetes.azure.com/nodepool-type",
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/master",
];
/// Maximum number of flags that are kept of one object.
pub const FLAGS_MAX: usize = 64;
/// Maximum length of a text that is kept, in bytes; a longer one is left out.
pub const TEXT_BYTES_MAX: usize = 1024;
/// The annotation by which `keepwatch proxy install` keeps the original of an `APIService`.
const PROXIED: &str = "/metadata/annotations/proxy.keepwatch.io~1original-spec";
/// The label that tells the program of an object.
const PROGRAM: &str = "/metadata/labels/app.kubernetes.io~1name";

/// A node.
pub fn node(object: &Value) -> Node {
    let has = |label: &str| {
        object.pointer("/metadata/labels").is_some_and(|labels| labels.get(label).is_some())
    };
    let arguments = |name: &str| -> Vec<String> {
        let list = format!("/metadata/annotations/{name}.io~1node-args");
        let list = object.pointer(&list).and_then(Value::as_str).unwrap_or_default();
        serde_json::from_str(list).unwrap_or_default()
    };
    let mut distributions = ["k3s", "rke2"].into_iter().map(|name| (name, arguments(name)));
    let (distribution, arguments) =
        distributions.find(|(_, list)| !list.is_empty()).unwrap_or_default();
    Node {
        labels: NODE_LABELS.into_iter().filter(|label| has(label)).map(str::to_owned).collect(),
        cluster_name: text(object, "/metadata/labels/alpha.eksctl.io~1cluster-name"),
        provider: scheme(&text(object, "/spec/providerID")),
        distribution: distribution.to_owned(),
        is_server: arguments.first().is_some_and(|command| command == "server"),
        audit_flags: audit_arguments(&arguments),
    }
}

/// The name of an object.
pub fn name(object: &Value) -> String {
    text(object, "/metadata/name")
}

/// The name of an API group in discovery.
pub fn group(object: &Value) -> String {
    text(object, "/name")
}

/// An `APIService`, if it has a Service.
pub fn api_service(object: &Value) -> Option<ApiService> {
    object.pointer("/spec/service/name")?;
    let port = object.pointer("/spec/service/port").and_then(Value::as_u64);
    let ca = object.pointer("/spec/caBundle").and_then(Value::as_str);
    Some(ApiService {
        name: name(object),
        group: text(object, "/spec/group"),
        service_namespace: text(object, "/spec/service/namespace"),
        service_name: text(object, "/spec/service/name"),
        service_port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or_default(),
        has_ca: ca.is_some_and(|ca| !ca.is_empty()),
        is_keepwatch: text(object, PROGRAM) == "keepwatch",
        is_proxied: object.pointer(PROXIED).is_some(),
    })
}

/// A Deployment.
pub fn deployment(object: &Value) -> Deployment {
    let is_keepwatch = text(object, PROGRAM) == "keepwatch";
    let containers = items(object, "/spec/template/spec/containers");
    let images = containers.clone().map(|container| text(container, "/image")).collect();
    let flags = containers.flat_map(arguments).filter_map(|argument| own_flag(&argument));
    let release = text(object, "/metadata/labels/app.kubernetes.io~1instance");
    Deployment {
        namespace: text(object, "/metadata/namespace"),
        name: name(object),
        images,
        is_keepwatch,
        release: if is_keepwatch { release } else { String::new() },
        flags: if is_keepwatch { flags.take(FLAGS_MAX).collect() } else { Vec::new() },
    }
}

/// A pod of kube-apiserver.
pub fn api_server(object: &Value) -> ApiServer {
    let annotation = "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint";
    let annotations = object.pointer("/metadata/annotations");
    let containers = items(object, "/spec/containers");
    let flags = containers.flat_map(arguments).filter(|argument| is_one_of(argument, &AUDIT_FLAGS));
    let audit_flags: Vec<String> = flags.take(FLAGS_MAX).collect();
    let log_path = audit_flags.iter().find_map(|flag| flag.strip_prefix("--audit-log-path="));
    ApiServer {
        name: name(object),
        is_kubeadm: annotations.is_some_and(|annotations| annotations.get(annotation).is_some()),
        log_path: log_path.and_then(|path| path_on_node(object, path)).unwrap_or_default(),
        audit_flags,
    }
}

/// The webhooks of a `ValidatingWebhookConfiguration`.
pub fn webhooks(object: &Value) -> Vec<Webhook> {
    let has_terms = |webhook: &Value, selector: &str| {
        let mut terms = ["matchLabels", "matchExpressions"]
            .into_iter()
            .filter_map(|kind| webhook.get(selector).and_then(|selector| selector.get(kind)));
        terms.any(|terms| match terms {
            Value::Array(terms) => !terms.is_empty(),
            Value::Object(terms) => !terms.is_empty(),
            _ => false,
        })
    };
    let webhook = |webhook: &Value| Webhook {
        configuration: name(object),
        name: text(webhook, "/name"),
        groups: items(webhook, "/rules")
            .flat_map(|rule| items(rule, "/apiGroups"))
            .filter_map(|group| group.as_str().map(str::to_owned))
            .take(FLAGS_MAX)
            .collect(),
        failure_policy: text(webhook, "/failurePolicy"),
        has_selector: has_terms(webhook, "namespaceSelector")
            || has_terms(webhook, "objectSelector"),
    };
    items(object, "/webhooks").map(webhook).collect()
}

/// An `EventSource`.
pub fn event_source(object: &Value) -> EventSource {
    EventSource {
        name: name(object),
        kind: text(object, "/spec/kind"),
        cluster: text(object, "/spec/cluster"),
        last_event: text(object, "/status/lastEventTime"),
        error: text(object, "/status/error"),
    }
}

/// OpenShift's configuration: the `APIServer` and the Infrastructure with the name `cluster`, as far
/// as they could be read.
pub fn openshift(api_server: Option<&Value>, infrastructure: Option<&Value>) -> OpenShift {
    let of = |object: Option<&Value>, path: &str| {
        object.map(|object| text(object, path)).unwrap_or_default()
    };
    let profile = of(api_server, "/spec/audit/profile");
    let is_default = profile.is_empty() && api_server.is_some();
    OpenShift {
        audit_profile: if is_default { "Default".to_owned() } else { profile },
        topology: of(infrastructure, "/status/controlPlaneTopology"),
    }
}

/// The text at a path; empty if there is none, or a very long one.
fn text(object: &Value, path: &str) -> String {
    let text = object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    if text.len() > TEXT_BYTES_MAX { String::new() } else { text.to_owned() }
}

fn items<'v>(object: &'v Value, path: &str) -> impl Iterator<Item = &'v Value> + Clone {
    object.pointer(path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter()
}

/// The command line of a container.
fn arguments(container: &Value) -> Vec<String> {
    let parts = items(container, "/command").chain(items(container, "/args"));
    parts.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Whether an argument sets one of the flags, and is not very long.
fn is_one_of(argument: &str, flags: &[&str]) -> bool {
    let name = argument.split_once('=').map_or(argument, |(name, _)| name);
    argument.len() <= TEXT_BYTES_MAX && flags.contains(&name)
}

/// A flag of Keepwatch that names clusters, without locations.
fn own_flag(argument: &str) -> Option<String> {
    if !is_one_of(argument, &OWN_FLAGS) {
        return None;
    }
    let (name, value) = argument.split_once('=')?;
    let value = match name {
        "--bucket-source" | "--audit-log-source" => value.split_once('=')?.0,
        _ => value,
    };
    Some(format!("{name}={value}"))
}

/// Flags of kube-apiserver about audit in the arguments of k3s or RKE2.
fn audit_arguments(arguments: &[String]) -> Vec<String> {
    let mut arguments = arguments.iter();
    let mut flags = Vec::new();
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument.as_str(), None),
        };
        let flag = match name {
            "--kube-apiserver-arg" => {
                let value = value.or_else(|| arguments.next().map(String::as_str));
                value.map(|value| format!("--{}", value.trim_start_matches('-')))
            }
            "--audit-policy-file" => {
                let value = value.or_else(|| arguments.next().map(String::as_str));
                value.map(|value| format!("{name}={value}"))
            }
            _ => None,
        };
        flags.extend(flag.filter(|flag| is_one_of(flag, &AUDIT_FLAGS)));
    }
    flags.truncate(FLAGS_MAX);
    flags
}

/// The path on the node of a path in a pod, if the node's folder is mounted there.
fn path_on_node(pod: &Value, path: &str) -> Option<String> {
    let mounts =
        items(pod, "/spec/containers").flat_map(|container| items(container, "/volumeMounts"));
    let below = |mount: &str| {
        let rest = path.strip_prefix(mount.trim_end_matches('/'))?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
    };
    let (name, rest) = mounts
        .filter_map(|mount| Some((text(mount, "/name"), below(&text(mount, "/mountPath"))?)))
        .min_by_key(|(_, rest)| rest.len())?;
    let volume = items(pod, "/spec/volumes").find(|volume| text(volume, "/name") == name)?;
    let folder = volume.pointer("/hostPath/path")?.as_str()?;
    Some(format!("{}{rest}", folder.trim_end_matches('/')))
}

/// What stands before `://`.
fn scheme(url: &str) -> String {
    url.split_once("://").map(|(scheme, _)| scheme.to_owned()).unwrap_or_default()
}
