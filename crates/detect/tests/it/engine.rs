//! Streams of events through the engine: signals under disorder.

mod bounds;
mod clocks;
mod disorder;
mod life;
mod probes;
mod stream;
