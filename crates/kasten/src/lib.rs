//! The K10 kinds: schemas, validation, life cycles.
