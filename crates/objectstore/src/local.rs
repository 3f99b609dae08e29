//! A store in a folder, usually a mounted volume that other programs can also write to.
//!
//! Each part of a path is opened relative to its parent, and no symbolic link is followed: a
//! program that can write into the volume must not redirect writes outside of it. An object is
//! complete and on disk before it gets its name.
//!
//! Deliberately absent: copies and deletions, because no caller needs them for a folder.

mod list;
mod provider;

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::path::Path as Key;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use rustix::fs::{AtFlags, Mode, OFlags};

pub use provider::FileStore;

/// The name of this store in errors.
const STORE: &str = "folder";
/// Maximum number of temporary files of interrupted uploads of one object.
const TEMPORARY_FILES_MAX: u32 = 1000;

/// A folder in a volume.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    volume: PathBuf,
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new(volume: &Path, path: &Path) -> Self {
        Self { volume: volume.to_owned(), path: path.to_owned() }
    }

    /// Creates the folder. Its volume has to exist.
    pub(crate) fn create(&self) -> io::Result<()> {
        self.open(Path::new(""), true).map(drop)
    }

    /// Opens the file of a key for reading.
    pub(crate) fn file(&self, key: &str) -> io::Result<File> {
        let (parent, name) = split(key)?;
        let folder = self.open(parent, false)?;
        // Without NONBLOCK, opening a pipe would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::openat(&folder, name, flags, Mode::empty());
        let file = File::from(file.map_err(|error| open_error(&folder, name, error))?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, format!("{name} is not a file")));
        }
        Ok(file)
    }

    /// Opens the folder `parent` below this one.
    fn open(&self, parent: &Path, create_missing: bool) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut folder = rustix::fs::open(&self.volume, flags, Mode::empty())?;
        for part in self.path.components().chain(parent.components()) {
            let Component::Normal(name) = part else {
                let text = format!("{} leaves the volume", self.path.display());
                return Err(io::Error::new(ErrorKind::InvalidInput, text));
            };
            if create_missing {
                match rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) => rustix::fs::fsync(&folder)?,
                    Err(rustix::io::Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let next = rustix::fs::openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty());
            folder = next.map_err(|error| open_error(&folder, &name.to_string_lossy(), error))?;
        }
        Ok(folder)
    }

    fn put(&self, key: &str, payload: &PutPayload, mode: &PutMode) -> io::Result<()> {
        let (parent, name) = split(key)?;
        let folder = self.open(parent, true)?;
        let (temporary, mut file) = create_temporary(&folder, name)?;
        let written = payload.iter().try_for_each(|piece| file.write_all(piece));
        let renamed = written.and_then(|()| file.sync_all()).and_then(|()| {
            match mode {
                // Unlike a rename, a link does not replace an existing file.
                PutMode::Create => {
                    rustix::fs::linkat(&folder, &temporary, &folder, name, AtFlags::empty())?;
                    rustix::fs::unlinkat(&folder, &temporary, AtFlags::empty())?;
                }
                _ => rustix::fs::renameat(&folder, &temporary, &folder, name)?,
            }
            Ok(())
        });
        if renamed.is_err() {
            // The first error is the one to report.
            _ = rustix::fs::unlinkat(&folder, &temporary, AtFlags::empty());
        }
        renamed?;
        Ok(rustix::fs::fsync(&folder)?)
    }

    /// Runs blocking file system calls in a thread for them.
    async fn spawn_blocking<T: Send + 'static>(
        &self,
        key: &Key,
        work: impl FnOnce(&Self, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (folder, path) = (self.clone(), key.as_ref().to_owned());
        let result = tokio::task::spawn_blocking(move || work(&folder, &path)).await;
        let path = key.to_string();
        result.map_err(|source| Error::JoinError { source })?.map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::NotFound { path, source: error.into() },
            ErrorKind::AlreadyExists => Error::AlreadyExists { path, source: error.into() },
            ErrorKind::PermissionDenied => Error::PermissionDenied { path, source: error.into() },
            _ => Error::Generic { store: STORE, source: error.into() },
        })
    }
}

/// Creates the file that gets the object's name when it is complete.
fn create_temporary(folder: &OwnedFd, name: &str) -> io::Result<(String, File)> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for number in 1..=TEMPORARY_FILES_MAX {
        let temporary = format!("{name}#{number}");
        match rustix::fs::openat(folder, &temporary, flags, Mode::from_raw_mode(0o666)) {
            Ok(file) => return Ok((temporary, File::from(file))),
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let text = format!("there are {TEMPORARY_FILES_MAX} temporary files of {name}: remove them");
    Err(io::Error::new(ErrorKind::StorageFull, text))
}

/// The folder and the file name of a key.
fn split(key: &str) -> io::Result<(&Path, &str)> {
    let (parent, name) = key.rsplit_once('/').unwrap_or(("", key));
    if name.is_empty() || name == "." || name == ".." || key.contains('\0') {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not the key of an object"));
    }
    Ok((Path::new(parent), name))
}

/// The error of opening `name`, with a message of its own if that is a symbolic link.
fn open_error(folder: &OwnedFd, name: &str, error: rustix::io::Errno) -> io::Error {
    let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    let is_link = stat.is_ok_and(|stat| {
        rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Symlink
    });
    if is_link {
        let text = format!("{name} is a symbolic link, which is not followed in a volume");
        return io::Error::new(ErrorKind::InvalidInput, text);
    }
    error.into()
}

fn unsupported(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: STORE.to_owned() }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.volume.join(&self.path);
        // Joined with an empty path, a path gets a slash at its end; `components` drops it.
        write!(f, "folder {}", path.components().collect::<PathBuf>().display())
    }
}

