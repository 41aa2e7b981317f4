//! `cargo xtask spindle build PATH`: one crate in, one `.spindle` out.
use super::manifest::Manifest;
use super::{check, environment, glue, link, report};
use crate::error::Result;
use crate::files;
use crate::options::{self, Common};
use crate::setup;
use crate::shell::{self, Shell};
use crate::workspace::{TARGET, Workspace};
use lexopt::Arg;
use std::path::{Path, PathBuf};

/// The manual.
pub const HELP: &str = "\
Build a spindle: one object file that the kernel loads while it runs.

Usage: cargo xtask spindle build PATH [--out FILE]

  PATH        folder of the spindle's crate, in this repository or anywhere else
  --out FILE  where the object goes (default: target/whorl/spindles/NAME.spindle)
  --verbose   print each command

Example: cargo xtask spindle build extensions/greeter
";

/// A built spindle.
#[derive(Clone, Debug)]
pub struct Built {
    /// Its name, by which the console loads it.
    pub name: String,
    /// Its object file.
    pub object: PathBuf,
}

/// Runs the subcommand.
pub fn main(words: &mut lexopt::Parser) -> Result<()> {
    let command = "spindle build";
    let (mut common, mut path, mut out) = (Common::default(), None, None);
    while let Some(arg) = options::next(words, command)? {
        match arg {
            Arg::Long("out") | Arg::Short('o') => out = Some(PathBuf::from(options::text(words, command)?)),
            Arg::Value(value) if path.is_none() => path = Some(PathBuf::from(value)),
            other => common.take(other, command)?,
        }
    }
    let Some(path) = path.filter(|_| !common.help) else {
        print!("{HELP}");
        return if common.help { Ok(()) } else { Err(options::missing("PATH", command)) };
    };
    let workspace = Workspace::new(Shell { verbose: common.verbose });
    setup::toolchain(&workspace)?;
    let built = build(&workspace, &path)?;
    let object = match out {
        None => built.object,
        Some(out) => {
            files::write_if_changed(&out, &files::read(&built.object)?)?;
            out
        }
    };
    print!("{}", report::read_back(&object, &built.name)?);
    println!("{}", object.display());
    Ok(())
}

/// Builds the spindle whose crate is in `folder`. Costs a fraction of a second where nothing changed.
pub fn build(workspace: &Workspace, folder: &Path) -> Result<Built> {
    build_manifest(workspace, &Manifest::read(workspace, folder)?)
}

/// Builds a spindle whose manifest is already read.
pub fn build_manifest(workspace: &Workspace, spindle: &Manifest) -> Result<Built> {
    check::source(spindle)?;
    // An interface that it shares with others, mostly. It ends up in the object as the spindle's own code does.
    for neighbour in spindle.neighbourhood(workspace)? {
        check::source(&neighbour)?;
    }
    let glue = glue::write(workspace, spindle)?;
    let mut cargo = environment::cargo(workspace)?;
    cargo.args(["build", "--release", "--target", TARGET, shell::color(), "--manifest-path"]);
    cargo.arg(&glue.manifest_path);
    let step = format!("building the spindle {}", spindle.name);
    workspace.shell.run(&step, &mut cargo, "mend the spindle's source as the compiler says above")?;
    let folder = workspace.products().join("spindles");
    let library = folder.join("target").join(TARGET).join("release").join(&glue.library);
    let object = folder.join(format!("{}.spindle", spindle.name));
    link::link(workspace.shell, &folder, &library, &object)?;
    report::read_back(&object, &spindle.name)?;
    Ok(Built { name: spindle.name.clone(), object })
}
