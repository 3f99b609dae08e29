//! Requests to kube-apiserver, against a mock with scripted responses.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apiserver::authz::SubjectAccessReviews;
use apiserver::kube::client::connect;
use apiserver::trust::config_map::AuthenticationConfigMap;
use apiserver::trust::{Trust, TrustFiles};
use apiserver::{Attributes, Authorizer, Decision};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use testkit::pki::Authority;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Returns the responses in order, the last one repeatedly, and keeps the requests.
#[derive(Default)]
pub(crate) struct Script {
    responses: Mutex<VecDeque<(u16, Value)>>,
    requests: Mutex<Vec<(String, Value)>>,
}

impl Script {
    fn respond(&self, path: String, body: &[u8]) -> Response<Full<Bytes>> {
        let body = serde_json::from_slice(body).unwrap_or(Value::Null);
        self.requests.lock().unwrap().push((path, body));
        let mut responses = self.responses.lock().unwrap();
        let last = responses.len() == 1;
        let (code, body) =
            if last { responses[0].clone() } else { responses.pop_front().unwrap_or_default() };
        Response::builder().status(code).body(Full::new(Bytes::from(body.to_string()))).unwrap()
    }

    /// Number of requests.
    pub(crate) fn request_count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// Path and body of the first request.
    pub(crate) fn first(&self) -> (String, Value) {
        self.requests.lock().unwrap()[0].clone()
    }

    fn set(&self, code: u16, body: Value) {
        *self.responses.lock().unwrap() = VecDeque::from([(code, body)]);
    }
}

