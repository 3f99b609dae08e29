//! Lists the files of a folder and its subfolders. Symbolic links, hidden files and the temporary
//! files of uploads are left out.

use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use object_store::ObjectMeta;
use object_store::path::Path as Key;
use rustix::fs::{AtFlags, Dir, FileType};

use super::Folder;
use crate::read::KEYS_MAX;

/// The maximum number of levels of nested folders.
const DEPTH_MAX: usize = 32;

/// The files below a folder. A missing folder has no files.
pub(super) fn below(folder: &Folder, prefix: &str) -> io::Result<Vec<ObjectMeta>> {
    let mut objects = Vec::new();
    let mut waiting = vec![(prefix.to_owned(), 0)];
    while let Some((path, depth)) = waiting.pop() {
        let opened = match folder.open(Path::new(&path), false) {
            Err(error) if error.kind() == ErrorKind::NotFound && depth > 0 => continue,
            opened => opened?,
        };
        for entry in Dir::read_from(&opened)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name.starts_with('.') || name.contains('#') {
                continue;
            }
            let stat = match rustix::fs::statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW) {
                // The file was removed in the meantime.
                Err(rustix::io::Errno::NOENT) => continue,
                stat => stat?,
            };
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory if depth < DEPTH_MAX => waiting.push((path, depth + 1)),
                FileType::RegularFile => {
                    let Ok(key) = Key::parse(&path) else { continue };
                    let file = folder.file(&path);
                    let metadata = match file.and_then(|file| file.metadata()) {
                        Err(error) if error.kind() == ErrorKind::NotFound => continue,
                        metadata => metadata?,
                    };
                    objects.push(meta(key, &metadata));
                }
                _ => {}
            }
            if objects.len() > KEYS_MAX {
                let text = format!("more than {KEYS_MAX} files: name a subfolder");
                return Err(io::Error::new(ErrorKind::FileTooLarge, text));
            }
        }
    }
    Ok(objects)
}

/// The metadata of a file. Its entity tag changes when it is written.
pub(super) fn meta(location: Key, metadata: &std::fs::Metadata) -> ObjectMeta {
    let (inode, size) = (metadata.ino(), metadata.len());
    let tag = format!("{inode:x}-{:x}.{:x}-{size:x}", metadata.mtime(), metadata.mtime_nsec());
    let modified = metadata.modified().unwrap_or(std::time::UNIX_EPOCH);
    ObjectMeta { location, last_modified: modified.into(), size, e_tag: Some(tag), version: None }
}
