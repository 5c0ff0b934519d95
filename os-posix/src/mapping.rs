//! A mapped object with its locks, for any [`Locking`].

use core::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};

use seqslot_core::{Access, AtomicU32, Lock, Mapping, OsError, Raw};

use crate::fork::{Claim, Token};
use crate::locking::Locking;
use crate::map::Map;
use crate::named;
use crate::object::Object;

/// A mapped object. Dropping it unmaps; the object stays until its name is taken away and nobody maps it any more.
#[derive(Debug)]
pub struct PosixMapping<L: Locking> {
    map: Map,
    object: Object,
    token: Token,
    _locking: PhantomData<fn() -> L>,
}

impl<L: Locking> PosixMapping<L> {
    /// Maps an object whole; `None` for an empty one.
    ///
    /// # Errors
    /// The system call that failed.
    pub fn of(object: Object) -> Result<Option<Self>, OsError> {
        Ok(object.map()?.map(|map| Self::new(object, map)))
    }

    /// Puts an object and the mapping made of it together: of another's, the locks would guard nothing.
    pub(crate) fn new(object: Object, map: Map) -> Self {
        Self { map, object, token: Token::current(), _locking: PhantomData }
    }

    /// The object.
    #[must_use]
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// How it is mapped.
    #[must_use]
    pub fn access(&self) -> Access {
        self.object.access()
    }
}

impl<L: Locking> AsFd for PosixMapping<L> {
    /// The object's descriptor: to pass an object without a name to another process.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.object.as_fd()
    }
}

// SAFETY: 4. `map` is unmapped when the mapping is dropped, and stays where it is. 9, 10, 12. are `Locking`'s and `fork`'s, shown by the
// conformance suite. A mapping starts at a page; the object remembers how it was opened.
unsafe impl<L: Locking> Mapping for PosixMapping<L> {
    type Memory = Raw;
    type Claim = Claim;

    fn memory(&self) -> Raw {
        // SAFETY: 1. base and length are those of a mapping that lives as long as `self` (the trait's users keep it), writable if it was
        // opened so. 2. A mapping starts at a page. 3. Other processes follow the layout's protocol; a peer that does not is
        // what the layout's readers guard against. 4. No reference to the bytes is ever made here.
        unsafe { Raw::new(self.map.base(), self.map.len()) }
    }

    fn claim(&self, lock: Lock, _word: &AtomicU32) -> Result<Option<Claim>, OsError> {
        L::claim(&self.object, lock)
    }

    fn is_claimed(&self, lock: Lock, _word: &AtomicU32) -> Result<bool, OsError> {
        L::is_claimed(&self.object, lock)
    }

    fn unlink(&self) -> Result<(), OsError> {
        if self.is_mine() { named::unlink::<L>(&self.object) } else { Ok(()) }
    }

    fn is_named(&self) -> Result<bool, OsError> {
        named::is_named(&self.object)
    }

    fn alignment(&self) -> usize {
        4096
    }

    fn access(&self) -> Access {
        self.object.access()
    }

    #[inline]
    fn is_mine(&self) -> bool {
        self.token.is_mine()
    }
}
