//! `background` and `wait`: commands beside others.

use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use sched::{Builder, CoreSet, Priority};
use shell::{Call, Command, CommandError, Hint, Output, numbers::NumberSet, script};

use super::strands::unknown_option;
use crate::{
    console::Kernel,
    println,
    strands::{self, Cpu, Handle, Mutex},
};

/// The most that run at a time.
const MOST_JOBS: usize = 16;
/// The most strands of each.
const MOST_STRANDS: usize = 100_000;
/// How often `wait` looks.
const LOOK_MS: u32 = 20;

pub const BACKGROUND: Command<Kernel> = Command {
    name: "background",
    summary: "run a command beside others",
    usage: "background [--count N] [--priority N] [--cores CORES] COMMAND [WORD]...",
    example: "background raise Demo.Hello 100 every 10",
    help: "Runs the command on a strand of its own, which bears its name, and returns at once. Each line that it \
           shows begins with its number in brackets. `wait` waits until all have ended, and fails if one failed.\n\
           With --count it runs the same on N strands at once, with --priority on strands of another priority than \
           16 (0 to 31, the greater the sooner; 30 is the housekeeper's, and above it nothing is freed), with \
           --cores on strands that stay on these cores, such as 2 or 0,4-7. `work` is a command to try that with.",
    run,
    complete: |hint| match after_options(hint.arguments).split_first() {
        None => {
            let options = ["--count", "--priority", "--cores"].map(String::from);
            let allowed = hint.commands.iter().filter(|command| is_allowed(command.name));
            allowed.map(|command| command.name.into()).chain(options).collect()
        }
        Some((name, arguments)) => {
            match hint.commands.find(name).filter(|command| is_allowed(command.name)) {
                Some(command) => (command.complete)(&Hint { arguments, ..*hint }),
                None => Vec::new(),
            }
        }
    },
};

pub const WAIT: Command<Kernel> = Command {
    name: "wait",
    summary: "wait for what runs in the background",
    usage: "wait",
    example: "wait",
    help: "Waits until every command in the background has ended, and fails if one of them failed. At the console, \
           q or Ctrl-C gives the waiting up; they go on.",
    run: wait,
    complete: shell::no_completion,
};

/// A command in the background.
struct Job {
    number: u64,
    line: String,
    strands: Arc<Progress>,
    handles: Vec<Handle>,
}

/// How far its strands are.
struct Progress {
    left: AtomicUsize,
    have_failed: AtomicBool,
}

/// Counts a strand's end: one that is terminated before it has begun never runs.
struct Ending(Arc<Progress>);

impl Drop for Ending {
    fn drop(&mut self) {
        // Release: see `Job::state`.
        self.0.left.fetch_sub(1, Ordering::Release);
    }
}

#[derive(PartialEq, Eq)]
enum State {
    Runs,
    Succeeded,
    Failed,
}

static JOBS: Mutex<Vec<Job>> = Mutex::new(Vec::new());

/// Numbers them, from 1.
static NEXT: AtomicU64 = AtomicU64::new(1);

impl Job {
    fn state(&self) -> State {
        // Acquire: pairs with the Release at each end; what they did is done.
        match (self.strands.left.load(Ordering::Acquire), &self.strands.have_failed) {
            (0, have_failed) if have_failed.load(Ordering::Relaxed) => State::Failed,
            (0, _) => State::Succeeded,
            _ => State::Runs,
        }
    }
}

/// What its strands shall be like.
struct Wishes {
    count: usize,
    priority: Priority,
    cores: CoreSet,
}

impl Wishes {
    fn read(call: &mut Call<Kernel>) -> Result<(Self, Vec<String>), CommandError> {
        let mut wishes = Self { count: 1, priority: Priority::NORMAL, cores: CoreSet::ALL };
        loop {
            match call.arguments.optional_word() {
                Some("--count") => wishes.count = count(call)?,
                Some("--priority") => wishes.priority = priority(call)?,
                Some("--cores") => wishes.cores = cores(call)?,
                Some(option) if option.starts_with("--") => return Err(unknown_option(option)),
                None => return Err(CommandError::usage("COMMAND is missing")),
                Some(name) => {
                    let words = [name].into_iter().chain(call.arguments.rest().iter().map(String::as_str));
                    return Ok((wishes, words.map(String::from).collect()));
                }
            }
        }
    }
}

fn count(call: &mut Call<Kernel>) -> Result<usize, CommandError> {
    let count = call.arguments.number("the number after --count")?;
    match count {
        1..=MOST_STRANDS => Ok(count),
        _ => {
            let reason = format!("the number after --count must be from 1 to {MOST_STRANDS}, not {count}");
            Err(CommandError::usage(reason))
        }
    }
}

/// The next word as a priority.
pub fn priority(call: &mut Call<Kernel>) -> Result<Priority, CommandError> {
    let number: u64 = call.arguments.number("the priority")?;
    let highest = Priority::COUNT as u64 - 1;
    if number > highest {
        let reason = format!("the priority must be from 0 to {highest}, the most urgent, not {number}");
        return Err(CommandError::usage(reason));
    }
    Ok(Priority::new(number as u8))
}

