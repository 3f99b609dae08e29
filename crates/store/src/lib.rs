//! The one SQLite file: transactions, group commit, journal, cursors.
