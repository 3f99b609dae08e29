//! The containers of each provider, as data, and hostile input.

use std::io::{Cursor, Read as _, Write as _};
use std::time::{Duration, Instant};

use bytes::Bytes;
use event::annotations::TRUNCATED;
use event::{Event, k10, line, v1};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use source::envelopes::{Envelopes, Meaning, Position, Record, decompressed};
use source::limits::{EVENT_BYTES_MAX, EXPANSION_BYTES_MIN, INNER_EXPANSION_BYTES_MIN};

/// A sample and what is in it.
struct Sample {
    name: &'static str,
    content: &'static [u8],
    expected: &'static str,
}

macro_rules! sample {
    ($name:literal, $expected:expr) => {
        Sample {
            name: $name,
            content: include_bytes!(concat!("data/", $name)),
            expected: $expected,
        }
    };
}

/// The delete of a backup, as every event is that a sample does not change.
const SAMPLES: [Sample; 14] = [
    sample!(
        "eks-firehose.json",
        "eks-1 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
eks-2 Metadata create velero.io/backups shop/nightly-1 alice@example.com 200
other
other
eks-cut Request delete velero.io/backups shop/nightly-1 alice@example.com 200 cut"
    ),
    sample!(
        "eks-messages.txt",
        "eks-3 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
eks-4 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200"
    ),
    sample!(
        "eks-export.txt",
        "eks-5 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
eks-6 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200"
    ),
    // Regression: what was cut took the next lines with it.
    sample!(
        "eks-export-cut.txt",
        "cut-1 RequestResponse delete velero.io/backups shop/nightly-1 alice@example.com 200 cut
whole-1 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
cut-2 RequestResponse delete velero.io/backups shop/nightly-1 alice@example.com 200 cut
whole-2 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
cut-3 RequestResponse delete velero.io/backups shop/nightly-1 alice@example.com 200 cut
whole-3 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
cut-4 RequestResponse delete velero.io/backups shop/nightly-1 alice@example.com 200 cut
whole-4 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
cut-5 RequestResponse delete velero.io/backups shop/nightly-1 alice@example.com 200 cut
whole-5 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
cut-6 RequestResponse delete velero.io/backups shop/nightly-1 alice@example.com 0 cut
whole-6 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
not an event: the line ends within it
whole-7 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
not an event: the line ends within it
whole-8 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200"
    ),
    // A line without a time of its own needs those of the event.
    sample!(
        "cut-lines.txt",
        r#"not an event: the line ends within it
next-1 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
not an event: the line ends within it
next-2 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
not an event: the line ends within it
next-3 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
bare-4 RequestResponse delete velero.io/backups shop/nightly-1 alice@example.com 200 cut {"spec":{"hosts":["a","b"],"ttl":"1h"}}
next-4 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
not an event: the line ends within it
next-5 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200"#
    ),
    sample!(
        "gke.json",
        r#"gke-1 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
gke-2 Metadata create /pods/exec shop/p alice@example.com 201
gke-3 Metadata create rbac.authorization.k8s.io/clusterrolebindings /b alice@example.com 403 forbid
gke-4 Metadata delete /namespaces shop/shop alice@example.com 200
gke-5 Metadata get - - alice@example.com 200 /healthz
gke-6 RequestResponse create /configmaps shop/ alice@example.com 422 {"metadata":{"name":"c"}}
gke-7 RequestResponse patch /pods shop/p system:serviceaccount:a:b as bob 200 {"spec":{"a":1}}
other
other"#
    ),
    sample!(
        "aks-blob.json",
        "aks-1 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
aks-cut Request delete velero.io/backups shop/nightly-1 alice@example.com 200 cut
other
other"
    ),
    sample!(
        "aks-event-hub.json",
        "aks-2 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
aks-3 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200"
    ),
    sample!(
        "openshift.json",
        r#"clf-1 RequestResponse delete velero.io/backups shop/nightly-1 alice@example.com 200 {"spec":{"ttl":"1h"}}
clf-2 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
other
clf-3 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200"#
    ),
    sample!(
        "k10audit.json",
        "k10-1 RequestResponse delete apps.kio.kasten.io/restorepoints shop/rp-7 alice@example.com 200
other
other"
    ),
    sample!(
        "event-list.json",
        "list-1 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
list-2 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200"
    ),
    sample!(
        "array.json",
        "array-1 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
array-2 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200"
    ),
    sample!(
        "damaged-lines.txt",
        "not an event: the line ends within it
line-2 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
not an event: not a JSON object
not an event: the line ends within it
line-3 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
line-4 Metadata delete velero.io/backups shop/nightly-1 alice@example.com 200
not an event: the object ends within it, may go on"
    ),
    Sample { name: "an empty object", content: b"", expected: "" },
];

