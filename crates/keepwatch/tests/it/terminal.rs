//! Output to a terminal: standard output and standard error are connected to a pseudoterminal.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::server::keepwatch;

/// A pseudoterminal, and a thread that collects everything written to it.
struct Window {
    device: OwnedFd,
    shown: JoinHandle<Vec<u8>>,
}

impl Window {
    fn open(columns: u16) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&controller, size).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let device = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let mut controller = File::from(controller);
        let shown = thread::spawn(move || {
            let (mut shown, mut piece) = (Vec::new(), [0; 4096]);
            loop {
                match controller.read(&mut piece) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    // On Linux the read fails (`EIO`) after the last program has closed the device.
                    Ok(0) | Err(_) => return shown,
                    Ok(len) => shown.extend_from_slice(&piece[..len]),
                }
            }
        });
        Self { device, shown }
    }

    /// Starts a program on the terminal. Takes the command by value, because `shown` waits until
    /// its handles of the device are closed.
    fn run(&self, mut command: Command) -> Child {
        let device = || Stdio::from(self.device.try_clone().unwrap());
        command.stdout(device()).stderr(device()).spawn().unwrap()
    }

    /// Waits until all programs have ended, and returns everything that they wrote.
    fn shown(self) -> String {
        drop(self.device);
        String::from_utf8(self.shown.join().unwrap()).unwrap().replace("\r\n", "\n")
    }
}

/// Removes the escape sequences for colors (SGR); any other remains.
fn without_colors(shown: &str) -> String {
    let mut parts = shown.split("\u{1b}[");
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        match part.split_once('m') {
            Some((color, text))
                if color.bytes().all(|byte| byte.is_ascii_digit() || byte == b';') =>
            {
                plain.push_str(text);
            }
            _ => plain.extend(["\u{1b}[", part]),
        }
    }
    plain
}

/// A line of kube-apiserver's audit log with this user name, which an attacker may choose.
fn line(user: &str) -> String {
    let user = serde_json::Value::from(user);
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"ResponseComplete","requestURI":"/x","verb":"delete","user":{{"username":{user}}},"sourceIPs":["192.0.2.7"],"objectRef":{{"resource":"restorepoints","namespace":"shop","name":"rp-7"}},"responseStatus":{{"code":403}},"requestReceivedTimestamp":"2026-11-24T21:00:00.000000Z","stageTimestamp":"2026-11-24T21:00:00.000001Z"}}"#
    )
}

/// The output of `events convert --to short` on a terminal, for the event of `user`.
fn convert(columns: u16, user: &str, variables: &[(&str, &str)]) -> String {
    let window = Window::open(columns);
    let mut command = keepwatch();
    command.args(["events", "convert", "--to", "short"]).stdin(Stdio::piped());
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env("TERM", "xterm-256color");
    command.envs(variables.iter().copied());
    let mut process = window.run(command);
    process.stdin.take().unwrap().write_all(line(user).as_bytes()).unwrap();
    assert!(process.wait().unwrap().success());
    window.shown()
}

#[test]
fn a_line_fits_the_window_and_cannot_control_the_terminal() {
    let wide =
        "21:00:00Z 403 ! delete restorepoints        shop/rp-7            mallory 192.0.2.7\n";
    let narrow = "21:00:00Z 403 ! delete restorepoints shop/rp-7            mallory 192.0.2.7\n";
    for (columns, user, expected) in [
        (120, "mallory", wide),
        (80, "mallory", narrow),
        // A terminal of unknown width.
        (0, "mallory", narrow),
        (60, "mallory", "21:00:00Z 403 ! delete restorepoints sho…p-7 mallory 192…2.7\n"),
        (
            80,
            "\u{1b}]0;x\u{7}",
            "21:00:00Z 403 ! delete restorepoints shop/rp-7         \\u{1b}]0;x\\u{7} 192.0.2.7\n",
        ),
        (
            80,
            "金曜日",
            "21:00:00Z 403 ! delete restorepoints shop/rp-7            金曜日 192.0.2.7\n",
        ),
    ] {
        let shown = convert(columns, user, &[]);
        assert!(shown.contains("\u{1b}[1;33m"), "{shown:?}");
        assert_eq!(without_colors(&shown), expected, "{columns} {user}");
    }
}

#[test]
fn colors_are_omitted_on_request_and_without_a_terminal() {
    for variables in [&[("NO_COLOR", "1")], &[("TERM", "dumb")]] {
        let shown = convert(80, "mallory", variables);
        assert!(!shown.contains('\u{1b}') && shown.contains("403 ! delete"), "{shown:?}");
    }
    let output = crate::server::run(&["events", "convert", "--to=short"], &line("mallory"));
    let shown = crate::server::text(&output.stdout);
    assert_eq!(
        shown,
        "21:00:00Z 403 ! delete restorepoints        shop/rp-7            mallory 192.0.2.7\n"
    );
}

/// Indices of the lines that contain all of the words.
fn found(shown: &str, words: &[&str]) -> Vec<usize> {
    let has_all = |line: &str| words.iter().all(|word| line.contains(word));
    shown.lines().enumerate().filter(|(_, line)| has_all(line)).map(|(at, _)| at).collect()
}

#[test]
fn the_demos_text_and_audit_lines_alternate_on_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let window = Window::open(100);
    let mut command = keepwatch();
    command.args(["up", "--listen", "127.0.0.1:0", "--demo", "--once"]).arg("--dir").arg(&home);
    command.env_remove("NO_COLOR").env("TERM", "xterm-256color").stdin(Stdio::null());
    let mut process = window.run(command);
    assert!(process.wait().unwrap().success());
    let shown = window.shown();
    assert!(!shown.contains("K10Event"), "{shown}");
    let plain = without_colors(&shown);
    assert!(!plain.contains('\u{1b}'), "{plain}");
    let lines = plain.lines().filter(|line| line.get(8..10) == Some("Z "));
    let long: Vec<&str> = lines.clone().filter(|line| line.chars().count() > 100).collect();
    assert!(lines.count() > 60 && long.is_empty(), "{long:?}");
    for (before, things, count, after) in [
        ("# mallory deletes restore points, which", "restorepoints", 10, "# 10 deleted."),
        ("# mallory deletes restore point contents", "restorepointcontents", 15, "# 15 deleted."),
    ] {
        let deleted = found(&plain, &["Z 200 X delete ", &format!(" {things} "), " mallory "]);
        assert_eq!(deleted.len(), count, "{plain}");
        let before = found(&plain, &[before]);
        let after = found(&plain, &[after]);
        assert!(before[0] < deleted[0], "{plain}");
        assert!(deleted[count - 1] < after[0], "{plain}");
    }
    let refused = found(&plain, &["Z 403 ! ", " mallory "]);
    let told = found(&plain, &["# 3 of 3 were refused; 3 of these refusals are on record"]);
    assert!(refused.len() == 3 && refused[2] < told[0], "{plain}");
    assert!(!found(&plain, &["Z SIGNAL critical opened "]).is_empty(), "{plain}");
}
