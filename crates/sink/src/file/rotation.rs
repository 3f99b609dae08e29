//! How rotated files are called, and when they go.
//!
//! `audit.log` becomes `audit-2026-11-24T21-30-00.123.log`, in UTC, as Kubernetes' log back end has
//! it. Files that are not called like this are never touched.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use event::Timestamp;

use super::Settings;

const NAME_FORMAT: &str = "%Y-%m-%dT%H-%M-%S";

/// Gives the file the name under which it is kept, and removes those that are kept no longer.
pub(super) fn rotate(settings: &Settings) -> io::Result<()> {
    let mut millis = (settings.clock)().as_micros().div_euclid(1000);
    let target = loop {
        let target = kept_path(&settings.path, millis);
        if !target.try_exists()? {
            break target;
        }
        millis += 1;
    };
    fs::rename(&settings.path, target)?;
    prune(settings)
}

/// Removes the rotated files that are too many or too old.
pub(super) fn prune(settings: &Settings) -> io::Result<()> {
    let mut kept = kept_files(&settings.path)?;
    kept.sort_unstable_by_key(|(millis, _)| std::cmp::Reverse(*millis));
    let now = (settings.clock)().as_micros().div_euclid(1000);
    let age_max = i64::try_from(settings.age_max.as_millis()).unwrap_or(i64::MAX);
    for (position, (millis, path)) in kept.iter().enumerate() {
        let too_many = settings.backups_max > 0 && position >= settings.backups_max;
        let too_old = age_max > 0 && now.saturating_sub(*millis) > age_max;
        if too_many || too_old {
            fs::remove_file(path)?;
            tracing::info!(path = %path.display(), "removed rotated audit file");
        }
    }
    Ok(())
}

fn kept_path(path: &Path, millis: i64) -> PathBuf {
    let (stem, extension) = parts(path);
    let seconds = Timestamp::from_micros(millis.div_euclid(1000) * 1_000_000);
    let time = jiff::Timestamp::from_microsecond(seconds.as_micros()).unwrap_or_default();
    let time = time.strftime(NAME_FORMAT);
    path.with_file_name(format!("{stem}-{time}.{:03}{extension}", millis.rem_euclid(1000)))
}

/// The rotated files of `path` with the time in their name, in milliseconds.
fn kept_files(path: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let Some(folder) = path.parent() else { return Ok(Vec::new()) };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut kept = Vec::new();
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                let entry = entry?;
                if let Some(millis) = kept_since(path, &entry.file_name()) {
                    kept.push((millis, entry.path()));
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(kept)
}

/// The time in a rotated file's name, in milliseconds; nothing if it is no such name.
fn kept_since(path: &Path, name: &OsStr) -> Option<i64> {
    let (stem, extension) = parts(path);
    let time = name.to_str()?.strip_prefix(&stem)?.strip_prefix('-')?.strip_suffix(&extension)?;
    let (seconds, millis) = time.split_once('.')?;
    let millis: i64 = if millis.len() == 3 { millis.parse().ok()? } else { return None };
    let seconds = jiff::civil::DateTime::strptime(NAME_FORMAT, seconds).ok()?;
    let seconds = jiff::tz::Offset::UTC.to_timestamp(seconds).ok()?.as_second();
    Some(seconds * 1000 + millis)
}

/// `audit` and `.log`.
fn parts(path: &Path) -> (String, String) {
    let text = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
    (text(path.file_stem()), extension.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_their_time_and_foreign_names_none() {
        let path = Path::new("/x/audit.log");
        let kept = kept_path(path, 1_764_019_800_123);
        assert_eq!(kept, Path::new("/x/audit-2025-11-24T21-30-00.123.log"));
        assert_eq!(kept_since(path, kept.file_name().unwrap()), Some(1_764_019_800_123));
        for foreign in ["audit.log", "audit-old.log", "audit-2025-11-24T21-30-00.log", "b.log"] {
            assert_eq!(kept_since(path, OsStr::new(foreign)), None, "{foreign}");
        }
    }
}
