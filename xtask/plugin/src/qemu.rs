//! QEMU's side: what is used of version 1 of its plugin interface, and what it calls.
//!
//! After QEMU's `include/qemu/qemu-plugin.h`. QEMU exports these functions to the plugins that it loads.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::marks::Mark;
use crate::record::{Access, Record};
use crate::report::{self, Finished};

/// A translated block, an instruction of one, and an address behind which there is memory or a device.
#[repr(C)]
pub struct Opaque {
    _nothing: [u8; 0],
}

type Id = u64;
type ExecCallback = unsafe extern "C" fn(core: c_uint, data: *mut c_void);
type MemCallback = unsafe extern "C" fn(core: c_uint, info: u32, address: u64, data: *mut c_void);

/// The callback reads no registers.
const NO_REGISTERS: c_int = 0;
/// Loads and stores.
const LOADS_AND_STORES: c_int = 3;

unsafe extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, callback: unsafe extern "C" fn(Id, *mut Opaque));
    fn qemu_plugin_tb_n_insns(block: *const Opaque) -> usize;
    fn qemu_plugin_tb_get_insn(block: *const Opaque, index: usize) -> *mut Opaque;
    fn qemu_plugin_insn_data(instruction: *const Opaque) -> *const u8;
    fn qemu_plugin_insn_size(instruction: *const Opaque) -> usize;
    fn qemu_plugin_insn_vaddr(instruction: *const Opaque) -> u64;
    fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut Opaque,
        callback: ExecCallback,
        flags: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_register_vcpu_mem_cb(
        instruction: *mut Opaque,
        callback: MemCallback,
        flags: c_int,
        which: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_mem_size_shift(info: u32) -> c_uint;
    fn qemu_plugin_mem_is_store(info: u32) -> bool;
    fn qemu_plugin_get_hwaddr(info: u32, address: u64) -> *mut Opaque;
    fn qemu_plugin_hwaddr_is_io(address: *const Opaque) -> bool;
    fn qemu_plugin_hwaddr_phys_addr(address: *const Opaque) -> u64;
    fn qemu_plugin_register_atexit_cb(
        id: Id,
        callback: unsafe extern "C" fn(Id, *mut c_void),
        data: *mut c_void,
    );
}

/// The version of the interface that this plugin speaks.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "QEMU looks for this name")]
pub static qemu_plugin_version: c_int = 1;

/// The most cores that are recorded.
const MOST_CORES: usize = 64;

/// One virtual core.
struct Core {
    /// Is it between its marks? Asked at each instruction, so apart from the lock.
    is_recording: AtomicBool,
    record: Mutex<Record>,
}

static CORES: [Core; MOST_CORES] =
    [const { Core { is_recording: AtomicBool::new(false), record: Mutex::new(Record::empty()) } };
        MOST_CORES];
static PHASE: AtomicU32 = AtomicU32::new(0);
static FINISHED: Mutex<Vec<Finished>> = Mutex::new(Vec::new());
static OUT: OnceLock<PathBuf> = OnceLock::new();

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A callback that panicked has ended QEMU: nothing unwinds through C.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The core, if it is recording. Cost where it is not: one load.
fn recording(core: c_uint) -> Option<MutexGuard<'static, Record>> {
    let core = CORES.get(core as usize)?;
    // Relaxed: only the thread that runs this core sets it.
    core.is_recording.load(Ordering::Relaxed).then(|| lock(&core.record))
}

/// QEMU calls this when it has loaded the plugin; 0 means that it may go on.
///
/// # Safety
///
/// `arguments` are `count` strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: Id,
    _info: *const c_void,
    count: c_int,
    arguments: *const *const c_char,
) -> c_int {
    for index in 0..count as usize {
        // SAFETY: by the contract.
        let argument = unsafe { arguments.add(index) };
        // SAFETY: by the contract.
        let argument = unsafe { *argument };
        // SAFETY: by the contract.
        let argument = unsafe { CStr::from_ptr(argument) }.to_string_lossy();
        match argument.strip_prefix("out=") {
            Some(file) => {
                // Once is enough: QEMU installs a plugin once.
                let _ = OUT.set(PathBuf::from(file));
            }
            None => {
                eprintln!("recorder: unknown argument {argument:?}; there is: out=FILE");
                return 1;
            }
        }
    }
    if OUT.get().is_none() {
        eprintln!("recorder: say where the report goes: -plugin PATH,out=FILE");
        return 1;
    }
    // SAFETY: the callback has the type that QEMU asks for, and the plugin is never unloaded.
    unsafe { qemu_plugin_register_vcpu_tb_trans_cb(id, translated) };
    // SAFETY: as above.
    unsafe { qemu_plugin_register_atexit_cb(id, at_exit, std::ptr::null_mut()) };
    0
}

