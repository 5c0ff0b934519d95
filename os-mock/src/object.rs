//! Objects, and a process's mapping of one.

use core::fmt;
use std::sync::Arc;

use portable_atomic::{AtomicBool, AtomicU32, Ordering};
use seqslot_core::{Access, Lock, Mapping, OsError};

use crate::heap::Heap;
use crate::liveness::{MockClaim, claim, is_claimed};
use crate::memory::MockMemory;
use crate::os::MockOs;
use crate::process::{Control, acting};
use crate::trace::EventKind;
use crate::world::World;

/// A named piece of memory. It lives as long as its name or a mapping does.
pub(crate) struct Object {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) heap: Heap,
}

/// An object mapped by a simulated process.
pub struct MockMapping {
    pub(crate) world: World,
    pub(crate) control: Arc<Control>,
    pub(crate) object: Arc<Object>,
    pub(crate) access: Access,
    /// Cleared at unmapping, so that a use after it is seen.
    mapped: Arc<AtomicBool>,
}

impl MockMapping {
    pub(crate) fn new(os: &MockOs, object: Arc<Object>, access: Access) -> Self {
        Self { world: os.world.clone(), control: acting(&os.control), object, access, mapped: Arc::new(AtomicBool::new(true)) }
    }

    /// The copy of this mapping that `child`, a fork of the mapping's process, has inherited: the same memory, not its own.
    ///
    /// # Panics
    /// If `child` is not a fork of the process.
    #[must_use]
    pub fn inherited_by(&self, child: &MockOs) -> Self {
        assert!(child.control.ancestors.contains(&self.control.id), "only a fork inherits a mapping");
        Self {
            world: self.world.clone(),
            control: Arc::clone(&self.control),
            object: Arc::clone(&self.object),
            access: self.access,
            mapped: Arc::new(AtomicBool::new(true)),
        }
    }
}

impl Drop for MockMapping {
    fn drop(&mut self) {
        self.mapped.store(false, Ordering::Relaxed);
    }
}

impl fmt::Debug for MockMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockMapping")
            .field("name", &self.object.name)
            .field("pid", &self.control.identity.pid)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

// SAFETY: 4. the memory holds the heap object alive. 9, 10, 12. locks are a table of the world, shown by the conformance suite. The heap
// aligns objects to 64 bytes.
unsafe impl Mapping for MockMapping {
    type Memory = MockMemory;
    type Claim = MockClaim;

    fn memory(&self) -> MockMemory {
        MockMemory::new(self, Arc::clone(&self.mapped))
    }

    fn claim(&self, lock: Lock, _word: &AtomicU32) -> Result<Option<MockClaim>, OsError> {
        claim(self, lock)
    }

    fn is_claimed(&self, lock: Lock, _word: &AtomicU32) -> Result<bool, OsError> {
        is_claimed(self, lock)
    }

    fn unlink(&self) -> Result<(), OsError> {
        let Some(_act) = acting(&self.control).event(&self.world, EventKind::Unlink, 0, 0) else {
            return Ok(());
        };
        let mut state = self.world.state();
        if state.names.get(&self.object.name).is_some_and(|named| named.id == self.object.id) {
            state.names.remove(&self.object.name);
        }
        Ok(())
    }

    fn access(&self) -> Access {
        self.access
    }

    fn is_mine(&self) -> bool {
        acting(&self.control).id == self.control.id
    }
}
