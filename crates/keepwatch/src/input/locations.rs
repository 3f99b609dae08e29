//! Resolves the inputs of the command line: files, folders, buckets, standard input.
//!
//! Files that continue each other are one stream and are read in order: the objects below one
//! `source=` of Keepwatch's layout, and the objects of a bucket without that layout. Every other
//! file is a separate stream. Streams are merged by time.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};

use super::bytes::{self, Meter};
use super::objects::Objects;
use crate::args::input::InputArgs;
use crate::bucket_url::BucketUrl;

/// Maximum number of files of the inputs; their paths are in memory.
const FILES_MAX: usize = 1_000_000;
/// Maximum number of levels of nested folders.
const DEPTH_MAX: usize = 32;
/// Prefix of the name of a folder with objects of one stream.
const SOURCE: &str = "source=";

/// A source that can be opened and read.
#[derive(Clone)]
pub(super) enum Part {
    Stdin,
    File(PathBuf),
    /// An object, and the URL of its bucket.
    Object {
        objects: Arc<Objects>,
        key: String,
        base: Arc<str>,
    },
}

/// Parts that continue each other.
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) parts: VecDeque<Part>,
}

/// The streams to read.
#[derive(Default)]
pub(super) struct Streams {
    pub(super) list: Vec<Stream>,
    /// Total number of known bytes.
    pub(super) bytes: u64,
    /// Inputs that cannot be read, and why.
    pub(super) failures: Vec<String>,
}

impl Part {
    /// The name in messages.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Stdin => "standard input".to_owned(),
            Self::File(path) => path.display().to_string(),
            Self::Object { base, key, .. } => format!("{base}/{key}"),
        }
    }

    pub(super) fn open(&self, meter: &Meter) -> io::Result<Box<dyn BufRead>> {
        match self {
            Self::Stdin => bytes::stdin(meter),
            Self::File(path) => bytes::file(path, meter),
            Self::Object { objects, key, .. } => {
                let object = objects.read(key).map_err(io::Error::other)?;
                bytes::decompressed(object, meter)
            }
        }
    }

    /// Whether the part can be opened again.
    pub(super) fn is_repeatable(&self) -> bool {
        match self {
            Self::Stdin => false,
            Self::Object { .. } => true,
            Self::File(path) => path.is_file(),
        }
    }
}

/// The streams of all inputs. Only listings of buckets are requested here.
pub(super) fn find(args: &InputArgs) -> Result<Streams> {
    let mut streams = Streams::default();
    if args.inputs.iter().filter(|input| *input == "-").count() > 1 {
        bail!("standard input (-) can be read only once");
    }
    for input in &args.inputs {
        if input == "-" {
            streams.push(Stream { name: input.clone(), parts: [Part::Stdin].into() });
        } else if let Some(url) = BucketUrl::parse(input).filter(BucketUrl::is_remote) {
            let objects = Objects::open(&url, &args.s3)?;
            match objects.list(&url.prefix) {
                Ok(listed) if listed.is_empty() => {
                    streams.failures.push(format!("{input}: there is no object with this prefix"));
                }
                Ok(listed) => {
                    let base: Arc<str> = url.base.into();
                    streams.bytes += listed.iter().map(|object| object.size).sum::<u64>();
                    let parts = listed.into_iter().map(|object| {
                        let (objects, base) = (Arc::clone(&objects), Arc::clone(&base));
                        Part::Object { objects, key: object.key, base }
                    });
                    streams.group(parts.collect(), input);
                }
                Err(error) => streams.failures.push(format!("{input}: {error}")),
            }
        } else {
            streams.add_path(Path::new(input));
        }
    }
    Ok(streams)
}

impl Streams {
    fn push(&mut self, stream: Stream) {
        self.list.push(stream);
    }

