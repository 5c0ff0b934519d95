//! Which handles may go to another thread, or be used by two at once: checked when this compiles.

use seqslot_core::{Bare, Loan, Reader, Sample, Segment, SnapshotReader, SnapshotWriter, Writer};
use static_assertions::{assert_impl_all, assert_not_impl_any};

type Handle = &'static Segment<Bare<'static>>;

assert_impl_all!(Segment<Bare<'static>>: Send, Sync);
assert_impl_all!(Writer<Handle>: Send);
assert_impl_all!(Reader<Handle>: Send);
assert_impl_all!(Sample<'static, Handle>: Send);
assert_impl_all!(SnapshotWriter<Bare<'static>, u32>: Send);
assert_impl_all!(SnapshotReader<Bare<'static>, u32>: Send);
// One thread at a time: cursors and the last slots are plain cells.
assert_not_impl_any!(Writer<Handle>: Sync);
assert_not_impl_any!(Reader<Handle>: Sync);
// Two loans of one writer committed from two threads would publish one position twice.
assert_not_impl_any!(Loan<'static, Handle>: Send, Sync);