/// All records of an object that arrives in these portions.
fn records(portions: &[&[u8]], from: &Position) -> Vec<Record> {
    let mut envelopes = Envelopes::new(b"prod\0", from);
    let mut records = Vec::new();
    for portion in portions {
        envelopes.push(Bytes::copy_from_slice(portion));
        records.extend(std::iter::from_fn(|| envelopes.next_record()));
    }
    envelopes.end();
    records.extend(std::iter::from_fn(|| envelopes.next_record()));
    assert!(envelopes.is_finished() || envelopes.has_changed());
    records
}

fn read(text: &[u8]) -> Event {
    match line::encoding_of(text) {
        Some(line::Encoding::Kasten) => k10::read(text).unwrap(),
        _ => v1::read(text).unwrap(),
    }
}

/// A record on one line.
fn summary(record: &Record) -> String {
    match &record.meaning {
        Meaning::Other => "other".to_owned(),
        Meaning::Unknown(reason) => {
            let tail = if record.is_tail { ", may go on" } else { "" };
            format!("not an event: {reason}{tail}")
        }
        Meaning::Event => event_summary(&read(&record.item.text)),
    }
}

fn event_summary(event: &Event) -> String {
    assert!(event.stage_timestamp.to_string().starts_with("2026-11-29T16:07:36.123"));
    let object = event.object_ref.as_ref().map_or("- -".to_owned(), |object| {
        let slash = if object.subresource.is_empty() { "" } else { "/" };
        format!(
            "{}/{}{slash}{} {}/{}",
            object.api_group, object.resource, object.subresource, object.namespace, object.name
        )
    });
    let code = event.response_status.as_ref().map_or(0, |status| status.code);
    let mut text = format!(
        "{} {} {} {object} {}",
        event.audit_id, event.level, event.verb, event.user.username
    );
    if let Some(user) = &event.impersonated_user {
        text += " as ";
        text += &user.username;
    }
    text += " ";
    text += &code.to_string();
    if event.object_ref.is_none() {
        text += " ";
        text += &event.request_uri;
    }
    if event
        .annotations
        .get("authorization.k8s.io/decision")
        .is_some_and(|decision| decision == "forbid")
    {
        text += " forbid";
    }
    if event.annotations.contains_key(TRUNCATED) {
        text += " cut";
    }
    if let Some(body) = &event.request_object {
        text += " ";
        text += &String::from_utf8_lossy(body.as_bytes());
    }
    text
}

