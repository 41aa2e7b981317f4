//! `cargo xtask bench`: what things cost, on this machine and in the booted kernel.
mod host;
mod jobs;
mod machine;
mod measurement;
mod recorder;
mod stamp;
mod strands;
mod suite;
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
use suite::Suite;

/// The manual.
pub const HELP: &str = "\
Measure what a raise costs (dispatch), or what strands cost (strands), beside what is wanted and what SPIN published.

Usage: cargo xtask bench dispatch|strands [OPTIONS]

  --host         natively on this machine: criterion on crate `dispatcher`, time in ns (dispatch only)
  --tcg          in the booted kernel under QEMU's translator, time in cycles
  --icount       in the booted kernel, counted instructions: the same in every run
  --cores-apart  on 1, 2, 4, ... cores at once, with a plugin in QEMU that counts each core's
                 instructions and finds every cache line that one core writes and another touches
  --many         as many strands as there may be, 100,000, alive at the same time (strands only)
  --cores N      the most cores at once (default 8)
  --json FILE    also write every sample: an array of objects with the keys suite, case, mode,
                 cores, unit, median, p99 and samples
  --qemu PATH    this QEMU instead of qemu-system-x86_64
  --verbose      print each command

Without any of the first five it does them all, which takes about two minutes. A figure that falls short of what is
wanted is marked and is no failure; a cache line that cores share is.

Examples:
  cargo xtask bench dispatch
  cargo xtask bench dispatch --icount --json counts.json
  cargo xtask bench strands --icount
";

const COMMAND: &str = "bench";
/// How many raises each core makes in each phase that is recorded.
const RECORDED: u32 = 2000;
/// The same where only time is taken.
const TIMED: u32 = 20_000;
/// Memory for as many strands as there may be.
const MEMORY_FOR_MANY: &str = "4G";

