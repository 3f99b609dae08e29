//! The registry: the REST verbs of every served resource, on top of the store.
//!
//! A read responds with the stored bytes unchanged. A write is one closure in one transaction: it
//! checks and changes the object, builds the response, and logs the audit event of the request. The
//! registry expects that the HTTP handler has authenticated and authorized the request.

mod access;
mod continue_token;
mod create;
mod decoded;
mod delete;
mod gather;
mod initial;
mod metadata;
mod operate;
mod options;
mod read;
mod read_only;
mod render;
mod response_cache;
mod scan;
mod served_resource;
mod server_action;
#[cfg(test)]
mod tests;
mod transaction;
mod update;
mod watch;
mod write;

use std::sync::Arc;

use apimachinery::{ApiError, RequestInfo};
use arc_swap::ArcSwap;
use audit::Policy;
use event::{Level, UserInfo};
use http::{Method, StatusCode};
use store::Storage;
use tokio::sync::Semaphore;

use crate::namespaces::NamespaceSource;
use crate::routes::static_documents::Documents;
use crate::{
    ApiResponse, AuditContext, Authorizer, Clock, Outcome, Request, Resource, ResourceId,
    Subresource, Verb,
};
use served_resource::ServedResource;

/// Configuration of a [`Registry`].
pub struct RegistryConfig {
    /// The served resources.
    pub resources: Vec<Resource>,
    /// The store that holds their objects.
    pub store: Arc<dyn Storage>,
    /// Authorizes access to other objects that a write references.
    pub authorizer: Arc<dyn Authorizer>,
    /// Looks up namespaces.
    pub namespaces: Arc<dyn NamespaceSource>,
    /// Clock for timestamps in objects, audit events and tables.
    pub clock: Arc<dyn Clock>,
    /// Audit policy, by which server actions are audited.
    pub policy: Arc<ArcSwap<Policy>>,
    /// The user of server actions in audit events.
    pub server_user: Arc<UserInfo>,
    /// Whether a garbage collector follows `ownerReferences` and removes the finalizers `orphan`
    /// and `foregroundDeletion`, as in a cluster.
    pub has_garbage_collector: bool,
}

/// All served resources and their storage. A clone shares the state of the original.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
    documents: Arc<Documents>,
}

/// State that all requests share, also inside transactions.
struct Shared {
    kinds: Vec<Arc<ServedResource>>,
    store: Arc<dyn Storage>,
    authorizer: Arc<dyn Authorizer>,
    namespaces: Arc<dyn NamespaceSource>,
    clock: Arc<dyn Clock>,
    policy: Arc<ArcSwap<Policy>>,
    server_user: Arc<UserInfo>,
    has_garbage_collector: bool,
    /// Resources with a minimum audit level for writes, regardless of the audit policy.
    level_minima: Vec<(ResourceId, Level)>,
    /// Limits the number of requests that decode a long body concurrently.
    readers: Arc<Semaphore>,
    /// Responses that are being sent to clients.
    response_cache: response_cache::ResponseCache,
}

/// One request for a served resource.
struct ResourceRequest<'a> {
    shared: &'a Arc<Shared>,
    kind: &'a Arc<ServedResource>,
    request: &'a Request,
}

impl Registry {
    /// Creates a registry from its configuration.
    pub fn new(config: RegistryConfig) -> Self {
        let documents = Arc::new(Documents::new(&config.resources));
        let kinds: Vec<Arc<ServedResource>> = config
            .resources
            .into_iter()
            .map(|resource| Arc::new(ServedResource::new(resource)))
            .collect();
        let level_minima = kinds
            .iter()
            .filter(|kind| kind.resource.audit_level_min > Level::None)
            .map(|kind| (kind.id, kind.resource.audit_level_min))
            .collect();
        let shared = Shared {
            level_minima,
            readers: Arc::new(Semaphore::new(crate::limits::READERS_MAX)),
            response_cache: response_cache::ResponseCache::default(),
            kinds,
            store: config.store,
            authorizer: config.authorizer,
            namespaces: config.namespaces,
            clock: config.clock,
            policy: config.policy,
            server_user: config.server_user,
            has_garbage_collector: config.has_garbage_collector,
        };
        Self { shared: Arc::new(shared), documents }
    }

