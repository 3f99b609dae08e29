//! Tables of events and their lines in the encoding `short`.

use proptest::prelude::*;

use super::*;
use crate::record::{self, signal_of};
use crate::signal::{Signal, SignalSpec, SignalState};
use crate::{Event, InternalEvent, ObjectReference, Status, UserInfo};

/// A request: code, verb, resource/subresource, namespace, name, user, address.
type Request<'a> = (u16, &'a str, &'a str, &'a str, &'a str, &'a str, &'a str);

fn event(request: Request<'_>) -> Event {
    let (code, verb, resource, namespace, name, user, address) = request;
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let time = Timestamp::parse("2026-11-24T22:44:12.199851Z").unwrap();
    Event {
        request_uri: "/apis/x".to_owned(),
        user: UserInfo { username: user.to_owned(), ..UserInfo::default() },
        source_ips: vec![address.to_owned()],
        object_ref: Some(ObjectReference {
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..ObjectReference::default()
        }),
        response_status: Some(Status { code, ..Status::default() }),
        ..Event::internal(Stage::ResponseComplete, verb, time)
    }
}

fn line_of(event: &Event, style: Style) -> String {
    let mut line = Vec::new();
    write(&EventRef::from(event), style, &mut line);
    String::from_utf8(line).unwrap()
}

fn plain(columns: usize) -> Style {
    Style { columns, is_colored: false }
}

