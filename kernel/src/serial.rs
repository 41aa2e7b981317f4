//! The serial line COM1: the kernel's console and the sink of its log.
//!
//! Output goes line by line under a [`OwnerLock`]; text is formatted
//! before the lock is taken, so no foreign code (a `Display`, say, that panics)
//! ever runs under it. Input comes by interrupt once [`enable_interrupts`] was
//! called, else by polling, through a ring that [`read`] drains.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};

use base::byte_ring::ByteRing;
use base::line::Line;
use uart_16550::backend::{Backend, PioBackend};
use uart_16550::spec::registers::{FifoTriggerLevel, IER, LCR, LSR, MCR, WordLength, offsets};
use uart_16550::{BaudRate, Config, Uart16550};

use crate::hook::Hook;
use crate::owner_lock::OwnerLock;

/// The interrupt line of COM1 on every PC, before the IO APIC's overrides.
pub const IRQ: u8 = 4;
/// COM1's first I/O port, the same on every PC.
const COM1: u16 = 0x3f8;
/// Tries to send a byte before a line that takes none is given up: some
/// milliseconds, many times what 115,200 baud need.
const PATIENCE: u32 = 100_000;

/// Whether the machine has the device: one without reads as all ones, which
/// would look like endless input.
static IS_PRESENT: AtomicBool = AtomicBool::new(false);
static OUTPUT: OwnerLock = OwnerLock::new();
static INPUT: ByteRing<1024> = ByteRing::new();
/// Held by whoever moves bytes from the device to [`INPUT`].
static IS_RECEIVING: AtomicBool = AtomicBool::new(false);
static ON_INPUT: Hook<fn()> = Hook::new();

/// The device, where there is one. A handle's own state is not used after
/// [`init`], so each use makes one.
fn com1() -> Option<Uart16550<PioBackend>> {
    // Relaxed: set before other cores run, and the ports are safe either way.
    IS_PRESENT.load(Ordering::Relaxed).then(handle)
}

fn handle() -> Uart16550<PioBackend> {
    // SAFETY: COM1's eight ports are the serial device's or nobody's, and
    // accesses to them touch no memory.
    let device = unsafe { Uart16550::new_port(COM1) };
    device.expect("0x3f8 leaves room for eight ports")
}

/// Sets the line up: 115,200 baud, 8N1, interrupts off. What was typed before is
/// kept. A machine without the device prints nowhere. Once, on the boot core,
/// before anything is printed.
pub fn init() {
    let mut device = handle();
    if !device.check_present() {
        return;
    }
    let is_ready = if device.ready_to_receive().is_ok() {
        set_up_without_reset(&mut device);
        true
    } else {
        let baud_rate = BaudRate::Baud115200;
        let fifo_trigger_level = Some(FifoTriggerLevel::One);
        device.init(Config { baud_rate, fifo_trigger_level, ..Config::DEFAULT }).is_ok()
    };
    // Relaxed: as in `com1`.
    IS_PRESENT.store(is_ready, Ordering::Relaxed);
}

/// Sets up a device that holds input, typed while the firmware ran. A reset of
/// its FIFO would drop the first byte of a line, which then is another command,
/// and an emulator that holds the rest back until the receiver is read would not
/// notice. Reading the byte first is no help: the next may come before the reset.
/// So the FIFO stays as it is, off where nobody has turned it on: one byte deep,
/// which is enough for what is typed.
fn set_up_without_reset(device: &mut Uart16550<PioBackend>) {
    // What the firmware still sends goes out at its own speed.
    let _ = (0..PATIENCE).any(|_| device.lsr().contains(LSR::TRANSMITTER_EMPTY));
    let format = LCR::empty().set_word_length(WordLength::EightBits);
    let control = MCR::DTR | MCR::RTS | MCR::OUT_2_INT_ENABLE;
    for (register, value) in [
        // With DLAB, the first two registers are the divisor of 115,200 baud; without it, others.
        (offsets::LCR, (format | LCR::DLAB).bits()),
        (offsets::DLL, 1),
        (offsets::DLM, 0),
        (offsets::LCR, format.bits()),
        (offsets::IER, IER::empty().bits()),
        (offsets::MCR, control.bits()),
    ] {
        // SAFETY: one of the device's eight registers; none of these makes it touch memory.
        unsafe { device.backend_mut().write(register as u8, value) };
    }
}

