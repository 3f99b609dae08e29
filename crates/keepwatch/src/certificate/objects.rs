//! The objects in the cluster: the Secret that stores the serving certificate, and those whose
//! `caBundle` contains the CAs that kube-apiserver trusts: the APIServices, and the configuration
//! of the admission webhook.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingWebhook, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use super::serving_pair::ServingPair;
use crate::args::values::ServiceName;

/// The field manager of all writes.
const FIELD_MANAGER: &str = "keepwatch";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITIES: &str = "ca.crt";
/// A conflict: another writer has changed the object.
const CONFLICT: u16 = 409;

/// The Secret `<service>-tls`.
pub(super) struct CertificateSecret {
    api: Api<Secret>,
    namespace: String,
    name: String,
}

/// The content and version of the Secret when it was read.
pub(super) struct Stored {
    pub(super) pair: Option<ServingPair>,
    secret: Option<Secret>,
}

impl CertificateSecret {
    pub(super) fn new(client: kube::Client, service: &ServiceName) -> Self {
        let api = Api::namespaced(client, &service.namespace);
        let name = format!("{}-tls", service.name);
        Self { api, namespace: service.namespace.clone(), name }
    }

    pub(super) async fn read(&self) -> Result<Stored> {
        let secret =
            self.api.get_opt(&self.name).await.with_context(|| format!("cannot read {self}"))?;
        let pair = secret.as_ref().and_then(|secret| {
            let data = secret.data.as_ref()?;
            let text = |key| String::from_utf8(data.get(key)?.0.clone()).ok();
            Some(ServingPair::new(text(CERTIFICATE)?, text(KEY)?, &text(AUTHORITIES)?))
        });
        Ok(Stored { pair, secret })
    }

    /// Writes `pair`. Returns false if the Secret was changed since `stored` was read.
    pub(super) async fn write(&self, stored: Stored, pair: &ServingPair) -> Result<bool> {
        let parameters =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let written = match stored.secret {
            Some(mut secret) => {
                secret.data.get_or_insert_default().append(&mut data(pair));
                self.api.replace(&self.name, &parameters, &secret).await
            }
            None => self.api.create(&parameters, &self.empty(pair)).await,
        };
        match written {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == CONFLICT => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot write {self}")),
        }
    }

    fn empty(&self, pair: &ServingPair) -> Secret {
        let label = ("app.kubernetes.io/managed-by".to_owned(), FIELD_MANAGER.to_owned());
        Secret {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                labels: Some(BTreeMap::from([label])),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(data(pair)),
            ..Secret::default()
        }
    }
}

impl fmt::Display for CertificateSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret {}/{}", self.namespace, self.name)
    }
}

fn data(pair: &ServingPair) -> BTreeMap<String, ByteString> {
    let entry = |key: &str, text: &str| (key.to_owned(), ByteString(text.as_bytes().to_vec()));
    BTreeMap::from([
        entry(CERTIFICATE, &pair.certificate),
        entry(KEY, &pair.key),
        entry(AUTHORITIES, &pair.bundle()),
    ])
}

/// The APIServices of the served groups, and the configuration of the admission webhook.
pub(super) struct ApiServices {
    api: Api<APIService>,
    configurations: Api<ValidatingWebhookConfiguration>,
    service: ServiceName,
    names: Vec<String>,
    /// Name of the configuration, if there is one.
    configuration: Option<String>,
}

/// Whether every APIService exists and refers to this server's Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Registration {
    Complete,
    Partial,
}

/// The objects that refer to this server's Service, with the versions that were read.
pub(super) struct Registered {
    api_services: Vec<APIService>,
    configuration: Option<ValidatingWebhookConfiguration>,
    extent: Registration,
}

impl Registered {
    pub(super) fn extent(&self) -> Registration {
        self.extent
    }
}

impl ApiServices {
    pub(super) fn new(
        client: kube::Client,
        service: ServiceName,
        groups: Vec<(&'static str, &'static str)>,
        configuration: Option<String>,
    ) -> Self {
        let names = groups.into_iter().map(|(group, version)| format!("{version}.{group}"));
        Self {
            api: Api::all(client.clone()),
            configurations: Api::all(client),
            service,
            names: names.collect(),
            configuration,
        }
    }

