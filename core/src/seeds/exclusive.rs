//! Mutual exclusion between the threads of one process: what the seeds' face needs and the core does not have.

/// A value that one thread at a time gets at.
///
/// A shim implements it by a lock of its own (spin, a critical section, a mutex). It must not be a lock that a panic poisons: what
/// runs inside does not panic, and the face has no use for the news.
pub trait Exclusive<T> {
    /// Wraps a value.
    fn new(value: T) -> Self;

    /// Runs `act` with the value while nobody else has it. Not called again from inside `act`.
    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R;
}

/// Names the [`Exclusive`] that a [`SlotFace`](crate::SlotFace) keeps its private state in.
pub trait Exclusion {
    /// The lock around a `T`.
    type Of<T>: Exclusive<T>;
}
