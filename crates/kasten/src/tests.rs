//! Tests of all kinds together: what each is served with, and what each decides.

mod actions;
mod fake_registry;
mod other_installation;
mod resources;
mod restore_points;
mod standalone;
