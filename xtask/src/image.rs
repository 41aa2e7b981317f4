//! All that a boot needs: the kernel and the archive of spindles and symbols.
use crate::archive;
use crate::error::{Error, Result};
use crate::files;
use crate::kernel::{self, Flavour, Kernel};
use crate::options::{self, Common};
use crate::setup;
use crate::shell::Shell;
use crate::spindle::build::{self as builder, Built};
use crate::spindle::manifest::Manifest;
use crate::workspace::Workspace;
use lexopt::Arg;
use std::path::{Path, PathBuf};

/// The manual.
pub const HELP: &str = "\
Build the kernel, every spindle of the repository, and the boot archive.

Usage: cargo xtask build [--debug]

  --debug     an unoptimised kernel with every assertion
  --verbose   print each command

Example: cargo xtask build
";

/// What QEMU boots.
#[derive(Clone, Debug)]
pub struct Image {
    /// The kernel's ELF.
    pub kernel: PathBuf,
    /// The boot archive.
    pub archive: PathBuf,
}

/// Runs the subcommand.
pub fn main(words: &mut lexopt::Parser) -> Result<()> {
    let command = "build";
    let (mut common, mut flavour) = (Common::default(), Flavour::default());
    while let Some(arg) = options::next(words, command)? {
        match arg {
            Arg::Long("debug") => flavour.debug = true,
            other => common.take(other, command)?,
        }
    }
    if common.help {
        print!("{HELP}");
        return Ok(());
    }
    let workspace = Workspace::new(Shell { verbose: common.verbose });
    setup::toolchain(&workspace)?;
    let image = assemble(&workspace, flavour, &spindles(&workspace, &[])?)?;
    println!("{}\n{}", image.kernel.display(), image.archive.display());
    Ok(())
}

/// Builds every spindle of the repository and those at `further` paths: a crate's folder, or an object that is taken
/// as it is. One of the same name takes the place of the repository's.
pub fn spindles(workspace: &Workspace, further: &[PathBuf]) -> Result<Vec<Built>> {
    let mut spindles = Vec::new();
    for manifest in Manifest::of_repository(workspace)? {
        spindles.push(builder::build_manifest(workspace, &manifest)?);
    }
    for path in further {
        let built = if path.extension().is_some_and(|extension| extension == "spindle") && !path.is_dir() {
            as_it_is(path)?
        } else {
            builder::build(workspace, path)?
        };
        spindles.retain(|spindle| spindle.name != built.name);
        spindles.push(built);
    }
    Ok(spindles)
}

fn as_it_is(object: &Path) -> Result<Built> {
    let Some(name) = object.file_stem().filter(|_| object.is_file()) else {
        return Err(Error::new(
            format!("no spindle at {}", object.display()),
            "build it: cargo xtask spindle build PATH",
        ));
    };
    Ok(Built { name: name.to_string_lossy().into_owned(), object: object.to_path_buf() })
}

/// Builds the kernel and packs the boot archive for it.
pub fn assemble(workspace: &Workspace, flavour: Flavour, spindles: &[Built]) -> Result<Image> {
    let kernel = kernel::build(workspace, flavour)?;
    let name = flavour.file_name("boot") + ".tar";
    pack(workspace, &kernel, &name, files(&kernel, spindles)?)
}

/// Packs these files as the boot archive `name` of `kernel`.
pub fn pack(
    workspace: &Workspace,
    kernel: &Kernel,
    name: &str,
    files: Vec<(String, Vec<u8>)>,
) -> Result<Image> {
    let archive = workspace.products().join(name);
    files::write_if_changed(&archive, &archive::pack(&files)?)?;
    Ok(Image { kernel: kernel.elf.clone(), archive })
}

/// What the boot archive holds, by name.
pub fn files(kernel: &Kernel, spindles: &[Built]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for spindle in spindles {
        files.push((format!("{}.spindle", spindle.name), files::read(&spindle.object)?));
    }
    files.push(("symbols".to_string(), files::read(&kernel.symbols)?));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::as_it_is;
    use std::path::Path;

    #[test]
    fn an_object_that_is_not_there_is_an_error() {
        let error = as_it_is(Path::new("/nowhere/ghost.spindle")).unwrap_err();
        assert!(error.to_string().contains("ghost.spindle"), "{error}");
    }
}