/// Checks a sample as it is, and compressed in all ways.
fn check(sample: &Sample) {
    let Sample { name, content, expected } = sample;
    let text = |content: &[u8]| {
        let records = records(&[content], &Position::default());
        records.iter().map(summary).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(text(content), *expected, "{name}");
    for compressed in [gzip(content), gzip(&gzip(content)), zstd(content), gzip(&zstd(content))] {
        assert_eq!(text(&compressed), *expected, "{name}, compressed");
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 3).unwrap()
}

#[test]
fn the_containers_of_all_providers_are_unwrapped() {
    for sample in &SAMPLES {
        check(sample);
    }
}

#[test]
fn members_of_gzip_that_follow_each_other_are_one_content() {
    let [first, second, ..] = &SAMPLES;
    let object = [gzip(first.content), gzip(second.content)].concat();
    let actual: Vec<String> =
        records(&[&object], &Position::default()).iter().map(summary).collect();
    assert_eq!(actual.join("\n"), format!("{}\n{}", first.expected, second.expected));
}

#[test]
fn an_object_is_read_on_from_each_of_its_positions() {
    for Sample { name, content, .. } in &SAMPLES {
        for (object, is_plain) in [(content.to_vec(), true), (gzip(content), false)] {
            let all = records(&[&object], &Position::default());
            for (at, record) in all.iter().enumerate() {
                let start = usize::try_from(record.after.offset).unwrap();
                assert!(is_plain || start == 0, "{name}");
                let rest = records(&[&object[start..]], &record.after);
                assert_eq!(rest, all[at + 1..], "{name} after {at}");
            }
        }
    }
}

#[test]
fn an_object_that_changed_before_the_position_is_not_read_on() {
    let object = gzip(b"{\"a\":1}{\"a\":2}{\"a\":3}");
    let position = records(&[&object], &Position::default())[1].after.clone();
    for changed in [&b"{\"a\":1}{\"a\":4}{\"a\":3}"[..], b"{\"a\":1}"] {
        let mut envelopes = Envelopes::new(b"prod\0", &position);
        envelopes.push(Bytes::from(gzip(changed)));
        envelopes.end();
        assert_eq!((envelopes.next_record(), envelopes.has_changed()), (None, true));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_split_into_portions_gives_the_same_records(
        sample in 0..SAMPLES.len(),
        form in 0..4,
        cuts in proptest::collection::vec(0.0..1.0, 0..8),
    ) {
        let content = SAMPLES[sample].content;
        let object = match form {
            0 => content.to_vec(),
            1 => gzip(content),
            2 => zstd(content),
            _ => gzip(&gzip(content)),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss,
                 reason = "the object is short")]
        let mut cuts: Vec<usize> =
            cuts.iter().map(|cut: &f64| (cut * object.len() as f64) as usize).collect();
        cuts.extend([0, object.len()]);
        cuts.sort_unstable();
        let portions: Vec<&[u8]> = cuts.windows(2).map(|pair| &object[pair[0]..pair[1]]).collect();
        let complete = records(&[&object], &Position::default());
        prop_assert_eq!(records(&portions, &Position::default()), complete);
    }

    #[test]
    fn no_bytes_stop_the_decoder(
        sample in 0..SAMPLES.len(),
        changes in proptest::collection::vec((0.0..1.0, any::<u8>()), 1..10),
        is_compressed in any::<bool>(),
    ) {
        let mut object = SAMPLES[sample].content.to_vec();
        if is_compressed {
            object = gzip(&object);
        }
        for (fraction, byte) in changes {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss,
                     reason = "the object is short")]
            let at = (fraction * object.len() as f64) as usize;
            if let Some(actual) = object.get_mut(at) {
                *actual = byte;
            }
        }
        let all = records(&[&object], &Position::default());
        for record in &all {
            prop_assert!(record.item.text.len() <= EVENT_BYTES_MAX);
        }
    }
}

/// Reads a hostile object in portions. Returns the reasons, and checks time and memory.
#[expect(clippy::disallowed_methods, reason = "the time that it takes is tested")]
fn hostile(object: &[u8]) -> Vec<String> {
    let start = Instant::now();
    let portions: Vec<&[u8]> = object.chunks(64 << 10).collect();
    let all = records(&portions, &Position::default());
    assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
    all.iter()
        .map(|record| {
            assert!(record.item.text.len() <= EVENT_BYTES_MAX, "{}", record.item.text.len());
            match &record.meaning {
                Meaning::Unknown(reason) => reason.clone(),
                meaning => format!("{meaning:?}"),
            }
        })
        .collect()
}

