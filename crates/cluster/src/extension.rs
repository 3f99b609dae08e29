//! An extension API server behind the aggregator: its Service, its APIServices, its certificate.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::pki::{Authority, Identity};

use crate::control_plane::ControlPlane;

/// What the cluster must know of an extension API server on loopback.
#[derive(Debug)]
pub struct Extension {
    namespace: &'static str,
    service: &'static str,
    /// As `(group, version)`.
    groups: Vec<(String, &'static str)>,
    authority: Authority,
    /// Its certificate, as PEM.
    authority_pem: String,
}

impl Extension {
    /// Describes a server; nothing is registered yet.
    pub fn new(
        namespace: &'static str,
        service: &'static str,
        groups: &[(String, &'static str)],
    ) -> Self {
        let authority = Authority::new(service);
        let authority_pem = authority.pem();
        Self { namespace, service, groups: groups.to_vec(), authority, authority_pem }
    }

    /// The name the aggregator verifies, whatever it dials.
    pub fn server_name(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }

    /// A serving certificate for that name.
    pub fn serving_identity(&self) -> Identity {
        self.authority.server_of(&[&self.server_name(), "localhost", "127.0.0.1"])
    }

    /// The authority of the serving certificate, as PEM.
    pub fn authority(&self) -> &str {
        &self.authority_pem
    }

    /// Tells the cluster that the server listens on `port` of this machine.
    pub fn register(&self, plane: &ControlPlane, port: u16) -> anyhow::Result<()> {
        let mut items = vec![
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}),
            // EndpointSlices may not hold loopback addresses; an external name may.
            json!({"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": self.service, "namespace": self.namespace},
                "spec": {"type": "ExternalName", "externalName": "localhost"}}),
        ];
        items.extend(self.groups.iter().map(|(group, version)| {
            json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": {"name": format!("{version}.{group}")},
                "spec": {"group": group, "version": version,
                    "groupPriorityMinimum": 1000, "versionPriority": 15,
                    "caBundle": STANDARD.encode(&self.authority_pem),
                    "service": {
                        "name": self.service, "namespace": self.namespace, "port": port}}})
        }));
        let list: Value = json!({"apiVersion": "v1", "kind": "List", "items": items});
        plane.apply(&list.to_string())
    }

    /// Waits until the aggregator reaches every group.
    pub fn wait_available(&self, plane: &ControlPlane) -> anyhow::Result<()> {
        let names: Vec<String> = self
            .groups
            .iter()
            .map(|(group, version)| format!("apiservice/{version}.{group}"))
            .collect();
        let wait = format!("wait --for=condition=Available --timeout=90s {}", names.join(" "));
        plane.admin().kubectl(&wait).map(drop)
    }
}
