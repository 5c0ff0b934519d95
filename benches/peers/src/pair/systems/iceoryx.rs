//! iceoryx2: publish-subscribe of a sized type, in place on both sides, that never overflows.

use std::hint::spin_loop;
use std::path::Path;

use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;

use crate::pair::lane::{Lane, Receiver, Sender, Shape, fill};
use crate::pair::other::Place;
use crate::peers::iceoryx2_node;

/// A sample.
type Words<const WORDS: usize> = [u64; WORDS];

/// A node of this run, which `path` is in the scratch folder of.
pub fn node(path: &Path) -> Node<ipc::Service> {
    iceoryx2_node(path.parent().expect("in the scratch folder")).expect("a node")
}

/// The name of a service.
pub fn service_name(path: &Path) -> ServiceName {
    path.to_string_lossy().as_ref().try_into().expect("a short name")
}

/// A service for one direction.
pub struct Service<const WORDS: usize> {
    factory: PortFactory<ipc::Service, Words<WORDS>, ()>,
    shape: Shape,
    // Behind the factory that it made.
    _node: Node<ipc::Service>,
}

impl<const WORDS: usize> Lane for Service<WORDS> {
    fn create(name: &Path, shape: Shape) -> Self {
        let node = node(name);
        let builder = node.service_builder(&service_name(name)).publish_subscribe::<Words<WORDS>>();
        let builder = builder.enable_safe_overflow(false).subscriber_max_buffer_size(shape.slots);
        let builder = builder.max_publishers(1).max_subscribers(1).history_size(0).subscriber_max_borrowed_samples(1);
        Self { factory: builder.open_or_create().expect("a service"), shape, _node: node }
    }

    fn attach(place: &Place, shape: Shape) -> Self {
        Self::create(&place.name, shape)
    }

    fn sender(&self) -> impl Sender + '_ {
        let builder = self.factory.publisher_builder().max_loaned_samples(1);
        Port(builder.backpressure_strategy(BackpressureStrategy::RetryUntilDelivered).create().expect("a publisher"))
    }

    fn receiver(&self) -> impl Receiver + '_ {
        End(self.factory.subscriber_builder().buffer_size(self.shape.slots).create().expect("a subscriber"))
    }
}

struct Port<const WORDS: usize>(Publisher<ipc::Service, Words<WORDS>, ()>);

impl<const WORDS: usize> Sender for Port<WORDS> {
    #[inline(always)]
    fn send(&mut self, number: u64) {
        let mut sample = loop {
            match self.0.loan_uninit() {
                Ok(sample) => break sample,
                Err(_) => spin_loop(),
            }
        };
        let start = sample.payload_mut().as_mut_ptr().cast::<u8>();
        // SAFETY: the whole payload of a loan that is ours alone; memory of a mapping always holds some value.
        fill(unsafe { core::slice::from_raw_parts_mut(start, WORDS * 8) }, number);
        // SAFETY: every byte of it was written in the line before.
        unsafe { sample.assume_init() }.send().expect("a subscriber");
    }
}

struct End<const WORDS: usize>(Subscriber<ipc::Service, Words<WORDS>, ()>);

impl<const WORDS: usize> Receiver for End<WORDS> {
    #[inline(always)]
    fn receive(&mut self, look: &mut impl FnMut(&[u8])) {
        if let Some(sample) = self.0.receive().expect("a publisher") {
            let words: &Words<WORDS> = &sample;
            // SAFETY: the same words, as bytes.
            look(unsafe { core::slice::from_raw_parts(words.as_ptr().cast::<u8>(), WORDS * 8) });
        }
    }
}

/// A service for one direction, and events that tell of its samples: how a receiver sleeps.
pub struct Told<const WORDS: usize> {
    events: iceoryx2::service::port_factory::event::PortFactory<ipc::Service>,
    service: Service<WORDS>,
}

impl<const WORDS: usize> Lane for Told<WORDS> {
    fn create(name: &Path, shape: Shape) -> Self {
        let service = Service::<WORDS>::create(name, shape);
        let builder = service._node.service_builder(&service_name(&name.with_extension("event"))).event();
        Self { events: builder.open_or_create().expect("a service"), service }
    }

    fn attach(place: &Place, shape: Shape) -> Self {
        Self::create(&place.name, shape)
    }

    fn sender(&self) -> impl Sender + '_ {
        Teller { port: self.service.sender(), notifier: self.events.notifier_builder().create().expect("a notifier") }
    }

    fn receiver(&self) -> impl Receiver + '_ {
        Listener { end: self.service.receiver(), listener: self.events.listener_builder().create().expect("a listener") }
    }
}

struct Teller<S> {
    port: S,
    notifier: iceoryx2::port::notifier::Notifier<ipc::Service>,
}

impl<S: Sender> Sender for Teller<S> {
    fn send(&mut self, number: u64) {
        self.port.send(number);
        self.notifier.notify().expect("a listener");
    }
}

struct Listener<R> {
    end: R,
    listener: iceoryx2::port::listener::Listener<ipc::Service>,
}

impl<R: Receiver> Receiver for Listener<R> {
    fn receive(&mut self, look: &mut impl FnMut(&[u8])) {
        self.end.receive(look);
    }

    fn sleep(&mut self, look: &mut impl FnMut(&[u8])) {
        self.listener.blocking_wait(|_| ()).expect("our listener");
        // One wait may be the answer to several events.
        let mut is_there = true;
        while is_there {
            is_there = false;
            self.end.receive(&mut |payload| {
                is_there = true;
                look(payload);
            });
        }
    }
}
