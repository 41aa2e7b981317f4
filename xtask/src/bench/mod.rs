//! `cargo xtask bench`: what things cost, on this machine and in the booted kernel.
mod host;
mod machine;
mod measurement;
mod recorder;
mod stamp;
mod table;

use crate::error::{Error, Result};
use crate::files;
use crate::image::{self, Image};
use crate::kernel::Flavour;
use crate::options::{self, Common};
use crate::setup;
use crate::shell::Shell;
use crate::symbols::Names;
use crate::workspace::Workspace;
use lexopt::{Arg, Parser};
use measurement::{Measurement, Mode};
use std::path::{Path, PathBuf};

/// The manual.
pub const HELP: &str = "\
Measure what a raise costs, beside what is wanted and what SPIN published.

Usage: cargo xtask bench dispatch [OPTIONS]

  --host         natively on this machine: criterion on crate `dispatcher`, time in ns
  --tcg          in the booted kernel under QEMU's translator, time in cycles
  --icount       in the booted kernel, counted instructions: the same in every run
  --cores-apart  on 1, 2, 4, ... cores at once, with a plugin in QEMU that counts each core's
                 instructions and finds every cache line that one core writes and another touches
  --cores N      the most cores at once (default 8)
  --json FILE    also write every sample: an array of objects with the keys suite, case, mode,
                 cores, unit, median, p99 and samples
  --qemu PATH    this QEMU instead of qemu-system-x86_64
  --verbose      print each command

Without any of the first four it does them all, which takes about two minutes. A figure that falls short of what is
wanted is marked and is no failure; a cache line that cores share is.

Examples:
  cargo xtask bench dispatch
  cargo xtask bench dispatch --icount --json counts.json
";

const COMMAND: &str = "bench";
/// The suite's name, in files and as the benchmark's.
const SUITE: &str = "dispatch";
/// How many raises each core makes in each phase that is recorded.
const RECORDED: u32 = 2000;
/// The same where only time is taken.
const TIMED: u32 = 20_000;

/// What the user wants measured.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    common: Common,
    suite: Option<String>,
    host: bool,
    tcg: bool,
    icount: bool,
    apart: bool,
    cores: Option<u32>,
    json: Option<PathBuf>,
    qemu: Option<String>,
}

fn parse(words: &mut Parser) -> Result<Options> {
    let mut options = Options::default();
    while let Some(arg) = options::next(words, COMMAND)? {
        match arg {
            Arg::Long("host") => options.host = true,
            Arg::Long("tcg") => options.tcg = true,
            Arg::Long("icount") => options.icount = true,
            Arg::Long("cores-apart") => options.apart = true,
            Arg::Long("cores") => options.cores = Some(options::number(words, "--cores", 2..=64, COMMAND)?),
            Arg::Long("json") => options.json = Some(options::text(words, COMMAND)?.into()),
            Arg::Long("qemu") => options.qemu = Some(options::text(words, COMMAND)?),
            Arg::Value(suite) if options.suite.is_none() => {
                options.suite = Some(suite.to_string_lossy().into_owned());
            }
            other => options.common.take(other, COMMAND)?,
        }
    }
    if options.common.help {
        return Ok(options);
    }
    match options.suite.as_deref() {
        Some(SUITE) => {}
        None => return Err(options::missing("SUITE", COMMAND)),
        Some(other) => {
            let what = format!("there is no suite {other:?}; there is: {SUITE}");
            return Err(Error::new(what, options::manual(COMMAND)));
        }
    }
    if !(options.host || options.tcg || options.icount || options.apart) {
        (options.host, options.tcg, options.icount, options.apart) = (true, true, true, true);
    }
    Ok(options)
}

/// Runs the subcommand.
pub fn main(words: &mut Parser) -> Result<()> {
    let options = parse(words)?;
    if options.common.help {
        print!("{HELP}");
        return Ok(());
    }
    let shell = Shell { verbose: options.common.verbose };
    let workspace = Workspace::new(shell);
    let needs_machine = options.tcg || options.icount || options.apart;
    let machines = if needs_machine { Some(Machines::prepare(&workspace, &options)?) } else { None };
    println!("{}", stamp::head(&workspace, machines.as_ref().map(|machines| machines.qemu.as_path())));
    let mut all = Vec::new();
    if options.host {
        all.extend(host::run(&workspace)?);
    }
    let mut problems = Vec::new();
    if let Some(machines) = &machines {
        all.extend(machines.costs(shell, &options)?);
        if options.apart {
            problems = machines.apart(&workspace, &mut all)?;
        }
    }
    let (text, missed) = table::table(&all);
    let (beside, missed_beside) = table::side_by_side(&all);
    println!("\n{text}\n{beside}");
    if missed + missed_beside > 0 {
        println!("{} figures fall short of what is wanted", missed + missed_beside);
    }
    if let Some(file) = &options.json {
        files::write(file, measurement::json(&all).as_bytes())?;
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::new(problems.join("\n"), "find who writes there, and give each core a line of its own"))
}