#[test]
fn hostile_input_takes_bounded_time_and_memory() {
    let too_long = format!("longer than {EVENT_BYTES_MAX} bytes without its bodies");
    let nested = |open: &str, close: &str, depth: usize| {
        [open.repeat(depth), close.repeat(depth)].concat().into_bytes()
    };
    let long = EVENT_BYTES_MAX + (1 << 20);
    // An object with deep nesting is passed on; its decoder has a limit.
    assert_eq!(hostile(&nested("{\"a\":", "}", 1000)).len(), 1);
    assert_eq!(hostile(&nested("{\"records\":[", "]}", 100_000)).len(), 1);
    hostile(&nested("[", "]", long / 2));
    let text = format!("{{\"auditID\":\"{}\"}}", "x".repeat(long));
    assert_eq!(hostile(text.as_bytes()), std::slice::from_ref(&too_long));
    let text = format!("{{\"logEvents\":[{{\"message\":\"{}\"}}]}}", "\\u0000".repeat(long / 6));
    assert_eq!(hostile(text.as_bytes()), [too_long]);
    assert_eq!(hostile("x".repeat(long).as_bytes()), ["not a JSON object"]);
    hostile(" ".repeat(long).as_bytes());
    hostile("\n".repeat(long).as_bytes());
    hostile("{".repeat(long).as_bytes());
    hostile("x\n".repeat(20_000).as_bytes());
    let records = format!("{{\"records\":[{}]}}", vec!["{}"; 30_000].join(","));
    assert_eq!(hostile(records.as_bytes()).len(), 30_000);
}

#[test]
fn a_bomb_is_not_read_to_its_end() {
    let zeros = vec![b' '; usize::try_from(EXPANSION_BYTES_MIN).unwrap()];
    let expands = "the rest of the file is not read: it expands to more than 256 times its size, or 4 \
                   times if it is compressed twice";
    let inner = gzip(&zeros);
    // Two layers: one member is about 64 KiB, and a thousand of them compress well again.
    let bomb = gzip(&inner.repeat(200));
    assert_eq!(hostile(&bomb), [expands]);
    let bomb = zstd(&zstd(&zeros).repeat(2000));
    assert_eq!(hostile(&bomb), [expands]);
    let bomb = zstd(&zeros.repeat(3));
    assert_eq!(hostile(&bomb), [expands]);
    // A window that is larger than the limit.
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(27).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.write_all(&zeros).unwrap();
    let damaged = "the rest of the file cannot be decompressed";
    assert_eq!(hostile(&encoder.finish().unwrap()), [damaged]);
}

/// Regression: members without content, compressed again, kept the decoder busy: a thousand times the
/// bytes of the object were decompressed and gave nothing.
#[test]
fn empty_members_of_gzip_in_gzip_are_not_read_to_their_end() {
    let empty = gzip(b"");
    let members = 2 * usize::try_from(INNER_EXPANSION_BYTES_MIN).unwrap() / empty.len();
    let object = gzip(&empty.repeat(members));
    let actual = hostile(&object);
    let [reason] = &*actual else { panic!("{actual:?}") };
    assert!(reason.contains("4 times if it is compressed twice"), "{reason}");
    // In a command that reads files, too.
    let mut content = decompressed(Box::new(Cursor::new(object)));
    let error = content.read_to_end(&mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("it expands to more than"), "{error}");
}

#[test]
fn a_cut_event_says_that_it_is_cut() {
    for name in ["eks-firehose.json", "aks-blob.json"] {
        let sample = SAMPLES.iter().find(|sample| sample.name == name).unwrap();
        let all = records(&[sample.content], &Position::default());
        let cut = all.iter().filter(|record| record.meaning == Meaning::Event);
        let marked: Vec<String> = cut
            .map(|record| read(&record.item.text))
            .filter_map(|mut event| event.annotations.remove(TRUNCATED))
            .collect();
        assert!(marked.len() == 1 && marked[0].starts_with("cut by the log after "), "{marked:?}");
    }
}
