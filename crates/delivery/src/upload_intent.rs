//! The range of an object, kept with the cursor from before its upload begins until it is there.

use std::fmt;

use objectstore::Object;

/// Which records go into an object, and the key under which it may have been uploaded already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UploadIntent {
    pub(crate) epoch: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) key: String,
}

impl UploadIntent {
    pub(crate) fn of(object: &Object, epoch: u64) -> Self {
        Self { epoch, first: object.first, last: object.last, key: object.key.clone() }
    }

    /// What [`fmt::Display`] wrote; `None` for anything else, such as nothing.
    pub(crate) fn parse(state: &str) -> Option<Self> {
        let mut words = state.strip_prefix("fixed ")?.splitn(4, ' ');
        let mut number = || words.next()?.parse().ok();
        let (epoch, first, last) = (number()?, number()?, number()?);
        Some(Self { epoch, first, last, key: words.next()?.to_owned() })
    }
}

impl fmt::Display for UploadIntent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fixed {} {} {} {}", self.epoch, self.first, self.last, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let intent = UploadIntent { epoch: 17, first: 3, last: 9, key: "k10audit/a b".to_owned() };
        assert_eq!(UploadIntent::parse(&intent.to_string()), Some(intent));
        for other in ["", "fixed", "fixed 1 2", "fixed 1 2 x k", "1:2:3"] {
            assert_eq!(UploadIntent::parse(other), None, "{other}");
        }
    }
}
