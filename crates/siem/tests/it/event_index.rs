//! Lists of audit events with and without the index: they are the same for every selector, however
//! many records are indexed.

use std::ops::RangeInclusive;
use std::sync::{Arc, LazyLock};

use apimachinery::ApiError;
use apimachinery::selector::field_selector::FieldTerm;
use apiserver::{ReadOnlyStorage, ReadQuery};
use async_trait::async_trait;
use bytes::Bytes;
use event::{Event, EventRef, ObjectReference, Stage, Status, Timestamp, UserInfo};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use siem::audit_event::{Conditions, EventLog, LogBatch, LogRecord, Order, Selection, resource};
use store::Record;
use store::event_index::{EventIndex, IndexQuery, SegmentBuilder, first_of, last_of};

use super::server::START;

/// Two segments and a part of a third.
const RECORDS: u64 = 36_000;
/// Maximum number of pages that are compared; more pages would not make the test stronger.
const PAGES: usize = 6;

static EVENTS: LazyLock<Vec<Event>> = LazyLock::new(|| (1..=RECORDS).map(event_of).collect());
static RECORDED: LazyLock<Vec<Bytes>> = LazyLock::new(|| (1..=RECORDS).map(record).collect());

/// A pseudo-random number: the same for the same arguments.
fn scrambled(seq: u64, salt: u64, below: u64) -> u64 {
    let mixed = (seq ^ salt << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 31).wrapping_mul(0xd6e8_feb8_6659_fd93) % below
}

/// One of `count` values; the first ones are far more frequent than the last ones.
fn skewed_value(prefix: &str, count: u64, seq: u64, salt: u64) -> String {
    let number = scrambled(seq, salt, count) * scrambled(seq, salt + 1, count) / count;
    format!("{prefix}-{number}")
}