    pub(super) async fn read(&self) -> Result<Registered> {
        let mut api_services = Vec::new();
        for name in &self.names {
            let stored = self.api.get_opt(name).await;
            let stored = stored.with_context(|| format!("cannot read APIService {name}"))?;
            let Some(api_service) = stored else { continue };
            if self.refers_to_service(&api_service) {
                api_services.push(api_service);
            } else {
                tracing::warn!(name, "an APIService refers to another Service and is not changed");
            }
        }
        let configuration = self.read_configuration().await?;
        let is_all = api_services.len() == self.names.len()
            && configuration.is_some() == self.configuration.is_some();
        Ok(Registered {
            api_services,
            configuration,
            extent: if is_all { Registration::Complete } else { Registration::Partial },
        })
    }

    async fn read_configuration(&self) -> Result<Option<ValidatingWebhookConfiguration>> {
        let Some(name) = &self.configuration else { return Ok(None) };
        let stored = self.configurations.get_opt(name).await;
        stored.with_context(|| format!("cannot read ValidatingWebhookConfiguration {name}"))
    }

    /// Whether this webhook refers to this server's Service.
    fn webhook_refers_to_service(&self, webhook: &ValidatingWebhook) -> bool {
        webhook.client_config.service.as_ref().is_some_and(|service| {
            service.name == self.service.name && service.namespace == self.service.namespace
        })
    }

    /// Writes `bundle` as the `caBundle` of this server's webhooks in the configuration, if it
    /// differs.
    async fn publish_to_webhooks(
        &self,
        configuration: &ValidatingWebhookConfiguration,
        bundle: &ByteString,
    ) -> Result<()> {
        let Some(name) = &configuration.metadata.name else { return Ok(()) };
        let all = configuration.webhooks.iter().flatten();
        let old = all.filter(|webhook| {
            self.webhook_refers_to_service(webhook)
                && webhook.client_config.ca_bundle.as_ref() != Some(bundle)
        });
        let new: Vec<_> = old
            .map(|webhook| json!({"name": webhook.name, "clientConfig": {"caBundle": bundle}}))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        // The list is merged by name.
        let patch = json!({
            "metadata": {"resourceVersion": configuration.metadata.resource_version},
            "webhooks": new,
        });
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched = self.configurations.patch(name, &parameters, &Patch::Strategic(&patch)).await;
        patched.with_context(|| {
            format!("cannot write caBundle of the webhook configuration {name}")
        })?;
        tracing::info!(name, "caBundle of the admission webhook written");
        Ok(())
    }

    fn refers_to_service(&self, api_service: &APIService) -> bool {
        let service = api_service.spec.as_ref().and_then(|spec| spec.service.as_ref());
        service.is_some_and(|service| {
            service.name.as_deref() == Some(&self.service.name)
                && service.namespace.as_deref() == Some(&self.service.namespace)
        })
    }

    /// Writes `bundle` as the `caBundle` of each object, if it differs. Fails if one was changed
    /// since it was read.
    pub(super) async fn publish(&self, registered: &Registered, bundle: &str) -> Result<()> {
        let bundle = ByteString(bundle.as_bytes().to_vec());
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        for service in &registered.api_services {
            if service.spec.as_ref().and_then(|spec| spec.ca_bundle.as_ref()) == Some(&bundle) {
                continue;
            }
            let Some(name) = &service.metadata.name else { continue };
            let patch = json!({
                "metadata": {"resourceVersion": service.metadata.resource_version},
                "spec": {"caBundle": bundle, "insecureSkipTLSVerify": false},
            });
            self.api
                .patch(name, &parameters, &Patch::Merge(&patch))
                .await
                .with_context(|| format!("cannot write caBundle of APIService {name}"))?;
            tracing::info!(name, "caBundle of an APIService written");
        }
        if let Some(configuration) = &registered.configuration {
            self.publish_to_webhooks(configuration, &bundle).await?;
        }
        Ok(())
    }
}
