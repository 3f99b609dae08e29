//! Collects the values of the records of one segment.
//!
//! The work per record is small: fields are borrowed, not copied; a repeated value is only a
//! number; and everything that needs the whole segment is done when it is complete.

mod requests;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use event::term::{ADDRESSES_MAX, RecordFields, Term, TermField};

use super::column;
use super::position_set::POSITIONS;
use super::posting_lists::posting;
use super::{BLOCK_RECORDS, SEGMENT_RECORDS, Segment, Times, first_of};
use crate::Record;
use requests::Requests;

pub(super) use requests::position_of as request_field;

/// The numbers of the columns.
pub(super) const USER: usize = 0;
pub(super) const NAMESPACE: usize = 1;
pub(super) const ADDRESS: usize = 2;
pub(super) const NAME: usize = 3;
pub(super) const AUDIT_ID: usize = 4;
pub(super) const REQUEST: usize = 5;
/// The number of columns.
pub(super) const COLUMNS: usize = 6;
/// The number of blocks in a segment.
pub(super) const BLOCKS: usize = (SEGMENT_RECORDS / BLOCK_RECORDS) as usize;

/// The builder of a segment.
pub struct SegmentBuilder {
    segment: u64,
    times: [Option<Times>; BLOCKS],
    /// Of users, namespaces and addresses, in this order.
    values: [Values; 3],
    requests: Requests,
    /// Of names and audit IDs, one per position.
    fingerprints: [Vec<u16>; 2],
}

/// A map whose keys are already hashes.
type ByHash<T> = HashMap<u64, T, BuildHasherDefault<Hashed>>;

/// The values of a column, and the records that have them.
#[derive(Default)]
struct Values {
    ids: ByHash<u32>,
    /// The most recent value, which often repeats.
    last: Option<(u64, u32)>,
    postings: Vec<u32>,
}

impl Values {
    #[inline]
    fn add(&mut self, term: Term, position: u16) {
        let id = match self.last {
            Some((hash, id)) if hash == term.hash => id,
            _ => {
                let next = u32::try_from(self.ids.len()).unwrap_or_default();
                let id = *self.ids.entry(term.hash).or_insert(next);
                self.last = Some((term.hash, id));
                id
            }
        };
        self.postings.push(posting(id, position));
    }

    #[expect(clippy::iter_over_hash_type, reason = "each value has its own position")]
    fn column(&self, segment: u64) -> Vec<u8> {
        let mut hashes = vec![0; self.ids.len()];
        for (hash, id) in &self.ids {
            let position = usize::try_from(*id).unwrap_or(usize::MAX);
            if let Some(to) = hashes.get_mut(position) {
                *to = salted(*hash, segment);
            }
        }
        column::encode_values(&hashes, &self.postings)
    }
}

impl SegmentBuilder {
    /// A builder without records.
    pub fn new(segment: u64) -> Self {
        Self {
            segment,
            times: [None; BLOCKS],
            values: Default::default(),
            requests: Requests::default(),
            fingerprints: [(); 2].map(|()| vec![0; usize::from(POSITIONS)]),
        }
    }

    /// Add a record of this segment. Records must be added in ascending order. Records that are not
    /// events are skipped.
    pub fn add(&mut self, seq: u64, record: &[u8]) {
        let Some(fields) = RecordFields::parse(record) else { return };
        let offset = seq.saturating_sub(first_of(self.segment)) % SEGMENT_RECORDS;
        let position = u16::try_from(offset).unwrap_or_default();
        self.add_time(usize::from(position), fields.stage_timestamp.as_micros());
        let [users, namespaces, addresses] = &mut self.values;
        users.add(Term::new(TermField::User, fields.user), position);
        if let Some(user) = fields.impersonated_user {
            users.add(Term::new(TermField::User, user), position);
        }
        namespaces.add(Term::new(TermField::Namespace, fields.namespace), position);
        for (at, address) in fields.source_ips().take(ADDRESSES_MAX + 1).enumerate() {
            addresses.add(
                if at < ADDRESSES_MAX {
                    Term::new(TermField::SourceIp, address)
                } else {
                    Term::new(TermField::MoreSourceIps, &[])
                },
                position,
            );
        }
        let terms = [(TermField::Name, fields.name), (TermField::AuditId, fields.audit_id)];
        for ((field, value), fingerprints) in terms.into_iter().zip(&mut self.fingerprints) {
            if let Some(to) = fingerprints.get_mut(usize::from(position)) {
                let hash = salted(Term::new(field, value).hash, self.segment);
                *to = column::fingerprint(hash);
            }
        }
        self.requests.add(&fields, self.segment, position);
    }

