//! Code that is written against the crate, compiled a second time with nothing but the imports changed.
//!
//! The other files here name `PosixSlotAllocator`, `SlotBackend` and their types, and never say whose.

/// The sources of this folder, over the library named.
macro_rules! twin {
    ($(#[$doc:meta])* $side:ident, $library:ident) => {
        $(#[$doc])*
        pub mod $side {
            /// An application: a writer, readers in threads, waits, and a backend of its own over the allocator.
            pub mod application {
                use $library::{PosixSlotAllocator, PosixSlotError, ReaderMask, SlotBackend, SlotError, SlotHandle, SlotHeader};
                include!("application.rs");
            }
            /// One end of an exchange of samples.
            pub mod lane {
                use $library::{PosixSlotAllocator, SlotBackend, SlotError};
                include!("lane.rs");
            }
            /// A party that makes the calls it is told to.
            pub mod hands {
                use $library::{PosixSlotAllocator, PosixSlotError, SlotBackend, SlotError, SlotHandle};
                include!("hands.rs");
            }
        }
    };
}

twin! {
    /// Over the crate.
    theirs, zerodds_flatdata
}
twin! {
    /// Over this library.
    ours, seqslot
}

/// Runs the application over both; samples read by all of its readers over each.
pub fn compare(folder: &std::path::Path) -> crate::outcome::Outcome<(u64, u64)> {
    let theirs = theirs::application::run(&folder.join("application-theirs.flink"))?;
    let ours = ours::application::run(&folder.join("application-ours.flink"))?;
    let (as_theirs, as_ours) = (format!("{theirs:?}"), format!("{ours:?}"));
    if as_theirs != as_ours {
        return Err(format!("the same application came to {as_theirs} over theirs, and to {as_ours} over ours").into());
    }
    Ok((theirs.read.iter().sum(), ours.read.iter().sum()))
}
