//! A process dies before its n-th shared store, system call or wake, for every n of every operation in many states; another one
//! recovers, perhaps dies in that, and so on; then every promise is checked by using everything there is.
//!
//! By default one single death in four is played, so that all tests run in seconds. The environment variable `SEQSLOT_CRASH` asks for
//! more: see [`script`], or run `cargo xtask crash`.
#![allow(missing_docs, reason = "a test")]

mod check;
mod creating;
mod ledger;
mod membership;
mod play;
#[allow(unsafe_code, reason = "writes words")]
mod poke;
mod reading;
mod scene;
mod script;
#[allow(unsafe_code, reason = "fills a slot in place")]
mod seeds;
#[allow(unsafe_code, reason = "writes words")]
mod snapshots;
mod states;
mod waits;
#[allow(unsafe_code, reason = "looks at words")]
mod words;
mod writing;

#[test]
fn writers_die() {
    script::enumerate("writing", &writing::cases());
}

#[test]
fn readers_die() {
    script::enumerate("reading", &reading::cases());
}

#[test]
fn members_die() {
    script::enumerate("membership", &membership::cases());
}

#[test]
fn creators_die() {
    script::enumerate("creating", &creating::cases());
}

#[test]
fn snapshot_writers_die() {
    script::enumerate("snapshots", &snapshots::cases());
}

#[test]
fn users_of_the_seeds_face_die() {
    script::enumerate("seeds", &seeds::cases());
}

#[test]
fn sleepers_and_wakers_die() {
    script::enumerate("waits", &waits::cases());
}
