//! Where events leave: the Sink trait and one file per destination.
