//! `cargo xtask run`: from the sources to Whorl's console.
use crate::error::{Error, Result};
use crate::image;
use crate::kernel::Flavour;
use crate::options::{self, Common};
use crate::qemu::{Accelerator, Ending, Machine};
use crate::setup;
use crate::shell::{self, Shell};
use crate::workspace::Workspace;
use lexopt::{Arg, Parser};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// The manual.
pub const HELP: &str = "\
Build what is missing, boot Whorl under QEMU, and open its console.

Usage: cargo xtask run [OPTIONS]

  -c, --command \"CMD; CMD\"  run these console commands and power off; exit 0 only if every one succeeded
  --cores N                 virtual cores, 1 to 64 (default 8)
  --memory SIZE             RAM, such as 512M (the default) or 2G
  --spindle PATH            also build the spindle in PATH and take it along (may be repeated);
                            a file NAME.spindle is taken as it is
  --debug                   an unoptimised kernel with every assertion
  --log LEVEL               error, warn, info, debug or trace
  --timeout SECONDS         end a machine that runs longer (default 600 with -c, else never)
  --headless                take no input: only show what the machine says
  --qemu PATH               this QEMU instead of qemu-system-x86_64
  --accel auto|tcg|kvm      what executes the guest (auto: KVM where kvm_intel or kvm_amd is loaded, else TCG)
  --gdb                     wait for a debugger before the first instruction
  --verbose                 print each command

Leave the console with the command halt, or with Ctrl-A X at any time.

Examples:
  cargo xtask run
  cargo xtask run --cores 2 -c \"cores; load greeter; raise Demo.Hello 3; unload greeter\"
";

const COMMAND: &str = "run";
/// How long scripted commands may take where the user says nothing.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(600);

/// What the user wants run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    common: Common,
    script: Option<String>,
    cores: Option<u32>,
    memory: Option<String>,
    spindles: Vec<PathBuf>,
    flavour: Flavour,
    log: Option<String>,
    timeout: Option<Duration>,
    headless: bool,
    qemu: Option<String>,
    accelerator: Accelerator,
    gdb: bool,
}

fn parse(words: &mut Parser) -> Result<Options> {
    let mut options = Options::default();
    while let Some(arg) = options::next(words, COMMAND)? {
        match arg {
            Arg::Short('c') | Arg::Long("command") => options.script = Some(options::text(words, COMMAND)?),
            Arg::Long("cores") => options.cores = Some(options::number(words, "--cores", 1..=64, COMMAND)?),
            Arg::Long("memory") => options.memory = Some(memory(options::text(words, COMMAND)?)?),
            Arg::Long("spindle") => options.spindles.push(options::text(words, COMMAND)?.into()),
            Arg::Long("debug") => options.flavour.debug = true,
            Arg::Long("log") => options.log = Some(level(options::text(words, COMMAND)?)?),
            Arg::Long("timeout") => {
                let seconds = options::number(words, "--timeout", 1..=1_000_000, COMMAND)?;
                options.timeout = Some(Duration::from_secs(seconds.into()));
            }
            Arg::Long("headless") => options.headless = true,
            Arg::Long("qemu") => options.qemu = Some(options::text(words, COMMAND)?),
            Arg::Long("accel") => options.accelerator = accelerator(&options::text(words, COMMAND)?)?,
            Arg::Long("gdb") => options.gdb = true,
            other => options.common.take(other, COMMAND)?,
        }
    }
    Ok(options)
}

fn memory(size: String) -> Result<String> {
    let digits = size.strip_suffix(['M', 'G']).unwrap_or_default();
    if digits.parse::<u32>().is_ok_and(|number| number > 0) {
        return Ok(size);
    }
    Err(Error::new(format!("--memory is {size:?}, not a size such as 512M or 2G"), options::manual(COMMAND)))
}

fn level(level: String) -> Result<String> {
    if ["error", "warn", "info", "debug", "trace"].contains(&level.as_str()) {
        return Ok(level);
    }
    Err(Error::new(
        format!("--log is {level:?}, not error, warn, info, debug or trace"),
        options::manual(COMMAND),
    ))
}

