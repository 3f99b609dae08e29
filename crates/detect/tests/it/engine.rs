//! Streams of events through the engine.

mod bounds;
mod clocks;
mod disorder;
mod impersonations;
mod life;
mod probes;
mod stream;
mod texts;
