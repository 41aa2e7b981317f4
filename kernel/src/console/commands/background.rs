//! `background` and `wait`: commands beside others.

use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::{
    fmt,
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
};

use sched::Builder;
use shell::{Call, Command, CommandError, Hint, Output, script};

use crate::{
    console::{Kernel, Plain},
    println,
    strands::{self, Handle, Mutex},
};

/// The most that run at a time.
const MOST_JOBS: usize = 16;
/// How often `wait` looks.
const LOOK_MS: u32 = 20;

pub const BACKGROUND: Command<Kernel> = Command {
    name: "background",
    summary: "run a command beside others",
    usage: "background COMMAND [WORD]...",
    example: "background raise Demo.Hello 100 every 10",
    help: "Runs the command on a strand of its own and returns at once. Each line that it shows begins with its \
           number in brackets. `wait` waits until all have ended, and fails if one failed.",
    run,
    complete: |hint| match hint.arguments.split_first() {
        None => {
            hint.commands.iter().filter(|command| is_allowed(command.name)).map(|it| it.name.into()).collect()
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
    state: Arc<AtomicU8>,
    handle: Handle,
}

const RUNS: u8 = 0;
const SUCCEEDED: u8 = 1;
const FAILED: u8 = 2;

static JOBS: Mutex<Vec<Job>> = Mutex::new(Vec::new());

/// Numbers them, from 1.
static NEXT: AtomicU64 = AtomicU64::new(1);

impl Job {
    fn state(&self) -> u8 {
        // Acquire: pairs with the Release at its end; what it did is done.
        self.state.load(Ordering::Acquire)
    }
}

/// One cannot wait for oneself.
fn is_allowed(name: &str) -> bool {
    !matches!(name, "background" | "wait")
}

fn run(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let words = call.arguments.rest();
    let Some(name) = words.first() else { return Err(CommandError::usage("COMMAND is missing")) };
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
    jobs.retain(|job| job.state() != SUCCEEDED);
    if jobs.len() >= MOST_JOBS {
        let reason =
            format!("{MOST_JOBS} commands are in the background, which is the most: `wait` for them");
        return Err(CommandError::failed(reason));
    }
    // Relaxed: a name.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let state = Arc::new(AtomicU8::new(RUNS));
    let (text, outcome) = (line.clone(), state.clone());
    let body = move || {
        let is_good = run_job(number, &text);
        outcome.store(if is_good { SUCCEEDED } else { FAILED }, Ordering::Release);
    };
    let handle = strands::spawn(Builder::new("background"), body).map_err(CommandError::failed)?;
    writeln!(call.out, "[{number}] {line}")?;
    jobs.push(Job { number, line, state, handle });
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

    fn wait(&mut self, at_most_ms: u32) -> bool {
        Plain.wait(at_most_ms)
    }
}

fn wait(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    call.arguments.end()?;
    let is_running = || JOBS.lock().iter().any(|job| job.state() == RUNS);
    while is_running() {
        if call.out.wait(LOOK_MS) {
            return Err(CommandError::Stopped);
        }
    }
    let jobs = core::mem::take(&mut *JOBS.lock());
    let mut failed = Vec::new();
    for job in jobs {
        if job.state() == FAILED {
            failed.push(format!("[{}] `{}`", job.number, job.line));
        }
        job.handle.join();
    }
    match &failed[..] {
        [] => Ok(()),
        _ => Err(CommandError::failed(format!("failed in the background: {}", failed.join(", ")))),
    }
}
