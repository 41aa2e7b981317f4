//! One machine under QEMU: its command line, its run, and how it ended.
use crate::error::{Error, Result};
use crate::image::Image;
use crate::shell::{Shell, cannot_start};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How often a running machine is looked after.
const BEAT: Duration = Duration::from_millis(20);

/// A machine that says nothing for so long waits for a line.
const SILENCE: Duration = Duration::from_millis(700);

/// What executes the guest's instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor where the host has a real KVM, else QEMU's translator.
    #[default]
    Auto,
    /// QEMU's translator.
    Tcg,
    /// QEMU's translator, with all virtual cores on one thread: what counting instructions asks for.
    OneThread,
    /// The processor.
    Kvm,
}

impl Accelerator {
    /// As QEMU reads it.
    pub fn options(self) -> &'static str {
        match self {
            Accelerator::OneThread => "tcg,thread=single",
            Accelerator::Kvm => "kvm",
            Accelerator::Auto if has_real_kvm(Path::new("/sys/module"), Path::new("/dev/kvm")) => "kvm",
            Accelerator::Auto | Accelerator::Tcg => "tcg,thread=multi",
        }
    }
}

/// The device alone proves nothing: a paravirtual fallback has one too, and runs kernels far slower than TCG does.
fn has_real_kvm(modules: &Path, device: &Path) -> bool {
    device.exists() && ["kvm_intel", "kvm_amd"].iter().any(|module| modules.join(module).is_dir())
}

/// A machine to be run.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The emulator.
    pub qemu: PathBuf,
    /// What it boots.
    pub image: Image,
    /// Virtual cores, 1 to 64.
    pub cores: u32,
    /// RAM as QEMU reads it: `512M`.
    pub memory: String,
    /// What executes it.
    pub accelerator: Accelerator,
    /// The kernel's command line.
    pub command_line: String,
    /// Wait for a debugger before the first instruction.
    pub gdb: bool,
    /// Further options of QEMU.
    pub further: Vec<OsString>,
}