#[async_trait]
impl ObjectStore for Folder {
    async fn put_opts(
        &self,
        location: &Key,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.spawn_blocking(location, move |folder, key| folder.put(key, &payload, &options.mode))
            .await?;
        Ok(PutResult { e_tag: None, version: None, extensions: http::Extensions::new() })
    }

    async fn put_multipart_opts(
        &self,
        _location: &Key,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(unsupported("a multipart upload"))
    }

    async fn get_opts(&self, location: &Key, options: GetOptions) -> Result<GetResult> {
        let file = self.spawn_blocking(location, Self::file).await?;
        let metadata = file
            .metadata()
            .map_err(|error| Error::Generic { store: STORE, source: error.into() })?;
        let meta = list::meta(location.clone(), &metadata);
        options.check_preconditions(&meta)?;
        let start = match options.range {
            None => 0,
            Some(GetRange::Offset(offset)) => offset.min(meta.size),
            Some(_) => return Err(unsupported("a range that does not extend to the end")),
        };
        let range: Range<u64> = start..meta.size;
        let payload = GetResultPayload::File(file, PathBuf::from(location.as_ref()));
        let (attributes, extensions) = (Attributes::default(), http::Extensions::new());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(
        &self,
        _locations: BoxStream<'static, Result<Key>>,
    ) -> BoxStream<'static, Result<Key>> {
        stream::iter([Err(unsupported("deletion"))]).boxed()
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (folder, prefix) = (self.clone(), prefix.cloned().unwrap_or_default());
        let listed = async move { folder.spawn_blocking(&prefix, list::below).await };
        let objects = stream::once(listed).map_ok(|objects| stream::iter(objects).map(Ok));
        objects.try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, _prefix: Option<&Key>) -> Result<ListResult> {
        Err(unsupported("a list"))
    }

    async fn copy_opts(&self, _from: &Key, _to: &Key, _options: CopyOptions) -> Result<()> {
        Err(unsupported("a copy"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Regression: a pod that could write into a claim could redirect the events.
    #[tokio::test]
    async fn reads_and_writes_in_a_volume_follow_no_links() {
        let temp_dir = tempfile::tempdir().unwrap();
        let (volume, outside) = (temp_dir.path().join("claim"), temp_dir.path().join("outside"));
        std::fs::create_dir_all(volume.join("inner")).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(outside.join("secret"), "canary").unwrap();
        symlink(&outside, volume.join("link")).unwrap();
        symlink(&outside, volume.join("inner/k10audit")).unwrap();
        symlink(outside.join("secret"), volume.join("inner/object")).unwrap();
        symlink("inner", volume.join("within")).unwrap();
        for (path, key) in [
            ("link", "x"),
            ("link/out", "x"),
            ("within", "x"),
            ("inner", "k10audit/x"),
            ("inner", "k10audit/deep/x"),
            ("..", "x"),
            ("inner/../..", "x"),
            ("/", "x"),
        ] {
            let folder = Folder::new(&volume, Path::new(path));
            let put = folder.put_opts(&Key::from(key), "x".into(), PutOptions::default()).await;
            assert!(put.is_err(), "{path} {key}");
            assert!(folder.file(key).is_err(), "{path} {key}");
        }
        let folder = Folder::new(&volume, Path::new("inner"));
        assert!(folder.file("object").unwrap_err().to_string().contains("symbolic link"));
        // A link where the object goes is replaced, not written through.
        folder.put_opts(&Key::from("object"), "new".into(), PutOptions::default()).await.unwrap();
        assert_eq!(std::fs::read_to_string(volume.join("inner/object")).unwrap(), "new");
        let entries: Vec<_> = std::fs::read_dir(&outside).unwrap().collect();
        assert_eq!(entries.len(), 1);
        assert_eq!(std::fs::read_to_string(outside.join("secret")).unwrap(), "canary");
    }

    #[tokio::test]
    async fn an_object_is_written_once_and_can_be_read() {
        let temp_dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(temp_dir.path(), Path::new("a/b"));
        folder.create().unwrap();
        let key = Key::from("c/d");
        let create = || PutOptions::from(PutMode::Create);
        folder.put_opts(&key, "one".into(), create()).await.unwrap();
        let second_put = folder.put_opts(&key, "two".into(), create()).await;
        assert!(matches!(second_put, Err(Error::AlreadyExists { .. })), "{second_put:?}");
        let read = folder.get_opts(&key, GetOptions::default()).await.unwrap();
        assert_eq!(read.bytes().await.unwrap(), "one");
        let missing = folder.get_opts(&Key::from("c/e"), GetOptions::default()).await;
        assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
        let names: Vec<_> = std::fs::read_dir(temp_dir.path().join("a/b/c")).unwrap().collect();
        assert_eq!(names.len(), 1, "no temporary file is left");
    }
}
