//! `top`: strands and cores, redrawn while they run.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt::Write;

use dispatcher::Processor;
use shell::{
    Call, Command, CommandError, Key, Size,
    table::{Column, Table},
    units::{Bar, Nanoseconds, Share, Thousands},
};

use super::strands::{LOOK_MS, priority, totals, unknown_option};
use crate::{
    console::{
        Kernel,
        census::{Look, Seen, Sort},
    },
    strands::Cpu,
};

/// Milliseconds from one frame to the next, if nobody says otherwise, and the bounds of what may be said.
const PERIOD_MS: u32 = 1000;
const SHORTEST_MS: u32 = 100;
const LONGEST_MS: u32 = 3_600_000;
/// Lines of strands in a frame that stays.
const PLAIN_ROWS: usize = 10;
/// Signs in a core's bar where each core has a line of its own, and where two or four share one.
const BAR: [usize; 3] = [30, 20, 6];

pub const TOP: Command<Kernel> = Command {
    name: "top",
    summary: "watch cores and strands at work",
    usage: "top [SECONDS] [--frames N] [--sort cpu|name|id] [--plain]",
    example: "top 0.5",
    help: "Shows how busy each core is and which strands have most of them, and draws it anew every SECONDS (1, if \
           they are left out; 0.1 is the shortest). Shares are those of the time since the frame before; a share of \
           100 % is a whole core. The keys c, n and i sort by CPU share, name and number, space draws at once, and \
           q, Enter or Ctrl-C ends it. With --frames it ends by itself after N frames. With --plain, and where \
           nobody is at a keyboard, frames are printed one below the other.",
    run,
    complete: |hint| match hint.arguments.last().map(String::as_str) {
        Some("--sort") => ["cpu", "name", "id"].map(Into::into).into(),
        Some("--frames") => Vec::new(),
        _ => ["--frames", "--plain", "--sort"].map(Into::into).into(),
    },
};

struct Options {
    period_ms: u32,
    frames: Option<u32>,
    sort: Sort,
    is_plain: bool,
}

impl Options {
    fn read(call: &mut Call<Kernel>) -> Result<Self, CommandError> {
        let mut options = Self { period_ms: PERIOD_MS, frames: None, sort: Sort::Cpu, is_plain: false };
        let mut has_period = false;
        while let Some(word) = call.arguments.optional_word() {
            match word {
                "--plain" => options.is_plain = true,
                "--sort" => options.sort = call.arguments.value("the word after --sort", Sort::CHOICES)?,
                "--frames" => match call.arguments.number("the number after --frames")? {
                    0 => return Err(CommandError::usage("the number after --frames must be at least 1")),
                    frames => options.frames = Some(frames),
                },
                option if option.starts_with("--") => return Err(unknown_option(option)),
                _ if has_period => {
                    return Err(CommandError::usage(format_args!("`{word}` is one argument too many")));
                }
                seconds => {
                    options.period_ms = milliseconds(seconds)?;
                    has_period = true;
                }
            }
        }
        if options.frames.is_none() && !call.out.has_reader() {
            let reason = "--frames N is missing: nobody is at a keyboard here to end it";
            return Err(CommandError::usage(reason));
        }
        Ok(options)
    }
}

/// Seconds with at most three digits behind the point.
fn milliseconds(text: &str) -> Result<u32, CommandError> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let milliseconds = (is_number(whole) && is_number(part) && part.len() <= 3)
        .then(|| format!("{whole}{part:0<3}").parse().ok())
        .flatten()
        .filter(|milliseconds| (SHORTEST_MS..=LONGEST_MS).contains(milliseconds));
    milliseconds.ok_or_else(|| {
        let text = text.escape_debug();
        CommandError::usage(format_args!("SECONDS must be a number from 0.1 to 3600, not `{text}`"))
    })
}

fn run(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let options = Options::read(call)?;
    match call.out.screen().filter(|_| !options.is_plain) {
        None => follow(call, options, false),
        Some(_) => {
            // Without a cursor that jumps about; and at the end it is there again, however it ends.
            call.out.write_str("\x1b[?25l\x1b[2J")?;
            let result = follow(call, options, true);
            call.out.write_str("\x1b[?25h")?;
            result
        }
    }
}

/// Frame after frame, until there are enough.
fn follow(call: &mut Call<Kernel>, mut options: Options, is_drawn: bool) -> Result<(), CommandError> {
    let mut before = Look::take();
    let mut frames = 0;
    // The first one comes soon.
    let mut pause_ms = LOOK_MS.min(options.period_ms);
    loop {
        let is_over = pause(call, pause_ms, &mut options.sort);
        if is_over {
            return Ok(());
        }
        let now = Look::take();
        let size = call.out.screen().filter(|_| is_drawn);
        let frame = frame(&now, &before, options.sort, size);
        match size {
            None => writeln!(call.out, "{frame}")?,
            Some(size) => call.out.write_str(&over(&frame, size))?,
        }
        before = now;
        frames += 1;
        if options.frames.is_some_and(|most| frames >= most) {
            return Ok(());
        }
        pause_ms = options.period_ms;
    }
}