    fn add_path(&mut self, path: &Path) {
        let mut files = Vec::new();
        match files_below(path, &mut files, 0) {
            Ok(()) if files.is_empty() => {
                self.failures.push(format!("{}: it contains no files", path.display()));
            }
            Ok(()) => {
                files.sort();
                self.bytes += files.iter().map(|(_, size)| size).sum::<u64>();
                let (ordered, others): (Vec<_>, Vec<_>) = files
                    .into_iter()
                    .map(|(path, _)| path)
                    .partition(|path| path.to_str().is_some_and(|path| stream_of(path).is_some()));
                for path in others {
                    let name = path.display().to_string();
                    self.push(Stream { name, parts: [Part::File(path)].into() });
                }
                let name = path.display().to_string();
                self.group(ordered.into_iter().map(Part::File).collect(), &name);
            }
            Err(error) => self.failures.push(format!("{error:#}")),
        }
    }

    /// Groups the parts of Keepwatch's layout by stream; the others are one stream.
    fn group(&mut self, parts: Vec<Part>, name: &str) {
        let mut streams: BTreeMap<String, VecDeque<Part>> = BTreeMap::new();
        for part in parts {
            let path = part.name();
            let stream = stream_of(&path).unwrap_or(name).to_owned();
            streams.entry(stream).or_default().push_back(part);
        }
        self.list.extend(streams.into_iter().map(|(name, parts)| Stream { name, parts }));
    }
}

/// The folder of a stream in Keepwatch's layout: everything up to the component `source=…`.
fn stream_of(path: &str) -> Option<&str> {
    let start = path.find(&format!("/{SOURCE}"))? + 1;
    let end = path.get(start..)?.find('/')? + start;
    path.get(..end)
}

/// The files in a folder and its subfolders with their sizes, or the file itself.
fn files_below(path: &Path, files: &mut Vec<(PathBuf, u64)>, depth: usize) -> Result<()> {
    let unreadable = || format!("cannot read {}", path.display());
    let metadata = fs::metadata(path).with_context(unreadable)?;
    if !metadata.is_dir() {
        files.push((path.to_owned(), metadata.len()));
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let name = entry.file_name();
        let is_hidden = name.as_encoded_bytes().starts_with(b".") || is_incomplete(&name);
        // A link to a folder may create a cycle.
        let is_link = entry.file_type().with_context(unreadable)?.is_symlink();
        let path = entry.path();
        if is_hidden || (is_link && path.is_dir()) {
            continue;
        }
        if files.len() >= FILES_MAX || depth >= DEPTH_MAX {
            bail!(
                "{}: more than {FILES_MAX} files, or folders within {DEPTH_MAX} folders: pass a \
                 subfolder",
                path.display()
            );
        }
        files_below(&path, files, depth + 1)?;
    }
    Ok(())
}

/// Whether a file is an object that is being written, or that a killed server left incomplete:
/// the store writes `NAME#1` and then renames it.
fn is_incomplete(name: &OsStr) -> bool {
    let Some((object, number)) = name.to_str().and_then(|name| name.rsplit_once('#')) else {
        return false;
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number && [".json", ".json.gz", ".json.zst"].iter().any(|end| object.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_is_being_written_is_not_read() {
        for (name, expected) in [
            ("1795_x.json.gz#1", true),
            ("1795_x.json.zst#12", true),
            ("1795_x.json#1", true),
            ("1795_x.json.gz", false),
            ("audit.log#1", false),
            ("1795_x.json.gz#", false),
            ("1795_x.json.gz#a", false),
        ] {
            assert_eq!(is_incomplete(OsStr::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn objects_of_one_source_are_one_stream() {
        let day = "k10audit/cluster=prod/source=stdout/date=2026-11-23/hour=09";
        for (path, expected) in [
            (format!("s3://b/{day}/1.json.gz"), Some("s3://b/k10audit/cluster=prod/source=stdout")),
            (format!("/mnt/{day}/1.json.gz"), Some("/mnt/k10audit/cluster=prod/source=stdout")),
            ("/var/log/audit.log".to_owned(), None),
            ("/var/log/source=x".to_owned(), None),
        ] {
            assert_eq!(stream_of(&path), expected, "{path}");
        }
    }
}