    /// Handles a resource request. The request body and object reference for the audit event go
    /// into `audit`. For [`Outcome::Committed`], the event is already completed and committed from
    /// a copy of `audit`.
    pub async fn handle(
        &self,
        request: &Request,
        audit: &mut AuditContext,
    ) -> Result<Outcome, ApiError> {
        let kind = self.shared.kind(&request.info).ok_or_else(no_such_route)?;
        if kind.resource.omit_bodies {
            audit.omit_bodies(kind.resource.strategy.recorded_fields());
        }
        let call = ResourceRequest { shared: &self.shared, kind, request };
        let subresource = call.route()?;
        if let Some(storage) = &kind.resource.read_only {
            return call.read_only(&**storage).await;
        }
        match (request.info.verb.as_str(), subresource) {
            ("get", None | Some(Subresource::Status | Subresource::Field { .. })) => {
                call.get(audit).await
            }
            ("get", Some(Subresource::Details)) => call.details(audit).await,
            ("list", None) => call.list(audit).await,
            ("watch", None) => call.watch(audit).await,
            ("create", None) => call.create(audit).await,
            ("create", Some(Subresource::Operation { .. })) => call.operate(audit).await,
            ("update", None | Some(Subresource::Status | Subresource::Field { .. })) => {
                call.update(audit).await
            }
            ("patch", None | Some(Subresource::Status | Subresource::Field { .. })) => {
                call.patch(audit).await
            }
            ("delete", None) => call.delete(audit).await,
            (verb, _) => Err(kind.method_not_allowed(verb)),
        }
    }

    /// The minimum audit level of a request, regardless of the audit policy.
    pub(crate) fn audit_level_min(&self, info: &RequestInfo) -> Level {
        if !matches!(info.verb.as_str(), "create" | "update" | "patch" | "delete") {
            return Level::None;
        }
        let minima = self.shared.level_minima.iter();
        let level = minima
            .filter(|(id, _)| id.plural == info.resource && id.group == info.api_group)
            .map(|(_, level)| *level);
        level.max().unwrap_or(Level::None)
    }

    /// The paths of discovery and OpenAPI.
    pub(crate) fn document_paths(&self) -> impl Iterator<Item = &str> {
        self.documents.paths().filter(|path| !path.starts_with("/openapi/v3/"))
    }

    /// Responds to requests for discovery and OpenAPI; `None` for any other path.
    pub fn route_non_resource(&self, request: &Request) -> Option<ApiResponse> {
        self.documents.response(request, self.shared.clock.now())
    }
}

impl Shared {
    fn kind(&self, info: &RequestInfo) -> Option<&Arc<ServedResource>> {
        let kind = self.kind_of(&info.api_group, &info.resource)?;
        (kind.resource.version == info.api_version).then_some(kind)
    }

    fn kind_of(&self, group: &str, plural: &str) -> Option<&Arc<ServedResource>> {
        self.kinds.iter().find(|kind| kind.id.plural == plural && kind.id.group == group)
    }
}

impl ResourceRequest<'_> {
    /// Checks that path, verb and resource match, and returns the subresource of the request.
    fn route(&self) -> Result<Option<Subresource>, ApiError> {
        let info = &self.request.info;
        let subresource = match info.subresource.as_str() {
            "" => None,
            name => Some(self.kind.subresource(name).ok_or_else(no_such_route)?),
        };
        let depth = info.parts.len();
        // Upstream has no other routes for the paths that begin with `watch`.
        let is_read = matches!(self.request.method, Method::GET | Method::HEAD);
        if info.verb == "watch" && !is_read {
            return Err(self.kind.method_not_allowed(&info.verb));
        }
        let is_scoped = self.kind.is_namespaced() || self.namespace().is_empty();
        if !is_scoped || depth > 3 {
            return Err(no_such_route());
        }
        let needs_namespace = self.kind.is_namespaced()
            && (depth > 1 || !matches!(info.verb.as_str(), "list" | "watch"));
        if needs_namespace && self.namespace().is_empty() {
            return Err(if depth > 1 {
                no_such_route()
            } else {
                self.kind.method_not_allowed(&info.verb)
            });
        }
        let verb = match info.verb.as_str() {
            "create" if depth <= 1 || subresource.is_some() => Verb::Create,
            "delete" => Verb::Delete,
            // Update and patch do not apply to a collection.
            other @ ("patch" | "update") if depth <= 1 => {
                return Err(self.kind.method_not_allowed(other));
            }
            "get" => Verb::Get,
            "list" => Verb::List,
            "patch" => Verb::Patch,
            "update" => Verb::Update,
            "watch" => Verb::Watch,
            verb => return Err(self.kind.method_not_allowed(verb)),
        };
        // A subresource may be writable although the object itself does not support the verb.
        let is_offered = match subresource {
            Some(subresource) => {
                subresource.verbs().contains(&verb)
                    && (verb != Verb::Get || self.kind.supports(Verb::Get))
            }
            None => self.kind.supports(verb),
        };
        if is_offered { Ok(subresource) } else { Err(self.kind.method_not_allowed(&info.verb)) }
    }

    fn namespace(&self) -> &str {
        // A namespace object is cluster-scoped, although `RequestInfo` sets its namespace.
        if self.kind.is_namespaced() {
            &self.request.info.namespace
        } else {
            self.object_namespace()
        }
    }

    fn object_namespace(&self) -> &str {
        let info = &self.request.info;
        if info.resource == "namespaces" && info.api_group.is_empty() {
            ""
        } else {
            &info.namespace
        }
    }

    fn name(&self) -> &str {
        &self.request.info.name
    }
}

fn no_such_route() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "NotFound",
        "the server could not find the requested resource",
    )
}
