//! Named objects: create, take over, open, take the name away.

use std::fs::Metadata;
use std::path::Path;
use std::time::Duration;

use seqslot_core::{Access, CreateFault, Created, Lock, ObjectSpec, OpenFault, OsError};

use crate::flink::{Draft, DraftFault, Flink, FlinkFault, Locked};
use crate::fork::Claim;
use crate::locking::Locking;
use crate::mapping::PosixMapping;
use crate::name::{ObjectName, Place};
use crate::object::{self, Object};

/// How often create starts again because the flink came, went or was replaced meanwhile.
const TRIES: u32 = 100;
/// How often, and how long each time, a flink's lock is waited for by those who take a name away: a second in all.
const LOCK_TRIES: u32 = 1000;
const LOCK_PAUSE: Duration = Duration::from_millis(1);

/// Makes an object and the flink that names it, or takes over from an owner that died.
///
/// Those attached to a dead owner's object keep it; it has no name any more.
///
/// # Errors
/// [`CreateFault`]; nothing is left behind.
pub fn create<L: Locking>(path: &Path, spec: ObjectSpec) -> Result<Created<PosixMapping<L>, Claim>, CreateFault> {
    let place = Place::new(path).map_err(|reason| CreateFault::BadName { reason })?;
    if spec.len == 0 {
        return Err(CreateFault::Os(OsError::new("mmap", libc::EINVAL, place.text())));
    }
    for _ in 0..TRIES {
        let name = ObjectName::random();
        if let Some(locked) = Locked::publish::<L>(&place, &name, spec.group) {
            return made(make(&place, locked, spec));
        }
        let draft = match Draft::<L>::write(&place, &name, spec.group) {
            Ok(draft) => draft,
            Err(DraftFault::Busy) => return Err(busy::<L>(&place)),
            Err(DraftFault::Os(error)) => return Err(CreateFault::Os(error)),
        };
        let locked = match draft.publish(&place).map_err(CreateFault::Os)? {
            Ok(locked) => Some(locked),
            Err(draft) => take_over(&place, draft)?,
        };
        if let Some(locked) = locked {
            return made(make(&place, locked, spec));
        }
    }
    Err(CreateFault::BeingCreated)
}

fn made<T>(answer: Result<Option<T>, OsError>) -> Result<T, CreateFault> {
    answer.map_err(CreateFault::Os)?.ok_or(CreateFault::BeingCreated)
}

/// Puts the draft over the flink of a dead owner; `None` if the flink changed meanwhile.
fn take_over<L: Locking>(place: &Place, draft: Draft<L>) -> Result<Option<Locked>, CreateFault> {
    let flink = match Flink::open(place, true) {
        Ok(flink) => flink,
        Err(FlinkFault::Missing) => return Ok(None),
        Err(FlinkFault::Foreign) => return Err(CreateFault::NotASegment),
        Err(FlinkFault::Os(error)) => return Err(CreateFault::Os(error)),
    };
    // An object with a name of another system has an owner that holds no lock of ours: it is never known to be dead.
    if !flink.is_ours() || !flink.name.is_ours() {
        return Err(CreateFault::NotASegment);
    }
    let Some(old) = flink.try_lock::<L>(place).map_err(CreateFault::Os)? else {
        return Err(CreateFault::BeingCreated);
    };
    if !old.is_current(place).map_err(CreateFault::Os)? {
        return Ok(None);
    }
    let object = Object::open(place, &old.name, Access::ReadWrite).map_err(CreateFault::Os)?;
    // Held, not only looked at: a writer that attaches to the old object meanwhile must not think that the name is its own.
    let owner = match &object {
        Some(object) => match L::claim(object, Lock::OWNER).map_err(CreateFault::Os)? {
            None => return Err(CreateFault::AlreadyExists { pid: L::owner_pid(object, object.alleged_owner()) }),
            held => held,
        },
        None => None,
    };
    if object.is_some() {
        object::unlink(&old.name).map_err(CreateFault::Os)?;
    }
    // The old flink's lock goes only after the new one, locked, is in its place.
    let new = draft.replace(place).map_err(CreateFault::Os);
    drop(owner);
    if let Some(object) = &object {
        L::tidy(object);
    }
    let new = new?;
    drop(old);
    Ok(new)
}

/// Makes the object of a flink that is locked and names none yet; `None` if somebody else claimed it at once.
fn make<L: Locking>(place: &Place, locked: Locked, spec: ObjectSpec) -> Result<Option<Created<PosixMapping<L>, Claim>>, OsError> {
    match fill(place, &locked, spec) {
        Ok(Some(created)) => Ok(Some(created)),
        other => {
            // The first error is the one to tell; the flink is still locked, so it is still this one.
            let _ = locked.remove(place);
            other
        }
    }
}