/// Waits for so long, or for a key that draws at once; is it to be the end?
fn pause(call: &mut Call<Kernel>, pause_ms: u32, sort: &mut Sort) -> bool {
    let end = Cpu::now_ns() + u64::from(pause_ms) * 1_000_000;
    loop {
        let left_ms = end.saturating_sub(Cpu::now_ns()).div_ceil(1_000_000);
        if left_ms == 0 {
            return false;
        }
        match call.out.key(left_ms as u32) {
            Some(Key::Char('q' | 'Q') | Key::Enter | Key::Control('c')) => return true,
            Some(Key::Char('c')) => *sort = Sort::Cpu,
            Some(Key::Char('n')) => *sort = Sort::Name,
            Some(Key::Char('i')) => *sort = Sort::Id,
            Some(Key::Char(' ')) => {}
            _ => continue,
        }
        return false;
    }
}

/// The frame over what was there: each line to the edge, and nothing below.
fn over(frame: &str, size: Size) -> String {
    let mut out = String::from("\x1b[H");
    for line in frame.lines().take(usize::from(size.rows).saturating_sub(1)) {
        // A line that reaches the edge would leave the cursor in the next.
        out.extend(line.chars().take(usize::from(size.columns).saturating_sub(1)));
        out.push_str("\x1b[K\n");
    }
    out.push_str("\x1b[J");
    out
}

fn frame(now: &Look, before: &Look, sort: Sort, size: Option<Size>) -> String {
    let mut out = String::new();
    head(&mut out, now, before);
    cores(&mut out, now, before);
    let rows = match size {
        None => PLAIN_ROWS,
        // But for the titles and what is said at the end.
        Some(size) => usize::from(size.rows).saturating_sub(out.lines().count() + 4).max(1),
    };
    strands(&mut out, now, before, sort, rows);
    if size.is_some() {
        out.push_str("q, Enter or Ctrl-C ends; c, n, i sort by share, name, number; space draws at once");
    }
    out
}

fn head(out: &mut String, now: &Look, before: &Look) {
    let switches: u64 = now.cores.iter().map(|core| now.switches_a_second(core, before)).sum();
    let all: Vec<&Seen> = now.strands.iter().collect();
    let _ = writeln!(
        out,
        "up {}, over {}: {}, {} switches a second",
        Nanoseconds(now.at_ns),
        Nanoseconds(now.since(before)),
        totals(&all),
        Thousands(switches)
    );
}

/// A bar for each core; several in a line where there are many.
fn cores(out: &mut String, now: &Look, before: &Look) {
    let (in_line, width) = match now.cores.len() {
        0..=8 => (1, BAR[0]),
        9..=16 => (2, BAR[1]),
        _ => (4, BAR[2]),
    };
    for line in now.cores.chunks(in_line) {
        let mut text = String::new();
        for core in line {
            let share = Share(1000 - now.idle_share(core, before).0);
            let bar = Bar { share, width };
            let _ = write!(text, "core {:>2} {bar} {:>7}  ", core.id, share.to_string());
            if in_line == 1 {
                let runs = core.runs.as_deref().unwrap_or("-");
                let _ = write!(text, "{:<8}  {} waiting  {runs}", core.mode.name(), core.waiting);
            }
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
}

fn strands(out: &mut String, now: &Look, before: &Look, sort: Sort, rows: usize) {
    let mut strands: Vec<&Seen> = now.strands.iter().collect();
    sort.sort(&mut strands, before);
    let mut table = Table::new([
        Column::right("strand"),
        Column::left("name"),
        Column::left("state"),
        Column::right("priority"),
        Column::right("core"),
        Column::right("share"),
        Column::right("CPU").unit("ms"),
        Column::right("switches"),
        Column::right("preempted"),
        Column::right("stolen"),
    ]);
    for seen in strands.iter().take(rows) {
        let lately = seen.counts.since(before.counts_of(seen.id()));
        table.row(&[
            &seen.id(),
            &seen.strand.name(),
            &seen.state,
            &priority(&seen.strand),
            &seen.core,
            &now.share(seen, before),
            &Thousands(seen.counts.run_ns / 1_000_000),
            &Thousands(lately.switches),
            &Thousands(lately.preemptions),
            &Thousands(lately.steals),
        ]);
    }
    let _ = write!(out, "{table}");
    if strands.len() > rows {
        let _ = writeln!(out, "and {} more", Thousands((strands.len() - rows) as u64));
    }
}
