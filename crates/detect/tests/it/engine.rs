//! Streams of events through the engine: signals under disorder.

mod disorder;
mod probes;
mod stream;
