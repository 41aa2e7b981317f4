//! The console: commands from the serial line or from the boot loader's command line.
//!
//! - [`terminal`]: the serial line, as the shell wants it.
//! - [`commands`]: what can be said.
//! - `census`: all strands and cores at a time, for the commands that show them.

mod census;
pub mod commands;
mod terminal;

use core::fmt::Write;

use shell::{Console, Output, Terminal};

use crate::{exit, println, strands::Cpu};

use terminal::Serial;

/// What the commands work on: the kernel, of which there is one.
pub struct Kernel;

/// Runs a script and ends the machine: well, if every command in it did.
pub fn run_script(script: &str) -> ! {
    let mut out = Plain;
    match commands::all().run_script(script, &mut Kernel, &mut out) {
        Ok(()) => exit::exit(exit::Code::Success),
        Err(error) => {
            println!("error: {error}");
            exit::exit(exit::Code::Failure)
        }
    }
}

/// Serves a person until `halt`.
pub fn serve() -> ! {
    let mut console = Console::new(Serial::new());
    console.terminal().write_bytes(
        b"Type help for the commands, halt to power off. Under QEMU, Ctrl-A X leaves at once.\r\n",
    );
    shell::interact(&mut console, &commands::all(), &mut Kernel, "whorl> ");
    println!("end of input");
    exit::exit(exit::Code::Success)
}

/// Output of a script: as it comes, without paging, and nobody to press a key.
struct Plain;

impl Output for Plain {
    fn has_reader(&self) -> bool {
        false
    }

    fn wait(&mut self, at_most_ms: u32) -> bool {
        sched::sleep_ns::<Cpu>(u64::from(at_most_ms) * 1_000_000);
        false
    }
}

impl Write for Plain {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        crate::print!("{text}");
        Ok(())
    }
}
