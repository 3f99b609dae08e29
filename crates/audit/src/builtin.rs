//! The policies that come with the program, as files in `policies/`.

use crate::{LoadError, Policy, Strictness};

/// A policy that comes with the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Builtin {
    /// The one K10 documents, the same in meaning.
    #[default]
    K10,
    /// The same without its holes.
    Extended,
}

impl Builtin {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::K10, Self::Extended];

    /// The name by which a setting chooses it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::K10 => "k10",
            Self::Extended => "extended",
        }
    }

    /// The policy as a file, to be read and changed by people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::K10 => include_str!("../policies/k10.yaml"),
            Self::Extended => include_str!("../policies/extended.yaml"),
        }
    }
}

impl Policy {
    /// A policy that comes with the program. A test loads them all, so an error is a broken build.
    pub fn builtin(which: Builtin) -> Result<Self, LoadError> {
        Self::load(which.text().as_bytes(), Strictness::Strict).map(|loaded| loaded.policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_can_be_loaded() {
        for which in Builtin::ALL {
            Policy::builtin(which).unwrap();
        }
    }
}
