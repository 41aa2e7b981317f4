//! The boot archive: the files that the kernel gets with it, as one ustar.
use crate::error::{Error, Result};

/// The longest name that the kernel reads.
const LONGEST_NAME: usize = 99;

/// Packs files, each a name and its bytes, in the order given. The same files give the same bytes: no times, no owners.
pub fn pack(files: &[(String, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (at, (name, bytes)) in files.iter().enumerate() {
        if name.len() > LONGEST_NAME || name.is_empty() {
            return Err(Error::new(
                format!("{name:?} cannot be a name in the boot archive: 1 to {LONGEST_NAME} bytes may be"),
                "give the file a shorter name",
            ));
        }
        if files[..at].iter().any(|(earlier, _)| earlier == name) {
            return Err(Error::new(
                format!("two files of the boot archive are named {name}"),
                "rename one of the two spindles in its Cargo.toml",
            ));
        }
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, name, bytes.as_slice()).map_err(|error| cannot_pack(&error))?;
    }
    archive.into_inner().map_err(|error| cannot_pack(&error))
}

fn cannot_pack(error: &std::io::Error) -> Error {
    Error::new(
        format!("cannot pack the boot archive: {error}"),
        "name files by plain names without a leading /",
    )
}

#[cfg(test)]
mod tests {
    use super::pack;
    use std::io::Read;

    #[test]
    fn what_goes_in_comes_out() {
        let files = vec![("a.spindle".into(), vec![7; 1000]), ("symbols".into(), Vec::new())];
        let bytes = pack(&files).unwrap();
        assert_eq!(&bytes[257..263], b"ustar\0", "the magic of ustar, which the kernel looks for");
        assert_eq!(bytes.len() % 512, 0);
        assert_eq!(bytes, pack(&files).unwrap(), "the same files give the same bytes");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let found: Vec<(String, Vec<u8>)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                (entry.path().unwrap().display().to_string(), content)
            })
            .collect();
        assert_eq!(found, files);
    }

    #[test]
    fn bad_names_are_refused() {
        for files in [
            vec![("n".repeat(100), Vec::new())],
            vec![(String::new(), Vec::new())],
            vec![("same".into(), vec![1]), ("same".into(), vec![2])],
        ] {
            assert!(pack(&files).is_err());
        }
    }
}
