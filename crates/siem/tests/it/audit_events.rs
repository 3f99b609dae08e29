//! Audit events: the journal, listed with selectors, in pages, in either order, and watched.

use event::annotations::SOURCE;
use event::{Event, ObjectReference, Stage, Status, Timestamp, UserInfo};
use expect_test::expect;
use serde_json::Value;

use siem::audit_event::EventLog;
use std::sync::Arc;
use store::Sqlite;

use super::server::{START, TestServer, damaged_log_of, log_of};

const EVENTS: &str = "/apis/siem.keepwatch.io/v1alpha1/auditevents";

/// The event number `n`: two users and three verbs alternate, one event per second.
fn event(n: i64) -> Event {
    let time = Timestamp::from_micros(START + n * 1_000_000);
    let user = if n % 2 == 0 { "alice" } else { "mallory" };
    let verb = ["get", "list", "delete"][usize::try_from(n).unwrap() % 3];
    Event {
        audit_id: format!("id-{n}"),
        request_uri: "/x".to_owned(),
        user: UserInfo { username: user.to_owned(), ..UserInfo::default() },
        source_ips: vec!["192.0.2.7".to_owned(), "10.0.0.1".to_owned()],
        object_ref: Some(ObjectReference {
            resource: "restorepoints".to_owned(),
            namespace: "shop".to_owned(),
            name: format!("rp-{n}"),
            api_group: "apps.kio.kasten.io".to_owned(),
            ..ObjectReference::default()
        }),
        response_status: Some(Status { code: 200, ..Status::default() }),
        request_received_timestamp: time,
        ..Event::internal(Stage::ResponseComplete, verb, time)
    }
}

async fn record(server: &TestServer, events: impl Iterator<Item = i64>) {
    for n in events {
        server.advance(1);
        store::append(&server.store, event::record::write(&event(n))).await.unwrap();
    }
}

async fn server(count: i64) -> TestServer {
    server_of(count, log_of).await
}

async fn server_of(count: i64, log: impl FnOnce(&Sqlite) -> Arc<dyn EventLog>) -> TestServer {
    let server = TestServer::open_with(|store| siem::Services {
        log: log(store),
        ..siem::Services::default()
    });
    record(&server, 1..=count).await;
    server
}

/// The names of the objects of the events in a list, and its continue token.
fn listed(list: &Value) -> (String, String) {
    let items = list["items"].as_array().unwrap().iter();
    let names = items.filter_map(|item| item["event"]["objectRef"]["name"].as_str());
    let next = list["metadata"]["continue"].as_str().unwrap_or_default();
    (names.collect::<Vec<_>>().join(" "), next.to_owned())
}

