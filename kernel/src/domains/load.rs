//! From an object file to running code: all or nothing.

use alloc::{
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use core::{fmt, ops::Range};

use dispatcher::{EnterError, Passage};
use object::{Object, ObjectError};
use spindle::{Error, Status};

use super::{CHANGES, Domain, exports, retire, table};
use crate::{
    boot::archive,
    memory::{Access, ImageError, ImageSpace, MapError},
    strands::Cpu,
};

/// Why a spindle was not loaded. Nothing has changed then.
#[derive(Clone, PartialEq, Debug)]
pub enum LoadError {
    /// The boot archive has no such object.
    NotFound {
        /// What was asked for.
        name: String,
        /// What there is.
        there: Vec<String>,
    },
    /// A domain of that name runs already.
    AlreadyLoaded(String),
    /// The object is not what it should be.
    Object(ObjectError),
    /// The object says that it is another spindle.
    Misnamed {
        /// What was asked for.
        name: String,
        /// What the object says.
        inside: String,
    },
    /// These imports cannot be bound.
    Unresolved(Vec<exports::Unresolved>),
    /// There are as many domains as there can be.
    TooMany,
    /// There is no memory for it.
    Memory(MapError),
    /// It could not be mapped.
    Image(ImageError),
    /// Its start procedure said no.
    Refused(Error),
    /// Its start procedure failed.
    Failed,
    /// There is too little stack here to start it.
    OutOfStack,
}

impl fmt::Display for LoadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { name, there } => {
                write!(out, "no spindle '{name}' in the boot archive; there are: {}", there.join(", "))
            }
            Self::AlreadyLoaded(name) => {
                write!(out, "'{name}' is loaded already: `unload {name}` first, or see `domains`")
            }
            Self::Object(error) => error.fmt(out),
            Self::Misnamed { name, inside } => {
                write!(out, "the object {name}.spindle says that it is '{inside}': build it again")
            }
            Self::Unresolved(imports) => {
                out.write_str("it cannot be linked:")?;
                imports.iter().try_for_each(|import| write!(out, "\n  {import}"))
            }
            Self::TooMany => {
                write!(out, "{} domains are loaded, which is the most: unload one", table::MOST_DOMAINS)
            }
            Self::Memory(error) => error.fmt(out),
            Self::Image(error) => error.fmt(out),
            Self::Refused(error) => write!(out, "its start procedure gave up: {error}"),
            Self::Failed => out.write_str("its start procedure failed: `log` tells how"),
            Self::OutOfStack => out.write_str("too little stack is left to start it"),
        }
    }
}

impl core::error::Error for LoadError {}

/// Loads `NAME.spindle` of the boot archive.
///
/// # Errors
///
/// See [`LoadError`].
pub fn load(name: &str) -> Result<Arc<Domain>, LoadError> {
    let file = archive::file(&alloc::format!("{name}.spindle"))
        .ok_or_else(|| LoadError::NotFound { name: name.into(), there: spindles().collect() })?;
    load_object(name, file)
}

/// The names of the spindles in the boot archive.
pub fn spindles() -> impl Iterator<Item = String> {
    archive::files().filter_map(|entry| {
        let name = entry.filename();
        name.as_str().ok()?.strip_suffix(".spindle").map(ToString::to_string)
    })
}

/// Loads an object, which should be the spindle `name`: checks it, links it, maps it, starts it.
/// On a strand.
///
/// # Errors
///
/// See [`LoadError`].
pub fn load_object(name: &str, file: &[u8]) -> Result<Arc<Domain>, LoadError> {
    let _changes = CHANGES.lock();
    if table::by_name(name).is_some() {
        return Err(LoadError::AlreadyLoaded(name.into()));
    }
    let object = Object::parse(file).map_err(LoadError::Object)?;
    if object.name() != name {
        return Err(LoadError::Misnamed { name: name.into(), inside: object.name().into() });
    }
    let (domain, start) = link(&object)?;
    table::insert(domain.clone());
    if let Err(error) = run_start(&domain, start) {
        drop(domain);
        retire::retire(name);
        return Err(error);
    }
    log::info!("loaded {name} {} at {:#x}", domain.version(), domain.place().0);
    Ok(domain)
}

/// Binds the imports and maps the image; nobody knows of it yet. Gives the address of its start.
fn link(object: &Object) -> Result<(Arc<Domain>, usize), LoadError> {
    let words = exports::resolve(object.imports()).map_err(LoadError::Unresolved)?;
    let id = table::free_number().ok_or(LoadError::TooMany)?;
    let mut image = ImageSpace::reserve(object.image_pages()).map_err(LoadError::Memory)?;
    let base = image.base().as_u64();
    let mut bytes = object.link(base);
    for (import, word) in object.imports().iter().zip(words) {
        bytes[import.slot_offset..][..size_of::<usize>()].copy_from_slice(&word.to_le_bytes());
    }
    let segments: Vec<(Range<usize>, Access)> = object
        .segments()
        .iter()
        .map(|segment| {
            let access = match segment.access {
                object::Access::ReadOnly => Access::ReadOnly,
                object::Access::ReadExecute => Access::ReadExecute,
                object::Access::ReadWrite => Access::ReadWrite,
            };
            (segment.first_page..segment.first_page + segment.pages, access)
        })
        .collect();
    image.populate(&bytes, &segments).map_err(LoadError::Image)?;
    let domain = Domain::new(object.name(), object.version(), id, image, object.imports().len());
    Ok((Arc::new(domain), base as usize + object.start()))
}

/// Calls the start procedure, through a border like every other.
fn run_start(domain: &Domain, start: usize) -> Result<(), LoadError> {
    let mut status = Status::UNBOUND;
    let start = core::ptr::with_exposed_provenance(start);
    // SAFETY: `call_start` takes the start procedure's address, which the reader of objects found to be
    // code of the image, and room for a status. The image stays: this strand holds `CHANGES`, without
    // which nobody retires a domain.
    let entered = unsafe {
        dispatcher::enter::<Cpu>(
            Passage::Call,
            &domain.state,
            call_start,
            start,
            core::ptr::null(),
            core::ptr::from_mut(&mut status).cast(),
        )
    };
    match entered {
        Ok(()) => status.into_result().map_err(LoadError::Refused),
        Err(EnterError::OutOfStack) => Err(LoadError::OutOfStack),
        Err(EnterError::Cut | EnterError::Closed) => Err(LoadError::Failed),
    }
}

/// # Safety
///
/// `start` is the address of a start procedure, `status` room for what it returns.
unsafe extern "C" fn call_start(start: *const (), _: *const (), status: *mut ()) {
    // SAFETY: by the contract.
    let start = unsafe { core::mem::transmute::<*const (), extern "C" fn() -> Status>(start) };
    // SAFETY: by the contract.
    unsafe { status.cast::<Status>().write(start()) }
}
