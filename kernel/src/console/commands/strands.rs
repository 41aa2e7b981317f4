//! `strands`.

use alloc::{
    format,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use sched::{Machine, State};
use shell::{
    Call, Command, CommandError, Hint,
    numbers::NumberSet,
    table::{Column, Table},
    units::{Bytes, Nanoseconds, Thousands},
};

use crate::{
    console::{
        Kernel,
        census::{Look, Seen, Sort},
    },
    domains,
    strands::{Cpu, Strand},
};

/// How far two looks are apart, in milliseconds.
pub const LOOK_MS: u32 = 100;
/// The most rows, unless all are asked for.
const MOST_ROWS: usize = 40;
/// The most of those that wait for one strand that are shown.
const MOST_JOINERS: usize = 8;

pub const STRANDS: Command<Kernel> = Command {
    name: "strands",
    summary: "show the strands, or one of them",
    usage: "strands [ID | NAME-PART] [--all] [--domain D] [--package P] [--sort cpu|name|id]",
    example: "strands worker --sort cpu",
    help: "Shows every strand but the idle ones, or those whose name holds NAME-PART, those of domain D, or \
           those that thread package P schedules: its \
           state; its priority, 31 being the most urgent, and its own in brackets where it was lent a higher one; \
           the core on which it runs or ran last, and those on which it may; whose it is, and which thread package schedules it; for how long it has had \
           a core, and what part of one in the last 100 ms; how often it got one, had no choice in losing it, and \
           was taken to another by one that had nothing to do. The first 40 of them, unless --all is said.\n\n\
           With ID it tells of one in detail: where it waits, who waits for its end, how large its stack is.",
    run,
    complete,
};

fn complete(hint: &Hint<Kernel>) -> Vec<String> {
    match hint.arguments.last().map(String::as_str) {
        Some("--sort") => ["cpu", "name", "id"].map(Into::into).into(),
        Some("--domain") => domains::all().iter().map(|domain| domain.name().to_string()).collect(),
        Some("--package") => packages().map(|package| package.name().into()).collect(),
        _ => ["--all", "--domain", "--package", "--sort"].map(Into::into).into(),
    }
}

/// Which strands are asked for.
struct Wanted<'w> {
    id: Option<u64>,
    name: Option<&'w str>,
    domain: Option<&'w str>,
    package: Option<&'w str>,
    is_all: bool,
    sort: Sort,
}

impl<'w> Wanted<'w> {
    fn read(call: &mut Call<'w, Kernel>) -> Result<Self, CommandError> {
        let mut wanted =
            Self { id: None, name: None, domain: None, package: None, is_all: false, sort: Sort::Id };
        while let Some(word) = call.arguments.optional_word() {
            match word {
                "--all" => wanted.is_all = true,
                "--sort" => wanted.sort = call.arguments.value("the word after --sort", Sort::CHOICES)?,
                "--domain" => wanted.domain = Some(call.arguments.word("the domain after --domain")?),
                "--package" => wanted.package = Some(call.arguments.word("the package after --package")?),
                option if option.starts_with("--") => return Err(unknown_option(option)),
                _ if wanted.name.is_some() || wanted.id.is_some() => {
                    return Err(CommandError::usage(format_args!("`{word}` is one argument too many")));
                }
                number if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                    wanted.id = Some(number.parse().map_err(|_| no_strand(number))?);
                }
                name => wanted.name = Some(name),
            }
        }
        if let Some(name) = wanted.domain {
            let loaded = domains::all();
            if name != "core" && loaded.iter().all(|domain| domain.name() != name) {
                let near = shell::suggestion(name, loaded.iter().map(|domain| domain.name()));
                let name = name.escape_debug();
                return Err(CommandError::failed(format_args!(
                    "no domain '{name}' is loaded{near} (`domains` shows those that are; `core` is the kernel's own)"
                )));
            }
        }
        if let Some(name) = wanted.package
            && packages().all(|package| package.name() != name)
        {
            let name = name.escape_debug();
            return Err(CommandError::failed(format_args!(
                "there is no thread package '{name}': `packages` shows those that there are"
            )));
        }
        Ok(wanted)
    }

    fn has(&self, seen: &Seen) -> bool {
        let domain = || seen.strand.domain().map_or("core".into(), |_| seen.domain());
        self.name.is_none_or(|part| seen.strand.name().contains(part))
            && self.domain.is_none_or(|name| domain() == name)
            && self.package.is_none_or(|name| seen.package().is_some_and(|package| package.name() == name))
    }
}

fn packages() -> impl Iterator<Item = Arc<sched::package::Package<Cpu>>> {
    Cpu::scheduler().packages().all().into_iter()
}

/// An option that there is not.
pub fn unknown_option(option: &str) -> CommandError {
    CommandError::usage(format_args!("there is no option `{}`", option.escape_debug()))
}

/// There is no strand of that number.
pub fn no_strand(id: &str) -> CommandError {
    CommandError::failed(format_args!(
        "there is no strand {id}, or it has ended: `strands` shows those that there are"
    ))
}

