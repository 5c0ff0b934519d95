//! What every party of a system has at hand.

use core::cell::{Cell, RefCell, RefMut};
use core::time::Duration;
use std::rc::Rc;

use seqslot_core::{AttachError, JoinError, Os, OsError, Segment};
use seqslot_os_mock::{Fault, MockOs, bounded};

use crate::cell::CellModel;
use crate::model::Model;
use crate::plan::{IDLE, Plan};
use crate::race::RaceModel;

/// Most steps of an operation that does not wait; generous: a join looks at every entry several times.
pub(crate) const SHORT: u64 = 100_000;
/// Most steps of one that waits: many slices, each with a recovery.
pub(crate) const LONG: u64 = 1_000_000;

/// What parties and driver share.
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    pub(crate) model: RefCell<Model>,
    pub(crate) cell: RefCell<CellModel>,
    pub(crate) race: RefCell<RaceModel>,
    /// The run is over: come to an end, orderly.
    pub(crate) stop: Cell<bool>,
    /// Writers that have not ended.
    pub(crate) writing: Cell<u32>,
}

/// One party's view.
#[derive(Clone)]
pub(crate) struct Env {
    pub(crate) shared: Rc<Shared>,
    pub(crate) os: MockOs,
    pub(crate) pid: u32,
}

impl Env {
    pub(crate) fn new(shared: &Rc<Shared>, os: &MockOs) -> Self {
        Self { shared: Rc::clone(shared), os: os.clone(), pid: os.process().pid }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.shared.plan
    }

    pub(crate) fn model(&self) -> RefMut<'_, Model> {
        self.shared.model.borrow_mut()
    }

    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.os.world().random_below(bound)
    }

    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Whether this system has acts of this kind.
    pub(crate) fn does(&self, act: u64) -> bool {
        self.plan().acts >> act & 1 != 0
    }

    /// How many acts a session has.
    pub(crate) fn session(&self) -> u64 {
        1 + self.below(self.plan().session)
    }

    pub(crate) fn stops(&self) -> bool {
        self.shared.stop.get()
    }

    pub(crate) fn idle(&self) {
        self.os.sleep(IDLE * (1 << self.below(self.plan().idle)) as u32);
    }

    /// Some time up to `most`, small ones as likely as large ones.
    pub(crate) fn some_time(&self, most: Duration) -> Duration {
        most / (1 << self.below(12)) as u32
    }

    /// Attaches to `name`; `None` if the run ends before that works.
    pub(crate) fn attach(&self, name: &str) -> Option<Segment<MockOs>> {
        while !self.stops() {
            let attached = self.try_attach(name);
            if attached.is_some() {
                return attached;
            }
        }
        None
    }

    /// Attaches to `name`, however long that takes.
    pub(crate) fn attach_at_last(&self, name: &str) -> Segment<MockOs> {
        loop {
            if let Some(segment) = self.try_attach(name) {
                return segment;
            }
        }
    }

    fn try_attach(&self, name: &str) -> Option<Segment<MockOs>> {
        match bounded("attach", SHORT, || Segment::attach(self.os.clone(), name)) {
            Ok(segment) => return Some(segment),
            Err(AttachError::Os(error)) => self.refused(&error),
            Err(error) => panic!("attach to a segment that is there: {error}"),
        }
        None
    }

    /// Takes note of a call that the system refused: only planned faults may do that.
    pub(crate) fn refused(&self, error: &OsError) {
        let planned = match error.errno() {
            24 => Fault::Claim,
            28 => Fault::Allocate,
            12 => Fault::Map,
            _ => panic!("the system refused for no reason: {error}"),
        };
        assert!(self.plan().has(planned), "refused without a planned fault: {error}");
        self.idle();
    }

    /// A join that failed: every entry may be taken, nothing else.
    pub(crate) fn not_joined(&self, error: JoinError) {
        match error {
            JoinError::Full { .. } | JoinError::Taken { .. } => self.idle(),
            JoinError::Os(error) => self.refused(&error),
            error => panic!("join: {error}"),
        }
    }
}
