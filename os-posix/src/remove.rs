//! Removal by hand: what an operator does to a segment that is in the way.

use core::fmt;
use std::path::Path;

use seqslot_core::{Access, Lock, OsError};

use crate::flink::{Draft, Flink, FlinkFault};
use crate::locking::{Locking, every_lock};
use crate::name::Place;
use crate::named::lock_flink;
use crate::object::{self, Object};

/// Why a segment was not removed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoveError {
    /// There is no such path.
    NotFound,
    /// The path cannot be used.
    BadName {
        /// Why.
        reason: &'static str,
    },
    /// The path is there and is not a segment's flink; it was left as it is.
    NotASegment,
    /// Somebody lives in it: these locks are held.
    InUse {
        /// The locks; the registry entries of the same index tell whose.
        held: Vec<Lock>,
    },
    /// It has a name that another system gave it, so nobody can tell whether it is in use.
    Foreign,
    /// A system call failed.
    Os(OsError),
}

impl fmt::Display for RemoveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is no segment of this name"),
            Self::BadName { reason } => write!(f, "the name cannot be used: {reason}"),
            Self::NotASegment => f.write_str("the path is not a segment's name file; it was left as it is"),
            Self::Foreign => f.write_str("the segment was made by another system, so its users cannot be seen; force removes it"),
            Self::Os(error) => write!(f, "{error}"),
            Self::InUse { held } => {
                f.write_str("the segment is in use by")?;
                for (nth, lock) in held.iter().enumerate() {
                    f.write_str(if nth == 0 { " " } else { ", " })?;
                    match lock.number() {
                        n @ 0..=31 => write!(f, "reader {n}")?,
                        n @ 32..=63 => write!(f, "writer {}", n - 32)?,
                        64 => f.write_str("its owner")?,
                        _ => f.write_str("an eviction")?,
                    }
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for RemoveError {}

impl From<OsError> for RemoveError {
    fn from(error: OsError) -> Self {
        Self::Os(error)
    }
}

/// Removes the segment at `path`: its object's name and its flink. Refuses while anybody holds one of its locks, unless
/// `force`; those attached keep the memory in any case. Waits at most a second for the flink's lock.
///
/// # Errors
/// [`RemoveError`]; then nothing was removed, or the call named in it failed half-way and removal can be repeated.
pub fn remove<L: Locking>(path: &Path, force: bool) -> Result<(), RemoveError> {
    let place = Place::new(path).map_err(|reason| RemoveError::BadName { reason })?;
    match Flink::open(&place, false) {
        Ok(_) => {}
        Err(FlinkFault::Missing) => return Err(RemoveError::NotFound),
        Err(FlinkFault::Foreign) => return Err(RemoveError::NotASegment),
        Err(FlinkFault::Os(error)) => return Err(RemoveError::Os(error)),
    }
    let flink = lock_flink::<L>(&place)?.ok_or(RemoveError::NotFound)?;
    if !force && !flink.name.is_ours() {
        return Err(RemoveError::Foreign);
    }
    let object = match Object::open(&place, &flink.name, Access::ReadWrite) {
        Ok(object) => object,
        // With force, an object that cannot be opened is removed by its name, if the system allows it.
        Err(_) if force => None,
        Err(error) => return Err(RemoveError::Os(error)),
    };
    // Held, not only looked at: a snapshot writer that attaches meanwhile must not think that the name is its own.
    let owner = match &object {
        Some(object) if !force => {
            let owner = L::claim(object, Lock::OWNER)?;
            let mut held = held::<L>(object)?;
            held.retain(|lock| *lock != Lock::OWNER || owner.is_none());
            if !held.is_empty() {
                return Err(RemoveError::InUse { held });
            }
            owner
        }
        _ => None,
    };
    object::unlink(&flink.name)?;
    Draft::<L>::sweep(&place);
    let removed = flink.remove(&place);
    drop(owner);
    if let Some(object) = &object {
        L::tidy(object);
    }
    Ok(removed?)
}

/// The locks of `object` that somebody holds, in the order of their numbers.
///
/// # Errors
/// The system call that failed.
pub fn held<L: Locking>(object: &Object) -> Result<Vec<Lock>, OsError> {
    let mut held = Vec::new();
    for lock in every_lock() {
        if L::is_claimed(object, lock)? {
            held.push(lock);
        }
    }
    Ok(held)
}
