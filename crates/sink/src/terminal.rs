//! The terminal that shows the lines to a user: its current width, and whether it has colors.
//!
//! The width is read for each line, because windows are resized. A pipe or a file has no width:
//! lines have their maximum length there. The binary reads the environment and decides whether to
//! use colors.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use event::short::{COLUMNS_DEFAULT, COLUMNS_MAX, Style};
use rustix::termios::tcgetwinsize;

/// A terminal, or a file or pipe instead of it.
#[derive(Clone, Debug)]
pub struct Terminal {
    fd: Arc<OwnedFd>,
    is_colored: bool,
}

impl Terminal {
    /// The terminal of a file descriptor.
    pub fn new(fd: OwnedFd, is_colored: bool) -> Self {
        Self { fd: Arc::new(fd), is_colored }
    }

    /// The current style of lines.
    pub fn style(&self) -> Style {
        let columns = match tcgetwinsize(&self.fd) {
            Ok(size) if size.ws_col == 0 => COLUMNS_DEFAULT,
            Ok(size) => usize::from(size.ws_col),
            Err(_) => COLUMNS_MAX,
        };
        Style { columns, is_colored: self.is_colored }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustix::fs::{Mode, OFlags, open};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{Winsize, tcsetwinsize};

    use super::*;

    #[test]
    fn each_line_has_the_current_width_of_the_window() {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let device = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let terminal = Terminal::new(device, true);
        for (ws_col, columns) in [(0, COLUMNS_DEFAULT), (100, 100), (37, 37), (9999, 9999)] {
            let size = Winsize { ws_row: 24, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
            tcsetwinsize(&controller, size).unwrap();
            assert_eq!(terminal.style(), Style { columns, is_colored: true });
        }
    }

    #[test]
    fn a_pipe_has_no_width() {
        let (_reader, writer) = io::pipe().unwrap();
        let style = Terminal::new(writer.into(), false).style();
        assert_eq!(style, Style { columns: COLUMNS_MAX, is_colored: false });
    }
}