fn fill<L: Locking>(place: &Place, locked: &Locked, spec: ObjectSpec) -> Result<Option<Created<PosixMapping<L>, Claim>>, OsError> {
    let object = Object::create(place, &locked.name, spec)?;
    let owned = || match L::claim(&object, Lock::OWNER)? {
        Some(owner) => Ok(object.map_len(spec.len as u64)?.map(|map| (map, owner))),
        None => Ok(None),
    };
    match owned() {
        Ok(Some((map, owner))) => Ok(Some(Created { mapping: PosixMapping::new(object, map), owner })),
        other => {
            let _ = object::unlink(&locked.name);
            L::tidy(&object);
            other.map(|_| None)
        }
    }
}

/// What to tell when somebody else is drafting: that the owner lives, if there is one.
fn busy<L: Locking>(place: &Place) -> CreateFault {
    let owner = || {
        let object = Object::open(place, &Flink::open(place, false).ok()?.name, Access::ReadOnly).ok()??;
        L::is_claimed(&object, Lock::OWNER).ok()?.then(|| L::owner_pid(&object, object.alleged_owner()))
    };
    owner().map_or(CreateFault::BeingCreated, |pid| CreateFault::AlreadyExists { pid })
}

/// Maps an existing object whole. One that is still being made counts as not found.
///
/// # Errors
/// [`OpenFault`].
pub fn open<L: Locking>(path: &Path, access: Access) -> Result<PosixMapping<L>, OpenFault> {
    let (object, status) = find(path, access)?;
    object::check_trust(&status)?;
    mapped(object, &status)
}

/// Maps any object's bytes read-only, whoever owns it: for looking into, not for taking part.
///
/// # Errors
/// [`OpenFault`], but never `Untrusted`.
pub fn inspect<L: Locking>(path: &Path) -> Result<PosixMapping<L>, OpenFault> {
    let (object, status) = find(path, Access::ReadOnly)?;
    mapped(object, &status)
}

fn mapped<L: Locking>(object: Object, status: &Metadata) -> Result<PosixMapping<L>, OpenFault> {
    let map = object.map_len(status.len()).map_err(OpenFault::Os)?.ok_or(OpenFault::NotFound)?;
    Ok(PosixMapping::new(object, map))
}

/// The object that the flink names, and what the kernel said about it once it was open.
///
/// The name may be taken over or removed between the two. That takes the object's own name away before it touches the flink, and no name
/// is used twice: an object that could be opened still had the path at that instant.
fn find(path: &Path, access: Access) -> Result<(Object, Metadata), OpenFault> {
    let place = Place::new(path).map_err(|reason| OpenFault::BadName { reason })?;
    let flink = Flink::open(&place, false).map_err(|fault| match fault {
        FlinkFault::Missing => OpenFault::NotFound,
        FlinkFault::Foreign => OpenFault::NotASegment,
        FlinkFault::Os(error) => OpenFault::Os(error),
    })?;
    Object::open_and_look(&place, &flink.name, access).map_err(OpenFault::Os)?.ok_or(OpenFault::NotFound)
}

/// Takes an object's name away, and its flink if that still names it. An object that has no name is left alone.
///
/// # Errors
/// The system call that failed; EAGAIN if another process has kept the flink locked for a second.
pub(crate) fn unlink<L: Locking>(object: &Object) -> Result<(), OsError> {
    let Some((place, name)) = object.named() else { return Ok(()) };
    match lock_flink::<L>(place)? {
        // The flink names another object: whoever put it there has taken this object's name away.
        Some(flink) if flink.name != *name => Ok(()),
        Some(flink) => {
            object::unlink(name)?;
            L::tidy(object);
            Draft::<L>::sweep(place);
            flink.remove(place)
        }
        // Removed by hand, or replaced by something else: the object is this one still, its name was drawn once.
        None => {
            object::unlink(name)?;
            L::tidy(object);
            Ok(())
        }
    }
}

/// Whether the object's flink still names it. An object that never had one counts as named.
pub(crate) fn is_named(object: &Object) -> Result<bool, OsError> {
    let Some((place, name)) = object.named() else { return Ok(true) };
    match Flink::open(place, false) {
        Ok(flink) => Ok(flink.name == *name),
        Err(FlinkFault::Missing | FlinkFault::Foreign) => Ok(false),
        Err(FlinkFault::Os(error)) => Err(error),
    }
}

/// The flink, locked; `None` if there is none.
pub(crate) fn lock_flink<L: Locking>(place: &Place) -> Result<Option<Locked>, OsError> {
    for _ in 0..LOCK_TRIES {
        let flink = match Flink::open(place, true) {
            Ok(flink) => flink,
            Err(FlinkFault::Missing | FlinkFault::Foreign) => return Ok(None),
            Err(FlinkFault::Os(error)) => return Err(error),
        };
        if let Some(locked) = flink.try_lock::<L>(place)? {
            if locked.is_current(place)? {
                return Ok(Some(locked));
            }
            continue;
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    Err(OsError::new("lock", libc::EAGAIN, place.text()))
}
