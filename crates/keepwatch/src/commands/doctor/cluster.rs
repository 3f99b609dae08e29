//! Reads the facts of a cluster through its API: get and list only, in pages, with limits on time,
//! number and size.
//!
//! A kind that may not be read, or that does not answer in time, is an obstacle in the facts. Only
//! a cluster that does not answer at all is an error.

use anyhow::{Context as _, Result, bail};
use doctor::Facts;
use doctor::facts::{Obstacle, OpenShift, Reading};
use doctor::objects;
use http::Request;
use http::header::ACCEPT;
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, timeout};

use crate::args::doctor::DoctorArgs;

/// Objects in one response.
pub(crate) const PAGE: usize = 100;
/// Maximum number of responses for one kind.
pub(crate) const PAGES_MAX: usize = 50;
/// Maximum size of a response. Nodes and Deployments have some tens of KiB each.
pub(crate) const BODY_BYTES_MAX: usize = 32 << 20;

const JSON: &str = "application/json";
/// Objects without specifications: names are enough, and those of definitions are large.
const METADATA: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
const OPENSHIFT_GROUP: &str = "config.openshift.io";
const NODES: &str = "/api/v1/nodes?";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?";
const API_SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices?";
const NAMESPACES: &str = "/api/v1/namespaces?";
const DEPLOYMENTS: &str = "/apis/apps/v1/deployments?";
const API_SERVERS: &str =
    "/api/v1/namespaces/kube-system/pods?labelSelector=component%3Dkube-apiserver&";
const WEBHOOKS: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations?";
const EVENT_SOURCES: &str = "/apis/siem.keepwatch.io/v1alpha1/eventsources?";

/// Reads everything.
pub(super) async fn read(args: &DoctorArgs) -> Result<Facts> {
    let (client, context_cluster) = connect(args).await?;
    let deadline = Instant::now() + args.timeout;
    let cluster = Cluster { client, request_time: args.request_timeout, deadline };
    let version = cluster.version().await?;
    let groups = cluster.groups().await;
    let openshift = cluster.openshift(&groups).await;
    Ok(Facts {
        version,
        context_cluster,
        groups,
        nodes: cluster.list(NODES, JSON, each(objects::node)).await,
        definitions: cluster.list(DEFINITIONS, METADATA, each(objects::name)).await,
        api_services: cluster
            .list(API_SERVICES, JSON, |service| objects::api_service(service).into_iter().collect())
            .await,
        namespaces: cluster.list(NAMESPACES, METADATA, each(objects::name)).await,
        deployments: cluster.list(DEPLOYMENTS, JSON, each(objects::deployment)).await,
        api_servers: cluster.list(API_SERVERS, JSON, each(objects::api_server)).await,
        webhooks: cluster.list(WEBHOOKS, JSON, objects::webhooks).await,
        event_sources: cluster.list(EVENT_SOURCES, JSON, each(objects::event_source)).await,
        openshift,
    })
}

/// One fact for each object.
fn each<T>(reduce: impl Fn(&Value) -> T) -> impl Fn(&Value) -> Vec<T> {
    move |object| vec![reduce(object)]
}

/// A client, and the name of the cluster in the kubeconfig.
async fn connect(args: &DoctorArgs) -> Result<(Client, String)> {
    let options = KubeConfigOptions { context: args.context.clone(), ..<_>::default() };
    let kubeconfig = match &args.kubeconfig {
        Some(path) => Some(
            Kubeconfig::read_from(path)
                .with_context(|| format!("cannot read {}", path.display()))?,
        ),
        None => match Kubeconfig::read() {
            Ok(kubeconfig) => Some(kubeconfig),
            Err(error) if Config::incluster().is_err() => {
                return Err(error).context("there is no cluster to read: pass its --kubeconfig");
            }
            Err(_) => None,
        },
    };
    let (mut config, name) = match kubeconfig {
        Some(kubeconfig) => {
            let name = context_cluster(&kubeconfig, args.context.as_deref());
            let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
            (config.context("cannot use the kubeconfig")?, name)
        }
        None => (Config::incluster().context("cannot use the service account")?, String::new()),
    };
    config.connect_timeout = Some(args.request_timeout);
    Ok((Client::try_from(config).context("cannot create a client")?, name))
}

