//! Watches and selectors: a response contains only objects that were authorized and that the audit
//! event names.

use super::Target;

/// Lists with selectors. The user `limited` may read only the object `allowed`.
const LISTS: &str = r"
limited GET {T}?fieldSelector=metadata.name=allowed => 200 list things shop/allowed
limited GET {T}?fieldSelector=metadata.name%3Dallowed => 200 list things shop/allowed
limited GET {T}?fieldSelector=metadata.name==allowed => 200 list things shop/allowed
limited GET {T}?fieldSelector=metadata.name%3D%3Dallowed => 200 list things shop/allowed
limited GET {T}?fieldSelector=metadata.name=secretb => 403 list things shop/secretb
limited GET {T}?fieldSelector=metadata.name!=allowed => 403 list things shop/
limited GET {T}?fieldSelector=metadata.name!=secretb => 403 list things shop/
limited GET {T}?fieldSelector=metadata.name=allowed,metadata.name=secretb => 200 list things shop/allowed
limited GET {T}?fieldSelector=metadata.name=secretb,metadata.name=allowed => 200 list things shop/allowed
limited GET {T}?fieldSelector=metadata.name=allowed&fieldSelector=metadata.name=secretb => 200 list things shop/allowed
limited GET {T}?fieldSelector=metadata.name=secretb&fieldSelector=metadata.name=allowed => 403 list things shop/secretb
limited GET {T}?fieldSelector=&fieldSelector=metadata.name=allowed => 403 list things shop/
limited GET {T}?fieldSelector=metadata.name=allowed&fieldSelector= => 200 list things shop/allowed
limited GET {T}?fieldSelector=%20metadata.name%20=allowed => 403 list things shop/
limited GET {T}?fieldSelector=metadata.name=allowed%20 => 403 list things shop/allowed
limited GET {T}?fieldSelector=metadata.name=%20allowed => 403 list things shop/ allowed
limited GET {T}?fieldSelector=,metadata.name=allowed => 200 list things shop/allowed
limited GET {T}?fieldSelector=metadata.name=allowed, => 200 list things shop/allowed
limited GET {T}?fieldSelector=metadata.name!=q%5C,metadata.name=allowed => 403 list things shop/
limited GET {T}?fieldSelector=metadata.name=q%5C,metadata.name=allowed => 403 list things shop/
limited GET {T}?fieldSelector=metadata.name!=q%5C%5C,metadata.name=allowed => 200 list things shop/allowed
limited GET {T}?fieldSelector=metadata.name%5C=allowed => 403 list things shop/
limited GET {T}?fieldSelector=metadata.name=allowed%5C,metadata.name!=x => 403 list things shop/
limited GET {T}?fieldSelector=metadata.name=allowed%5C => 403 list things shop/
limited GET {T}?fieldSelector=metadata.name=%5Callowed => 403 list things shop/
limited GET {T}?fieldSelector=metadata.name=allowed%00 => 403 list things shop/allowed\u{0}
limited GET {T}?fieldSelector=metadata.name=allowed/.. => 403 list things shop/
limited GET {T}?fieldSelector=metadata.name=. => 403 list things shop/
limited GET {T}?fieldSelector=metadata.name= => 403 list things shop/
limited GET {T}?fieldSelector=metadata.name => 403 list things shop/
limited GET {T}?fieldSelector==allowed => 403 list things shop/
limited GET {T}?fieldSelector=metadata.namespace=shop => 403 list things shop/
limited GET {T}?fieldSelector=metadata.namespace=shop,metadata.name=allowed => 200 list things shop/allowed
limited GET {T}?fieldSelector=metadata.namespace=other,metadata.name=allowed => 200 list things shop/allowed
limited GET {T}?fieldSelector=spec.size=1 => 403 list things shop/
limited GET {T}?fieldSelector=METADATA.NAME=allowed => 403 list things shop/
limited GET {T}?FieldSelector=metadata.name=allowed => 403 list things shop/
limited GET {T}?field%53elector=metadata.name=allowed => 200 list things shop/allowed
limited GET {T}?fieldSelector=metadata%2Ename=allowed => 200 list things shop/allowed
limited GET {T}?fieldSelector=metadata.name=allowed;limit=1 => 400 list things shop/
limited GET {T}?x;fieldSelector=metadata.name=allowed => 400 list things shop/
limited GET {T}?labelSelector=metadata.name=allowed => 403 list things shop/
limited GET {T}?fieldSelector=metadata.name=allowed&labelSelector=a%20in%20(b) => 200 list things shop/allowed
limited GET {T}?fieldSelector=metadata.name=allowed&labelSelector=!a => 200 list things shop/allowed
limited GET {T}?fieldSelector=metadata.name=allowed&limit=500 => 200 list things shop/allowed
limited GET {T}?fieldSelector=metadata.name=allowed&continue=x => 400 list things shop/allowed
limited GET {T}?name=allowed => 403 list things shop/
limited GET {T}/allowed?fieldSelector=metadata.name=secretb => 200 get things shop/allowed
limited GET {T}/secretb?fieldSelector=metadata.name=allowed => 403 get things shop/secretb
limited GET /apis/test.io/v1/things?fieldSelector=metadata.name=allowed => 200 list things /allowed
limited GET /apis/test.io/v1/things?fieldSelector=metadata.name=secretb => 403 list things /secretb
limited HEAD {T}?fieldSelector=metadata.name=allowed => 200 list things shop/allowed
limited HEAD {T}?fieldSelector=metadata.name=secretb => 403 list things shop/secretb
alice GET {T}?fieldSelector=metadata.name=allowed => 200 list things shop/allowed
alice GET {T}?fieldSelector=metadata.name!=allowed => 200 list things shop/
alice GET {T}?labelSelector=a%3D%3D%3Db => 400 list things shop/
alice GET {T}?labelSelector=( => 400 list things shop/
alice GET {T}?labelSelector=a%20in%20() => 200 list things shop/
alice GET {T}?labelSelector=%00 => 400 list things shop/
";

/// Watches. `timeoutSeconds=1` ends each watch that starts.
const WATCHES: &str = r"
limited GET {T}?watch=1&fieldSelector=metadata.name=allowed&timeoutSeconds=1 => 200 watch things shop/allowed
limited GET {T}?watch=1&timeoutSeconds=1 => 403 watch things shop/
limited GET {T}?watch=true&fieldSelector=metadata.name=secretb => 403 watch things shop/secretb
limited GET {T}?watch&fieldSelector=metadata.name=allowed&timeoutSeconds=1 => 200 watch things shop/allowed
limited GET {T}?watch=0&watch=1&fieldSelector=metadata.name=allowed => 200 list things shop/allowed
limited GET {T}?watch=1&watch=0&fieldSelector=metadata.name=allowed&timeoutSeconds=1 => 200 watch things shop/allowed
limited GET {T}?watch=FALSE&fieldSelector=metadata.name=allowed => 200 list things shop/allowed
limited GET {T}?watch=nonsense&fieldSelector=metadata.name=allowed&timeoutSeconds=1 => 200 watch things shop/allowed
limited GET {T}?watch=1&fieldSelector=metadata.name!=secretb => 403 watch things shop/
limited GET {T}?watch=1&fieldSelector=metadata.name=allowed,metadata.name=secretb&timeoutSeconds=1 => 200 watch things shop/allowed
limited GET {T}?watch=1&fieldSelector=metadata.name=allowed&fieldSelector=metadata.name=secretb&timeoutSeconds=1 => 200 watch things shop/allowed
limited GET {T}?watch=1&fieldSelector=metadata.name!=q%5C,metadata.name=allowed => 403 watch things shop/
limited GET {T}/allowed?watch=1 => 200 get things shop/allowed
limited GET {T}/secretb?watch=1 => 403 get things shop/secretb
limited GET /apis/test.io/v1/watch/namespaces/shop/things/allowed?timeoutSeconds=1 => 200 watch things shop/allowed
limited GET /apis/test.io/v1/watch/namespaces/shop/things/allowed/?timeoutSeconds=1 => 200 watch things shop/allowed
limited GET /apis/test.io/v1/watch/namespaces/shop/things/secretb?timeoutSeconds=1 => 403 watch things shop/secretb
limited GET /apis/test.io/v1/watch/namespaces/shop/things?timeoutSeconds=1 => 403 watch things shop/
limited GET /apis/test.io/v1/watch/namespaces/shop/things/ => 403 watch things shop/
limited GET /apis/test.io/v1/watch/namespaces/shop/things//allowed => 403 watch things/allowed shop/
limited GET /apis/test.io/v1/watch/namespaces/shop/things?fieldSelector=metadata.name=allowed => 403 watch things shop/
limited GET /apis/test.io/v1/watch/namespaces/shop/things/allowed?fieldSelector=metadata.name=allowed&timeoutSeconds=1 => 200 watch things shop/allowed
limited GET /apis/test.io/v1/watch/namespaces/shop/things/allowed?fieldSelector=metadata.name=secretb => 400 watch things shop/allowed
limited GET /apis/test.io/v1/watch/namespaces/shop/things/allowed?fieldSelector=metadata.name!=secretb => 400 watch things shop/allowed
limited GET /apis/test.io/v1/watch/namespaces/shop/things/allowed?fieldSelector=metadata.namespace=shop => 400 watch things shop/allowed
limited GET /apis/test.io/v1/watch/namespaces/shop/things/allowed?labelSelector=!x&timeoutSeconds=1 => 200 watch things shop/allowed
limited GET /apis/test.io/v1/watch/namespaces/shop/things/allowed/status => 403 watch things/status shop/allowed
limited GET /apis/test.io/v1/watch/namespaces/shop/things/%61llowed?timeoutSeconds=1 => 200 watch things shop/allowed
limited GET /apis/test.io/v1/watch/namespaces/shop/things/allowed%2fsecretb => 403 watch things/secretb shop/allowed
limited GET /apis/test.io/v1/watch/things/allowed?timeoutSeconds=1 => 404 watch things /allowed
limited GET /apis/test.io/v1/watch/things?timeoutSeconds=1 => 403 watch things /
limited GET /apis/test.io/v1/watch/watch/namespaces/shop/things/allowed => 403 watch watch/shop /namespaces
limited GET /apis/test.io/v1/Watch/namespaces/shop/things/allowed => 403 get Watch/shop /namespaces
limited GET /apis/test.io/v1/namespaces/shop/watch/things/allowed => 403 get watch/allowed shop/things
limited GET //apis/test.io/v1/watch/namespaces/shop/things/allowed?timeoutSeconds=1 => 404 watch things shop/allowed
limited HEAD /apis/test.io/v1/watch/namespaces/shop/things/allowed?timeoutSeconds=1 => 200 watch things shop/allowed
limited HEAD {T}?watch=1&fieldSelector=metadata.name=allowed&timeoutSeconds=1 => 200 watch things shop/allowed
limited POST /apis/test.io/v1/watch/namespaces/shop/things/allowed?timeoutSeconds=1 => 405 watch things shop/allowed
limited PUT /apis/test.io/v1/watch/namespaces/shop/things/allowed?timeoutSeconds=1 => 405 watch things shop/allowed
limited DELETE /apis/test.io/v1/watch/namespaces/shop/things/allowed?timeoutSeconds=1 => 405 watch things shop/allowed
limited OPTIONS /apis/test.io/v1/watch/namespaces/shop/things/allowed?timeoutSeconds=1 => 405 watch things shop/allowed
limited POST {T}?watch=1&fieldSelector=metadata.name=allowed => 403 create things shop/
limited DELETE {T}?watch=1&fieldSelector=metadata.name=allowed => 403 deletecollection things shop/
limited DELETE /apis/test.io/v1/watch/namespaces/shop/things/secretb => 403 watch things shop/secretb
limited GET {T}?watch=1&fieldSelector=metadata.name=allowed&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1 => 200 watch things shop/allowed
limited GET {T}?watch=1&fieldSelector=metadata.name=allowed&sendInitialEvents=true => 422 watch things shop/allowed
limited GET {T}?watch=1&fieldSelector=metadata.name=allowed&continue=x => 422 watch things shop/allowed
limited GET {T}?watch=1&fieldSelector=metadata.name=allowed&resourceVersion=x => 400 watch things shop/allowed
limited GET {T}?watch=1&fieldSelector=metadata.name=allowed&resourceVersion=99999999999 => 410 watch things shop/allowed
limited GET {T}?watch=1&fieldSelector=metadata.name=allowed&timeoutSeconds=-1 => 400 watch things shop/allowed
limited GET {T}?watch=1&fieldSelector=metadata.name=allowed&timeoutSeconds=x => 400 watch things shop/allowed
limited GET {T}?watch=1&fieldSelector=metadata.name=allowed&timeoutSeconds=1 | Accept: application/json;as=Table;v=v1;g=meta.k8s.io => 200 watch things shop/allowed
limited GET {T}?watch=1&fieldSelector=metadata.name=allowed&timeoutSeconds=1 | Accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io => 200 watch things shop/allowed
limited GET {T}?watch=1&fieldSelector=metadata.name=allowed | Accept: application/yaml => 406 watch things shop/allowed
alice GET /apis/test.io/v1/watch/notes?timeoutSeconds=1 => 200 watch notes /
alice GET /apis/test.io/v1/watch/notes/one?timeoutSeconds=1 => 200 watch notes /one
alice GET /apis/test.io/v1/watch/namespaces/shop/keys/one?timeoutSeconds=1 => 200 watch keys shop/one
alice GET /apis/test.io/v1/watch/namespaces/shop/things/allowed?timeoutSeconds=1 => 200 watch things shop/allowed
mallory GET /apis/test.io/v1/watch/namespaces/shop/things/allowed => 403 watch things shop/allowed
mallory GET {T}?watch=1&fieldSelector=metadata.name=allowed => 403 watch things shop/allowed
anonymous GET /apis/test.io/v1/watch/namespaces/shop/things/allowed => 401 watch things shop/allowed
anonymous GET {T}?watch=1 => 401 watch things shop/
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_selector_lists_more_than_the_authorized_object() {
    let mut target = Target::open().await;
    target.lines(LISTS).await;
    let count = target.close().await;
    assert!(count > 50, "{count}");
}

/// Regression: a watch of one name below `/watch/` sent every object, and the event named only one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_path_watches_more_than_the_authorized_object() {
    let mut target = Target::open().await;
    target.lines(WATCHES).await;
    let count = target.close().await;
    assert!(count > 50, "{count}");
}