fn run(call: &mut Call<Kernel>) -> Result<(), CommandError> {
    let wanted = Wanted::read(call)?;
    let before = Look::take();
    // Who presses a key does not want to see it.
    if call.out.wait(LOOK_MS) {
        return Err(CommandError::Stopped);
    }
    let now = Look::take();
    match wanted.id {
        Some(id) => tell(id, &now, &before, call.out),
        None => list(&wanted, &now, &before, call.out),
    }
}

fn list(wanted: &Wanted, now: &Look, before: &Look, out: &mut dyn shell::Output) -> Result<(), CommandError> {
    let mut strands: Vec<&Seen> = now.strands.iter().filter(|seen| wanted.has(seen)).collect();
    if strands.is_empty() {
        writeln!(out, "no strand of {} is such a one", now.strands.len())?;
        return Ok(());
    }
    wanted.sort.sort(&mut strands, before);
    let shown = if wanted.is_all { strands.len() } else { strands.len().min(MOST_ROWS) };
    let mut table = Table::new([
        Column::right("strand"),
        Column::left("name"),
        Column::left("state"),
        Column::right("priority"),
        Column::right("core"),
        Column::left("may run on"),
        Column::left("domain"),
        Column::left("package"),
        Column::right("CPU").unit("ms"),
        Column::right("share"),
        Column::right("switches"),
        Column::right("preempted"),
        Column::right("stolen"),
    ]);
    for seen in &strands[..shown] {
        table.row(&[
            &seen.id(),
            &seen.strand.name(),
            &seen.state,
            &priority(&seen.strand),
            &seen.core,
            &NumberSet(seen.strand.affinity().0),
            &seen.domain(),
            &seen.package().map_or("-", |package| package.name()),
            &Thousands(seen.counts.run_ns / 1_000_000),
            &now.share(seen, before),
            &Thousands(seen.counts.switches),
            &Thousands(seen.counts.preemptions),
            &Thousands(seen.counts.steals),
        ]);
    }
    write!(out, "{table}")?;
    let more = strands.len() - shown;
    if more > 0 {
        let more = Thousands(more as u64);
        writeln!(
            out,
            "and {more} more: --all shows them, --sort cpu the busiest first, NAME-PART some of them"
        )?;
    }
    writeln!(out, "{}", totals(&strands))?;
    Ok(())
}

/// How many there are in each state.
pub fn totals(strands: &[&Seen]) -> String {
    let count = |state| strands.iter().filter(|seen| seen.state == state).count();
    let (running, runnable, blocked) = (count(State::Running), count(State::Runnable), count(State::Blocked));
    let mut rest = String::new();
    for (state, count) in [State::Held, State::Ended].map(|state| (state, count(state))) {
        if count > 0 {
            rest += &format!(", {count} {state}");
        }
    }
    let total = Thousands(strands.len() as u64);
    format!("{total} strands: {running} running, {runnable} runnable, {blocked} blocked{rest}")
}

/// Its priority, for people, and its own in brackets if it was lent a higher one.
pub fn priority(strand: &Strand) -> String {
    let (priority, own) = (strand.priority().number(), strand.base_priority().number());
    if priority == own { format!("{priority}") } else { format!("{priority} ({own})") }
}

fn tell(id: u64, now: &Look, before: &Look, out: &mut dyn shell::Output) -> Result<(), CommandError> {
    let at = now.strands.binary_search_by_key(&id, Seen::id).map_err(|_| no_strand(&id.to_string()))?;
    let seen = &now.strands[at];
    let strand = &seen.strand;
    writeln!(out, "strand {id}, {}", strand.name())?;
    let waits = strand.waits_at().filter(|_| seen.state == State::Blocked);
    let place = waits.map_or("".into(), |place| format!(" at {}:{}", place.file(), place.line()));
    writeln!(out, "  state     {}{place}", seen.state)?;
    writeln!(out, "  priority  {}", priority(strand))?;
    let affinity = NumberSet(strand.affinity().0);
    writeln!(out, "  core      {}; may run on {affinity}", seen.core)?;
    writeln!(out, "  domain    {}", seen.domain())?;
    writeln!(out, "  package   {}", seen.package().map_or("none", |package| package.name()))?;
    let (cpu, share) = (Nanoseconds(seen.counts.run_ns), now.share(seen, before));
    let over = Nanoseconds(now.since(before));
    writeln!(out, "  CPU time  {cpu}; {share} of a core in the last {over}")?;
    let counts = seen.counts;
    let [switches, preemptions, steals] = [counts.switches, counts.preemptions, counts.steals].map(Thousands);
    writeln!(out, "  switches  {switches}; preempted {preemptions}, stolen {steals}")?;
    let stack = strand.stack(crate::memory::Stack::size);
    let stack = stack.map_or("none".into(), |size| Bytes(size as u64).to_string());
    writeln!(out, "  stack     {stack}")?;
    writeln!(out, "  joiners   {}", joiners(strand))?;
    let token = if strand.was_called() { "called: it will not wait the next time" } else { "not called" };
    writeln!(out, "  token     {token}")?;
    Ok(())
}

fn joiners(strand: &Strand) -> String {
    let mut ids = [0; MOST_JOINERS];
    let count = strand.joiners(&mut ids);
    let shown = &ids[..count.min(MOST_JOINERS)];
    let mut text = shown.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    match count - shown.len() {
        0 if count == 0 => text += "none",
        0 => {}
        more => text += &format!(" and {more} more"),
    }
    text
}