/// What is needed to boot machines.
struct Machines {
    qemu: PathBuf,
    image: Image,
    cores: u32,
}

impl Machines {
    fn prepare(workspace: &Workspace, options: &Options) -> Result<Machines> {
        setup::toolchain(workspace)?;
        let qemu = setup::qemu(workspace, options.qemu.as_deref())?;
        let spindles = image::spindles(workspace, &[])?;
        let image = image::assemble(workspace, Flavour::default(), &spindles)?;
        Ok(Machines { qemu, image, cores: options.cores.unwrap_or(8) })
    }

    /// The costs of one raise, by time and by instructions.
    fn costs(&self, shell: Shell, options: &Options) -> Result<Vec<Measurement>> {
        let mut all = Vec::new();
        // By time, one core measures and another raises where a case wants company. Counted, the sum over all cores is
        // what the counter says, so there is only one.
        for (is_wanted, mode, cores) in [(options.tcg, Mode::Tcg, 2), (options.icount, Mode::Icount, 1)] {
            if is_wanted {
                let machine =
                    machine::machine(&self.qemu, &self.image, cores, mode, &format!("bench {SUITE} raw"));
                println!("{:<9} {}", mode.name(), machine::flags(&machine));
                all.extend(machine::costs(shell, &machine, mode)?);
            }
        }
        Ok(all)
    }

    /// Many cores at once: by time, then recorded. What is wrong.
    fn apart(&self, workspace: &Workspace, all: &mut Vec<Measurement>) -> Result<Vec<String>> {
        let shell = workspace.shell;
        let command = |times: u32| format!("bench parallel {times} raw");
        let timed = machine::machine(&self.qemu, &self.image, self.cores, Mode::Tcg, &command(TIMED));
        let phases = machine::phases(shell, &timed, "measuring many cores")?;
        let counted = phases.into_iter().map(|phase| phase.measurement);
        // The cases on one core alone have been measured better above.
        all.extend(counted.filter(|of| of.cores > 1 && of.case != recorder::CONTROL));
        let plugin = recorder::build(workspace)?;
        let out = workspace.products().join("recorder.txt");
        // An earlier run's; there may be none.
        let _ = std::fs::remove_file(&out);
        let mut recorded =
            machine::machine(&self.qemu, &self.image, self.cores, Mode::Tcg, &command(RECORDED));
        recorded.further = recorder::options(&plugin, &out);
        println!("{:<9} {}", "recorded", flags_without(&recorded, &workspace.root));
        let phases = machine::phases(shell, &recorded, "recording what cores share")?;
        let report = recorder::Report::parse(&files::read_text(&out)?)?;
        let names = Names::read(&files::read(&self.image.kernel)?)?;
        let verdict = recorder::judge(&phases, &report, &names);
        println!("\n{}\n{}", recorder::TITLES, verdict.lines.join("\n"));
        if verdict.problems.is_empty() {
            println!("cores that raise at once share no line that one of them writes");
        }
        all.extend(verdict.counts.into_iter().filter(|of| of.cores > 1));
        Ok(verdict.problems)
    }
}

/// The machine's flags, with paths as seen from the repository.
fn flags_without(machine: &crate::qemu::Machine, root: &Path) -> String {
    machine::flags(machine).replace(&format!("{}/", root.display()), "")
}

#[cfg(test)]
mod tests {
    use super::{Options, parse};

    fn words(words: &[&str]) -> crate::error::Result<Options> {
        parse(&mut lexopt::Parser::from_args(words))
    }

    #[test]
    fn nothing_chosen_means_everything() {
        let options = words(&["dispatch"]).unwrap();
        assert!(options.host && options.tcg && options.icount && options.apart);
        let options = words(&["dispatch", "--icount", "--json", "f", "--cores", "4"]).unwrap();
        assert!(options.icount && !options.host && !options.tcg && !options.apart);
        assert_eq!((options.json, options.cores), (Some("f".into()), Some(4)));
    }

    #[test]
    fn mistakes_name_the_manual() {
        for (mistake, word) in [
            (&["speed"][..], "speed"),
            (&[], "SUITE"),
            (&["dispatch", "--cores", "1"], "2 to 64"),
            (&["dispatch", "twice"], "twice"),
        ] {
            let error = words(mistake).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("cargo xtask bench --help"), "{error}");
        }
        assert!(words(&["--help"]).unwrap().common.help);
    }
}
