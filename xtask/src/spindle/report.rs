//! What the builder made, read back by the kernel's own reader: what this refuses, the kernel would refuse.
use crate::error::{Error, Result};
use crate::files;
use elf::ElfBytes;
use elf::endian::LittleEndian;
use object::{Kind, Object, PAGE_SIZE};
use std::fmt::Write;
use std::path::Path;

/// Reads an object and describes it: size, segments and imports. Refuses one that the kernel would refuse, and one
/// that does not bear `name`.
pub fn read_back(path: &Path, name: &str) -> Result<String> {
    let bytes = files::read(path)?;
    if imports_nothing(&bytes) {
        return Err(Error::new(
            format!("{name} imports nothing, so it could do nothing"),
            "call something of the kernel's in its start(), such as spindle::println!",
        ));
    }
    let object = Object::parse(&bytes).map_err(|error| {
        Error::new(
            format!("the kernel would not load {}: {error}", path.display()),
            "see which crate of the spindle brings that in; `cargo tree` in its folder lists them",
        )
    })?;
    if object.name() != name {
        return Err(Error::new(
            format!("{} calls itself {:?}, not {name:?}", path.display(), object.name()),
            "delete target/whorl/spindles and build it anew",
        ));
    }
    Ok(describe(&object, bytes.len()))
}

/// True if the table of imports is there and empty. The linker then puts it outside of the image.
fn imports_nothing(bytes: &[u8]) -> bool {
    ElfBytes::<LittleEndian>::minimal_parse(bytes)
        .and_then(|file| file.section_header_by_name("whorl_imports"))
        .is_ok_and(|section| section.is_some_and(|section| section.sh_size == 0))
}

fn describe(object: &Object, bytes: usize) -> String {
    let mut text = format!(
        "{} {}: {bytes} bytes, {} pages of {PAGE_SIZE}\n",
        object.name(),
        object.version(),
        object.image_pages()
    );
    // Writing to a string cannot fail.
    for segment in object.segments() {
        let access = format!("{:?}", segment.access);
        let _ =
            writeln!(text, "  {access:<12} {} pages at {:#x}", segment.pages, segment.first_page * PAGE_SIZE);
    }
    for import in object.imports() {
        let kind = match import.kind {
            Kind::Procedure => "procedure",
            Kind::Event => "event",
        };
        let _ = writeln!(text, "  {kind:<12} {} {}", import.name, import.signature);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::read_back;

    #[test]
    fn what_the_kernel_refuses_is_refused_here() {
        let file = std::env::temp_dir().join(format!("whorl-garbage-{}.spindle", std::process::id()));
        std::fs::write(&file, b"\x7fELF, or so it says").unwrap();
        let error = read_back(&file, "garbage").unwrap_err().to_string();
        std::fs::remove_file(&file).unwrap();
        assert!(error.contains("would not load"), "{error}");
    }
}
