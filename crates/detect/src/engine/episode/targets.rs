//! Counts the distinct objects of a signal.
//!
//! The count is exact up to a bound and an estimate (`HyperLogLog`, 3 %) beyond it: a count of a
//! million costs a kilobyte.

use std::collections::BTreeSet;

use event::signal::{Target, Targets};

use crate::engine::codec::{CheckpointError, Saved};
use crate::engine::digest::Digest;
use crate::engine::facts::Facts;
use crate::engine::settings::{TARGETS_COUNTED_MAX, TARGETS_MAX};

/// Number of registers of the estimate.
const REGISTERS: usize = 1024;

/// The distinct objects and their count.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    items: Vec<Target>,
    counted: BTreeSet<Digest>,
    /// Empty while the count is exact.
    registers: Vec<u8>,
    /// The largest estimate so far, so that the count never decreases.
    estimate: u64,
}

impl Tally {
    /// Counts the object of an event.
    pub(crate) fn add(&mut self, facts: &Facts) {
        if facts.resource.is_empty() {
            return;
        }
        let parts =
            [&facts.api_group, &facts.resource, &facts.subresource, &facts.namespace, &facts.name];
        let digest = Digest::of(parts.map(String::as_bytes));
        if !self.registers.is_empty() {
            self.register(digest);
        } else if self.counted.insert(digest) {
            if self.items.len() < TARGETS_MAX {
                self.items.push(Target {
                    group: facts.api_group.clone(),
                    resource: facts.resource.clone(),
                    subresource: facts.subresource.clone(),
                    namespace: facts.namespace.clone(),
                    name: facts.name.clone(),
                });
            }
            if self.counted.len() > TARGETS_COUNTED_MAX {
                self.registers = vec![0; REGISTERS];
                self.estimate = self.counted.len() as u64;
                for digest in std::mem::take(&mut self.counted) {
                    self.register(digest);
                }
            }
        }
    }

    pub(crate) fn count(&self) -> u64 {
        if self.registers.is_empty() { self.counted.len() as u64 } else { self.estimate }
    }

    /// The listed objects, in order of appearance.
    pub(crate) fn items(&self) -> &[Target] {
        &self.items
    }

    /// The targets section of the signal.
    pub(crate) fn tell(&self) -> Targets {
        Targets { count: self.count(), items: self.items.clone() }
    }

    fn register(&mut self, digest: Digest) {
        let bits = u128::from_be_bytes(digest.0);
        let place = (bits >> 118) as usize;
        let rank = u8::try_from((bits << 10).leading_zeros() + 1).unwrap_or(u8::MAX);
        if let Some(register) = self.registers.get_mut(place)
            && *register < rank
        {
            *register = rank;
            self.estimate = self.estimate.max(estimate(&self.registers));
        }
    }
}

/// The estimate of the registers (Flajolet et al. 2007), without the correction for large counts.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate, far below 2^52 and above 0"
)]
fn estimate(registers: &[u8]) -> u64 {
    let len = REGISTERS as f64;
    let alpha = 0.7213 / (1.0 + 1.079 / len);
    let sum: f64 = registers.iter().map(|register| (-f64::from(*register)).exp2()).sum();
    let zeros = registers.iter().map(|register| u16::from(*register == 0)).sum::<u16>();
    let raw = alpha * len * len / sum;
    // Linear counting, where it is more precise.
    let best =
        if raw <= 2.5 * len && zeros > 0 { len * (len / f64::from(zeros)).ln() } else { raw };
    best as u64
}

impl Saved for Tally {
    fn save(&self, to: &mut Vec<u8>) {
        self.items.save(to);
        self.counted.save(to);
        crate::engine::codec::save_bytes(&self.registers, to);
        self.estimate.save(to);
    }

    fn load(from: &mut &[u8]) -> Result<Self, CheckpointError> {
        let items = Vec::load(from)?;
        let counted = BTreeSet::load(from)?;
        let registers = crate::engine::codec::bytes(from)?.to_vec();
        if !registers.is_empty() && registers.len() != REGISTERS {
            return Err(CheckpointError::Damaged("an estimate has other registers"));
        }
        Ok(Self { items, counted, registers, estimate: u64::load(from)? })
    }
}

impl Saved for Target {
    fn save(&self, to: &mut Vec<u8>) {
        for part in [&self.group, &self.resource, &self.subresource, &self.namespace, &self.name] {
            part.save(to);
        }
    }

    fn load(from: &mut &[u8]) -> Result<Self, CheckpointError> {
        Ok(Self {
            group: String::load(from)?,
            resource: String::load(from)?,
            subresource: String::load(from)?,
            namespace: String::load(from)?,
            name: String::load(from)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_exact_then_estimated_and_never_decreases() {
        let mut tally = Tally::default();
        let mut last = 0;
        for number in 0..50_000_u64 {
            let facts = Facts {
                resource: "restorepoints".into(),
                name: format!("rp-{number}"),
                ..Facts::default()
            };
            tally.add(&facts);
            tally.add(&facts);
            let count = tally.count();
            assert!(count >= last);
            last = count;
            let expected = number + 1;
            if expected <= TARGETS_COUNTED_MAX as u64 {
                assert_eq!(count, expected);
            } else {
                assert!(count.abs_diff(expected) * 10 <= expected, "{count} for {expected}");
            }
        }
        assert_eq!(tally.tell().items.len(), TARGETS_MAX);
    }
}
