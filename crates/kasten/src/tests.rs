//! Tests of all kinds together: what each is served with, and what each decides.
