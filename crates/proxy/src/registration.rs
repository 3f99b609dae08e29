//! What changes in a cluster so that requests for an extension API server take the way through the
//! proxy, and how it is changed back.
//!
//! The functions take objects as JSON and return objects as JSON; they connect to nothing. The old
//! spec of an APIService stays in an annotation of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The annotation of an APIService with its spec before the proxy was installed.
pub const ORIGINAL_SPEC: &str = "proxy.keepwatch.io/original-spec";
/// The name of the ClusterRole, of its binding, and of the `NetworkPolicy`.
pub const NAME: &str = "keepwatch-proxy";
/// The label of the objects that `uninstall` deletes.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "keepwatch-proxy");
/// Fields of metadata that only a server sets.
const SERVER_FIELDS: [&str; 5] =
    ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"];

/// Error of a plan.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// The API group is served by kube-apiserver itself.
    #[error(
        "APIService {0} names no Service: kube-apiserver serves it, and no proxy can be in front"
    )]
    Local(String),
    /// Another proxy, or another Service of this one, is installed.
    #[error("APIService {0} was changed for another proxy: run `keepwatch proxy uninstall` first")]
    OtherProxy(String),
    /// The annotation is missing or damaged.
    #[error("APIService {0} has no annotation with its original spec: nothing to put back")]
    NoOriginal(String),
}

/// Where the proxy is.
#[derive(Clone, Debug)]
pub struct ProxyService {
    /// Namespace of its Service.
    pub namespace: String,
    /// Name of its Service.
    pub name: String,
    /// Port of its Service.
    pub port: u16,
    /// CA of its serving certificate, PEM; `None` if another program writes `caBundle`.
    pub ca: Option<String>,
    /// Name of its `ServiceAccount`, in the same namespace.
    pub account: String,
}

/// The Service that an APIService names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerService {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub name: String,
}

/// The Service of the API server behind the proxy, before or after the installation.
pub fn peer_of(api_service: &Value) -> Result<PeerService, RegistrationError> {
    let original = original_spec(api_service);
    let spec = original.as_ref().or_else(|| api_service.get("spec"));
    let service = spec.and_then(|spec| spec.get("service")).filter(|service| service.is_object());
    let service = service.ok_or_else(|| RegistrationError::Local(name_of(api_service)))?;
    let text = |key: &str| service.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(PeerService { namespace: text("namespace"), name: text("name") })
}

/// The APIService that names the proxy. Priorities, group and version stay as they are.
pub fn redirected(api_service: &Value, proxy: &ProxyService) -> Result<Value, RegistrationError> {
    let name = || name_of(api_service);
    let spec = api_service.get("spec").cloned().unwrap_or_default();
    let service = spec.get("service").filter(|service| service.is_object());
    let service = service.ok_or_else(|| RegistrationError::Local(name()))?;
    let is_ours = service.get("namespace") == Some(&json!(proxy.namespace))
        && service.get("name") == Some(&json!(proxy.name));
    let original = match original_spec(api_service) {
        Some(_) if !is_ours => return Err(RegistrationError::OtherProxy(name())),
        Some(original) => original,
        None => spec.clone(),
    };
    let mut redirected = without_server_fields(api_service);
    let service = json!({
        "namespace": proxy.namespace, "name": proxy.name, "port": proxy.port,
    });
    let mut spec = spec;
    if let Some(spec) = spec.as_object_mut() {
        spec.insert("service".to_owned(), service);
        spec.remove("insecureSkipTLSVerify");
        if let Some(ca) = &proxy.ca {
            spec.insert("caBundle".to_owned(), STANDARD.encode(ca).into());
        } else if !is_ours {
            // It is that of the other server.
            spec.remove("caBundle");
        }
    }
    set(&mut redirected, &["spec"], spec);
    set(&mut redirected, &["metadata", "annotations", ORIGINAL_SPEC], original.to_string().into());
    Ok(redirected)
}

/// The APIService as it was before the proxy was installed.
pub fn restored(api_service: &Value) -> Result<Value, RegistrationError> {
    let no_original = || RegistrationError::NoOriginal(name_of(api_service));
    let original = original_spec(api_service).ok_or_else(no_original)?;
    let mut restored = without_server_fields(api_service);
    set(&mut restored, &["spec"], original);
    if let Some(metadata) = restored.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.get_mut("annotations").and_then(Value::as_object_mut);
        let is_empty = annotations.is_some_and(|annotations| {
            annotations.remove(ORIGINAL_SPEC);
            annotations.is_empty()
        });
        if is_empty {
            metadata.remove("annotations");
        }
    }
    Ok(restored)
}

