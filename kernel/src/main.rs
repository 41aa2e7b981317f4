//! Whorl's trusted core.
//!
//! In the order in which a reader needs them:
//! - [`layout`]: where everything lies.
//! - [`boot`]: from the loader to a kernel that knows its machine.
//! - [`trap`]: exceptions and interrupts.
//! - [`serial`] and [`log`]: what the kernel says; [`owner_lock`] keeps it from deadlocking.
//! - [`mod@panic`], [`backtrace`], [`symbols`]: what it says when it falls over.
//! - [`exit`]: how it ends.
//! - [`hook`]: where a part that starts later plugs into one that starts first.
//! - [`memory`]: frames, heap, and what is mapped where.
//! - [`cores`]: all processors up, their interrupts and clocks.
//! - [`strands`]: what runs on them; the housekeeper.
//! - [`events`]: what the kernel announces.
//! - [`domains`]: spindles, from object file to running code and back.
//! - [`faults`]: whose a fault is, before it is the core's.
//! - [`console`]: what people can say; [`torment`] and [`measure`]: the kernel as `stress` sees it.
//! - `ktest`: the harness for tests in the booted kernel.
#![no_std]
#![no_main]

extern crate alloc;

mod backtrace;
mod boot;
mod console;
mod cores;
mod domains;
mod events;
mod exit;
mod faults;
mod hook;
#[cfg(feature = "ktest")]
mod ktest;
mod layout;
mod log;
mod measure;
mod memory;
mod owner_lock;
mod panic;
mod serial;
mod strands;
mod symbols;
mod torment;
mod trap;

/// The boot core's way up. `boot/entry.s` calls it in 64-bit mode, on the boot
/// stack, interrupts masked, with the image, the first 4 GiB and nothing else mapped.
#[unsafe(no_mangle)]
extern "C" fn kernel_main(start_info: u64) -> ! {
    // A voice first, then ears for faults, so that whatever fails below is told.
    serial::init();
    println!("Whorl {}", env!("CARGO_PKG_VERSION"));
    trap::init_boot_core();
    cores::init_boot_core();

    // What the loader knows, before anything can overwrite it.
    let info = boot::init(start_info);
    let options = boot::options();
    log::init(options.log);
    base::options::problems(info.command_line()).for_each(|problem| ::log::warn!("{problem}"));
    boot::archive::init(info);
    ::log::info!("protections: {}", boot::features::enable());

    // Frames from the map, the heap, and page tables that keep W^X: all below allocates.
    memory::init(info).unwrap_or_else(|error| panic!("{error}"));

    // Clocks, interrupt controllers, and the other cores, each of which begins to run strands.
    cores::init(strands::run_core);

    // Faults have owners from here on; this core runs strands, too, and the first of them is the
    // rest of the way up.
    faults::init();
    strands::begin(main_strand)
}

/// The rest of the way up, on a strand: from here on things can wait.
fn main_strand() {
    let options = boot::options();

    // Grace periods pass from here on, so things can be retired.
    strands::housekeeper::start().expect("memory for the housekeeper");
    // From here on things can be posted.
    strands::workers::start().unwrap_or_else(|error| panic!("{error}"));
    events::init();
    domains::start_undertaker().expect("memory for the undertaker");

    if let Some(name) = options.fault {
        boot::fall(name);
    }

    // What the machine was started for: the tests, a script, or a person.
    #[cfg(feature = "ktest")]
    if let Some(filter) = options.test {
        ktest::run(filter);
    }
    match options.script {
        Some(script) => console::run_script(script),
        None if options.is_interactive => console::serve(),
        None => ::log::info!("up, and without a console: interactive=no"),
    }
}