/// A mock of kube-apiserver, and a client of it.
#[expect(clippy::disallowed_methods, reason = "the test starts its own tasks")]
pub(crate) async fn mock_apiserver(
    responses: impl IntoIterator<Item = (u16, Value)>,
) -> (Arc<Script>, kube::Client) {
    let script = Arc::new(Script::default());
    script.responses.lock().unwrap().extend(responses);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shared = Arc::clone(&script);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let script = Arc::clone(&shared);
            let service = service_fn(move |request: Request<Incoming>| {
                let script = Arc::clone(&script);
                async move {
                    let path = request.uri().path().to_owned();
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    Ok::<_, Infallible>(script.respond(path, &body))
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    let url = format!("http://{address}").parse().unwrap();
    (script, kube::Client::try_from(kube::Config::new(url)).unwrap())
}

fn review(status: &Value) -> (u16, Value) {
    let kind = "SubjectAccessReview";
    let api = "authorization.k8s.io/v1";
    (201, json!({"apiVersion": api, "kind": kind, "metadata": {}, "spec": {}, "status": status}))
}

fn delete_attributes(name: &str) -> Attributes {
    let mut attributes = Attributes {
        verb: "delete".to_owned(),
        group: "test.io".to_owned(),
        version: "v1".to_owned(),
        resource: "things".to_owned(),
        subresource: "status".to_owned(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        label_selector: "a=b".to_owned(),
        ..Attributes::default()
    };
    let user = Arc::make_mut(&mut attributes.user);
    "alice".clone_into(&mut user.username);
    user.groups = vec!["dev".to_owned()];
    attributes
}

fn reviews(client: kube::Client) -> SubjectAccessReviews {
    SubjectAccessReviews::new(client, Duration::from_secs(10), Duration::from_secs(10))
}

#[tokio::test]
async fn a_review_contains_all_attributes_and_is_cached() {
    let (script, client) =
        mock_apiserver([review(&json!({"allowed": true, "reason": "because"}))]).await;
    let reviews = reviews(client);
    for _ in 0..3 {
        let decision = reviews.authorize(&delete_attributes("x")).await.unwrap();
        assert_eq!(decision, Decision::Allow("because".to_owned()));
    }
    reviews.authorize(&delete_attributes("y")).await.unwrap();
    assert_eq!(script.request_count(), 2, "one review for each set of attributes");
    let (path, review) = script.requests.lock().unwrap()[0].clone();
    assert_eq!(path, "/apis/authorization.k8s.io/v1/subjectaccessreviews");
    assert_eq!(
        review["spec"],
        json!({
            "user": "alice", "groups": ["dev"], "extra": {},
            "resourceAttributes": {
                "verb": "delete", "group": "test.io", "version": "v1", "resource": "things",
                "subresource": "status", "namespace": "shop", "name": "x",
                "labelSelector": {"rawSelector": "a=b"},
            },
        })
    );
}

#[tokio::test]
async fn a_review_fails_closed() {
    let failure = json!({"kind": "Status", "status": "Failure", "message": "no", "code": 403});
    for (response, expected) in [
        (review(&json!({"allowed": false})), Some(Decision::NoOpinion(String::new()))),
        (
            review(&json!({"allowed": false, "denied": true, "reason": "r"})),
            Some(Decision::Deny("r".to_owned())),
        ),
        (review(&json!({"allowed": true, "denied": true})), None),
        (review(&Value::Null), None),
        ((403, failure), None),
        ((200, json!("nonsense")), None),
    ] {
        // The paused clock skips the waits between attempts.
        let (script, client) = mock_apiserver([response]).await;
        let decision = with_paused_clock(reviews(client).authorize(&delete_attributes("x"))).await;
        assert_eq!(decision.ok(), expected);
        assert!(script.request_count() > 0);
    }
}

/// Runs work on a paused clock that advances in small steps, so that timers do not delay the test
/// but network I/O still proceeds.
async fn with_paused_clock<T>(work: impl Future<Output = T>) -> T {
    tokio::time::pause();
    let clock = async {
        loop {
            tokio::task::yield_now().await;
            tokio::time::advance(Duration::from_micros(50)).await;
        }
    };
    let done = tokio::select! {
        done = work => done,
        () = clock => unreachable!(),
    };
    tokio::time::resume();
    done
}

fn config_map(ca: &Authority, names: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "resourceVersion": "1"},
        "data": {
            "client-ca-file": ca.pem(),
            "requestheader-client-ca-file": ca.pem(),
            "requestheader-allowed-names": names,
            "requestheader-username-headers": "[\"X-Remote-User\"]",
        },
    })
}

#[tokio::test]
async fn request_header_config_is_from_the_config_map_and_an_invalid_one_changes_nothing() {
    let ca = Authority::new("front-proxy");
    let (script, client) = mock_apiserver([(200, config_map(&ca, "[\"one\"]"))]).await;
    let trust = Trust::open(TrustFiles::default()).unwrap();
    assert!(
        trust.snapshot().front_proxy.is_none(),
        "no front proxy is trusted before the ConfigMap is loaded"
    );
    let map = AuthenticationConfigMap::new(client, Arc::clone(&trust));
    map.load().await.unwrap();
    let names = |trust: &Trust| trust.snapshot().front_proxy.clone().unwrap().allowed_names;
    assert_eq!(names(&trust), ["one"]);
    assert_eq!(
        script.requests.lock().unwrap()[0].0,
        "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    );

    script.set(200, config_map(&ca, "nonsense"));
    assert!(map.load().await.is_err());
    assert_eq!(names(&trust), ["one"]);

    let closing = CancellationToken::new();
    script.set(200, config_map(&ca, "[\"two\"]"));
    let follow = map.run(closing.clone());
    tokio::select! {
        () = follow => panic!("run ends only when it is cancelled"),
        () = async {
            while names(&trust) != ["two"] {
                tokio::task::yield_now().await;
            }
        } => {}
    }
}

#[tokio::test]
async fn an_unusable_kubeconfig_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let error = connect(Some(&missing)).await.err().unwrap();
    assert_eq!(error.to_string(), format!("cannot use kubeconfig {}", missing.display()));

    let nonsense = write(folder.path(), "clusters: [");
    let error = connect(Some(&nonsense)).await.err().unwrap();
    assert_eq!(error.to_string(), format!("cannot use kubeconfig {}", nonsense.display()));

    // A port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let nowhere = write(
        folder.path(),
        &json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "k", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        })
        .to_string(),
    );
    let error = connect(Some(&nowhere)).await.err().unwrap();
    let expected = format!("kube-apiserver at http://{address}/ does not respond (its certificate");
    assert!(error.to_string().starts_with(&expected), "{error}");
}

fn write(folder: &Path, text: &str) -> std::path::PathBuf {
    let path = folder.join("kubeconfig");
    std::fs::write(&path, text).unwrap();
    path
}