impl Machine {
    fn command(&self, serial: &str) -> Command {
        let mut qemu = Command::new(&self.qemu);
        qemu.args(["-machine", "q35", "-cpu", "max", "-accel", self.accelerator.options()]);
        qemu.args(["-smp", &self.cores.to_string(), "-m", &self.memory]);
        qemu.arg("-kernel").arg(&self.image.kernel).arg("-initrd").arg(&self.image.archive);
        qemu.args(["-append", &self.command_line]);
        qemu.args(["-nodefaults", "-no-reboot", "-display", "none", "-serial", serial]);
        qemu.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]);
        if self.gdb {
            qemu.args(["-s", "-S"]);
        }
        qemu.args(&self.further);
        qemu
    }

    /// Runs the machine with this terminal as its console.
    pub fn run_on_terminal(&self, shell: Shell, timeout: Option<Duration>) -> Result<Ending> {
        let mut qemu = self.command("mon:stdio");
        shell.announce(&qemu);
        let _terminal = Terminal::remember();
        let child = qemu.spawn().map_err(|error| cannot_start(&qemu, &error))?;
        Running::new(child, timeout)?.wait()
    }

    /// Runs the machine without input and gives each piece of its output, QEMU's own messages too, to `take`.
    pub fn run_with_output(
        &self,
        shell: Shell,
        timeout: Option<Duration>,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<Ending> {
        self.run_typing(shell, timeout, &Typing::default(), take)
    }

    /// The same, and types at its console.
    pub fn run_typing(
        &self,
        shell: Shell,
        timeout: Option<Duration>,
        typing: &Typing<'_>,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<Ending> {
        let mut qemu = self.command("stdio");
        shell.announce(&qemu);
        let unpiped = |error: &std::io::Error| Error::new(format!("no pipe: {error}"), "close some programs");
        let (mut output, writer) = std::io::pipe().map_err(|error| unpiped(&error))?;
        let errors = writer.try_clone().map_err(|error| unpiped(&error))?;
        let (keys, mut keyboard) = std::io::pipe().map_err(|error| unpiped(&error))?;
        for line in typing.ahead {
            keyboard.write_all(format!("{line}\r").as_bytes()).map_err(|error| unpiped(&error))?;
        }
        let is_typed_at = !(typing.ahead.is_empty() && typing.lines.is_empty());
        qemu.stdin(if is_typed_at { Stdio::from(keys) } else { Stdio::null() });
        qemu.stdout(writer).stderr(errors);
        let child = qemu.spawn().map_err(|error| cannot_start(&qemu, &error))?;
        // The command holds its ends of the pipes; only with them gone do the pipes end with QEMU.
        drop(qemu);
        let (pieces, received) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                if pieces.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let mut running = Running::new(child, timeout)?;
        let (mut lines, mut silent_since) = (typing.lines.iter(), Instant::now());
        let mut prompt = Prompt::new(typing.prompt);
        loop {
            match received.recv_timeout(BEAT) {
                Ok(piece) => {
                    take(&piece);
                    prompt.look(&piece);
                    silent_since = Instant::now();
                }
                Err(RecvTimeoutError::Disconnected) => return running.wait(),
                Err(RecvTimeoutError::Timeout) if prompt.has_come && silent_since.elapsed() >= SILENCE => {
                    silent_since = Instant::now();
                    if let Some(line) = lines.next() {
                        // A machine that has just ended reads no more; how it ended is what counts.
                        let _ = keyboard.write_all(format!("{line}\r").as_bytes());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(ending) = running.cut_short() {
                return Ok(ending);
            }
        }
    }
}

/// What is typed at a machine, each line ended by the return key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Typing<'a> {
    /// Lines that lie ready before the machine starts.
    pub ahead: &'a [String],
    /// What the machine says when it begins to listen. Silence alone does not tell: on a crowded host a machine may be
    /// silent for long before it has begun to run.
    pub prompt: &'a str,
    /// Lines typed after the first prompt, each once the machine has been silent for a while.
    pub lines: &'a [String],
}

/// Looks for a text in what comes piece by piece.
struct Prompt<'a> {
    text: &'a [u8],
    /// The end of what came, too short to hold the text.
    rest: Vec<u8>,
    has_come: bool,
}

impl<'a> Prompt<'a> {
    fn new(text: &'a str) -> Self {
        Prompt { text: text.as_bytes(), rest: Vec::new(), has_come: text.is_empty() }
    }

    fn look(&mut self, piece: &[u8]) {
        if self.has_come {
            return;
        }
        self.rest.extend_from_slice(piece);
        self.has_come = self.rest.windows(self.text.len()).any(|window| window == self.text);
        self.rest.drain(..self.rest.len().saturating_sub(self.text.len() - 1));
    }
}

/// A QEMU that never outlives its owner: dropped, it is killed.
struct Running {
    child: Child,
    deadline: Option<Instant>,
    interrupted: &'static AtomicBool,
}

impl Running {
    fn new(child: Child, timeout: Option<Duration>) -> Result<Running> {
        // In this order: if listening fails, the drop still ends the child.
        let mut running = Running { child, deadline: None, interrupted: &NOT_LISTENING };
        running.deadline = timeout.map(|timeout| Instant::now() + timeout);
        running.interrupted = interrupted()?;
        Ok(running)
    }

    fn wait(&mut self) -> Result<Ending> {
        loop {
            let status = self.child.try_wait();
            let status = status.map_err(|error| Error::new(format!("lost QEMU: {error}"), "run it again"))?;
            if let Some(status) = status {
                return Ok(Ending::of(status));
            }
            if let Some(ending) = self.cut_short() {
                return Ok(ending);
            }
            std::thread::sleep(BEAT);
        }
    }

    /// Why the run must end now, if it must; dropping `self` ends it. No time counts as two reasons: the user's word
    /// comes first.
    fn cut_short(&self) -> Option<Ending> {
        // Relaxed: nothing else is passed by the flag.
        if self.interrupted.load(Ordering::Relaxed) {
            return Some(Ending::Interrupted);
        }
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline).then_some(Ending::TimedOut)
    }
}

static NOT_LISTENING: AtomicBool = AtomicBool::new(false);