fn accelerator(name: &str) -> Result<Accelerator> {
    match name {
        "auto" => Ok(Accelerator::Auto),
        "tcg" => Ok(Accelerator::Tcg),
        "kvm" => Ok(Accelerator::Kvm),
        other => {
            Err(Error::new(format!("--accel is {other:?}, not auto, tcg or kvm"), options::manual(COMMAND)))
        }
    }
}

/// The kernel's command line: options, and after ` -- ` the commands.
fn command_line(options: &Options) -> String {
    let mut line = options.log.as_ref().map(|level| format!("log={level}")).unwrap_or_default();
    if let Some(script) = &options.script {
        line += " -- ";
        line += script;
    }
    line
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
    setup::toolchain(&workspace)?;
    let qemu = setup::qemu(&workspace, options.qemu.as_deref())?;
    let spindles = image::spindles(&workspace, &options.spindles)?;
    let machine = Machine {
        qemu,
        image: image::assemble(&workspace, options.flavour, &spindles)?,
        cores: options.cores.unwrap_or(8),
        memory: options.memory.clone().unwrap_or_else(|| "512M".into()),
        accelerator: options.accelerator,
        command_line: command_line(&options),
        gdb: options.gdb,
        further: Vec::new(),
    };
    if options.gdb {
        let kernel = shell::quote(machine.image.kernel.as_os_str());
        eprintln!("The machine waits. Attach: gdb {kernel} -ex 'target remote localhost:1234'");
    }
    if options.script.is_some() || options.headless {
        let timeout = options.timeout.or(options.script.as_ref().map(|_| SCRIPT_TIMEOUT));
        let timeout = timeout.filter(|_| !options.gdb || options.timeout.is_some());
        return machine.run_with_output(shell, timeout, &mut show)?.check();
    }
    eprintln!("Booting Whorl on {} cores. Leave with the command halt, or with Ctrl-A X.", machine.cores);
    match machine.run_on_terminal(shell, options.timeout)? {
        // Ctrl-A X is an ordinary way to leave.
        Ending::Off => Ok(()),
        ending => ending.check(),
    }
}

fn show(piece: &[u8]) {
    let mut out = std::io::stdout().lock();
    // Whoever closed our output (`| head`) wants to see no more of it.
    let _ = out.write_all(piece).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::{Options, command_line, parse};
    use crate::qemu::Accelerator;
    use std::time::Duration;

    fn words(words: &[&str]) -> crate::error::Result<Options> {
        parse(&mut lexopt::Parser::from_args(words))
    }

    #[test]
    fn every_option_is_taken() {
        let options = words(&[
            "--cores",
            "2",
            "--memory=1G",
            "--qemu",
            "/q",
            "--accel",
            "tcg",
            "--gdb",
            "--headless",
            "--debug",
            "--log",
            "trace",
            "--verbose",
            "-c",
            "cores; halt",
            "--spindle",
            "a",
            "--spindle",
            "b",
            "--timeout",
            "9",
        ])
        .unwrap();
        assert_eq!((options.cores, options.memory.as_deref()), (Some(2), Some("1G")));
        assert_eq!((options.accelerator, options.timeout), (Accelerator::Tcg, Some(Duration::from_secs(9))));
        assert!(options.gdb && options.headless && options.flavour.debug && options.common.verbose);
        assert_eq!(options.spindles, ["a", "b"].map(std::path::PathBuf::from));
        assert_eq!(command_line(&options), "log=trace -- cores; halt");
        assert_eq!(command_line(&words(&[]).unwrap()), "");
    }

    #[test]
    fn mistakes_name_the_option_and_the_manual() {
        for (mistake, word) in [
            (["--cores", "0"], "--cores"),
            (["--cores", "65"], "1 to 64"),
            (["--memory", "lots"], "--memory"),
            (["--memory", "0M"], "--memory"),
            (["--accel", "warp"], "--accel"),
            (["--log", "loud"], "--log"),
            (["--core", "8"], "--core"),
            (["--gdb", "stray"], "stray"),
        ] {
            let error = words(&mistake).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("cargo xtask run --help"), "{error}");
        }
    }
}
