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
struct Pty {
    device: OwnedFd,
    output: JoinHandle<Vec<u8>>,
}

impl Pty {
    fn open(columns: u16) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&controller, size).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let device = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let mut controller = File::from(controller);
        let output = thread::spawn(move || {
            let (mut output, mut buffer) = (Vec::new(), [0; 4096]);
            loop {
                match controller.read(&mut buffer) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    // On Linux the read fails (`EIO`) after the last program has closed the device.
                    Ok(0) | Err(_) => return output,
                    Ok(len) => output.extend_from_slice(&buffer[..len]),
                }
            }
        });
        Self { device, output }
    }

    /// Starts a program on the terminal. Takes the command by value, because `output` waits until
    /// its handles of the device are closed.
    fn run(&self, mut command: Command) -> Child {
        let device = || Stdio::from(self.device.try_clone().unwrap());
        command.stdout(device()).stderr(device()).spawn().unwrap()
    }

    /// Waits until all programs have ended, and returns everything that they wrote.
    fn output(self) -> String {
        drop(self.device);
        String::from_utf8(self.output.join().unwrap()).unwrap().replace("\r\n", "\n")
    }
}

/// Removes the escape sequences for colors (SGR); any other remains.
fn without_colors(output: &str) -> String {
    let mut parts = output.split("\u{1b}[");
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
    let pty = Pty::open(columns);
    let mut command = keepwatch();
    command.args(["events", "convert", "--to", "short"]).stdin(Stdio::piped());
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env("TERM", "xterm-256color");
    command.envs(variables.iter().copied());
    let mut process = pty.run(command);
    process.stdin.take().unwrap().write_all(line(user).as_bytes()).unwrap();
    assert!(process.wait().unwrap().success());
    pty.output()
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
        let output = convert(columns, user, &[]);
        assert!(output.contains("\u{1b}[1;33m"), "{output:?}");
        assert_eq!(without_colors(&output), expected, "{columns} {user}");
    }
}

#[test]
fn colors_are_omitted_on_request_and_without_a_terminal() {
    for variables in [&[("NO_COLOR", "1")], &[("TERM", "dumb")]] {
        let output = convert(80, "mallory", variables);
        assert!(!output.contains('\u{1b}') && output.contains("403 ! delete"), "{output:?}");
    }
    let output = crate::server::run(&["events", "convert", "--to=short"], &line("mallory"));
    let output = crate::server::text(&output.stdout);
    assert_eq!(
        output,
        "21:00:00Z 403 ! delete restorepoints        shop/rp-7            mallory 192.0.2.7\n"
    );
}

/// Indices of the lines that contain all of the words.
fn lines_with(output: &str, words: &[&str]) -> Vec<usize> {
    let has_all = |line: &str| words.iter().all(|word| line.contains(word));
    output.lines().enumerate().filter(|(_, line)| has_all(line)).map(|(at, _)| at).collect()
}

#[test]
fn the_demos_text_and_audit_lines_alternate_on_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let pty = Pty::open(100);
    let mut command = keepwatch();
    command.args(["up", "--listen", "127.0.0.1:0", "--demo", "--once"]).arg("--dir").arg(&home);
    command.env_remove("NO_COLOR").env("TERM", "xterm-256color").stdin(Stdio::null());
    let mut process = pty.run(command);
    assert!(process.wait().unwrap().success());
    let output = pty.output();
    assert!(!output.contains("K10Event"), "{output}");
    let plain = without_colors(&output);
    assert!(!plain.contains('\u{1b}'), "{plain}");
    let lines = plain.lines().filter(|line| line.get(8..10) == Some("Z "));
    let long: Vec<&str> = lines.clone().filter(|line| line.chars().count() > 100).collect();
    assert!(lines.count() > 60 && long.is_empty(), "{long:?}");
    for (before, things, count, after) in [
        ("# mallory deletes restore points, which", "restorepoints", 10, "# 10 deleted."),
        ("# mallory deletes restore point contents", "restorepointcontents", 15, "# 15 deleted."),
    ] {
        let deleted = lines_with(&plain, &["Z 200 X delete ", &format!(" {things} "), " mallory "]);
        assert_eq!(deleted.len(), count, "{plain}");
        let before = lines_with(&plain, &[before]);
        let after = lines_with(&plain, &[after]);
        assert!(before[0] < deleted[0], "{plain}");
        assert!(deleted[count - 1] < after[0], "{plain}");
    }
    let refused = lines_with(&plain, &["Z 403 ! ", " mallory "]);
    let report = lines_with(&plain, &["# 3 of 3 were refused; 3 of these refusals are on record"]);
    assert!(refused.len() == 3 && refused[2] < report[0], "{plain}");
    assert!(!lines_with(&plain, &["Z SIGNAL critical opened "]).is_empty(), "{plain}");
}
