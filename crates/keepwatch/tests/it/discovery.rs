//! `kubectl api-resources`: names, short names, and the kinds that `kubectl get all` lists.

use std::collections::BTreeSet;
use std::process::Stdio;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIResource, APIResourceList};

use crate::server::{TestServer, runtime};

/// Short names of kinds of Kubernetes, as in kube-apiserver. K10 documents none for its kinds.
const KUBERNETES: [(&str, &str); 3] = [("events", "ev"), ("namespaces", "ns"), ("services", "svc")];
/// Short names of our kinds.
const OURS: [(&str, &str); 2] = [("auditevents", "ae"), ("signals", "sig")];

/// Short names of other kinds in Kubernetes, Istio, cert-manager and the CSI snapshotter.
const USED_ELSEWHERE: &str = "po rc svc sa pvc pv no cm ep limits quota crd ds deploy rs sts hpa cj \
                              csr ing netpol pdb pc sc cs va dr vs se gw cert cr vsc vss vs all";

/// Every served kind, without subresources.
async fn kinds(client: &kube::Client) -> Vec<APIResource> {
    let mut lists: Vec<APIResourceList> = vec![client.list_core_api_resources("v1").await.unwrap()];
    for group in client.list_api_groups().await.unwrap().groups {
        for version in group.versions {
            lists.push(client.list_api_group_resources(&version.group_version).await.unwrap());
        }
    }
    let all = lists.into_iter().flat_map(|list| list.resources);
    all.filter(|resource| !resource.name.contains('/')).collect()
}

#[test]
fn short_names_and_categories_are_those_of_kubernetes_and_k10_and_two_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::up(&folder.path().join("home"), &[], Stdio::null());
    let kinds = runtime().block_on(async { kinds(&server.client("admin", None).await).await });
    assert!(server.stop().0.success());
    assert!(kinds.len() >= 33, "{}", kinds.len());
    let mut short_names = BTreeSet::new();
    let mut names = BTreeSet::new();
    for kind in &kinds {
        // The kinds that `kubectl get all` lists.
        let expected: &[&str] = if kind.name == "services" { &["all"] } else { &[] };
        assert_eq!(kind.categories.as_deref().unwrap_or_default(), expected, "{}", kind.name);
        assert_eq!(kind.singular_name, kind.kind.to_lowercase(), "{}", kind.name);
        let short = kind.short_names.iter().flatten();
        short_names.extend(short.clone().map(|short| (kind.name.as_str(), short.as_str())));
        for name in short.chain([&kind.name, &kind.singular_name]) {
            assert!(names.insert(name.clone()), "two kinds are called {name}");
        }
    }
    assert_eq!(short_names, KUBERNETES.into_iter().chain(OURS).collect());
    for (_, short) in OURS {
        assert!(!USED_ELSEWHERE.split(' ').any(|used| used == short), "{short}");
    }
}