/// The next word as a set of cores.
pub fn cores(call: &mut Call<Kernel>) -> Result<CoreSet, CommandError> {
    let word = call.arguments.word("CORES")?;
    let set = word.parse::<NumberSet>().map_err(|error| {
        CommandError::usage(format_args!("`{}` is no set of cores: {error}", word.escape_debug()))
    })?;
    Ok(CoreSet(set.0))
}

/// The words after the options.
fn after_options(mut words: &[String]) -> &[String] {
    while let [option, _, rest @ ..] = words
        && option.starts_with("--")
    {
        words = rest;
    }
    words
}

/// One cannot wait for oneself.
fn is_allowed(name: &str) -> bool {
    !matches!(name, "background" | "wait")
}

fn run(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let (wishes, words) = Wishes::read(call)?;
    let name = words[0].as_str();
    if !is_allowed(name) {
        return Err(CommandError::usage(format_args!("`{name}` makes no sense in the background")));
    }
    if call.commands.find(name).is_none() {
        let near = shell::suggestion(name, call.commands.iter().map(|command| command.name));
        let name = name.escape_debug();
        return Err(CommandError::failed(format_args!(
            "there is no command `{name}`{near} (`help` lists all)"
        )));
    }
    let words: Vec<String> = words.iter().map(|word| script::quoted(word)).collect();
    let line = words.join(" ");
    let mut jobs = JOBS.lock();
    jobs.retain(|job| job.state() != State::Succeeded);
    if jobs.len() >= MOST_JOBS {
        let reason =
            format!("{MOST_JOBS} commands are in the background, which is the most: `wait` for them");
        return Err(CommandError::failed(reason));
    }
    // Relaxed: a name.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let strands = Arc::new(Progress { left: AtomicUsize::new(0), have_failed: AtomicBool::new(false) });
    let builder = Builder::new(name).priority(wishes.priority).affinity(wishes.cores);
    let mut handles = Vec::new();
    let mut result = Ok(());
    while handles.len() < wishes.count && result.is_ok() {
        // Counted before it runs, and so before it can end.
        strands.left.fetch_add(1, Ordering::Relaxed);
        let (text, ending) = (line.clone(), Ending(strands.clone()));
        let body = move || {
            let ending = ending;
            if !run_job(number, &text) {
                ending.0.have_failed.store(true, Ordering::Relaxed);
            }
        };
        match strands::spawn(builder.clone(), body) {
            Ok(handle) => handles.push(handle),
            Err(error) => result = Err(error),
        }
    }
    let count = handles.len();
    if count > 0 {
        jobs.push(Job { number, line: line.clone(), strands, handles });
    }
    drop(jobs);
    match result {
        Ok(()) if count == 1 => writeln!(call.out, "[{number}] {line}")?,
        Ok(()) => writeln!(call.out, "[{number}] {line}, on {count} strands")?,
        Err(error) if count == 0 => return Err(CommandError::failed(error)),
        Err(error) => {
            let reason = format!("only {count} of {} strands run as [{number}]: {error}", wishes.count);
            return Err(CommandError::failed(reason));
        }
    }
    Ok(())
}

fn run_job(number: u64, text: &str) -> bool {
    let mut out = Tagged { number, line: String::new() };
    let result = super::all().run_script(text, &mut Kernel, &mut out);
    out.flush();
    if let Err(error) = &result {
        println!("[{number}] error: {error}");
    }
    result.is_ok()
}

/// Whole lines that say whose they are.
struct Tagged {
    number: u64,
    line: String,
}

impl Tagged {
    fn flush(&mut self) {
        if !self.line.is_empty() {
            println!("[{}] {}", self.number, self.line);
            self.line.clear();
        }
    }
}

impl fmt::Write for Tagged {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive('\n') {
            self.line.push_str(piece.trim_end_matches('\n'));
            if piece.ends_with('\n') {
                self.flush();
            }
        }
        Ok(())
    }
}

impl Output for Tagged {
    fn has_reader(&self) -> bool {
        false
    }

    /// It is the end when the strand was asked to end.
    fn wait(&mut self, at_most_ms: u32) -> bool {
        sched::try_sleep_ns::<Cpu>(u64::from(at_most_ms) * 1_000_000).is_err()
    }
}

fn wait(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    call.arguments.end()?;
    let is_running = || JOBS.lock().iter().any(|job| job.state() == State::Runs);
    while is_running() {
        if call.out.wait(LOOK_MS) {
            return Err(CommandError::Stopped);
        }
    }
    let jobs = core::mem::take(&mut *JOBS.lock());
    let mut failed = Vec::new();
    for job in jobs {
        if job.state() == State::Failed {
            failed.push(format!("[{}] `{}`", job.number, job.line));
        }
        job.handles.into_iter().for_each(Handle::join);
    }
    match &failed[..] {
        [] => Ok(()),
        _ => Err(CommandError::failed(format!("failed in the background: {}", failed.join(", ")))),
    }
}