/// The right to impersonate every user, and its binding to the proxy's account.
pub fn permissions(proxy: &ProxyService) -> [Value; 2] {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": metadata(None),
        "rules": [
            {"apiGroups": [""], "resources": ["users", "groups", "serviceaccounts"],
             "verbs": ["impersonate"]},
            // A rule for userextras/* grants nothing, and new extra keys appear in new versions.
            {"apiGroups": ["authentication.k8s.io"], "resources": ["*"],
             "verbs": ["impersonate"]},
        ],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": metadata(None),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
        "subjects": [{
            "kind": "ServiceAccount", "namespace": proxy.namespace, "name": proxy.account,
        }],
    });
    [role, binding]
}

/// A `NetworkPolicy` that lets only the proxy's namespace connect to the pods of a Service. `None` if
/// the Service selects no pods.
pub fn network_policy(service: &Value, proxy: &ProxyService) -> Option<Value> {
    let selector = service.pointer("/spec/selector").and_then(Value::as_object);
    let selector = selector.filter(|selector| !selector.is_empty())?;
    let namespace = service.pointer("/metadata/namespace").and_then(Value::as_str)?;
    let ports: Vec<Value> = service
        .pointer("/spec/ports")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|port| port.get("targetPort").or_else(|| port.get("port")))
        .map(|port| json!({"protocol": "TCP", "port": port}))
        .collect();
    Some(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(Some(namespace)),
        "spec": {
            "podSelector": {"matchLabels": selector},
            "policyTypes": ["Ingress"],
            "ingress": [{
                "from": [{"namespaceSelector": {"matchLabels": {
                    "kubernetes.io/metadata.name": proxy.namespace}}}],
                "ports": ports,
            }],
        },
    }))
}

/// The names of other `NetworkPolicies` that let every pod connect to the pods of a Service. Policies
/// add up, so these have to be narrowed too.
pub fn open_policies<'p>(service: &Value, policies: &'p [Value]) -> Vec<&'p str> {
    let labels = service.pointer("/spec/selector").and_then(Value::as_object);
    let Some(labels) = labels else { return Vec::new() };
    let name = |policy: &'p Value| policy.pointer("/metadata/name").and_then(Value::as_str);
    policies
        .iter()
        .filter(|policy| selects(policy.pointer("/spec/podSelector"), labels) && is_open(policy))
        .filter_map(name)
        .filter(|name| *name != NAME)
        .collect()
}

/// Whether a pod selector may select pods with these labels. Expressions are taken to match.
fn selects(selector: Option<&Value>, labels: &Map<String, Value>) -> bool {
    let required = selector.and_then(|selector| selector.get("matchLabels"));
    let mut required = required.and_then(Value::as_object).into_iter().flatten();
    required.all(|(key, value)| labels.get(key).is_none_or(|label| label == value))
}

/// Whether one of the policy's rules has no peers, or only peers that are all pods.
fn is_open(policy: &Value) -> bool {
    let is_empty = |value: Option<&Value>| {
        value.is_none_or(|value| value.as_array().is_some_and(Vec::is_empty))
    };
    let rules = policy.pointer("/spec/ingress").and_then(Value::as_array);
    rules.into_iter().flatten().any(|rule| {
        let peers = rule.get("from");
        let peers_list = peers.and_then(Value::as_array).into_iter().flatten();
        let all = json!({});
        is_empty(peers)
            || peers_list.into_iter().any(|peer| {
                peer.get("namespaceSelector") == Some(&all)
                    && peer.get("podSelector").is_none_or(|pods| *pods == all)
            })
    })
}

/// Whether the object is one that the installation created.
pub fn is_installed_object(object: &Value) -> bool {
    let (key, value) = MANAGED_BY;
    let labels = object.pointer("/metadata/labels");
    labels.and_then(|labels| labels.get(key)).and_then(Value::as_str) == Some(value)
}

fn metadata(namespace: Option<&str>) -> Value {
    let (key, value) = MANAGED_BY;
    let mut metadata = json!({"name": NAME, "labels": {key: value}});
    if let Some(namespace) = namespace {
        set(&mut metadata, &["namespace"], namespace.into());
    }
    metadata
}

fn original_spec(api_service: &Value) -> Option<Value> {
    let annotations = api_service.pointer("/metadata/annotations")?;
    let text = annotations.get(ORIGINAL_SPEC)?.as_str()?;
    serde_json::from_str(text).ok().filter(Value::is_object)
}

