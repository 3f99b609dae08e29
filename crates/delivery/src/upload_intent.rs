//! The write-ahead intent of an upload: stored as the state of the cursor before the upload begins.

use std::fmt;

use objectstore::Object;

/// The records of an object, and the key under which it may have been uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadIntent {
    pub(crate) epoch: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) key: String,
}

impl UploadIntent {
    pub(crate) fn new(object: &Object, epoch: u64) -> Self {
        Self { epoch, first: object.first, last: object.last, key: object.key.clone() }
    }

    /// The sequence number of the last record of the object.
    pub fn last_seq(&self) -> u64 {
        self.last
    }

    /// Reads the state of an uploader's cursor, as [`fmt::Display`] writes it. `None` if no upload is in
    /// progress.
    pub fn parse(state: &str) -> Option<Self> {
        let mut fields = state.strip_prefix("fixed ")?.splitn(4, ' ');
        let mut number = || fields.next()?.parse().ok();
        let (epoch, first, last) = (number()?, number()?, number()?);
        Some(Self { epoch, first, last, key: fields.next()?.to_owned() })
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
    fn an_intent_is_parsed_as_it_is_written() {
        let intent = UploadIntent { epoch: 17, first: 3, last: 9, key: "k10audit/a b".to_owned() };
        assert_eq!(UploadIntent::parse(&intent.to_string()), Some(intent));
        for other in ["", "fixed", "fixed 1 2", "fixed 1 2 x k", "1:2:3"] {
            assert_eq!(UploadIntent::parse(other), None, "{other}");
        }
    }
}
