//! Ring 3: the whole system, over the console and over the command line of this tool.
use super::report::Report;
use super::script::{Script, Steps};
use super::{Options, broken, readme};
use crate::error::{Error, Result};
use crate::files;
use crate::image::{self, Image};
use crate::kernel::{self, Flavour, Kernel};
use crate::qemu::{Accelerator, Ending, Machine, Typing};
use crate::shell::{self, cannot_start};
use crate::spindle::build::{self as builder, Built};
use crate::workspace::Workspace;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// What the console says when it waits for a command.
const PROMPT: &str = "whorl> ";

/// What the tests share.
struct Bench<'a> {
    workspace: &'a Workspace,
    qemu: &'a Path,
    spindles: Vec<Built>,
    kernel: Kernel,
    image: Image,
}

/// Runs every script and the README's sessions.
pub fn run(workspace: &Workspace, qemu: &Path, options: &Options, report: &mut Report) -> Result<()> {
    let spindles = image::spindles(workspace, &[])?;
    let kernel = kernel::build(workspace, Flavour::default())?;
    let image = image::pack(workspace, &kernel, "boot.tar", image::files(&kernel, &spindles)?)?;
    let bench = Bench { workspace, qemu, spindles, kernel, image };
    for (name, text) in scripts(workspace)? {
        if options.takes(&name) {
            let script = Script::parse(&text);
            if script.as_ref().is_ok_and(|script| script.long && !options.long) {
                continue;
            }
            judge(&name, options, report, || bench.run(&name, &script?))?;
        }
    }
    read_me(workspace, options, report)
}

/// What the README claims: its spindles are the greeter, the doorman and the tutorial as they are, the last as a whole, and
/// its sessions go as it shows.
fn read_me(workspace: &Workspace, options: &Options, report: &mut Report) -> Result<()> {
    let readme = std::fs::read_to_string(workspace.root.join("README.md")).unwrap_or_default();
    let sessions = readme::sessions(&readme);
    if options.takes("readme-spindle") {
        judge("readme-spindle", options, report, || {
            let mut source = String::new();
            for name in ["greeter", "doorman", "tutorial"] {
                source += &files::read_text(&workspace.root.join(format!("extensions/{name}/src/lib.rs")))?;
            }
            let problem = match readme::strange_line(&readme, &source) {
                Some(line) => Some(format!("the README shows what no spindle says: {line:?}")),
                None if readme::rust_lines(&readme).next().is_none() => {
                    Some("the README shows no spindle".into())
                }
                None => sessions.is_empty().then(|| "the README shows no session with -c".into()),
            };
            Ok((String::new(), problem))
        })?;
    }
    if options.takes("readme-tutorial") {
        judge("readme-tutorial", options, report, || {
            let source = files::read_text(&workspace.root.join("extensions/tutorial/src/lib.rs"))?;
            let part = readme::below(&readme, "Write a thread package");
            let differs = |line| format!("the README's tutorial is not the file it builds: {line:?}");
            Ok((String::new(), readme::first_difference(part, &source).map(differs)))
        })?;
    }
    for (number, session) in (1..).zip(sessions) {
        let name = format!("readme-session-{number}");
        if options.takes(&name) {
            judge(&name, options, report, || {
                let (ending, output) = tool(workspace, &session.command)?;
                let problem = match session.missing(&output) {
                    Some(line) => Some(format!("the README shows a line that was not said: {line:?}")),
                    None => (ending != Ending::Success).then(|| format!("it ended {ending:?}")),
                };
                Ok((output, problem))
            })?;
        }
    }
    Ok(())
}

/// The scripts by name, sorted. That there is none is an error.
fn scripts(workspace: &Workspace) -> Result<Vec<(String, String)>> {
    let folder = workspace.root.join("xtask/tests/system");
    let entries = std::fs::read_dir(&folder).map_err(|error| Error::file("read", &folder, &error))?;
    let mut scripts = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if let Some(name) = path.file_stem().filter(|_| path.extension().is_some_and(|is| is == "script")) {
            scripts.push((name.to_string_lossy().into_owned(), files::read_text(&path)?));
        }
    }
    scripts.sort();
    if scripts.is_empty() {
        return Err(Error::new(
            format!("no scripts in {}", folder.display()),
            "restore them: git checkout xtask",
        ));
    }
    Ok(scripts)
}

/// Runs one test, which gives its output and what is wrong with it, and reports it. An error means that the user
/// interrupted it: then nothing more is run.
fn judge(
    name: &str,
    options: &Options,
    report: &mut Report,
    test: impl FnOnce() -> Result<(String, Option<String>)>,
) -> Result<()> {
    let begun = Instant::now();
    let (output, problem) = match test() {
        Ok(found) => found,
        Err(error) if error.is_interruption() => return Err(error),
        Err(error) => (String::new(), Some(format!("it could not run: {error}"))),
    };
    report.add("system", name, if problem.is_none() { (1, 0) } else { (0, 1) }, begun.elapsed());
    if options.common.verbose && problem.is_none() {
        output.lines().for_each(|line| println!("        | {line}"));
    }
    if let Some(problem) = problem {
        let repeat = format!("cargo xtask test {} --ring system", shell::quote(name.as_ref()));
        report.explain(&format!("{output}\n{problem}"), repeat);
    }
    Ok(())
}

