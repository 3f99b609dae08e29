//! Paths of programs, quoted so that printed commands can be copied into a shell.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The command that runs this program from the current folder: its name if it is in `PATH`, else its path.
pub(crate) fn command() -> String {
    let Ok(program) = env::current_exe().and_then(|path| path.canonicalize()) else {
        return "keepwatch".to_owned();
    };
    let in_path = on_path("keepwatch").and_then(|path| path.canonicalize().ok());
    if in_path.as_ref() == Some(&program) {
        return "keepwatch".to_owned();
    }
    let current = env::current_dir().and_then(|path| path.canonicalize()).unwrap_or_default();
    match program.strip_prefix(&current) {
        // Without a slash, a shell would search `PATH`.
        Ok(below) if below.components().count() == 1 => quoted(&Path::new(".").join(below)),
        Ok(below) => quoted(below),
        Err(_) => quoted(&program),
    }
}

/// The path of a program that a shell finds in `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let folders: Vec<PathBuf> = env::split_paths(&variable("PATH")?).collect();
    folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// A path, quoted for a shell.
pub(crate) fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+=@%,:".contains(&byte);
    if !path.is_empty() && path.bytes().all(is_plain) {
        return path;
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_for_a_shell() {
        for (path, expected) in [
            (".keepwatch/kubeconfig", ".keepwatch/kubeconfig"),
            ("/tmp/my demo", "'/tmp/my demo'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(Path::new(path)), expected);
        }
    }

    #[test]
    fn a_program_outside_the_path_is_called_by_its_full_path() {
        // The running program is this test, which is not in `PATH`.
        assert_ne!(command(), "keepwatch");
        assert!(command().contains('/'), "{}", command());
        assert!(on_path("sh").is_some());
        assert!(on_path("no-such-program").is_none());
    }
}
