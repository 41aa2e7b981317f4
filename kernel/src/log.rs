//! The log: the `log` crate's macros write to the serial line and to a ring in
//! memory that outlives a slow or absent line.
//!
//! `[   0.123456] 3 INFO  memory: text` is seconds since boot, core, level and
//! module. Any context may log: nothing here allocates or waits but for the
//! line's own lock, which cannot deadlock ([`crate::owner_lock`]).

use core::fmt::{self, Write};

use base::line::Line;
use base::log_ring::{LINE_SIZE, LogRing};
use log::{LevelFilter, Log, Metadata, Record};

use crate::hook::{Hook, core_id};
use crate::serial;

static RING: LogRing<256> = LogRing::new();
static CLOCK: Hook<fn() -> u64> = Hook::new();

/// Starts the log. Once, on the boot core, when the serial line stands.
pub fn init(level: LevelFilter) {
    log::set_max_level(level);
    // Fails only where a logger was set before: then this one is it.
    let _ = log::set_logger(&Logger);
}

/// Says how to read the nanoseconds since boot, in any context; 0 until then.
pub fn set_clock(nanoseconds: fn() -> u64) {
    CLOCK.set(nanoseconds);
}

/// The last lines, oldest first, without line ends; long ones are cut.
pub fn lines() -> impl Iterator<Item = Line<LINE_SIZE>> {
    RING.lines()
}

/// How many older lines are no longer kept.
pub fn dropped() -> u64 {
    RING.dropped()
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let microseconds = CLOCK.get().map_or(0, |clock| clock()) / 1000;
        let (seconds, fraction) = (microseconds / 1_000_000, microseconds % 1_000_000);
        let target = record.target();
        let module = target.strip_prefix(concat!(env!("CARGO_CRATE_NAME"), "::")).unwrap_or(target);
        let mut both = Both { line: Line::new(), serial: serial::Writer::new() };
        // Neither of the two ever fails; a `Display` that does is cut there.
        let _ = writeln!(
            both,
            "[{seconds:4}.{fraction:06}] {} {:5} {module}: {}",
            core_id(),
            record.level(),
            record.args()
        );
        RING.push(&both.line);
    }

    fn flush(&self) {}
}

/// Writes to the ring's line, but for the line's end, and to the serial line.
struct Both {
    line: Line<LINE_SIZE>,
    serial: serial::Writer,
}

impl Write for Both {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.line.push_str(text.strip_suffix('\n').unwrap_or(text));
        self.serial.write_str(text)
    }
}
