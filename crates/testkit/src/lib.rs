//! Notation for events, certificates and servers in tests.
