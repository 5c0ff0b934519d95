//! Locks: held by a claim of a process, free when the claim is dropped or the process is dead.

use core::fmt;
use std::sync::Arc;

use seqslot_core::{Access, Claim, Lock, OsError};

use crate::fault::Fault;
use crate::object::MockMapping;
use crate::os::MockOs;
use crate::os::errno;
use crate::process::{Control, acting, with_acting};
use crate::trace::EventKind;
use crate::world::{Holder, World};

/// A lock held by a simulated process; dropping it in that process lets go.
pub struct MockClaim {
    world: World,
    /// Which process took it, and which has this copy: they differ after a fork.
    owner: Arc<Control>,
    here: Arc<Control>,
    object: u64,
    lock: Lock,
    id: u64,
}

impl fmt::Debug for MockClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockClaim").field("lock", &self.lock).field("pid", &self.owner.identity.pid).finish_non_exhaustive()
    }
}

impl MockClaim {
    pub(crate) fn new(world: &World, owner: Arc<Control>, object: u64, lock: Lock, id: u64) -> Self {
        Self { world: world.clone(), here: Arc::clone(&owner), owner, object, lock, id }
    }

    /// The copy of this claim that `child`, a fork of the claim's process, has inherited. (Inside `child.run` the parent's
    /// own value answers as that copy, too.)
    ///
    /// # Panics
    /// If `child` is not a fork of the process.
    #[must_use]
    pub fn inherited_by(&self, child: &MockOs) -> Self {
        assert!(child.control.ancestors.contains(&self.owner.id), "only a fork inherits a claim");
        Self {
            world: self.world.clone(),
            owner: Arc::clone(&self.owner),
            here: Arc::clone(&child.control),
            object: self.object,
            lock: self.lock,
            id: self.id,
        }
    }
}

impl Claim for MockClaim {
    fn is_mine(&self) -> bool {
        with_acting(&self.here, |here| here.id == self.owner.id)
    }
}

impl Drop for MockClaim {
    fn drop(&mut self) {
        // A forked child's copy lets go of nothing; a dead process's locks are free already, and perhaps another's.
        if !self.is_mine() || self.owner.is_dead() {
            return;
        }
        let key = (self.object, self.lock.number());
        let mut state = self.world.state();
        if state.locks.get(&key).is_some_and(|holder| holder.claim == self.id) {
            state.locks.remove(&key);
        }
    }
}

pub(crate) fn claim(mapping: &MockMapping, lock: Lock) -> Result<Option<MockClaim>, OsError> {
    let control = acting(&mapping.control);
    let Some(_act) = control.event(&mapping.world, EventKind::Claim, usize::from(lock.number()), 0) else {
        return Err(OsError::new("fcntl", errno::ESRCH, &mapping.object.name));
    };
    if mapping.access == Access::ReadOnly {
        return Err(OsError::new("fcntl", errno::EBADF, &mapping.object.name));
    }
    let mut state = mapping.world.state();
    if state.strikes(Fault::Claim) {
        return Err(OsError::new("open", errno::EMFILE, &mapping.object.name));
    }
    let key = (mapping.object.id, lock.number());
    if state.locks.contains_key(&key) {
        return Ok(None);
    }
    let id = state.fresh_id();
    state.locks.insert(key, Holder { process: control.id, pid: control.identity.pid, claim: id });
    drop(state);
    Ok(Some(MockClaim::new(&mapping.world, control, mapping.object.id, lock, id)))
}

pub(crate) fn is_claimed(mapping: &MockMapping, lock: Lock) -> Result<bool, OsError> {
    // Not a crash point; the answer is as good in a dead process, where a destructor may ask.
    let _act = acting(&mapping.control).event(&mapping.world, EventKind::Test, usize::from(lock.number()), 0);
    let mut state = mapping.world.state();
    if state.strikes(Fault::Claim) {
        return Err(OsError::new("open", errno::EMFILE, &mapping.object.name));
    }
    Ok(state.locks.contains_key(&(mapping.object.id, lock.number())))
}