fn check(columns: usize, expected: &[(Request<'_>, &str)]) {
    for (request, expected) in expected {
        assert_eq!(line_of(&event(*request), plain(columns)), *expected);
    }
}

const CONTROLLER: &str = "system:serviceaccount:kube-system:namespace-controller";

#[test]
fn a_wide_terminal_shows_everything_in_aligned_columns() {
    check(
        120,
        &[
            (
                (200, "get", "passkeys", "", "k10-passkey", "mallory", "192.0.2.7"),
                "22:44:12Z 200   get    passkeys             k10-passkey          mallory 192.0.2.7",
            ),
            (
                (
                    200,
                    "delete",
                    "restorepointcontents",
                    "",
                    "blog-scheduled-284fv",
                    "mallory",
                    "::1",
                ),
                "22:44:12Z 200 X delete restorepointcontents blog-scheduled-284fv mallory ::1",
            ),
            (
                (403, "delete", "passkeys", "", "k10-passkey", "mallory", "192.0.2.7"),
                "22:44:12Z 403 ! delete passkeys             k10-passkey          mallory 192.0.2.7",
            ),
            (
                (201, "create", "cancelactions", "shop", "", "mallory", "192.0.2.7"),
                "22:44:12Z 201 X create cancelactions        shop/                mallory 192.0.2.7",
            ),
            (
                (500, "patch", "runactions/status", "shop", "run-7", "alice", "192.0.2.7"),
                "22:44:12Z 500 ! patch  runactions/status    shop/run-7           alice 192.0.2.7",
            ),
            (
                (200, "list", "restorepoints", "", "", "alice", "192.0.2.7"),
                "22:44:12Z 200   list   restorepoints        -                    alice 192.0.2.7",
            ),
            (
                (200, "delete", "namespaces", "blog", "blog", "alice", "192.0.2.7"),
                "22:44:12Z 200 X delete namespaces           blog                 alice 192.0.2.7",
            ),
            (
                (0, "create", "runactions", "shop", "金曜日", "", ""),
                "22:44:12Z ---   create runactions           shop/金曜日          - ",
            ),
        ],
    );
}

#[test]
fn long_client_text_pushes_nothing_else_off_the_line() {
    let name = "n".repeat(253);
    let user = "u".repeat(1024);
    let resource = "r".repeat(1024);
    check(
        80,
        &[
            (
                (200, "delete", "restorepoints", "shop", &name, "mallory", "192.0.2.7"),
                "22:44:12Z 200 X delete restorepoints shop/nnnnnnn…nnnnnnnnnnnn mallory 192.0.2.7",
            ),
            (
                (200, "get", "restorepoints", "shop", "rp-7", &user, "192.0.2.7"),
                "22:44:12Z 200   get    restorepoints shop/rp-7 uuuuuuuuuuu…uuuuuuuuuuu 192.0.2.7",
            ),
            (
                (200, &resource, &resource, &resource, &name, &user, &name),
                "22:44:12Z 200   rrrrr…rrrr rrrrrrrrrrr…rrrrrrrrrr rrrrr…nnnn uuuu…uuuu nnnn…nnnn",
            ),
            (
                (200, "delete", "restorepoints", "blog", "rp-7", CONTROLLER, "127.0.0.1"),
                "22:44:12Z 200 X delete restorepoints blog/rp-7 system:serv…-controller 127.0.0.1",
            ),
        ],
    );
    for columns in 0..=200 {
        let request = (403, &*resource, &*resource, &*resource, &*name, &*user, &*name);
        let line = line_of(&event(request), plain(columns));
        assert!(TerminalText::word(&line).columns() <= columns, "{columns}: {line}");
    }
}

#[test]
fn client_text_does_not_control_the_terminal() {
    let control_characters = "\u{1b}[2J\r\n\u{9b}H\u{202e}x";
    let request = (
        403,
        control_characters,
        control_characters,
        control_characters,
        control_characters,
        control_characters,
        control_characters,
    );
    let line = line_of(&event(request), plain(COLUMNS_MAX));
    let escaped = "\\u{1b}[2J\\u{d}\\u{a}\\u{9b}H\\u{202e}x";
    assert!(line.contains(&format!("{escaped}/{escaped} {escaped}")), "{line}");
    assert!(line.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{line}");
}

#[test]
fn colors_distinguish_destructive_and_rejected_requests() {
    let style = Style { columns: 200, is_colored: true };
    let colors = |code, verb, resource| {
        let line = line_of(&event((code, verb, resource, "shop", "rp-7", "mallory", "::1")), style);
        let verb = line.split(verb).next().unwrap();
        verb.rsplit("\u{1b}[").next().unwrap().trim_end_matches('m').to_owned()
    };
    for (code, verb, resource, color) in [
        (200, "delete", "restorepoints", "1;31"),
        (201, "create", "retireactions", "1;31"),
        (403, "delete", "restorepoints", "1;33"),
        (404, "get", "restorepoints", "1;33"),
        (503, "delete", "restorepoints", "1;31"),
        (200, "list", "restorepoints", "2"),
    ] {
        assert_eq!(colors(code, verb, resource), color, "{code} {verb} {resource}");
    }
    let line = line_of(&event((201, "create", "runactions", "shop", "x", "alice", "::1")), style);
    assert!(line.contains(" create "), "{line:?}");
    assert!(line.ends_with("\u{1b}[0m"), "{line:?}");
    let mut dry_run = event((200, "delete", "restorepoints", "shop", "x", "alice", "::1"));
    dry_run.request_uri = "/apis/x?dryRun=All".to_owned();
    assert!(line_of(&dry_run, plain(99)).starts_with("22:44:12Z 200   delete"));
}

#[test]
fn special_events_are_marked() {
    let time = Timestamp::parse("2026-11-24T22:44:12Z").unwrap();
    let mut created = event((201, "create", "backupactions", "shop", "", "alice", "::1"));
    created.response_object =
        crate::Json::serialize(&serde_json::json!({"metadata": {"name": "scheduled-7"}})).ok();
    let mut impersonated = event((200, "get", "passkeys", "", "p", "admin", "::1"));
    impersonated.impersonated_user =
        Some(UserInfo { username: "a as b".to_owned(), ..UserInfo::default() });
    let mut watch = event((200, "watch", "restorepoints", "", "", "alice", "::1"));
    watch.stage = Stage::ResponseStarted;
    let mut proxied = event((200, "get", "passkeys", "", "p", "admin", "::1"));
    proxied.source_ips.push("10.0.0.5".to_owned());
    let mut version = event((200, "get", "", "", "", "alice", "::1"));
    version.object_ref = None;
    version.request_uri = "/version?x=a b".to_owned();
    let mut gap = InternalEvent::Gap.event(Stage::Panic, "", time);
    gap.annotations.insert("keepwatch.io/gap".to_owned(), "records 3 to 7 are missing".to_owned());
    let mut refused = InternalEvent::Gap.event(Stage::ResponseComplete, "", time);
    refused
        .annotations
        .insert("keepwatch.io/requests-refused-without-record".to_owned(), "12".to_owned());
    let mut heartbeat = InternalEvent::Heartbeat.event(Stage::ResponseComplete, "", time);
    heartbeat.annotations.insert("keepwatch.io/heartbeat".to_owned(), "7".to_owned());
    for (event, expected) in [
        (created, "201   create backupactions shop/scheduled-7"),
        (impersonated, "passkeys p                    admin as \"a as b\" ::1"),
        (watch, "alice ::1 ResponseStarted"),
        (proxied, "admin ::1,10.0.0.5"),
        (version, "22:44:12Z 200   get    \"/version?x=a b\""),
        (
            gap,
            "22:44:12Z --- ! gap    journal gap=records 3 to 7 are missing system:keepwatch - Panic",
        ),
        (refused, "22:44:12Z --- ! gap    journal requests-refused-without-record=12"),
        (heartbeat, "22:44:12Z ---   heartbeat heartbeat=7"),
    ] {
        let line = line_of(&event, plain(99));
        assert!(line.contains(expected), "{expected:?} is not in {line:?}");
    }
}

fn signal(title: &str, severity: Severity, change: ChangeKind, style: Style) -> String {
    let spec = SignalSpec { severity, title: title.to_owned(), ..SignalSpec::default() };
    let signal = Signal { id: "id-1".to_owned(), spec, state: SignalState::Open };
    let time = Timestamp::parse("2026-11-24T22:44:14Z").unwrap();
    let record = signal_of(&record::write_signal(change, time, &signal)).unwrap().unwrap();
    let mut line = Vec::new();
    super::write_signal(&record, style, &mut line);
    String::from_utf8(line).unwrap()
}

#[test]
fn a_signal_has_its_own_line() {
    let title = "mallory deleted 7 restore points\n\u{1b}[2J";
    assert_eq!(
        signal(title, Severity::High, ChangeKind::Opened, plain(200)),
        "22:44:14Z SIGNAL high opened mallory deleted 7 restore points\\u{a}\\u{1b}[2J"
    );
    assert_eq!(
        signal(title, Severity::High, ChangeKind::Opened, plain(40)),
        "22:44:14Z SIGNAL high opened mallory de…"
    );
    let style = Style { columns: 40, is_colored: true };
    let critical = signal(title, Severity::Critical, ChangeKind::Updated, style);
    assert!(critical.contains("\u{1b}[1;97;41mcritical\u{1b}[0m"), "{critical:?}");
    let closed = signal(title, Severity::Critical, ChangeKind::Closed, style);
    assert!(closed.contains("\u{1b}[2mcritical\u{1b}[0m"), "{closed:?}");
}

/// A line without the color sequences that `short` itself writes.
fn without_colors(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        let (color, text) = part.split_once('m').unwrap();
        assert!(color.bytes().all(|byte| byte.is_ascii_digit() || byte == b';'), "{part:?}");
        plain.push_str(text);
    }
    plain
}

proptest! {
    #[test]
    fn no_text_leaves_its_line(
        texts in prop::array::uniform6(".{0,40}|[\\x00-\\xff\u{200b}-\u{206f}]{0,20}"),
        code in 0_u16..600,
        columns in 0_usize..700,
        is_colored: bool,
    ) {
        let [verb, resource, namespace, name, user, address] = &texts;
        let request = (code, &**verb, &**resource, &**namespace, &**name, &**user, &**address);
        let style = Style { columns, is_colored };
        let line = line_of(&event(request), style);
        let plain = without_colors(&line);
        prop_assert!(plain.chars().all(|c| !c.is_control()), "{plain:?}");
        prop_assert!(TerminalText::word(&plain).columns() <= columns.min(COLUMNS_MAX), "{plain:?}");
        prop_assert_eq!(is_colored || !line.contains('\u{1b}'), true);
        let title = signal(user, Severity::High, ChangeKind::Opened, style);
        prop_assert!(without_colors(&title).chars().all(|c| !c.is_control()), "{title:?}");
    }
}
