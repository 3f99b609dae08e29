//! Methods and request targets: for any form of the path, authorization and the event name the
//! actual operation.

use super::Target;

/// Paths that resemble other paths.
const PATHS: &str = r"
alice GET {T} => 200 list things shop/
alice GET {T}/ => 200 list things shop/
alice GET {T}// => 200 list things shop/
alice GET {T}/allowed => 200 get things shop/allowed
alice GET {T}/allowed/ => 200 get things shop/allowed
alice GET {T}/allowed// => 200 get things shop/allowed
alice GET {T}//allowed => 403 list things/allowed shop/
alice GET {T}/./allowed => 403 get things/allowed shop/.
alice GET {T}/../things/allowed => 403 get things/things shop/..
alice GET {T}/x/../allowed => 403 get things/.. shop/x
alice GET {T}/%61llowed => 200 get things shop/allowed
alice GET {T}/%2561llowed => 404 get things shop/%61llowed
alice GET {T}/%2e%2e/things/allowed => 403 get things/things shop/..
alice GET {T}/..%2fthings%2fallowed => 403 get things/things shop/..
alice GET {T}%2fallowed => 200 get things shop/allowed
alice GET {T}/allowed%2f => 200 get things shop/allowed
alice GET {T}/allowed%2fstatus => 403 get things/status shop/allowed
alice GET {T}/allowed%00 => 404 get things shop/allowed\u{0}
alice GET {T}/%00 => 404 get things shop/\u{0}
alice GET {T}/allowed%0d%0aX-Remote-User:%20root => 404 get things shop/allowed\r\nX-Remote-User: root
alice GET {T}/allowed%20x => 404 get things shop/allowed x
alice GET {T}/allowed+ => 404 get things shop/allowed+
alice GET {T}/allowed;a=b => 404 get things shop/allowed;a=b
alice GET {T};a=b/allowed => 403 get things;a=b shop/allowed
alice GET {T}/allowed%3fwatch=1 => 404 get things shop/allowed?watch=1
alice GET {T}/allowed%23x => 404 get things shop/allowed#x
alice GET {T}/allowed# => 200 get things shop/allowed
alice GET {T}/allowed#/../secretb => 200 get things shop/allowed
alice GET {T}/ALLOWED => 404 get things shop/ALLOWED
alice GET {T}/allowed\xff => 400 -
alice GET {T}/allowed%ff => 404 get things shop/allowed\u{fffd}
alice GET {T}/allowed%c0%af => 404 get things shop/allowed\u{fffd}\u{fffd}
alice GET {T}/allowed%u002f => 400 -
alice GET {T}/allowed% => 400 -
alice GET {T}/allowed%2 => 400 -
alice GET {T}/allowed%zz => 400 -
alice GET {T}\x5callowed => 403 list things\\allowed shop/
alice GET {T}/%5callowed => 404 get things shop/\\allowed
alice GET {T}/%E2%80%AEallowed => 404 get things shop/\u{202e}allowed
alice GET {T}/%EF%BC%8Fallowed => 404 get things shop/\u{ff0f}allowed
alice GET {T}/. => 404 get things shop/.
alice GET {T}/.. => 404 get things shop/..
alice GET {T}/%2e => 404 get things shop/.
alice GET /APIS/test.io/v1/namespaces/shop/things/allowed => 404 get path
alice GET /apis/TEST.IO/v1/namespaces/shop/things/allowed => 403 get things shop/allowed
alice GET /apis/test.io./v1/namespaces/shop/things/allowed => 403 get things shop/allowed
alice GET /apis/test.io/V1/namespaces/shop/things/allowed => 404 get things shop/allowed
alice GET /apis/test.io/v1alpha1/namespaces/shop/things/allowed => 404 get things shop/allowed
alice GET /apis/test.io/v1/Namespaces/shop/things/allowed => 403 get Namespaces/things /shop
alice GET /apis/test.io/v1/namespaces/SHOP/things/allowed => 404 get things SHOP/allowed
alice GET /apis/test.io/v1/namespaces/shop%2fthings/allowed => 200 get things shop/allowed
alice GET /apis/test.io/v1/namespaces/shop/Things/allowed => 403 get Things shop/allowed
alice GET /apis/test.io/v1/namespaces/shop/thing/allowed => 403 get thing shop/allowed
alice GET /apis/test.io/v1/namespaces//things/allowed => 404 get things /allowed
alice GET /apis/test.io/v1/namespaces/%20/things/allowed => 404 get things  /allowed
alice GET /apis/test.io/v1/namespaces/../things/allowed => 404 get things ../allowed
alice GET /apis/test.io/v1/namespaces/shop/../shop/things/allowed => 403 get ../things shop/shop
alice GET /apis/test.io/v1//namespaces/shop/things/allowed => 404 get /shop /namespaces
alice GET /apis//v1/namespaces/shop/things/allowed => 403 get things shop/allowed
alice GET /apis/test.io//namespaces/shop/things/allowed => 404 get things shop/allowed
alice GET //apis/test.io/v1/namespaces/shop/things/allowed => 404 get things shop/allowed
alice GET /./apis/test.io/v1/namespaces/shop/things/allowed => 404 get path
alice GET /../apis/test.io/v1/namespaces/shop/things/allowed => 404 get path
alice GET /%61pis/test.io/v1/namespaces/shop/things/allowed => 200 get things shop/allowed
alice GET /api/test.io/v1/namespaces/shop/things/allowed => 403 get v1/shop /namespaces
alice GET /api/v1/namespaces/shop/things/allowed => 403 get things shop/allowed
alice GET /apis/v1/namespaces/shop/things/allowed => 403 get shop/allowed /things
alice GET /apis/test.io/v1/things => 200 list things /
alice GET /apis/test.io/v1/things/allowed => 404 get things /allowed
alice GET /apis/test.io/v1/things/allowed/status => 403 get things/status /allowed
alice GET /apis/test.io/v1/namespaces => 403 list namespaces /
alice GET /apis/test.io/v1/namespaces/shop => 403 get namespaces shop/shop
alice GET /apis/test.io/v1/namespaces/shop/status => 403 get namespaces/status shop/shop
alice GET /apis/test.io/v1/namespaces/shop/finalize => 403 get namespaces/finalize shop/shop
alice GET /apis/test.io/v1/namespaces/shop/things/allowed/status => 403 get things/status shop/allowed
alice GET /apis/test.io/v1/namespaces/shop/things/allowed/status/more => 403 get things/status shop/allowed
alice GET /apis/test.io/v1/namespaces/shop/things/allowed/scale => 403 get things/scale shop/allowed
alice GET /apis/test.io/v1/namespaces/shop/things/allowed/log => 403 get things/log shop/allowed
alice GET /apis/test.io/v1/namespaces/shop/things/allowed/exec?command=sh => 403 get things/exec shop/allowed
alice GET /apis/test.io/v1/proxy/namespaces/shop/things/allowed => 405 proxy things shop/allowed
alice GET /apis/test.io/v1/redirect/namespaces/shop/things/allowed => 403 get redirect/shop /namespaces
alice GET /apis/test.io/v1/namespaces/shop/things/allowed/proxy/http://evil => 403 get things/proxy shop/allowed
alice GET /apis/test.io/v1/namespaces/shop/notes => 404 list notes shop/
alice GET /apis/test.io/v1/notes => 200 list notes /
alice GET /apis/test.io/v1/namespaces/notes => 403 get namespaces notes/notes
alice GET /apis/test.io/v1/nodes => 403 list nodes /
alice GET /apis/test.io => 200 get path
alice GET /apis/test.io/v1 => 200 get path
alice GET /apis/test.io/v1/ => 200 get path
alice GET /apis/test.io/v1/watch => 403 watch  /
alice GET /apis/test.io/v1/proxy => 403 proxy  /
alice GET /healthz => 200 -
alice GET /healthz/ => 200 -
alice GET /healthz/.. => 404 -
alice GET /healthz/../apis/test.io/v1/namespaces/shop/things/allowed => 404 -
alice GET /healthz%2f..%2fapis%2ftest.io%2fv1%2fnamespaces%2fshop%2fthings => 404 -
alice GET /healthz/%2e%2e/apis/test.io/v1/namespaces/shop/things => 404 -
alice GET /healthz;/apis/test.io/v1/namespaces/shop/things => 404 -
alice GET /healthz?/apis/test.io/v1/namespaces/shop/things => 200 -
alice GET /healthzfoo => 404 -
alice GET /HEALTHZ => 404 get path
alice GET /%68ealthz => 200 -
alice GET //healthz => 404 get path
alice GET /metrics/../apis/test.io/v1/namespaces/shop/things => 404 get path
alice GET http://other.example/apis/test.io/v1/namespaces/shop/things/allowed => 200 get things shop/allowed
alice GET https://localhost{T}/allowed => 200 get things shop/allowed
alice GET http://root:pass@localhost{T}/allowed => 200 get things shop/allowed
alice GET http://localhost/healthz/..{T}/allowed => 404 -
alice GET file:///etc/passwd => 400 -
mallory GET {T}/allowed => 403 get things shop/allowed
mallory GET {T} => 403 list things shop/
mallory GET /apis/test.io/v1/things => 403 list things /
mallory GET /apis//v1/namespaces/shop/things/allowed => 403 get things shop/allowed
mallory GET //apis/test.io/v1/namespaces/shop/things/allowed => 403 get things shop/allowed
mallory GET /apis/test.io/v1/namespaces/shop/things/allowed/status => 403 get things/status shop/allowed
mallory GET /healthz => 200 -
mallory GET /healthz/../apis/test.io/v1/namespaces/shop/things/allowed => 403 -
mallory GET /metrics => 403 -
mallory GET /version => 403 get path
mallory GET /openapi/v2/../../apis => 403 get path
limited GET {T}/allowed => 200 get things shop/allowed
limited GET {T}/allowed/ => 200 get things shop/allowed
limited GET {T}/secretb => 403 get things shop/secretb
limited GET {T} => 403 list things shop/
limited GET {T}/ => 403 list things shop/
limited GET {T}//allowed => 403 list things/allowed shop/
limited GET {T}/allowed/../secretb => 403 get things/.. shop/allowed
limited GET {T}/allowed%2f..%2fsecretb => 403 get things/.. shop/allowed
limited GET {T}/allowed;/secretb => 403 get things/secretb shop/allowed;
limited GET {T}/allowed%00secretb => 403 get things shop/allowed\u{0}secretb
limited GET {T}/secretb?name=allowed => 403 get things shop/secretb
limited GET /apis/test.io/v1/namespaces/other/things/allowed => 404 get things other/allowed
limited GET /apis/test.io/v1/namespaces/allowed/things/secretb => 403 get things allowed/secretb
anonymous GET {T}/allowed => 401 get things shop/allowed
anonymous GET /healthz => 401 -
anonymous GET /nothing => 401 get path
";

