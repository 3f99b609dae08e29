//! The column of requests: verb, group, resource, subresource, code and stage together. Few
//! combinations exist, so an event's combination is looked up, and its hashes are computed once.
//!
//! Texts are compared, not only their hashes. Otherwise a client could choose a text whose hash
//! equals that of another one, and its events would be found under the wrong values.

use event::term::{RecordFields, Term, TermField};

use super::super::column::{self, REQUEST_FIELDS, Request};
use super::super::posting_lists::posting;
use super::{ByHash, salted};

/// The maximum number of bytes of remembered texts. A combination beyond that counts as a new one
/// each time.
const TEXTS_MAX: usize = 64 << 10;
/// The number of entries in the table of guesses, which is indexed by a cheap hash of some bytes.
const GUESSES: usize = 256;

const FIELDS: [TermField; REQUEST_FIELDS] = [
    TermField::Verb,
    TermField::Group,
    TermField::Resource,
    TermField::Subresource,
    TermField::Code,
    TermField::Stage,
];

/// The combinations of a segment, and the records that have them.
pub(super) struct Requests {
    hashes: Vec<Request>,
    known: Vec<Known>,
    texts: Vec<u8>,
    by_hash: ByHash<u32>,
    /// Guesses: indexes into `known`.
    guesses: [u32; GUESSES],
    postings: Vec<u32>,
}

/// A remembered combination.
struct Known {
    /// Its index in `hashes`.
    id: u32,
    /// The start of its texts, which are stored one after the other, and their lengths.
    start: usize,
    lens: [usize; 4],
    code: u16,
    stage: event::Stage,
}

/// The texts of a combination.
type Texts<'a> = [&'a [u8]; 4];

impl Default for Requests {
    fn default() -> Self {
        Self {
            hashes: Vec::new(),
            known: Vec::new(),
            texts: Vec::new(),
            by_hash: ByHash::default(),
            guesses: [u32::MAX; GUESSES],
            postings: Vec::new(),
        }
    }
}

impl Requests {
    #[inline]
    pub(super) fn add(&mut self, fields: &RecordFields<'_>, segment: u64, position: u16) {
        let texts = [fields.verb, fields.group, fields.resource, fields.subresource];
        let guess_index = guess_hash(&texts, fields.code);
        let guess = self.guesses.get(guess_index).copied().unwrap_or(u32::MAX);
        let id = match self.known.get(usize::try_from(guess).unwrap_or(usize::MAX)) {
            Some(known) if self.matches(known, &texts, fields) => known.id,
            _ => self.look_up(fields, &texts, guess_index, segment),
        };
        self.postings.push(posting(id, position));
    }

    fn matches(&self, known: &Known, texts: &Texts<'_>, fields: &RecordFields<'_>) -> bool {
        let mut rest = self.texts.get(known.start..).unwrap_or_default();
        known.code == fields.code
            && known.stage == fields.stage
            && known.lens == texts.map(<[u8]>::len)
            && texts.iter().all(|text| rest.split_off(..text.len()) == Some(*text))
    }

    fn look_up(
        &mut self,
        fields: &RecordFields<'_>,
        texts: &Texts<'_>,
        guess_index: usize,
        segment: u64,
    ) -> u32 {
        let [verb, group, resource, subresource] = *texts;
        let [a, b] = fields.code.to_le_bytes();
        let values =
            [verb, group, resource, subresource, &[a, b], fields.stage.as_str().as_bytes()];
        let mut index = 0;
        let terms = values.map(|value| {
            index += 1;
            FIELDS.get(index - 1).map_or(0, |field| Term::new(*field, value).hash)
        });
        let hash = terms.iter().fold(0_u64, |all, term| all.rotate_left(7) ^ term);
        let index = self.by_hash.get(&hash).copied();
        let index =
            index.and_then(|index| Some((index, self.known.get(usize::try_from(index).ok()?)?)));
        if let Some((index, known)) = index
            && self.matches(known, texts, fields)
        {
            let id = known.id;
            if let Some(guess) = self.guesses.get_mut(guess_index) {
                *guess = index;
            }
            return id;
        }
        let id = u32::try_from(self.hashes.len()).unwrap_or_default();
        self.hashes.push(terms.map(|term| short(salted(term, segment))));
        let len: usize = texts.iter().map(|text| text.len()).sum();
        if self.texts.len() + len <= TEXTS_MAX {
            let start = self.texts.len();
            for text in texts {
                self.texts.extend_from_slice(text);
            }
            let index = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
            let lens = texts.map(<[u8]>::len);
            self.known.push(Known { id, start, lens, code: fields.code, stage: fields.stage });
            self.by_hash.insert(hash, index);
            if let Some(guess) = self.guesses.get_mut(guess_index) {
                *guess = index;
            }
        }
        id
    }

    pub(super) fn column(&self) -> Vec<u8> {
        column::encode_requests(&self.hashes, &self.postings)
    }
}

/// The index of a term's field in a request, and the hash of the term there.
pub(in super::super) fn position_of(term: &Term, segment: u64) -> Option<(usize, u16)> {
    let position = FIELDS.iter().position(|field| *field == term.field)?;
    Some((position, short(salted(term.hash, segment))))
}

fn short(hash: u32) -> u16 {
    let [.., low, high] = hash.to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// A cheap hash below [`GUESSES`] that differs for most combinations.
fn guess_hash(texts: &Texts<'_>, code: u16) -> usize {
    let few = |text: &[u8]| {
        let at = |position: usize| u32::from(text.get(position).copied().unwrap_or_default());
        let last = text.last().copied().map_or(0, u32::from);
        at(0) ^ at(2) << 7 ^ last << 13 ^ u32::try_from(text.len()).unwrap_or_default() << 20
    };
    let mixed = texts.iter().fold(u32::from(code), |mixed, text| {
        (mixed.rotate_left(9) ^ few(text)).wrapping_mul(0x9e37_79b1)
    });
    usize::from(mixed.to_be_bytes()[0])
}
