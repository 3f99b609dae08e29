//! The controller with a test double of the API that rejects some requests.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use kube::client::Body;
use serde_json::{Value, json};
use tower_service::Service;

use super::NamespaceController;
use crate::standalone::secrets;

const NAMESPACE: &str = "/api/v1/namespaces/doomed";
const DELETE: &str = "DELETE /api/v1/namespaces/doomed/secrets/keys";
const SECRET: &str = "/api/v1/namespaces/doomed/secrets/keys";

/// An API with a namespace that is being deleted and a Secret in it.
#[derive(Clone)]
struct FakeApi(Arc<Mutex<State>>);

struct State {
    /// Requests that are rejected first, as method and path with a status code.
    rejected: Vec<(&'static str, u16)>,
    has_secret: bool,
    is_finalized: bool,
    /// Every request except lists and watches of namespaces.
    requests: Vec<String>,
}

impl State {
    fn respond(&mut self, method: &Method, path: &str, is_watch: bool) -> (u16, Value) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": "doomed", "deletionTimestamp": "2026-11-25T00:00:00Z",
            "finalizers": ["kubernetes"]}});
        let list = |items: Vec<Value>| {
            json!({"apiVersion": "v1", "kind": "List",
            "metadata": {"resourceVersion": "1"}, "items": items})
        };
        if path == "/api/v1/namespaces" {
            return (200, if is_watch { Value::Null } else { list(vec![namespace]) });
        }
        let request = format!("{method} {path}");
        self.requests.push(request.clone());
        if let Some(index) = self.rejected.iter().position(|(rejected, _)| *rejected == request) {
            let code = self.rejected.remove(index).1;
            // Another client was faster.
            self.has_secret &= !(*method == Method::DELETE && code == 404);
            let reason = if code == 404 { "NotFound" } else { "Refused" };
            let status =
                json!({"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason});
            return (code, status);
        }
        match (method, path) {
            (&Method::PATCH, NAMESPACE) => {
                assert!(!self.has_secret, "the namespace is removed before its contents");
                self.is_finalized = true;
                (200, namespace)
            }
            (&Method::DELETE, SECRET) => {
                self.has_secret = false;
                (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
            }
            (&Method::GET, path) if path.ends_with("/secrets") => {
                let secret = json!({"apiVersion": "meta.k8s.io/v1",
                    "kind": "PartialObjectMetadata", "metadata": {"name": "keys"}});
                (200, list(if self.has_secret { vec![secret] } else { Vec::new() }))
            }
            _ => (200, namespace),
        }
    }
}

impl Service<Request<Body>> for FakeApi {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let (code, body) =
            self.0.lock().unwrap().respond(request.method(), request.uri().path(), is_watch);
        Box::pin(async move {
            if is_watch {
                tokio::time::sleep(Duration::from_secs(290)).await;
            }
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let response =
                Response::builder().status(code).header("content-type", "application/json");
            Ok(response.body(Full::new(body.into())).unwrap())
        })
    }
}

/// Runs the controller for some time. Returns whether it removed the finalizer, and its requests.
async fn check(rejected: &[(&'static str, u16)]) -> (bool, Vec<String>) {
    let state = State {
        rejected: rejected.to_vec(),
        has_secret: true,
        is_finalized: false,
        requests: Vec::new(),
    };
    let api = FakeApi(Arc::new(Mutex::new(state)));
    let client = kube::Client::new(api.clone(), "default");
    let controller = NamespaceController::new(client, &[secrets::resource()]);
    tokio::time::timeout(Duration::from_mins(4), controller.run()).await.unwrap_err();
    let state = api.0.lock().unwrap();
    (state.is_finalized, state.requests.clone())
}

/// Regression: a rejected request left the namespace terminating until the next restart.
#[tokio::test(start_paused = true)]
async fn a_rejected_request_is_retried_until_the_namespace_is_removed() {
    const LIST: &str = "GET /api/v1/namespaces/doomed/secrets";
    for rejected in [
        vec![("GET /api/v1/namespaces/doomed", 403)],
        vec![("PATCH /api/v1/namespaces/doomed/status", 409)],
        vec![(LIST, 403), (LIST, 410)],
        vec![(DELETE, 403), (DELETE, 409), (DELETE, 422), (DELETE, 401)],
        vec![("PATCH /api/v1/namespaces/doomed", 403)],
    ] {
        let (is_finalized, requests) = check(&rejected).await;
        assert!(is_finalized, "{rejected:?}: {requests:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_delay_between_attempts_grows() {
    let rejected = [("GET /api/v1/namespaces/doomed", 403); 100];
    let (is_finalized, requests) = check(&rejected).await;
    assert!(!is_finalized);
    // After 0, 1, 3, 7, 15, 31, 63, 123 and 183 seconds.
    assert_eq!(requests.len(), 9, "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_for_a_deleted_object_is_not_retried() {
    let (_, requests) = check(&[("GET /api/v1/namespaces/doomed", 404)]).await;
    assert_eq!(requests.len(), 1, "{requests:?}");
    let (is_finalized, requests) = check(&[(DELETE, 404)]).await;
    assert!(is_finalized);
    assert_eq!(requests.iter().filter(|request| *request == DELETE).count(), 1, "{requests:?}");
}
