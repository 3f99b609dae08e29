//! Counts distinct digests.
//!
//! The count is exact up to a bound and an estimate (`HyperLogLog`, 3 %) beyond it: a count of a
//! million costs a kilobyte.

use std::collections::BTreeSet;

use crate::engine::codec::{CheckpointError, Decoder, Saved, bytes, save_bytes};
use crate::engine::digest::Digest;

/// Number of registers of the estimate.
const REGISTERS: usize = 1024;

/// The number of distinct digests.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counter {
    counted: BTreeSet<Digest>,
    /// Empty while the count is exact.
    registers: Vec<u8>,
    /// The largest estimate so far, so that the count never decreases.
    estimate: u64,
}

impl Counter {
    /// Counts a digest. Returns whether it is new; false while the count is an estimate.
    pub(crate) fn add(&mut self, digest: Digest, exact_max: usize) -> bool {
        if !self.registers.is_empty() {
            self.register(digest);
            return false;
        }
        let is_new = self.counted.insert(digest);
        if self.counted.len() > exact_max {
            self.registers = vec![0; REGISTERS];
            self.estimate = self.counted.len() as u64;
            for digest in std::mem::take(&mut self.counted) {
                self.register(digest);
            }
        }
        is_new
    }

    pub(crate) fn count(&self) -> u64 {
        if self.registers.is_empty() { self.counted.len() as u64 } else { self.estimate }
    }

    fn register(&mut self, digest: Digest) {
        let bits = u128::from_be_bytes(digest.0);
        let index = (bits >> 118) as usize;
        let rank = u8::try_from((bits << 10).leading_zeros() + 1).unwrap_or(u8::MAX);
        if let Some(register) = self.registers.get_mut(index)
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

impl Saved for Counter {
    fn save(&self, to: &mut Vec<u8>) {
        self.counted.save(to);
        save_bytes(&self.registers, to);
        self.estimate.save(to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        let counted = BTreeSet::load(from)?;
        let registers = bytes(from)?.to_vec();
        if !registers.is_empty() && registers.len() != REGISTERS {
            return Err(CheckpointError::Damaged("an estimate has other registers"));
        }
        Ok(Self { counted, registers, estimate: u64::load(from)? })
    }
}