/// Lets the device raise [`IRQ`] when input comes. Whoever calls it has routed
/// the interrupt to a handler that calls [`receive`] and ends the interrupt.
pub fn enable_interrupts() {
    if let Some(mut device) = com1() {
        device.enable_interrupts(IER::DATA_READY);
    }
    // What came before raised no edge.
    receive();
}

/// `procedure` is called when input has come, in the interrupt: it must not
/// block. For waking the strand that reads.
pub fn set_on_input(procedure: fn()) {
    ON_INPUT.set(procedure);
}

/// Moves what the device holds to where [`read`] finds it. Any context, lock-free.
pub fn receive() {
    let Some(mut device) = com1() else { return };
    let mut has_input = false;
    // Acquire and release: one mover's work on the ring comes before the next's.
    // Whoever finds the flag taken may go: the holder looks again after it let go.
    while device.ready_to_receive().is_ok() && !IS_RECEIVING.swap(true, Ordering::Acquire) {
        while let Ok(byte) = device.try_receive_byte() {
            INPUT.push(byte);
            has_input = true;
        }
        IS_RECEIVING.store(false, Ordering::Release);
    }
    if let Some(on_input) = ON_INPUT.get().filter(|_| has_input) {
        on_input();
    }
}

/// The next byte of input, if one has come. Any context, lock-free.
pub fn read() -> Option<u8> {
    INPUT.pop().or_else(|| {
        receive();
        INPUT.pop()
    })
}

/// Bytes of input that were dropped because nobody read them in time.
pub fn dropped_input() -> u64 {
    INPUT.dropped()
}

/// Makes the line this core's alone for good; whoever else prints waits for
/// ever. For the last words of a core that has stopped the others.
pub fn take_over() {
    OUTPUT.seize();
}

/// Prints. Lines of less than 256 bytes come out whole. Any context.
pub fn print(arguments: fmt::Arguments<'_>) {
    let mut writer = Writer::new();
    // A `Writer` never fails; a `Display` that does has printed what it could.
    let _ = writer.write_fmt(arguments);
}

/// Collects text and sends it a line at a time, the rest when dropped.
pub struct Writer(Line<256>);

impl Writer {
    /// A writer with nothing to send yet.
    pub const fn new() -> Self {
        Self(Line::new())
    }

    /// Sends what was collected.
    pub fn flush(&mut self) {
        OUTPUT.with(|| send(self.0.as_str()));
        self.0.clear();
    }
}

impl Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive('\n') {
            let mut rest = piece;
            loop {
                rest = &rest[self.0.push_str(rest)..];
                if rest.is_empty() {
                    break;
                }
                self.flush();
            }
            if piece.ends_with('\n') {
                self.flush();
            }
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.0.as_str().is_empty() {
            self.flush();
        }
    }
}

/// Sends to the device, `\n` as `\r\n`; gives up on a device that takes nothing.
fn send(text: &str) {
    let Some(mut device) = com1() else { return };
    let mut send_byte = |byte| (0..PATIENCE).any(|_| device.try_send_byte(byte).is_ok());
    for byte in text.bytes() {
        if byte == b'\n' && !send_byte(b'\r') || !send_byte(byte) {
            return;
        }
    }
}

/// Prints on the console.
#[macro_export]
macro_rules! print {
    ($($arguments:tt)*) => {
        $crate::serial::print(format_args!($($arguments)*))
    };
}

/// Prints a line on the console.
#[macro_export]
macro_rules! println {
    () => {
        $crate::serial::print(format_args!("\n"))
    };
    ($($arguments:tt)*) => {
        $crate::serial::print(format_args!("{}\n", format_args!($($arguments)*)))
    };
}
