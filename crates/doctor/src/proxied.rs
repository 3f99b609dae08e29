//! The chart's values for a proxy in front of a backup tool's own API server, and the steps that
//! belong to it.
//!
//! A release is the proxy of one API server. Further ones are left to further releases.

use serde_json::{Value, json};

use crate::facts::{ApiService, Facts};
use crate::sources::backup_apis;

/// The Secret with the CA of the API server's certificate.
const UPSTREAM_CA: &str = "upstream-ca";
/// The name of the chart's Service, and of its `ServiceAccount`.
const CHART_NAME: &str = "aggregatedapis-svc";
/// The port of a Service without one in its `APIService`.
const DEFAULT_PORT: u16 = 443;

/// The `APIServices` of the API servers in front of which a proxy should be.
#[derive(Default)]
pub(crate) struct Proxied<'f> {
    /// Those of the API server that is behind the release.
    own: Vec<&'f ApiService>,
    /// Those of others.
    others: Vec<&'f ApiService>,
}

impl<'f> Proxied<'f> {
    /// The API server of the first `APIService` is that of a new release in `namespace`, if there is a
    /// new release. The chart rejects an API server in the same namespace.
    pub(crate) fn of(facts: &'f Facts, namespace: Option<&str>) -> Self {
        let all = backup_apis(facts).into_iter().filter(|service| !service.is_proxied);
        let all: Vec<&ApiService> = all.collect();
        let is_possible = |service: &&&ApiService| {
            namespace.is_some_and(|namespace| service.service_namespace != namespace)
        };
        let first = all.iter().find(is_possible).copied();
        let is_own =
            |service: &&ApiService| first.is_some_and(|first| address(service) == address(first));
        let (own, others) = all.into_iter().partition(is_own);
        Self { own, others }
    }

    /// The values of `proxy`; `None` if the release is no proxy.
    pub(crate) fn values(&self) -> Option<Value> {
        let service = self.own.first()?;
        let (namespace, name, port) = address(service);
        let port = if port == DEFAULT_PORT { String::new() } else { format!(":{port}") };
        let upstream = format!("https://{name}.{namespace}.svc{port}");
        let mut values = json!({"enabled": true, "upstream": upstream});
        if service.has_ca {
            values["upstreamCaSecretName"] = UPSTREAM_CA.into();
        } else {
            values["upstreamInsecureSkipTlsVerify"] = true.into();
        }
        Some(values)
    }

    /// What to do before the release is installed.
    pub(crate) fn steps_before(&self, namespace: &str) -> Option<String> {
        let service = self.own.first()?;
        let name = &service.name;
        Some(if service.has_ca {
            format!(
                "create the Secret {UPSTREAM_CA}: kubectl get apiservice {name} -o \
                 jsonpath='{{.spec.caBundle}}' | base64 -d > ca.crt; kubectl -n {namespace} create \
                 secret generic {UPSTREAM_CA} --from-file=ca.crt"
            )
        } else {
            format!(
                "find the CA of {}.{}.svc if it has one, and set proxy.upstreamCaSecretName instead \
                 of proxy.upstreamInsecureSkipTlsVerify: kube-apiserver does not verify it either",
                service.service_name, service.service_namespace
            )
        })
    }

    /// What to do after the release is installed.
    pub(crate) fn steps_after(&self, namespace: &str) -> Vec<String> {
        let mut steps = Vec::new();
        if !self.own.is_empty() {
            steps.push(format!(
                "let the proxy get the requests (docs/guides/proxy.md): keepwatch proxy install \
                 --service={namespace}/{CHART_NAME} --service-account={CHART_NAME} --apiservice={}; \
                 repeat it with --apply",
                names(&self.own)
            ));
        }
        if !self.others.is_empty() {
            steps.push(format!(
                "run another proxy in a namespace of its own (docs/guides/proxy.md) for {}",
                names(&self.others)
            ));
        }
        steps
    }
}

/// Namespace, name and port of a Service.
fn address(service: &ApiService) -> (&str, &str, u16) {
    let port = if service.service_port == 0 { DEFAULT_PORT } else { service.service_port };
    (&service.service_namespace, &service.service_name, port)
}

fn names(services: &[&ApiService]) -> String {
    let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    names.join(",")
}