/// Methods, and headers that override the method.
const METHODS: &str = r"
alice HEAD {T}/allowed => 200 get things shop/allowed
alice HEAD {T} => 200 list things shop/
alice HEAD {T}/nothing => 404 get things shop/nothing
limited HEAD {T}/secretb => 403 get things shop/secretb
alice OPTIONS {T}/allowed => 405  things shop/allowed
alice OPTIONS * => 403 options path
alice GET * => 404 get path
alice TRACE {T}/allowed => 405  things shop/allowed
alice CONNECT localhost:443 => 400 connect path
alice CONNECT {T}/allowed => 400  things shop/allowed
alice PUT {T}/allowed => 400 update things shop/allowed
alice PUT {T} => 405 update things shop/
alice PATCH {T}/allowed => 405 patch things shop/allowed
alice PATCH {T} => 405 patch things shop/
alice DELETE {T} => 405 deletecollection things shop/
alice DELETE {T}/ => 405 deletecollection things shop/
alice DELETE {T}?fieldSelector=metadata.name=secretb => 405 deletecollection things shop/
alice DELETE {T}/nothing => 404 delete things shop/nothing
alice DELETE /apis/test.io/v1/things => 405 deletecollection things /
alice DELETE /apis/test.io/v1/namespaces/shop => 403 delete namespaces shop/shop
alice DELETE /apis/test.io/v1/watch/namespaces/shop/things/secretb => 405 watch things shop/secretb
alice DELETE {T}/secretb/status => 403 delete things/status shop/secretb
alice POST {T} => 400 create things shop/
alice POST {T}/allowed => 405 create things shop/allowed
alice POST {T}/allowed/status => 403 create things/status shop/allowed
alice POST {T}/allowed/eviction => 403 create things/eviction shop/allowed
alice POST /healthz => 200 -
alice DELETE /healthz => 200 -
alice PROPFIND {T}/allowed => 405  things shop/allowed
alice get {T}/allowed => 405  things shop/allowed
alice Delete {T}/secretb => 405  things shop/secretb
alice GETS {T}/allowed => 405  things shop/allowed
alice PURGE {T}/secretb => 405  things shop/secretb
alice LINK {T}/secretb => 405  things shop/secretb
alice PRI * => 403 pri path
alice G@T {T}/allowed => 400 -
alice GET {T}/secretb | X-HTTP-Method-Override: DELETE => 200 get things shop/secretb
alice GET {T}/secretb | X-HTTP-Method: DELETE => 200 get things shop/secretb
alice GET {T}/secretb | X-Method-Override: DELETE => 200 get things shop/secretb
alice POST {T}/secretb | X-HTTP-Method-Override: DELETE => 405 create things shop/secretb
alice GET {T}/secretb?_method=DELETE => 200 get things shop/secretb
alice GET /healthz | X-Original-URL: /apis/test.io/v1/namespaces/shop/things => 200 -
alice GET /nothing | X-Rewrite-URL: /apis/test.io/v1/namespaces/shop/things => 404 get path
alice GET {T}/allowed | X-Forwarded-Uri: /healthz => 200 get things shop/allowed
alice GET {T}/allowed | X-Forwarded-Prefix: /healthz => 200 get things shop/allowed
alice GET {T}/allowed | Host: kubernetes.default.svc => 200 get things shop/allowed
alice GET {T}/allowed | Host: => 200 get things shop/allowed
alice GET {T}/allowed | Host: a | Host: b => 400 -
alice GET {T}/allowed | Host: [::1 => 200 get things shop/allowed
alice GET {T}/allowed | Upgrade: h2c => 200 get things shop/allowed
alice GET {T}/allowed | Upgrade: websocket => 200 get things shop/allowed
alice GET {T}/allowed | Upgrade: SPDY/3.1 => 200 get things shop/allowed
alice GET {T}?watch=1&timeoutSeconds=1 | Upgrade: SPDY/3.1 => 200 watch things shop/
alice GET {T}?watch=1&timeoutSeconds=1 | Upgrade: websocket => 200 watch things shop/
alice GET /healthz | Upgrade: x => 200 -
alice POST {T}/allowed/exec | Upgrade: SPDY/3.1 => 403 create things/exec shop/allowed
alice GET {T}/allowed | Range: bytes=0-1 => 200 get things shop/allowed
alice GET {T}/allowed | If-None-Match: * => 200 get things shop/allowed
alice DELETE {T}/nothing | If-Match: x => 404 delete things shop/nothing
alice GET {T}/allowed | Accept: text/html => 406 get things shop/allowed
alice GET {T}/allowed | Accept: application/json;as=Table;v=v1;g=meta.k8s.io => 200 get things shop/allowed
alice GET {T}/allowed | Accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io => 406 get things shop/allowed
alice GET {T}/allowed | Accept: application/vnd.kubernetes.protobuf => 406 get things shop/allowed
alice GET {T}/allowed | Accept: application/cbor => 406 get things shop/allowed
alice GET {T}/allowed | Accept: application/yaml => 200 get things shop/allowed
alice GET {T}/allowed?pretty=1&pretty=0 => 200 get things shop/allowed
alice GET {T}/allowed?timeout=0 => 200 get things shop/allowed
alice GET {T}/allowed?timeout=-1s => 400 get things shop/allowed
alice GET {T}/allowed?timeout=99999h => 200 get things shop/allowed
alice GET {T}/allowed?timeout=x => 400 get things shop/allowed
alice GET {T}/allowed?timeout=1s&timeout=x => 200 get things shop/allowed
alice GET {T}/allowed?resourceVersion=0 => 200 get things shop/allowed
alice GET {T}/allowed?resourceVersion=-1 => 400 get things shop/allowed
alice GET {T}/allowed?resourceVersion=x => 400 get things shop/allowed
alice GET {T}/allowed?resourceVersion=18446744073709551616 => 400 get things shop/allowed
alice GET {T}?limit=-1 => 200 list things shop/
alice GET {T}?limit=x => 400 list things shop/
alice GET {T}?limit=99999999999999999999 => 400 list things shop/
alice GET {T}?continue=x => 400 list things shop/
alice GET {T}?continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIuLi8uLi8ifQ => 400 list things shop/
alice GET {T}?resourceVersionMatch=Exact => 422 list things shop/
alice GET {T}?resourceVersion=0&resourceVersionMatch=Exact => 422 list things shop/
alice GET {T}?sendInitialEvents=true => 422 list things shop/
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn misleading_paths_are_recorded_as_the_actual_operation() {
    let mut target = Target::open().await;
    target.lines(PATHS).await;
    let count = target.close().await;
    assert!(count > 100, "{count}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_and_override_headers_do_what_is_recorded() {
    let mut target = Target::open().await;
    target.lines(METHODS).await;
    let count = target.close().await;
    assert!(count > 60, "{count}");
}
