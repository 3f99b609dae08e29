//! The demo's text on standard error, synchronized with the audit lines on standard output.
//!
//! If both appear on one terminal, each sentence waits until the audit lines of the earlier
//! requests are delivered, and a moment longer, so that signals appear and a user can follow.
//! Otherwise there are no delays.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::Duration;

use delivery::Delivery;

use crate::encoding;
use crate::terminal::eprint_line;

/// Time between the last audit line and the next sentence.
const PAUSE: Duration = Duration::from_millis(400);
/// Maximum delay of the demo by a stopped terminal (Ctrl-S).
const LINES_TIME_MAX: Duration = Duration::from_secs(2);

/// Writes the demo's text.
pub(crate) struct Narrator {
    delivery: Arc<Delivery>,
    /// Whether audit lines appear between the sentences.
    shares_terminal: bool,
    is_colored: bool,
}

impl Narrator {
    /// A narrator that waits for the sinks of `delivery`.
    pub(crate) fn new(delivery: Arc<Delivery>) -> Self {
        Self {
            delivery,
            shares_terminal: io::stdout().is_terminal(),
            is_colored: encoding::is_colored(&io::stderr()),
        }
    }

    /// Announces what happens next.
    pub(super) async fn announce(&self, sentence: &str) {
        self.wait_for_lines().await;
        if self.shares_terminal {
            eprint_line("");
        }
        self.print(sentence);
    }

    /// Reports a result.
    pub(super) async fn report(&self, sentence: &str) {
        self.wait_for_lines().await;
        self.print(sentence);
    }

    fn print(&self, sentence: &str) {
        let mark = if self.shares_terminal { "# " } else { "" };
        if self.is_colored {
            eprint_line(&format!("\u{1b}[1m{mark}{sentence}\u{1b}[0m"));
        } else {
            eprint_line(&format!("{mark}{sentence}"));
        }
    }

    /// Waits until the audit lines of earlier requests are delivered.
    pub(super) async fn wait_for_lines(&self) {
        if !self.shares_terminal {
            return;
        }
        _ = tokio::time::timeout(LINES_TIME_MAX, self.delivery.sinks_delivered()).await;
        tokio::time::sleep(PAUSE).await;
        _ = tokio::time::timeout(LINES_TIME_MAX, self.delivery.sinks_delivered()).await;
    }
}
