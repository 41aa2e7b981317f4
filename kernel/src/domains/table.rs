//! Which domains there are: by name for people, by number for the paths that a spindle takes.

use alloc::{collections::BTreeMap, string::String, sync::Arc, vec::Vec};
use core::{
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

use super::domain::Domain;
use crate::strands::Mutex;

/// The most domains at a time.
pub const MOST_DOMAINS: usize = 256;

/// A domain's number is its place in here, plus as many times `MOST_DOMAINS` as the place was used
/// before: numbers are not used again.
static PLACES: [AtomicPtr<Domain>; MOST_DOMAINS] = [const { AtomicPtr::new(ptr::null_mut()) }; MOST_DOMAINS];

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { by_name: BTreeMap::new(), uses: [0; MOST_DOMAINS] });

struct Registry {
    by_name: BTreeMap<String, Arc<Domain>>,
    uses: [u32; MOST_DOMAINS],
}

/// A number for a new domain, if there is room for one. Whoever has the lock `CHANGES` uses it or
/// not; it is taken by [`insert`].
pub fn free_number() -> Option<u32> {
    let registry = REGISTRY.lock();
    let place = PLACES.iter().position(|place| place.load(Ordering::Relaxed).is_null())?;
    Some(registry.uses[place].wrapping_mul(MOST_DOMAINS as u32) + place as u32)
}

/// Enters a domain.
pub fn insert(domain: Arc<Domain>) {
    let place = domain.id() as usize % MOST_DOMAINS;
    let mut registry = REGISTRY.lock();
    registry.uses[place] = registry.uses[place].wrapping_add(1);
    // Release: pairs with the Acquire of `by_id`.
    PLACES[place].store(Arc::as_ptr(&domain).cast_mut(), Ordering::Release);
    registry.by_name.insert(domain.name().into(), domain);
}

/// Takes a domain out; the reference that comes back may be the last.
pub fn remove(name: &str) -> Option<Arc<Domain>> {
    let mut registry = REGISTRY.lock();
    let domain = registry.by_name.remove(name)?;
    if registry.by_name.is_empty() {
        // An emptied map keeps a node; a new one has none.
        registry.by_name = BTreeMap::new();
    }
    PLACES[domain.id() as usize % MOST_DOMAINS].store(ptr::null_mut(), Ordering::Relaxed);
    Some(domain)
}

/// The domain of that name.
pub fn by_name(name: &str) -> Option<Arc<Domain>> {
    REGISTRY.lock().by_name.get(name).cloned()
}

/// All domains, by their names.
pub fn all() -> Vec<Arc<Domain>> {
    REGISTRY.lock().by_name.values().cloned().collect()
}

/// The name of the domain of that number, for people.
pub fn name_of(id: u32) -> Option<String> {
    REGISTRY.lock().by_name.values().find(|domain| domain.id() == id).map(|domain| domain.name().into())
}

/// The domain of that number. Lock-free.
///
/// # Safety
///
/// The domain, if there is one, is kept from being retired while the reference lives.
pub unsafe fn by_id<'a>(id: u32) -> Option<&'a Domain> {
    let domain = PLACES[id as usize % MOST_DOMAINS].load(Ordering::Acquire);
    // SAFETY: an entered domain is kept by the registry until it is retired, which the caller
    // excludes for the one of this number.
    unsafe { domain.as_ref() }.filter(|domain| domain.id() == id)
}