/// What the user wants measured.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    common: Common,
    suite: Option<Suite>,
    host: bool,
    tcg: bool,
    icount: bool,
    apart: bool,
    many: bool,
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
            Arg::Long("many") => options.many = true,
            Arg::Long("cores") => options.cores = Some(options::number(words, "--cores", 2..=64, COMMAND)?),
            Arg::Long("json") => options.json = Some(options::text(words, COMMAND)?.into()),
            Arg::Long("qemu") => options.qemu = Some(options::text(words, COMMAND)?),
            Arg::Value(suite) if options.suite.is_none() => {
                let name = suite.to_string_lossy();
                let names = Suite::ALL.map(Suite::name).join(", ");
                let what = || format!("there is no suite {name:?}; there are: {names}");
                let suite = Suite::named(&name);
                options.suite = Some(suite.ok_or_else(|| Error::new(what(), options::manual(COMMAND)))?);
            }
            other => options.common.take(other, COMMAND)?,
        }
    }
    if options.common.help {
        return Ok(options);
    }
    let Some(suite) = options.suite else { return Err(options::missing("SUITE", COMMAND)) };
    if (options.host && suite == Suite::Strands) || (options.many && suite == Suite::Dispatch) {
        let what = format!("the suite {} has no such part", suite.name());
        return Err(Error::new(what, options::manual(COMMAND)));
    }
    if !(options.host || options.tcg || options.icount || options.apart || options.many) {
        (options.tcg, options.icount, options.apart) = (true, true, true);
        (options.host, options.many) = (suite == Suite::Dispatch, suite == Suite::Strands);
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
    let suite = options.suite.unwrap_or(Suite::Dispatch);
    let needs_machine = options.tcg || options.icount || options.apart || options.many;
    let machines = if needs_machine { Some(Machines::prepare(&workspace, &options)?) } else { None };
    println!("{}", stamp::head(&workspace, machines.as_ref().map(|machines| machines.qemu.as_path())));
    let mut all = Vec::new();
    if options.host {
        all.extend(host::run(&workspace)?);
    }
    let mut problems = Vec::new();
    if let Some(machines) = &machines {
        all.extend(machines.costs(shell, suite, &options)?);
        if options.apart {
            problems = machines.apart(&workspace, suite, &mut all)?;
        }
        if options.apart && suite == Suite::Strands {
            all.extend(machines.jobs(&workspace)?);
        }
        if options.many {
            problems.extend(machines.many(shell)?);
        }
    }
    let (text, missed) = match suite {
        Suite::Dispatch => {
            let (text, missed) = table::table(&all);
            let (beside, missed_beside) = table::side_by_side(&all);
            (format!("{text}\n{beside}"), missed + missed_beside)
        }
        Suite::Strands => {
            let (text, missed) = strands::table(&all);
            let (of_jobs, missed_of_jobs) = jobs::table(&all);
            (text + &of_jobs, missed + missed_of_jobs)
        }
    };
    println!("\n{text}");
    if missed > 0 {
        println!("{missed} figures fall short of what is wanted");
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

    /// What things cost on one core, by time and by instructions.
    fn costs(&self, shell: Shell, suite: Suite, options: &Options) -> Result<Vec<Measurement>> {
        let mut all = Vec::new();
        // By time, one core measures and another raises where a case wants company. Counted, the sum over all cores is
        // what the counter says, so there is only one.
        for (is_wanted, mode, cores) in [(options.tcg, Mode::Tcg, 2), (options.icount, Mode::Icount, 1)] {
            if is_wanted {
                let command = format!("bench {} raw", suite.name());
                let machine = machine::machine(&self.qemu, &self.image, cores, mode, &command);
                println!("{:<9} {}", mode.name(), machine::flags(&machine));
                all.extend(machine::costs(shell, &machine, suite, mode)?);
            }
        }
        Ok(all)
    }

    /// Many cores at once: by time, then recorded. What is wrong.
    fn apart(&self, workspace: &Workspace, suite: Suite, all: &mut Vec<Measurement>) -> Result<Vec<String>> {
        let shell = workspace.shell;
        let command = |times: u32| suite.many_cores(times);
        let timed = machine::machine(&self.qemu, &self.image, self.cores, Mode::Tcg, &command(TIMED));
        let (phases, further) = machine::phases(shell, &timed, suite, "measuring many cores")?;
        let counted = phases.into_iter().map(|phase| phase.measurement);
        // The cases on one core alone have been measured better above.
        all.extend(counted.filter(|of| of.cores > 1 && of.case != recorder::CONTROL));
        let step = "recording what cores share";
        let (phases, report) = self.recorded(workspace, suite, &command(RECORDED), step)?;
        let names = Names::read(&files::read(&self.image.kernel)?)?;
        let verdict = recorder::judge(&phases, &report, &names, suite.limits());
        println!("\n{}\n{}", recorder::TITLES, verdict.lines.join("\n"));
        if verdict.problems.is_empty() {
            println!(
                "cores that do the same at once share no line that one of them writes, but where it is shown"
            );
        }
        if let Some(wakes) = strands::wakes(&further) {
            println!("{wakes}");
        }
        match suite {
            Suite::Dispatch => all.extend(verdict.counts.into_iter().filter(|of| of.cores > 1)),
            // A lone core's too: growth is told by what one recorder has counted.
            Suite::Strands => all.extend(verdict.counts),
        }
        Ok(verdict.problems)
    }

    /// Runs a command of the kernel's with the recorder: its phases, and what was recorded of them.
    fn recorded(
        &self,
        workspace: &Workspace,
        suite: Suite,
        command: &str,
        step: &str,
    ) -> Result<(Vec<machine::Phase>, recorder::Report)> {
        let plugin = recorder::build(workspace)?;
        let out = workspace.products().join("recorder.txt");
        // An earlier run's; there may be none.
        let _ = std::fs::remove_file(&out);
        let mut recorded = machine::machine(&self.qemu, &self.image, self.cores, Mode::Tcg, command);
        recorded.further = recorder::options(&plugin, &out);
        println!("{:<9} {}", "recorded", flags_without(&recorded, &workspace.root));
        let (phases, _) = machine::phases(workspace.shell, &recorded, suite, step)?;
        Ok((phases, recorder::Report::parse(&files::read_text(&out)?)?))
    }

    /// Parallel jobs: the instructions of each core.
    fn jobs(&self, workspace: &Workspace) -> Result<Vec<Measurement>> {
        let suite = Suite::Strands;
        let (phases, report) =
            self.recorded(workspace, suite, "bench jobs raw", "recording parallel jobs")?;
        jobs::measured(&phases, &report)
    }

    /// As many strands as there may be. What is wrong.
    fn many(&self, shell: Shell) -> Result<Vec<String>> {
        let mut machine = machine::machine(&self.qemu, &self.image, 2, Mode::Tcg, "bench many raw");
        machine.memory = MEMORY_FOR_MANY.into();
        println!("{:<9} {}", "many", machine::flags(&machine));
        let lines = machine::run(shell, &machine, "making many strands")?;
        Ok(match strands::many(&lines) {
            Ok(line) => {
                println!("{line}");
                Vec::new()
            }
            Err(problem) => vec![problem],
        })
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
        assert!(!options.many);
        let options = words(&["strands"]).unwrap();
        assert!(!options.host && options.tcg && options.icount && options.apart && options.many);
        let options = words(&["dispatch", "--icount", "--json", "f", "--cores", "4"]).unwrap();
        assert_eq!((options.json, options.cores), (Some("f".into()), Some(4)));
    }

    #[test]
    fn mistakes_name_the_manual() {
        for (mistake, word) in [
            (&["speed"][..], "speed"),
            (&[], "SUITE"),
            (&["dispatch", "--cores", "1"], "2 to 64"),
            (&["dispatch", "twice"], "twice"),
            (&["dispatch", "--many"], "no such part"),
            (&["strands", "--host"], "no such part"),
        ] {
            let error = words(mistake).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("cargo xtask bench --help"), "{error}");
        }
        assert!(words(&["--help"]).unwrap().common.help);
    }
}
