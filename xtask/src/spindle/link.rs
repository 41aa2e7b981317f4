//! From the static library of spindle and glue to one `.spindle` object.
use crate::error::Result;
use crate::files;
use crate::shell::Shell;
use crate::workspace;
use std::path::Path;
use std::process::Command;

/// The only symbol that an object shows. Were others global, nothing could be left out of it.
const VERSION_SCRIPT: &str = "{ global: WHORL_SPINDLE; local: *; };\n";

/// What rust-lld is told. `-z defs` refuses a symbol that nobody defines; the kernel's linker wants page-aligned
/// segments, each with one kind of access, and every relocation done before the first instruction runs.
const FLAGS: &[&str] = &[
    "-flavor",
    "gnu",
    "-shared",
    "-Bsymbolic",
    "--gc-sections",
    "--strip-debug",
    "--build-id=none",
    "--hash-style=sysv",
    "--undefined=WHORL_SPINDLE",
    "-zdefs",
    "-zseparate-code",
    "-zrelro",
    "-znow",
    "-zmax-page-size=4096",
    "-zstart-stop-visibility=hidden",
];

/// Links `library` to `object`, unless that has been done: `folder` remembers from what the object was made.
pub fn link(shell: Shell, folder: &Path, library: &Path, object: &Path) -> Result<()> {
    let linker = workspace::linker()?;
    let record = object.with_extension("made-from");
    let made_from = describe(library, &linker);
    if object.is_file() && std::fs::read_to_string(&record).is_ok_and(|old| old == made_from) {
        return Ok(());
    }
    let script = folder.join("version-script");
    files::write_if_changed(&script, VERSION_SCRIPT.as_bytes())?;
    let fresh = object.with_extension(format!("{}.new", std::process::id()));
    let mut command = Command::new(&linker);
    command.args(FLAGS).arg("--version-script").arg(&script).arg("-o").arg(&fresh).arg(library);
    shell.run(
        "linking the spindle",
        &mut command,
        "a spindle may need nothing but its crates: see the symbols above",
    )?;
    std::fs::rename(&fresh, object).map_err(|error| crate::error::Error::file("write", object, &error))?;
    files::write_if_changed(&record, made_from.as_bytes())
}

/// Everything that the object depends on, in words: equal words, equal object.
fn describe(library: &Path, linker: &Path) -> String {
    let metadata = std::fs::metadata(library).ok();
    let size = metadata.as_ref().map(std::fs::Metadata::len);
    let time = metadata.and_then(|metadata| metadata.modified().ok());
    format!("{linker:?} {FLAGS:?} {VERSION_SCRIPT:?} {library:?} {size:?} {time:?}\n")
}
