//! The names of rotated files, and when they are removed.
//!
//! `audit.log` becomes `audit-2026-11-24T21-30-00.123.log`, in UTC, as kube-apiserver's log backend
//! names it. Other files are never touched.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use event::Timestamp;

use super::Settings;

const NAME_FORMAT: &str = "%Y-%m-%dT%H-%M-%S";

/// Renames the file, and removes rotated files that are too many or too old.
pub(super) fn rotate(settings: &Settings) -> io::Result<()> {
    let mut millis = (settings.clock)().as_micros().div_euclid(1000);
    let target = loop {
        let target = rotated_path(&settings.path, millis);
        if !target.try_exists()? {
            break target;
        }
        millis += 1;
    };
    fs::rename(&settings.path, target)?;
    prune(settings)
}

/// Removes rotated files that are too many or too old.
pub(super) fn prune(settings: &Settings) -> io::Result<()> {
    let mut rotated = rotated_files(&settings.path)?;
    rotated.sort_unstable_by_key(|(millis, _)| std::cmp::Reverse(*millis));
    let now = (settings.clock)().as_micros().div_euclid(1000);
    let age_max = i64::try_from(settings.age_max.as_millis()).unwrap_or(i64::MAX);
    for (position, (millis, path)) in rotated.iter().enumerate() {
        let exceeds_count = settings.backups_max > 0 && position >= settings.backups_max;
        let exceeds_age = age_max > 0 && now.saturating_sub(*millis) > age_max;
        if exceeds_count || exceeds_age {
            fs::remove_file(path)?;
            tracing::info!(path = %path.display(), "removed rotated audit file");
        }
    }
    Ok(())
}

fn rotated_path(path: &Path, millis: i64) -> PathBuf {
    let (stem, extension) = stem_and_extension(path);
    let seconds = Timestamp::from_micros(millis.div_euclid(1000) * 1_000_000);
    let time = jiff::Timestamp::from_microsecond(seconds.as_micros()).unwrap_or_default();
    let time = time.strftime(NAME_FORMAT);
    path.with_file_name(format!("{stem}-{time}.{:03}{extension}", millis.rem_euclid(1000)))
}

/// The rotated files of `path` with the time in their name, in milliseconds since 1970.
fn rotated_files(path: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let Some(folder) = path.parent() else { return Ok(Vec::new()) };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut rotated = Vec::new();
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                let entry = entry?;
                if let Some(millis) = rotation_time(path, &entry.file_name()) {
                    rotated.push((millis, entry.path()));
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(rotated)
}

/// The time in the name of a rotated file, in milliseconds since 1970; `None` for other names.
fn rotation_time(path: &Path, name: &OsStr) -> Option<i64> {
    let (stem, extension) = stem_and_extension(path);
    let time = name.to_str()?.strip_prefix(&stem)?.strip_prefix('-')?.strip_suffix(&extension)?;
    let (seconds, millis) = time.split_once('.')?;
    let millis: i64 = if millis.len() == 3 { millis.parse().ok()? } else { return None };
    let seconds = jiff::civil::DateTime::strptime(NAME_FORMAT, seconds).ok()?;
    let seconds = jiff::tz::Offset::UTC.to_timestamp(seconds).ok()?.as_second();
    Some(seconds * 1000 + millis)
}

/// Stem and extension of the file name: `audit` and `.log`.
fn stem_and_extension(path: &Path) -> (String, String) {
    let text = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
    (text(path.file_stem()), extension.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_names_contain_their_time() {
        let path = Path::new("/x/audit.log");
        let rotated = rotated_path(path, 1_764_019_800_123);
        assert_eq!(rotated, Path::new("/x/audit-2025-11-24T21-30-00.123.log"));
        assert_eq!(rotation_time(path, rotated.file_name().unwrap()), Some(1_764_019_800_123));
        for foreign in ["audit.log", "audit-old.log", "audit-2025-11-24T21-30-00.log", "b.log"] {
            assert_eq!(rotation_time(path, OsStr::new(foreign)), None, "{foreign}");
        }
    }
}