#[tokio::test]
async fn events_are_listed_like_a_log() {
    let server = server(2).await;
    let table = server.table(&format!("GET {EVENTS}")).await;
    expect![[r"
        Name  Time  User  Verb  Resource  Namespace  Object  Code  IP  Source  Subresource  As  Agent  Audit ID
        00000000000000000001  2026-11-23T09:30:01.000000Z  mallory  list  restorepoints  shop  rp-1  200  192.0.2.7  keepwatch  null  null  null  id-1
        00000000000000000002  2026-11-23T09:30:02.000000Z  alice  delete  restorepoints  shop  rp-2  200  192.0.2.7  keepwatch  null  null  null  id-2
    "]]
    .assert_eq(&table);
    let (code, event) = server.send(&format!("GET {EVENTS}/00000000000000000002"), "").await;
    assert_eq!((code, event["event"]["auditID"].as_str()), (200, Some("id-2")));
    assert_eq!(event["metadata"]["resourceVersion"], "2");
    for name in ["00000000000000000099", "2", "00000000000000000000", "x"] {
        assert_eq!(server.send(&format!("GET {EVENTS}/{name}"), "").await.0, 404, "{name}");
    }
}

#[tokio::test]
async fn selectors_find_events() {
    let server = server(12).await;
    for (selector, expected) in [
        ("user=mallory,verb=delete", "rp-5 rp-11"),
        ("user!=mallory,verb=delete", "rp-2 rp-8"),
        ("auditID=id-7", "rp-7"),
        ("name=rp-3,namespace=shop,resource=restorepoints,group=apps.kio.kasten.io", "rp-3"),
        ("code=200,sourceIP=10.0.0.1,auditID=id-4", "rp-4"),
        ("code=403", ""),
        ("sourceIP=10.0.0.2", ""),
        ("stage=Panic", ""),
        ("since=2026-11-23T09:30:03Z,until=2026-11-23T09:30:06Z", "rp-3 rp-4 rp-5"),
        ("since=2026-11-23T09:30:11Z,order=newest", "rp-12 rp-11"),
        ("metadata.name=00000000000000000009", "rp-9"),
        ("metadata.name=nonsense", ""),
        ("verb=delete,order=newest", "rp-11 rp-8 rp-5 rp-2"),
    ] {
        let line = format!("GET {EVENTS}?fieldSelector={selector}");
        let (code, list) = server.send(&line, "").await;
        assert_eq!((code, listed(&list).0.as_str()), (200, expected), "{selector}");
    }
    let (_, list) = server.send(&format!("GET {EVENTS}?labelSelector=a"), "").await;
    assert_eq!(listed(&list).0, "");
}

#[tokio::test]
async fn an_event_of_a_source_has_its_name() {
    let server = server(1).await;
    let mut foreign = event(2);
    foreign.annotations.insert(SOURCE.to_owned(), "audit-webhook-prod".to_owned());
    store::append(&server.store, event::record::write(&foreign)).await.unwrap();
    for (selector, expected) in [
        ("source=audit-webhook-prod", "rp-2"),
        ("source=keepwatch", "rp-1"),
        ("source!=keepwatch,verb=delete", "rp-2"),
        ("source=audit-webhook-test", ""),
        ("source=", ""),
    ] {
        let (code, list) = server.send(&format!("GET {EVENTS}?fieldSelector={selector}"), "").await;
        assert_eq!((code, listed(&list).0.as_str()), (200, expected), "{selector}");
    }
    let (_, event) = server.send(&format!("GET {EVENTS}/00000000000000000002"), "").await;
    assert_eq!(event["source"], "audit-webhook-prod");
}

#[tokio::test]
async fn an_invalid_selector_is_rejected() {
    let server = server(1).await;
    let mut outcome = String::new();
    for selector in ["since=now", "since!=2026-11-23T09:30:03Z", "order=random", "level=Request"] {
        outcome +=
            &(server.outcome(&format!("GET {EVENTS}?fieldSelector={selector}"), "").await + "\n");
    }
    expect![[r"
        400 the field selector since=now is not an RFC 3339 time such as 2026-11-23T09:30:00Z
        400 the field selector since!= is not supported: use since=
        400 the field selector order=random is not supported: use order=oldest or order=newest
        400 field label not supported: level
    "]]
    .assert_eq(&outcome);
}

/// Reads all pages of a list. It does not contain events that are recorded meanwhile.
async fn pages(server: &TestServer, selector: &str) -> Vec<String> {
    let (mut pages, mut next) = (Vec::new(), String::new());
    loop {
        let line = format!("GET {EVENTS}?limit=2&fieldSelector={selector}&continue={next}");
        let (code, list) = server.send(&line, "").await;
        assert_eq!(code, 200, "{list}");
        let (names, after) = listed(&list);
        pages.push(names);
        if after.is_empty() {
            return pages;
        }
        next = after;
    }
}

#[tokio::test]
async fn pages_show_one_revision_from_either_end() {
    let server = server(7).await;
    let oldest = pages(&server, "namespace=shop").await;
    assert_eq!(oldest, ["rp-1 rp-2", "rp-3 rp-4", "rp-5 rp-6", "rp-7"]);
    let newest = pages(&server, "namespace=shop,order=newest").await;
    assert_eq!(newest, ["rp-7 rp-6", "rp-5 rp-4", "rp-3 rp-2", "rp-1"]);
}

#[tokio::test]
async fn pages_are_bounded() {
    let server = server(1_300).await;
    let (_, list) = server.send(&format!("GET {EVENTS}"), "").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 500);
    assert_ne!(listed(&list).1, "");
    let line = format!("GET {EVENTS}?fieldSelector=order=newest,user=alice,verb=get&limit=500");
    let (_, list) = server.send(&line, "").await;
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 216);
    assert_eq!(items[0]["event"]["auditID"], "id-1296");
    assert_eq!(items[215]["event"]["auditID"], "id-6");
    let line = format!("GET {EVENTS}?fieldSelector=since=2026-11-23T09:51:00Z,verb=list");
    let (_, list) = server.send(&line, "").await;
    assert_eq!(list["items"][0]["event"]["auditID"], "id-1261");
}

#[tokio::test]
async fn reads_of_events_do_not_record_the_events_again() {
    let server = server(1).await;
    server.send(&format!("GET {EVENTS}"), "").await;
    server.send(&format!("GET {EVENTS}/00000000000000000001"), "").await;
    let events = server.events().await;
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| event.response_object.is_none()));
    assert_eq!(events[1].object_ref.as_ref().unwrap().resource, "auditevents");
}