/// Set once this process was asked to end, for good. Without it a signal would leave the QEMU behind.
fn interrupted() -> Result<&'static AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    if let Some(flag) = FLAG.get() {
        return Ok(flag);
    }
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGHUP, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&flag)).map_err(|error| {
            Error::new(format!("cannot listen for signals: {error}"), "run it from an ordinary shell")
        })?;
    }
    Ok(FLAG.get_or_init(|| flag))
}

impl Drop for Running {
    fn drop(&mut self) {
        // Either fails only when it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a machine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The kernel says that all went well.
    Success,
    /// The kernel says that a command or a test failed.
    Failed,
    /// The kernel panicked.
    Panicked,
    /// QEMU ended without a word of the kernel: switched off, left by Ctrl-A X, or reset by a triple fault.
    Off,
    /// QEMU refused to run, or was killed.
    Refused,
    /// The time was up.
    TimedOut,
    /// The user interrupted it.
    Interrupted,
}

impl Ending {
    /// QEMU's exit status is what the kernel wrote to the port, doubled, plus one.
    fn of(status: ExitStatus) -> Ending {
        match status.code() {
            Some(33) => Ending::Success,
            Some(35) => Ending::Failed,
            Some(37) => Ending::Panicked,
            Some(0) => Ending::Off,
            _ => Ending::Refused,
        }
    }

