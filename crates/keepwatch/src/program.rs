//! Commands that a user can type as printed: which programs exist, and their paths.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// How to call this program from the current folder: by its name, if `PATH` finds it.
pub(crate) fn own() -> String {
    let Ok(own) = env::current_exe().and_then(|own| own.canonicalize()) else {
        return "keepwatch".to_owned();
    };
    let found = on_path("keepwatch").and_then(|found| found.canonicalize().ok());
    if found.as_ref() == Some(&own) {
        return "keepwatch".to_owned();
    }
    let here = env::current_dir().and_then(|here| here.canonicalize()).unwrap_or_default();
    match own.strip_prefix(&here) {
        // Without a slash, a shell would search `PATH`.
        Ok(below) if below.components().count() == 1 => quoted(&Path::new(".").join(below)),
        Ok(below) => quoted(below),
        Err(_) => quoted(&own),
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
        assert_ne!(own(), "keepwatch");
        assert!(own().contains('/'), "{}", own());
        assert!(on_path("sh").is_some());
        assert!(on_path("no-such-program").is_none());
    }
}
