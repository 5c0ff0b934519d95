//! Pipe and Unix socket: the kernel copies in and out.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use crate::pair::lane::{Lane, Receiver, Sender, Shape, fill};
use crate::pair::other::Place;

/// The most that the receiver asks for at once.
const MOST: usize = 64 << 10;
/// What a pipe is asked to hold.
const PIPE: i32 = 1 << 20;

/// A stream of bytes, one way: a pipe, or with `SOCKET` a pair of Unix sockets. With `POLLING` nobody sleeps in the kernel.
pub struct Bytes<const SOCKET: bool, const POLLING: bool> {
    /// The end that receives, and the one that sends.
    ends: [File; 2],
    shape: Shape,
}

impl<const SOCKET: bool, const POLLING: bool> Bytes<SOCKET, POLLING> {
    fn of(ends: [RawFd; 2], shape: Shape) -> Self {
        // SAFETY: descriptors that were opened, or inherited, for this pair alone.
        let ends = ends.map(|end| unsafe { File::from(OwnedFd::from_raw_fd(end)) });
        Self { ends, shape }
    }
}

impl<const SOCKET: bool, const POLLING: bool> Lane for Bytes<SOCKET, POLLING> {
    fn create(_name: &Path, shape: Shape) -> Self {
        let mut ends = [0; 2];
        let answer = if SOCKET {
            let kind = libc::SOCK_STREAM | if POLLING { libc::SOCK_NONBLOCK } else { 0 };
            // SAFETY: room for two descriptors.
            unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) }
        } else {
            // SAFETY: room for two descriptors.
            unsafe { libc::pipe2(ends.as_mut_ptr(), if POLLING { libc::O_NONBLOCK } else { 0 }) }
        };
        assert_eq!(answer, 0, "no pair: {}", std::io::Error::last_os_error());
        let lane = Self::of(ends, shape);
        if !SOCKET && shape.len > 4096 {
            // SAFETY: our descriptor and a number. A system that refuses keeps its usual size.
            unsafe { libc::fcntl(lane.ends[1].as_raw_fd(), libc::F_SETPIPE_SZ, PIPE) };
        }
        lane
    }

    fn attach(place: &Place, shape: Shape) -> Self {
        Self::of([place.descriptors[0], place.descriptors[1]], shape)
    }

    fn descriptors(&self) -> Vec<i32> {
        self.ends.iter().map(AsRawFd::as_raw_fd).collect()
    }

    fn sender(&self) -> impl Sender + '_ {
        Into { end: &self.ends[1], payload: vec![0; self.shape.len] }
    }

    fn receiver(&self) -> impl Receiver + '_ {
        let room = self.shape.len.max(MOST).next_multiple_of(self.shape.len);
        From { end: &self.ends[0], len: self.shape.len, payload: vec![0; room], have: 0 }
    }
}

struct Into<'b> {
    end: &'b File,
    payload: Vec<u8>,
}

impl Sender for Into<'_> {
    fn send(&mut self, number: u64) {
        fill(&mut self.payload, number);
        let mut left = &self.payload[..];
        while !left.is_empty() {
            match self.end.write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

struct From<'b> {
    end: &'b File,
    len: usize,
    payload: Vec<u8>,
    have: usize,
}

impl Receiver for From<'_> {
    fn receive(&mut self, look: &mut impl FnMut(&[u8])) {
        match self.end.read(&mut self.payload[self.have..]) {
            Ok(0) => panic!("the other side is gone"),
            Ok(more) => self.have += more,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
        let whole = self.have / self.len * self.len;
        self.payload[..whole].chunks_exact(self.len).for_each(look);
        self.payload.copy_within(whole..self.have, 0);
        self.have -= whole;
    }
}
