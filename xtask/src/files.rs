//! Reading and writing files so that nothing unchanged looks new, and nobody reads one half written.
use crate::error::{Error, Result};
use std::fs;
use std::path::Path;

/// The bytes of `path`.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::file("read", path, &error))
}

/// The text of `path`.
pub fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| Error::file("read", path, &error))
}

/// Makes `path` and the folders above it.
pub fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| Error::file("make the folder", path, &error))
}

/// Makes `path` hold `bytes`. A file that already does keeps its time, so what depends on it is not built
/// again.
pub fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    write(path, bytes)
}

/// Replaces `path` whole by one that holds `bytes`, so that a QEMU that is reading it is not disturbed.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let fresh = path.with_added_extension(format!("{}.new", std::process::id()));
    fs::write(&fresh, bytes).map_err(|error| Error::file("write", &fresh, &error))?;
    fs::rename(&fresh, path).map_err(|error| Error::file("write", path, &error))
}

/// The folders directly in `path`, sorted by name; none where `path` is missing.
pub fn folders_in(path: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let mut folders: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use super::{folders_in, read, write_if_changed};
    use std::time::{Duration, SystemTime};

    #[test]
    fn an_unchanged_file_keeps_its_time() {
        let folder = std::env::temp_dir().join(format!("whorl-files-{}", std::process::id()));
        let file = folder.join("file");
        write_if_changed(&file, b"one").unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(long_ago).unwrap();
        let modified = || std::fs::metadata(&file).unwrap().modified().unwrap();
        write_if_changed(&file, b"one").unwrap();
        assert_eq!(modified(), long_ago);
        write_if_changed(&file, b"two").unwrap();
        assert_ne!(modified(), long_ago);
        assert_eq!(read(&file).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing half written is left");
        std::fs::remove_dir_all(folder).unwrap();
    }
    #[test]
    fn folders_are_sorted_and_files_are_none() {
        let folder = std::env::temp_dir().join(format!("whorl-folders-{}", std::process::id()));
        write_if_changed(&folder.join("b/file"), b"").unwrap();
        write_if_changed(&folder.join("a/file"), b"").unwrap();
        write_if_changed(&folder.join("c"), b"").unwrap();
        assert_eq!(folders_in(&folder), [folder.join("a"), folder.join("b")]);
        assert!(folders_in(&folder.join("missing")).is_empty());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