/// Regression: a list silently omitted damaged records, and a GET of such an event returned 404.
#[tokio::test]
async fn lists_warn_about_unreadable_records() {
    let server = server_of(9, |store| damaged_log_of(store, &[3, 7])).await;
    let warning = |seq: u64| {
        vec![format!(
            "299 - \"record {seq} of the journal is missing or damaged, and is not listed\""
        )]
    };
    let two_records = "299 - \"2 records of the journal are missing or damaged, and are not listed; the first \
               is number 3\"";
    let two_records = vec![two_records.to_owned()];
    for (query, expected) in [
        // First, because each read records an event.
        ("?limit=4&fieldSelector=order=newest", warning(7)),
        ("", two_records.clone()),
        ("?fieldSelector=user=nobody", two_records.clone()),
        ("?fieldSelector=order=newest", two_records.clone()),
        ("?limit=4", warning(3)),
        ("?limit=2", Vec::new()),
    ] {
        assert_eq!(server.warnings(&format!("GET {EVENTS}{query}")).await, expected, "{query}");
    }
    let name = |seq: u64| format!("GET {EVENTS}/{seq:020}");
    assert_eq!(server.send(&name(2), "").await.0, 200);
    let (code, response) = server.send(&name(3), "").await;
    let message = response["message"].as_str().unwrap_or_default();
    assert!(code == 500 && message.contains("missing or damaged"), "{code} {message}");
    assert_eq!(server.send(&name(99), "").await.0, 404);
}

#[tokio::test]
async fn new_events_are_sent_to_watches() {
    let server = server(3).await;
    let line = format!("GET {EVENTS}?watch=1&resourceVersion=1&fieldSelector=user=mallory");
    let watch = server.watch(&line, 2);
    let record_more = async {
        record(&server, 4..=5).await;
    };
    let (watched, ()) = tokio::join!(watch, record_more);
    assert_eq!(watched, ["ADDED 00000000000000000003", "ADDED 00000000000000000005"]);
}

/// Regression: a watch from a revision of the future left out the events up to it.
#[tokio::test]
async fn a_resource_version_of_the_future_is_rejected() {
    let server = server(3).await;
    for (query, code) in [
        ("resourceVersion=3", 200),
        ("resourceVersion=1000", 504),
        ("resourceVersion=1000&resourceVersionMatch=Exact", 504),
        ("watch=1&resourceVersion=1000", 504),
    ] {
        let (actual, response) = server.send(&format!("GET {EVENTS}?{query}"), "").await;
        assert_eq!(actual, code, "{query}: {response}");
        let cause = &response["details"]["causes"][0]["reason"];
        let expected = (code == 504).then_some("ResourceVersionTooLarge");
        assert_eq!(cause.as_str(), expected, "{query}");
    }
}

#[tokio::test]
async fn events_cannot_be_written() {
    let server = server(1).await;
    for line in ["POST", "DELETE", "PUT", "PATCH"] {
        let line = if line == "POST" {
            format!("POST {EVENTS}")
        } else {
            format!("{line} {EVENTS}/00000000000000000001")
        };
        assert_eq!(server.send(&line, "{}").await.0, 405, "{line}");
    }
}
