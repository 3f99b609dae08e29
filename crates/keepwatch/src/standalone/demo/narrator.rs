//! Sentences on standard error, in step with the lines of events on standard output.
//!
//! Where both are read on a terminal, each sentence waits until the lines of what happened before it
//! are there, and a moment longer, so that signals and a reader can follow. Elsewhere nothing waits: a
//! program reads the lines, and a person only the sentences.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::Duration;

use delivery::Delivery;

use crate::encoding;
use crate::terminal::eprint_line;

/// Between the last line of what happened and the sentence that comes next.
const PAUSE: Duration = Duration::from_millis(400);
/// A terminal that is held up (Ctrl-S) holds up the demo no longer.
const LINES_TIME_MAX: Duration = Duration::from_secs(2);

/// Tells what is about to happen, and what came of it.
pub(crate) struct Narrator {
    delivery: Arc<Delivery>,
    /// Event lines stand between the sentences.
    is_among_lines: bool,
    is_colored: bool,
}

impl Narrator {
    /// One who keeps step with the sinks of `delivery`.
    pub(crate) fn new(delivery: Arc<Delivery>) -> Self {
        Self {
            delivery,
            is_among_lines: io::stdout().is_terminal(),
            is_colored: encoding::is_colored(&io::stderr()),
        }
    }

    /// What is about to happen.
    pub(super) async fn begin(&self, sentence: &str) {
        self.keep_step().await;
        if self.is_among_lines {
            eprint_line("");
        }
        self.print(sentence);
    }

    /// What came of it.
    pub(super) async fn tell(&self, sentence: &str) {
        self.keep_step().await;
        self.print(sentence);
    }

    fn print(&self, sentence: &str) {
        let mark = if self.is_among_lines { "# " } else { "" };
        if self.is_colored {
            eprint_line(&format!("\u{1b}[1m{mark}{sentence}\u{1b}[0m"));
        } else {
            eprint_line(&format!("{mark}{sentence}"));
        }
    }

    /// Waits until the lines of what happened so far are there.
    pub(super) async fn keep_step(&self) {
        if !self.is_among_lines {
            return;
        }
        tokio::time::timeout(LINES_TIME_MAX, self.delivery.sinks_delivered()).await.ok();
        tokio::time::sleep(PAUSE).await;
        tokio::time::timeout(LINES_TIME_MAX, self.delivery.sinks_delivered()).await.ok();
    }
}