fn context_cluster(kubeconfig: &Kubeconfig, context: Option<&str>) -> String {
    let current = context.or(kubeconfig.current_context.as_deref());
    let context = kubeconfig.contexts.iter().find(|named| Some(named.name.as_str()) == current);
    let context = context.and_then(|named| named.context.as_ref());
    context.map(|context| context.cluster.clone()).unwrap_or_default()
}

/// The cluster that is read.
struct Cluster {
    client: Client,
    request_time: Duration,
    deadline: Instant,
}

impl Cluster {
    /// The version; an error if the cluster does not answer.
    async fn version(&self) -> Result<String> {
        match timeout(self.time(), self.client.apiserver_version()).await {
            Ok(Ok(version)) => Ok(version.git_version),
            Ok(Err(error)) => {
                Err(anyhow::Error::new(error).context("kube-apiserver does not tell its version"))
            }
            Err(_) => {
                bail!("kube-apiserver does not answer in time: set a longer --request-timeout")
            }
        }
    }

    async fn groups(&self) -> Reading<String> {
        let page = match self.get("/apis", JSON).await {
            Ok(page) => page,
            Err(obstacle) => return Reading::without(obstacle),
        };
        Reading::all(items(&page, "groups").map(objects::group).collect())
    }

    /// All objects of a kind, reduced. A parameter may follow at the end of `path`.
    async fn list<T: Default>(
        &self,
        path: &str,
        accept: &str,
        reduce: impl Fn(&Value) -> Vec<T>,
    ) -> Reading<T> {
        let (mut reduced, mut token) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let encoded = utf8_percent_encode(&token, NON_ALPHANUMERIC);
            let page =
                match self.get(&format!("{path}limit={PAGE}&continue={encoded}"), accept).await {
                    Ok(page) => page,
                    Err(obstacle) => return Reading { items: reduced, obstacle: Some(obstacle) },
                };
            reduced.extend(items(&page, "items").flat_map(&reduce));
            let next = page.pointer("/metadata/continue").and_then(Value::as_str);
            next.unwrap_or_default().clone_into(&mut token);
            if token.is_empty() {
                return Reading::all(reduced);
            }
        }
        Reading { items: reduced, obstacle: Some(Obstacle::TooMany) }
    }

    /// The configuration of OpenShift, if it is one.
    async fn openshift(&self, groups: &Reading<String>) -> Reading<OpenShift> {
        if !groups.items.iter().any(|group| group == OPENSHIFT_GROUP) {
            return Reading::without(Obstacle::NotServed);
        }
        let path = |plural: &str| format!("/apis/{OPENSHIFT_GROUP}/v1/{plural}/cluster");
        let api_server = self.get(&path("apiservers"), JSON).await;
        let infrastructure = self.get(&path("infrastructures"), JSON).await;
        let obstacle = api_server.as_ref().err().or(infrastructure.as_ref().err()).copied();
        let read = objects::openshift(api_server.as_ref().ok(), infrastructure.as_ref().ok());
        Reading { items: vec![read], obstacle }
    }

    /// The time for the next request.
    fn time(&self) -> Duration {
        self.request_time.min(self.deadline.saturating_duration_since(Instant::now()))
    }

    async fn get(&self, path: &str, accept: &str) -> Result<Value, Obstacle> {
        let request = self.request(path, accept);
        timeout(self.time(), request).await.unwrap_or(Err(Obstacle::TimedOut))
    }

    async fn request(&self, path: &str, accept: &str) -> Result<Value, Obstacle> {
        let request = Request::get(path).header(ACCEPT, accept).body(Body::empty());
        let request = request.map_err(|_| Obstacle::Failed)?;
        let response = self.client.send(request).await.map_err(|_| Obstacle::Failed)?;
        match response.status().as_u16() {
            200 => {}
            401 | 403 => return Err(Obstacle::NotAllowed),
            404 => return Err(Obstacle::NotServed),
            _ => return Err(Obstacle::Failed),
        }
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|_| Obstacle::TooMany)?.to_bytes();
        serde_json::from_slice(&body).map_err(|_| Obstacle::Failed)
    }
}

fn items<'p>(page: &'p Value, key: &str) -> impl Iterator<Item = &'p Value> {
    page.get(key).and_then(Value::as_array).into_iter().flatten()
}
