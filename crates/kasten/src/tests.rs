//! Tests of all kinds together: what each is served with, and what each decides.

mod actions;
mod elsewhere;
mod kept;
mod served;
mod standalone;
mod world;