/// A block was translated: asks for a call at each of its instructions.
unsafe extern "C" fn translated(_id: Id, block: *mut Opaque) {
    // SAFETY: QEMU gave the block, and it is valid for this call.
    let count = unsafe { qemu_plugin_tb_n_insns(block) };
    for index in 0..count {
        // SAFETY: as above, and there are so many.
        let instruction = unsafe { qemu_plugin_tb_get_insn(block, index) };
        // SAFETY: as above.
        let data = unsafe { qemu_plugin_insn_data(instruction) };
        // SAFETY: as above.
        let size = unsafe { qemu_plugin_insn_size(instruction) };
        // SAFETY: the instruction's bytes.
        let bytes = unsafe { std::slice::from_raw_parts(data, size) };
        if let Some(mark) = Mark::read(bytes) {
            let callback = match mark {
                Mark::Phase => phase,
                Mark::Begin => begin,
                Mark::End => end as ExecCallback,
            };
            // SAFETY: the callback has the type that QEMU asks for; the data is none.
            unsafe {
                qemu_plugin_register_vcpu_insn_exec_cb(
                    instruction,
                    callback,
                    NO_REGISTERS,
                    std::ptr::null_mut(),
                );
            }
            continue;
        }
        // SAFETY: as above.
        let code = unsafe { qemu_plugin_insn_vaddr(instruction) };
        let data = std::ptr::without_provenance_mut(code as usize);
        // SAFETY: the callbacks have the types that QEMU asks for; the data is a number.
        unsafe { qemu_plugin_register_vcpu_insn_exec_cb(instruction, executed, NO_REGISTERS, data) };
        // SAFETY: as above.
        unsafe {
            qemu_plugin_register_vcpu_mem_cb(instruction, accessed, NO_REGISTERS, LOADS_AND_STORES, data)
        };
    }
}

unsafe extern "C" fn phase(_core: c_uint, _data: *mut c_void) {
    // Relaxed: the guest lets no core record while it says so, and has them meet before they do.
    PHASE.fetch_add(1, Ordering::Relaxed);
}

unsafe extern "C" fn begin(core: c_uint, _data: *mut c_void) {
    let Some(core) = CORES.get(core as usize) else { return };
    *lock(&core.record) = Record::empty();
    core.is_recording.store(true, Ordering::Relaxed);
}

unsafe extern "C" fn end(number: c_uint, _data: *mut c_void) {
    let Some(core) = CORES.get(number as usize) else { return };
    if core.is_recording.swap(false, Ordering::Relaxed) {
        let record = std::mem::replace(&mut *lock(&core.record), Record::empty());
        lock(&FINISHED).push((PHASE.load(Ordering::Relaxed), number, record));
    }
}

unsafe extern "C" fn executed(core: c_uint, _code: *mut c_void) {
    if let Some(mut record) = recording(core) {
        record.instructions += 1;
    }
}

unsafe extern "C" fn accessed(core: c_uint, info: u32, address: u64, code: *mut c_void) {
    let Some(mut record) = recording(core) else { return };
    // SAFETY: `info` is what QEMU gave to this callback.
    let place = unsafe { qemu_plugin_get_hwaddr(info, address) };
    if place.is_null() {
        return;
    }
    // SAFETY: QEMU's own, valid for this call.
    if unsafe { qemu_plugin_hwaddr_is_io(place) } {
        return;
    }
    // SAFETY: as above.
    let physical = unsafe { qemu_plugin_hwaddr_phys_addr(place) };
    // SAFETY: `info` is what QEMU gave to this callback.
    let size = 1 << unsafe { qemu_plugin_mem_size_shift(info) };
    // SAFETY: as above.
    let is_store = unsafe { qemu_plugin_mem_is_store(info) };
    record.access(physical, size, is_store, Access { address, code: code.addr() as u64 });
}

unsafe extern "C" fn at_exit(_id: Id, _data: *mut c_void) {
    let Some(out) = OUT.get() else { return };
    if let Err(error) = std::fs::write(out, report::write(&lock(&FINISHED))) {
        eprintln!("recorder: cannot write {}: {error}", out.display());
    }
}
