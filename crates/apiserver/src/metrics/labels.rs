//! Label values of the API server's metrics, from closed lists only.

use std::hash::{Hash, Hasher};

use apimachinery::RequestInfo;
use prometheus_client::encoding::EncodeLabelSet;

/// Allowed values of the label `subresource`.
const SUBRESOURCES: [&str; 4] = ["status", "details", "finalize", "scale"];

/// Group, version and plural of a served resource.
pub(super) type ServedLabels = (&'static str, &'static str, &'static str);

/// Labels of the target of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct TargetLabels {
    pub(super) verb: &'static str,
    pub(super) dry_run: &'static str,
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) resource: &'static str,
    pub(super) subresource: &'static str,
    pub(super) scope: &'static str,
    pub(super) component: &'static str,
}

/// Labels of the target and the response.
#[derive(Clone, Debug, Default, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct RequestLabels {
    verb: &'static str,
    dry_run: &'static str,
    group: &'static str,
    version: &'static str,
    resource: &'static str,
    subresource: &'static str,
    scope: &'static str,
    component: &'static str,
    code: u32,
}

/// Group, version and resource of a watch.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct WatchLabels {
    group: &'static str,
    version: &'static str,
    resource: &'static str,
}

/// Whether a request in flight is mutating.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct RequestKind {
    pub(super) request_kind: &'static str,
}

/// Result of an attempt.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ResultLabel {
    pub(super) result: &'static str,
}

/// Username as exposed in metrics.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct UsernameLabel {
    pub(super) username: &'static str,
}

/// Audit backend that failed to log an event.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct PluginLabel {
    pub(super) plugin: &'static str,
}

/// Audit level of the policy decision.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct LevelLabel {
    pub(super) level: &'static str,
}

/// Looked up several times per request, so only the most distinctive labels are hashed.
impl Hash for TargetLabels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.verb, self.resource).hash(state);
    }
}

/// Same as for [`TargetLabels`].
impl Hash for RequestLabels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.verb, self.resource, self.code).hash(state);
    }
}

impl TargetLabels {
    /// Labels of a request, as `CleanVerb` and `CleanScope` of `k8s.io/apiserver` build them.
    pub(super) fn of(served: &[ServedLabels], info: &RequestInfo, is_dry_run: bool) -> Self {
        let (group, version, resource) = served
            .iter()
            .find(|(group, version, plural)| {
                *plural == info.resource && *group == info.api_group && *version == info.api_version
            })
            .copied()
            .unwrap_or_default();
        let subresource = SUBRESOURCES.iter().find(|word| **word == info.subresource);
        let scope = match info {
            _ if !info.is_resource_request => "",
            _ if !info.name.is_empty() || info.verb == "create" => "resource",
            _ if !info.namespace.is_empty() => "namespace",
            _ => "cluster",
        };
        Self {
            verb: verb(&info.verb),
            dry_run: if is_dry_run { "All" } else { "" },
            group,
            version,
            resource,
            subresource: subresource.copied().unwrap_or_default(),
            scope,
            component: "apiserver",
        }
    }

    pub(super) fn labels(self, code: u32) -> RequestLabels {
        let Self { verb, dry_run, group, version, resource, subresource, scope, component } = self;
        RequestLabels {
            verb,
            dry_run,
            group,
            version,
            resource,
            subresource,
            scope,
            component,
            code,
        }
    }

    pub(super) fn watch_labels(self) -> WatchLabels {
        let Self { group, version, resource, .. } = self;
        WatchLabels { group, version, resource }
    }
}

/// kube-apiserver uses HTTP methods, plus `LIST` and `WATCH`.
fn verb(verb: &str) -> &'static str {
    match verb {
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "create" | "post" => "POST",
        "update" | "put" => "PUT",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        _ => "other",
    }
}

/// Users who may read metrics need not see usernames. As upstream, only the class of the name is
/// exposed.
pub(super) fn username(name: &str) -> &'static str {
    const PUBLIC: [&str; 5] =
        ["admin", "client", "kube_proxy", "kubelet", "system:serviceaccount:kube-system:default"];
    match PUBLIC.into_iter().find(|public| *public == name) {
        Some(public) => public,
        None if name.contains('@') => "email_id",
        None => "other",
    }
}