    fn add_time(&mut self, position: usize, time: i64) {
        let block = position / (usize::from(POSITIONS) / BLOCKS);
        if let Some(times) = self.times.get_mut(block) {
            let times = times.get_or_insert(Times { first: time, last: time });
            times.first = times.first.min(time);
            times.last = times.last.max(time);
        }
    }

    /// Complete the segment. `last` is its last record; `None` if that cannot be read.
    pub fn finish(self, last: Option<&Record>) -> Segment {
        let mut columns: Vec<Vec<u8>> =
            self.values.iter().map(|values| values.column(self.segment)).collect();
        columns.extend(self.fingerprints.iter().map(|of| column::encode_fingerprints(of)));
        columns.push(self.requests.column());
        Segment { number: self.segment, last: last.into(), times: self.times, columns }
    }
}

/// The column that contains the terms of a field.
pub(super) fn column_of(field: TermField) -> usize {
    match field {
        TermField::User => USER,
        TermField::Namespace => NAMESPACE,
        TermField::SourceIp | TermField::MoreSourceIps => ADDRESS,
        TermField::Name => NAME,
        TermField::AuditId => AUDIT_ID,
        TermField::Verb
        | TermField::Group
        | TermField::Resource
        | TermField::Subresource
        | TermField::Code
        | TermField::Stage => REQUEST,
    }
}

/// The hash of a term in a segment. Two values with equal hashes in one segment have different ones
/// in the next.
pub(super) fn salted(hash: u64, segment: u64) -> u32 {
    let mixed = (hash ^ segment).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let [.., a, b, c, d] = mixed.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// A hasher that returns its input, which is a hash already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = self.0.rotate_left(32) ^ number;
    }
}

#[cfg(test)]
mod tests {
    use event::{Event, ObjectReference, Stage, Status, Timestamp, UserInfo, record};

    use super::super::EVENT_BYTES_MAX;
    use super::*;

    /// An event whose fields are all unique, with more addresses than are indexed.
    fn unlike(seq: u64, requests: u64) -> Event {
        let name = |salt: u64| format!("{:x}", (seq ^ salt << 40).wrapping_mul(SALT));
        let user = |salt| UserInfo { username: name(salt), ..UserInfo::default() };
        Event {
            audit_id: name(1),
            user: user(2),
            impersonated_user: Some(user(3)),
            source_ips: (10..20).map(name).collect(),
            object_ref: Some(ObjectReference {
                resource: format!("resource-{}", seq % requests),
                namespace: name(5),
                name: name(6),
                ..ObjectReference::default()
            }),
            response_status: Some(Status { code: 200, ..Status::default() }),
            ..Event::internal(Stage::ResponseComplete, "get", Timestamp::from_micros(1))
        }
    }

    const SALT: u64 = 0x9e37_79b9_7f4a_7c15;

    #[test]
    fn input_from_clients_cannot_make_the_index_large() {
        for requests in [1, 4_000, SEGMENT_RECORDS] {
            let mut builder = SegmentBuilder::new(7);
            for seq in first_of(7)..first_of(8) {
                builder.add(seq, &record::write(&unlike(seq, requests)));
            }
            let segment = builder.finish(None);
            let bytes: usize = segment.columns.iter().map(Vec::len).sum();
            let bytes_max = SEGMENT_RECORDS * EVENT_BYTES_MAX;
            assert!(bytes as u64 <= bytes_max, "{requests}: {bytes} of {bytes_max}");
        }
    }
}