fn event_of(seq: u64) -> Event {
    let pick = |salt, below| scrambled(seq, salt, below);
    // Clocks differ: some by hours.
    let skew = match pick(1, 50) {
        0 => 7_200_000_000,
        1 => -7_200_000_000,
        other => other.cast_signed() * 1_000,
    };
    let time = Timestamp::from_micros(START + seq.cast_signed() * 1_000_000 + skew);
    let user =
        |salt| UserInfo { username: skewed_value("user", 60, seq, salt), ..UserInfo::default() };
    let name =
        if pick(5, 4) == 0 { format!("rp-{}", seq / 3) } else { skewed_value("name", 90, seq, 6) };
    let object = ObjectReference {
        resource: ["restorepoints", "profiles", "policies", "passkeys"][index(pick(7, 4))].into(),
        api_group: ["apps.kio.kasten.io", "config.kio.kasten.io", ""][index(pick(8, 3))].into(),
        subresource: if pick(9, 9) == 0 { "details".to_owned() } else { String::new() },
        namespace: skewed_value("ns", 40, seq, 10),
        name: if pick(12, 5) == 0 { String::new() } else { name },
        ..ObjectReference::default()
    };
    let stages = [Stage::ResponseComplete, Stage::Panic];
    let stage = stages[usize::from(pick(13, 2_000) == 0)];
    let verb =
        ["get", "list", "watch", "update", "delete"][index(pick(14, 97) * pick(15, 97) / 1_882)];
    Event {
        audit_id: format!("id-{}", seq / 2),
        user: user(2),
        impersonated_user: (pick(16, 20) == 0).then(|| user(3)),
        source_ips: (0..=pick(17, 7))
            .map(|index| skewed_value("192.0.2", 300, seq, 20 + index))
            .collect(),
        object_ref: (pick(18, 10) > 0).then_some(object),
        response_status: (pick(19, 10) > 0).then(|| Status {
            code: [200, 201, 403, 404][index(pick(30, 4))],
            ..Status::default()
        }),
        ..Event::internal(stage, verb, time)
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// A few records are not events.
fn record(seq: u64) -> Bytes {
    if scrambled(seq, 99, 500) == 0 {
        return Bytes::from_static(b"nothing that can be read");
    }
    event::record::write(&EVENTS[index_of(seq)])
}

/// A log with an index of some of its segments.
struct Log {
    first: u64,
    index: Option<EventIndex>,
    _folder: tempfile::TempDir,
}

impl Log {
    fn new(first: u64, segments: &[u64]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let index = EventIndex::new(&folder.path().join("store.db"));
        for segment in segments {
            let mut builder = SegmentBuilder::new(*segment);
            for seq in first_of(*segment)..=last_of(*segment) {
                builder.add(seq, &RECORDED[index_of(seq)]);
            }
            let seq = last_of(*segment);
            let last = Record { seq, time: 0, bytes: RECORDED[index_of(seq)].clone() };
            index.put(&builder.finish(Some(&last))).unwrap();
        }
        index.forget_before(first).unwrap();
        Self { first, index: (!segments.is_empty()).then_some(index), _folder: folder }
    }
}

fn index_of(seq: u64) -> usize {
    usize::try_from(seq - 1).unwrap()
}

#[async_trait]
impl EventLog for Log {
    fn first_seq(&self) -> u64 {
        self.first
    }

    fn last_seq(&self) -> u64 {
        RECORDS
    }

    async fn read(
        &self,
        after: u64,
        rows_max: usize,
        _bytes_max: usize,
    ) -> Result<Vec<LogRecord>, ApiError> {
        let first = (after + 1).max(self.first);
        let seqs = (first..=RECORDS).take(rows_max);
        let record = |seq| LogRecord {
            seq,
            time: Timestamp::default(),
            bytes: RECORDED[index_of(seq)].clone(),
        };
        Ok(seqs.map(record).collect())
    }

    async fn read_ranges(
        &self,
        ranges: Vec<RangeInclusive<u64>>,
        order: Order,
        bytes_max: usize,
    ) -> Result<LogBatch, ApiError> {
        // Sometimes read in two parts, as if records were large.
        let rows_max = usize::try_from(ranges[0].start() % 3).unwrap() * 20 + 20;
        let mut batch = LogBatch::default();
        let seqs = ranges.into_iter().flat_map(|range| match order {
            Order::Oldest => range.collect::<Vec<_>>(),
            Order::Newest => range.rev().collect(),
        });
        let mut seqs = seqs.filter(|seq| (self.first..=RECORDS).contains(seq));
        let record = |seq| LogRecord {
            seq,
            time: Timestamp::default(),
            bytes: RECORDED[index_of(seq)].clone(),
        };
        batch.records = seqs.by_ref().take(rows_max).map(record).collect();
        batch.is_truncated = seqs.next().is_some();
        assert!(bytes_max >= 1 << 20);
        Ok(batch)
    }

    async fn wait_past(&self, _seq: u64) -> Result<(), ApiError> {
        std::future::pending().await
    }

    async fn select(
        &self,
        conditions: &Conditions,
        within: RangeInclusive<u64>,
    ) -> Result<Selection, ApiError> {
        let Some(index) = &self.index else {
            return Ok(siem::audit_event::without_index(conditions.order, within));
        };
        let Some(terms) = conditions.terms() else { return Ok(Selection::default()) };
        let query = IndexQuery {
            terms,
            since: conditions.since.map_or(i64::MIN, Timestamp::as_micros),
            until: conditions.until.map_or(i64::MAX, Timestamp::as_micros),
            newest_first: conditions.order == Order::Newest,
        };
        let selection = index.select(&query, within);
        Ok(Selection { ranges: selection.ranges, rest: selection.rest })
    }
}

const FIELDS: [&str; 13] = [
    "user",
    "verb",
    "group",
    "resource",
    "subresource",
    "namespace",
    "name",
    "code",
    "sourceIP",
    "auditID",
    "stage",
    "since",
    "until",
];

/// Selectors: conditions with the values of some event, and some that no event matches.
fn selectors() -> impl Strategy<Value = Vec<FieldTerm>> {
    let fields = subsequence(&FIELDS[..], 0..=4);
    let of_one_event = (1..=RECORDS, fields, any::<[u8; 13]>(), any::<bool>());
    of_one_event.prop_map(|(seq, fields, chances, is_newest)| {
        let terms = fields.iter().zip(chances).map(|(field, chance)| term(field, seq, chance));
        let order = is_newest.then(|| ("order".to_owned(), "newest".to_owned(), true));
        let terms = terms.chain(order);
        terms.map(|(path, value, is_equal)| FieldTerm { path, value, is_equal }).collect()
    })
}

fn term(field: &str, seq: u64, chance: u8) -> (String, String, bool) {
    let event = EVENTS[index_of(seq)].clone();
    let object = event.object_ref.clone().unwrap_or_default();
    let other = match chance {
        // The value must be a number for `code`.
        0..20 if field == "code" => "599",
        0..20 => "nothing-has-this",
        20..30 => "",
        _ => "-",
    };
    let time = |ahead: i64| {
        let micros = event.stage_timestamp.as_micros() + ahead * i64::from(chance) * 20_000_000;
        Timestamp::from_micros(micros).to_string()
    };
    let value = match field {
        "user" => match &event.impersonated_user {
            Some(user) if chance.is_multiple_of(2) => user.username.clone(),
            _ => event.user.username.clone(),
        },
        "verb" => event.verb.clone(),
        "group" => object.api_group,
        "resource" => object.resource,
        "subresource" => object.subresource,
        "namespace" => object.namespace,
        "name" => object.name,
        "code" => event.response_status.map_or(0, |status| status.code).to_string(),
        "sourceIP" => event.source_ips.last().unwrap().clone(),
        "auditID" => event.audit_id,
        "stage" => event.stage.as_str().to_owned(),
        "since" => return (field.to_owned(), time(-1), true),
        "until" => return (field.to_owned(), time(1), true),
        unknown => panic!("{unknown}"),
    };
    let value = if other == "-" { value } else { other.to_owned() };
    (field.to_owned(), value, chance % 8 != 7)
}

/// Whether an event matches, by an independent implementation.
fn matches(event: &Event, terms: &[FieldTerm]) -> bool {
    let none = ObjectReference::default();
    let object = event.object_ref.as_ref().unwrap_or(&none);
    terms.iter().all(|FieldTerm { path, value, is_equal }| {
        let code = event.response_status.as_ref().map_or(0, |status| status.code).to_string();
        let time = |text: &str| Timestamp::parse(text).unwrap();
        let is_match = match path.as_str() {
            "user" => {
                let impersonated = event.impersonated_user.as_ref();
                [Some(&event.user), impersonated]
                    .iter()
                    .flatten()
                    .any(|user| user.username == *value)
            }
            "verb" => event.verb == *value,
            "group" => object.api_group == *value,
            "resource" => object.resource == *value,
            "subresource" => object.subresource == *value,
            "namespace" => object.namespace == *value,
            "name" => object.name == *value,
            "code" => code == *value,
            "sourceIP" => event.source_ips.contains(value),
            "auditID" => event.audit_id == *value,
            "stage" => event.stage.as_str() == value,
            "since" => event.stage_timestamp >= time(value),
            "until" => event.stage_timestamp < time(value),
            "order" => true,
            unknown => panic!("{unknown}"),
        };
        is_match == *is_equal
    })
}

/// The sequence numbers of the matching events of the first pages.
fn expected(log: &Log, terms: &[FieldTerm], count: usize) -> Vec<u64> {
    let is_newest = terms.iter().any(|term| term.value == "newest");
    let is_expected = |seq: &u64| {
        matches(&EVENTS[index_of(*seq)], terms)
            && EventRef::parse(&RECORDED[index_of(*seq)]).is_ok()
    };
    let mut seqs: Box<dyn Iterator<Item = u64>> = Box::new(log.first..=RECORDS);
    if is_newest {
        seqs = Box::new((log.first..=RECORDS).rev());
    }
    seqs.filter(is_expected).take(count).collect()
}

async fn listed(pages: &dyn ReadOnlyStorage, terms: &[FieldTerm], limit: usize) -> Vec<u64> {
    let (mut seqs, mut after) = (Vec::new(), None);
    for _ in 0..PAGES {
        let query =
            ReadQuery { terms: terms.to_vec(), limit, bytes_max: 0, after, at: Some(RECORDS) };
        let page = pages.list(query).await.unwrap();
        assert!(page.items.len() <= limit);
        seqs.extend(page.items.iter().map(|body| seq_of(body)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    seqs
}

fn seq_of(body: &[u8]) -> u64 {
    let text = std::str::from_utf8(body).unwrap();
    let (_, rest) = text.split_once(r#""name":""#).unwrap();
    rest.get(..20).unwrap().parse().unwrap()
}

/// Logs with a complete index, a partial one, none, and logs that were trimmed.
static LOGS: LazyLock<Vec<Arc<Log>>> = LazyLock::new(|| {
    let logs = [(1, &[0, 1][..]), (1, &[1]), (1, &[0]), (1, &[]), (20_000, &[0, 1]), (9_999, &[0])];
    logs.into_iter().map(|(first, segments)| Arc::new(Log::new(first, segments))).collect()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_finds_the_same_as_a_full_scan(
        terms in selectors(),
        limit in select(&[1_usize, 3, 50, 500][..]),
        log in 0_usize..6,
    ) {
        let log = Arc::clone(&LOGS[log]);
        let pages = resource(Arc::clone(&log) as Arc<dyn EventLog>).read_only.unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let seqs = runtime.block_on(listed(&*pages, &terms, limit));
        prop_assert_eq!(seqs, expected(&log, &terms, PAGES * limit));
    }
}

#[test]
fn the_index_skips_records_that_cannot_match() {
    let log = &LOGS[0];
    let names = EVENTS.iter().filter_map(|event| event.object_ref.as_ref());
    let name = names.map(|object| &*object.name).find(|name| name.starts_with("rp-")).unwrap();
    for terms in [
        &[("user", "user-50")][..],
        &[("auditID", "id-7")],
        &[("name", name)],
        &[("stage", "Panic")],
        // Each value is frequent, the combination is rare.
        &[("user", "user-3"), ("verb", "delete"), ("code", "404")],
        &[("namespace", "ns-4"), ("user", "user-9")],
        &[("verb", "list"), ("resource", "passkeys"), ("subresource", "details")],
    ] {
        let term = |(field, value): &(&str, &str)| FieldTerm {
            path: (*field).to_owned(),
            value: (*value).to_owned(),
            is_equal: true,
        };
        let terms: Vec<FieldTerm> = terms.iter().map(term).collect();
        let conditions = Conditions::parse(&terms).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (mut records, mut rest) = (0, Some(1..=last_of(1)));
        while let Some(within) = rest {
            let selection = runtime.block_on(log.select(&conditions, within)).unwrap();
            records +=
                selection.ranges.iter().map(|range| range.end() - range.start() + 1).sum::<u64>();
            rest = selection.rest;
        }
        let is_expected = |seq: &u64| {
            matches(&EVENTS[index_of(*seq)], &terms)
                && EventRef::parse(&RECORDED[index_of(*seq)]).is_ok()
        };
        let expected = (1..=last_of(1)).filter(is_expected).count() as u64;
        assert!((1..500).contains(&expected), "{terms:?}: {expected}");
        // Some fingerprints collide, and small gaps between records are read along.
        assert!(
            (expected..2 * expected + 40).contains(&records),
            "{terms:?}: {records} for {expected}"
        );
    }
}