    /// The ending as an error, unless it is `Success`.
    pub fn check(self) -> Result<()> {
        let (what, next) = match self {
            Ending::Success => return Ok(()),
            Ending::Failed => ("a command failed", "read its error above"),
            Ending::Panicked => (
                "the kernel panicked",
                "its registers and backtrace are above; --log debug tells more, --gdb waits for a debugger",
            ),
            Ending::Off => (
                "the machine ended without a word of the kernel",
                "was it switched off? Else it was reset by a triple fault: try --debug and --log trace",
            ),
            Ending::Refused => {
                ("QEMU could not run the machine", "mend what it says above; --verbose shows its options")
            }
            Ending::TimedOut => {
                ("the time was up before the kernel ended", "--timeout SECONDS gives it more")
            }
            Ending::Interrupted => return Err(Error::interruption()),
        };
        Err(Error::new(what, next))
    }
}

/// The terminal's settings, put back when this is dropped: a killed QEMU leaves it raw.
struct Terminal(Option<String>);

impl Terminal {
    fn remember() -> Terminal {
        let output = Command::new("stty").arg("-g").stdin(Stdio::inherit()).stderr(Stdio::null()).output();
        let settings = output.ok().filter(|done| done.status.success());
        Terminal(settings.map(|done| String::from_utf8_lossy(&done.stdout).trim().to_string()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(settings) = &self.0 {
            // Where that fails nothing can be done about it here.
            let _ = Command::new("stty").arg(settings).stderr(Stdio::null()).status();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Accelerator, Ending, Machine, Prompt, Typing, has_real_kvm};
    use crate::image::Image;
    use crate::shell::Shell;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    /// A machine whose emulator is this shell script.
    fn machine(name: &str, script: &str) -> (Machine, PathBuf) {
        let folder = std::env::temp_dir().join(format!("whorl-qemu-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let qemu = folder.join("qemu");
        std::fs::write(&qemu, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&qemu, PermissionsExt::from_mode(0o755)).unwrap();
        let machine = Machine {
            qemu,
            image: Image { kernel: "kernel".into(), archive: "boot.tar".into() },
            cores: 8,
            memory: "512M".into(),
            accelerator: Accelerator::Tcg,
            command_line: "log=info -- cores; halt".into(),
            gdb: false,
            further: Vec::new(),
        };
        (machine, folder)
    }

    fn run(name: &str, script: &str, timeout: Duration) -> (Ending, String) {
        let (machine, folder) = machine(name, script);
        let mut output = Vec::new();
        let ending = machine
            .run_with_output(Shell::default(), Some(timeout), &mut |piece| output.extend_from_slice(piece))
            .unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        (ending, String::from_utf8(output).unwrap())
    }

    #[test]
    fn endings_follow_the_exit_status() {
        for (code, ending) in [
            (33, Ending::Success),
            (35, Ending::Failed),
            (37, Ending::Panicked),
            (0, Ending::Off),
            (1, Ending::Refused),
        ] {
            let (got, output) =
                run(&format!("exit-{code}"), &format!("echo said; exit {code}"), Duration::from_secs(20));
            assert_eq!((got, output.as_str()), (ending, "said\n"), "{code}");
            assert_eq!(got.check().is_ok(), code == 33);
        }
    }

    #[test]
    fn a_machine_that_does_not_end_is_ended() {
        let begun = Instant::now();
        let (ending, output) = run("hang", "echo alive; exec sleep 60", Duration::from_millis(300));
        assert_eq!((ending, output.as_str()), (Ending::TimedOut, "alive\n"));
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    /// Types at a machine whose prompt is `>`, and gives what it said.
    fn typed(name: &str, script: &str, ahead: &[&str], lines: &[&str]) -> String {
        let (machine, folder) = machine(name, script);
        // The script's shell reads up to a newline, as no terminal turns the return into one.
        let [ahead, lines] =
            [ahead, lines].map(|lines| lines.iter().map(|line| format!("{line}\n")).collect::<Vec<_>>());
        let typing = Typing { ahead: &ahead, prompt: "> ", lines: &lines };
        let mut output = Vec::new();
        let ending = machine
            .run_typing(Shell::default(), Some(Duration::from_secs(20)), &typing, &mut |piece| {
                output.extend_from_slice(piece);
            })
            .unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        let output = String::from_utf8(output).unwrap().replace('\r', "");
        assert_eq!(ending, Ending::Success, "{output}");
        output
    }

    #[test]
    fn lines_are_typed_one_after_the_other() {
        let script = r#"printf '> '; read -r one; echo "got $one"; read -r two; echo "got $two"; exit 33"#;
        assert_eq!(typed("type", script, &[], &["first", "second"]), "> got first\ngot second\n");
    }

    #[test]
    fn lines_typed_ahead_come_before_the_others() {
        let script = r#"read -r one; printf '> '; read -r two; echo "$one, $two"; exit 33"#;
        assert_eq!(typed("ahead", script, &["first"], &["second"]), "> first, second\n");
    }

    #[test]
    fn nothing_is_typed_at_a_machine_that_does_not_listen_yet() {
        // Says something, then loses all input for longer than a silence, as a device does when it is set up.
        let script = r#"echo warning; timeout 2 cat; printf '> '; read -r one; echo "got $one"; exit 33"#;
        assert_eq!(typed("late", script, &[], &["first"]), "warning\n> got first\n");
    }

    #[test]
    fn a_prompt_is_found_across_pieces() {
        let comes = |pieces: &[&str]| {
            let mut prompt = Prompt::new("whorl> ");
            pieces.iter().for_each(|piece| prompt.look(piece.as_bytes()));
            prompt.has_come
        };
        assert!(comes(&["whorl> "]) && comes(&["Whorl 0.1\n\x1b[Jwho", "rl", "> help"]));
        assert!(!comes(&["whorl", "whorl >", "> "]) && !comes(&[]));
    }

    #[test]
    fn the_command_line_reaches_the_machine_in_one_piece() {
        let (_, output) = run("words", r#"for word; do echo "$word"; done"#, Duration::from_secs(20));
        let words: Vec<_> = output.lines().collect();
        let after = |option| words[words.iter().position(|word| *word == option).unwrap() + 1];
        assert_eq!(after("-append"), "log=info -- cores; halt");
        assert_eq!((after("-smp"), after("-m"), after("-kernel")), ("8", "512M", "kernel"));
        assert!(!words.contains(&"-S"));
    }

    #[test]
    fn a_device_without_its_module_is_no_kvm() {
        let (here, nowhere) = (std::env::temp_dir(), PathBuf::from("/nowhere"));
        assert!(!has_real_kvm(&nowhere, &here));
        let modules = here.join(format!("whorl-modules-{}", std::process::id()));
        std::fs::create_dir_all(modules.join("kvm_amd")).unwrap();
        assert!(has_real_kvm(&modules, &here));
        assert!(!has_real_kvm(&modules, &nowhere));
        std::fs::remove_dir_all(modules).unwrap();
    }
}