impl Bench<'_> {
    fn run(&self, name: &str, script: &Script) -> Result<(String, Option<String>)> {
        let (ending, output) = match &script.steps {
            Steps::Tool(commands) => self.run_tools(name, commands)?,
            Steps::Run(commands) => self.run_machine(name, script, Some(&commands.join("; ")), &[])?,
            Steps::Type(lines) => self.run_machine(name, script, None, lines)?,
        };
        let problem = script.check(ending, &output).err();
        Ok((output, problem))
    }

    /// Boots a machine for a script, with an archive of its own where it wants special spindles.
    fn run_machine(
        &self,
        name: &str,
        script: &Script,
        commands: Option<&str>,
        typed: &[String],
    ) -> Result<(Ending, String)> {
        let level = script.log.as_ref().map(|level| format!("log={level}"));
        let options: Vec<&str> = level.iter().chain(&script.options).map(String::as_str).collect();
        let options = options.join(" ");
        let machine = Machine {
            qemu: self.qemu.to_path_buf(),
            image: self.image(name, script)?,
            cores: script.cores,
            memory: script.memory.clone(),
            accelerator: Accelerator::Auto,
            command_line: commands.map_or(options.clone(), |commands| format!("{options} -- {commands}")),
            gdb: false,
            further: Vec::new(),
        };
        let mut bytes = Vec::new();
        let typing = Typing { ahead: &script.ahead, prompt: PROMPT, lines: typed };
        let ending =
            machine.run_typing(self.workspace.shell, Some(script.timeout), &typing, &mut |piece| {
                bytes.extend_from_slice(piece);
            })?;
        if ending == Ending::Interrupted {
            return Err(Error::interruption());
        }
        Ok((ending, String::from_utf8_lossy(&bytes).replace('\r', "")))
    }

    fn image(&self, name: &str, script: &Script) -> Result<Image> {
        if script.has_tests {
            let flavour = Flavour { tests: true, ..Flavour::default() };
            return image::assemble(self.workspace, flavour, &self.spindles);
        }
        if script.spindles.is_empty() && script.broken.is_empty() {
            return Ok(self.image.clone());
        }
        let mut spindles = self.spindles.clone();
        for folder in &script.spindles {
            spindles.push(builder::build(self.workspace, &self.workspace.root.join(folder))?);
        }
        let mut files = image::files(&self.kernel, &spindles)?;
        for order in &script.broken {
            let (name, bytes) = broken::make(order, &spindles)?;
            files.push((format!("{name}.spindle"), bytes));
        }
        image::pack(self.workspace, &self.kernel, &format!("test-{name}.tar"), files)
    }

    /// Runs command lines of this tool in turn; all but the last must end well.
    fn run_tools(&self, name: &str, commands: &[String]) -> Result<(Ending, String)> {
        let scratch = self.workspace.products().join(format!("scratch-{name}"));
        // Left over from a run that was interrupted, if at all.
        let _ = std::fs::remove_dir_all(&scratch);
        files::make_folder(&scratch)?;
        let mut outcome = (Ending::Success, String::new());
        for command in commands {
            if outcome.0 != Ending::Success {
                outcome.1 += "(an earlier command failed)\n";
                break;
            }
            let command = command.replace("{scratch}", &scratch.display().to_string());
            let (ending, output) = tool(self.workspace, &command)?;
            outcome = (ending, outcome.1 + &output);
        }
        let _ = std::fs::remove_dir_all(&scratch);
        Ok(outcome)
    }
}

/// Runs this very tool with the words of `command`, without input: how it ended, and all that it said.
fn tool(workspace: &Workspace, command: &str) -> Result<(Ending, String)> {
    let own = std::env::current_exe().map_err(|error| Error::file("find", Path::new("xtask"), &error))?;
    let mut tool = Command::new(own);
    tool.args(words(command)).current_dir(&workspace.root).stdin(Stdio::null());
    workspace.shell.announce(&tool);
    let done = tool.output().map_err(|error| cannot_start(&tool, &error))?;
    let output = [done.stdout, done.stderr].concat();
    let ending = if done.status.success() { Ending::Success } else { Ending::Failed };
    Ok((ending, String::from_utf8_lossy(&output).replace('\r', "")))
}

/// The words of a command line as a shell splits it, as far as double quotes go.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('"').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_string());
        } else {
            words.extend(part.split_whitespace().map(String::from));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{scripts, words};
    use crate::shell::Shell;
    use crate::test::script::Script;
    use crate::workspace::Workspace;

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(words("run --cores 2 -c \"cores; halt\""), ["run", "--cores", "2", "-c", "cores; halt"]);
        assert_eq!(words(""), Vec::<String>::new());
    }

    #[test]
    fn every_script_can_be_read() {
        for (name, text) in scripts(&Workspace::new(Shell::default())).unwrap() {
            assert!(text.starts_with("# "), "{name} does not begin with what it shows");
            if let Err(error) = Script::parse(&text) {
                panic!("{name}: {error}");
            }
        }
    }
}