fn name_of(object: &Value) -> String {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The object without its status and without what only a server sets, but with the version that it
/// was read at, so that a concurrent change is not lost.
fn without_server_fields(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(members) = object.as_object_mut() {
        members.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in SERVER_FIELDS {
            metadata.remove(field);
        }
    }
    object
}

/// Sets the value at a path, and creates the objects on the way.
fn set(object: &mut Value, path: &[&str], value: Value) {
    let mut target = object;
    for key in path {
        if !target.is_object() {
            *target = Value::Object(Map::new());
        }
        let Some(members) = target.as_object_mut() else { return };
        target = members.entry((*key).to_owned()).or_insert(Value::Null);
    }
    *target = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy() -> ProxyService {
        ProxyService {
            namespace: "keepwatch".to_owned(),
            name: "proxy".to_owned(),
            port: 443,
            ca: Some("PEM".to_owned()),
            account: "proxy".to_owned(),
        }
    }

    fn api_service() -> Value {
        json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": "v1alpha1.apps.kio.kasten.io", "resourceVersion": "7", "uid": "u",
                "labels": {"app": "k10"}},
            "spec": {"group": "apps.kio.kasten.io", "version": "v1alpha1",
                "groupPriorityMinimum": 1000, "versionPriority": 15, "insecureSkipTLSVerify": true,
                "service": {"namespace": "kasten-io", "name": "aggregatedapis-svc", "port": 443}},
            "status": {"conditions": []},
        })
    }

    #[test]
    fn an_api_service_is_redirected_and_put_back_exactly() {
        let redirected_once = redirected(&api_service(), &proxy()).unwrap();
        let spec = &redirected_once["spec"];
        assert_eq!(
            *spec,
            json!({"group": "apps.kio.kasten.io", "version": "v1alpha1",
                "groupPriorityMinimum": 1000, "versionPriority": 15, "caBundle": "UEVN",
                "service": {"namespace": "keepwatch", "name": "proxy", "port": 443}})
        );
        assert_eq!(peer_of(&redirected_once).unwrap().name, "aggregatedapis-svc");
        let again = redirected(&redirected_once, &proxy()).unwrap();
        assert_eq!(again, redirected_once, "a second installation loses no original");
        let other = ProxyService { name: "other".to_owned(), ..proxy() };
        assert!(matches!(
            redirected(&redirected_once, &other),
            Err(RegistrationError::OtherProxy(_))
        ));
        let mut expected = without_server_fields(&api_service());
        assert_eq!(restored(&again).unwrap(), expected);
        expected["metadata"]["annotations"] = json!({"a": "b"});
        let annotated = redirected(&expected, &proxy()).unwrap();
        assert_eq!(restored(&annotated).unwrap(), expected);
        assert!(matches!(restored(&expected), Err(RegistrationError::NoOriginal(_))));
    }

    #[test]
    fn a_group_of_kube_apiserver_itself_has_no_proxy() {
        let mut local = api_service();
        local["spec"]["service"] = Value::Null;
        assert!(matches!(redirected(&local, &proxy()), Err(RegistrationError::Local(_))));
        assert!(matches!(peer_of(&local), Err(RegistrationError::Local(_))));
    }

    #[test]
    fn policies_that_leave_the_peer_open_are_named() {
        let service = json!({"metadata": {"namespace": "kasten-io"}, "spec": {
            "selector": {"component": "aggregatedapis"},
            "ports": [{"port": 443, "targetPort": 10250}]}});
        let policy = |name: &str, labels: Value, from: Value| {
            json!({"metadata": {"name": name}, "spec": {"podSelector": {"matchLabels": labels},
                "ingress": [from]}})
        };
        let pods = json!({"component": "aggregatedapis"});
        let all = json!({"from": [{"namespaceSelector": {}}]});
        let policies = [
            policy("open", pods.clone(), json!({"ports": [{"port": 10250}]})),
            policy("all-pods", json!({}), all.clone()),
            policy("narrow", pods, json!({"from": [{"podSelector": {"matchLabels": {"a": "b"}}}]})),
            policy("other-pods", json!({"component": "catalog"}), all.clone()),
            policy(NAME, json!({}), all),
        ];
        assert_eq!(open_policies(&service, &policies), ["open", "all-pods"]);
        let own = network_policy(&service, &proxy()).unwrap();
        assert_eq!(own["spec"]["ingress"][0]["ports"][0]["port"], 10250);
        assert_eq!(own["metadata"]["namespace"], "kasten-io");
        assert!(is_installed_object(&own));
        assert!(network_policy(&json!({"spec": {}}), &proxy()).is_none());
    }
}
