//! Starting and stopping the shard threads.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use lightship_server::{Config, Shard};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::inbox::{InboxReader, ShardInbox};
use crate::shard_thread::{ShardEvent, ShardThread, State};
use crate::socket_group::SocketGroup;
use crate::udp;

/// What shard threads are started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Listen here, each shard at each address.
    pub addresses: Vec<SocketAddr>,
    /// How many shards, at least one.
    pub shards: u8,
    /// What each shard is like; its number is filled in.
    pub engine: Config,
    /// Commands that may wait before one shard.
    pub inbox_len: usize,
    /// Events of all shards that may wait for the host.
    pub events_len: usize,
}

/// Running shard threads; dropping them stops them.
#[derive(Debug)]
pub struct Shards {
    inboxes: Vec<ShardInbox>,
    addresses: Vec<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

/// Why shards cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Address {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The system refuses threads or random numbers.
    #[error("the system refuses threads or random numbers")]
    System(#[source] io::Error),
}

impl Shards {
    /// Opens the sockets and starts one thread a shard. Whoever holds the receiver must read it.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn start(
        options: &Options,
        clock: Clock,
    ) -> Result<(Shards, mpsc::Receiver<ShardEvent>), ListenError> {
        let count = options.shards.max(1);
        let mut sockets: Vec<Vec<UdpSocket>> = (0..count).map(|_| Vec::new()).collect();
        let mut addresses = Vec::new();
        for address in &options.addresses {
            let (group, bound) = udp::bind(*address, count)
                .map_err(|source| ListenError::Address { address: *address, source })?;
            addresses.push(bound);
            sockets.iter_mut().zip(group).for_each(|(of_shard, socket)| of_shard.push(socket));
        }
        let (events, event_reader) = mpsc::channel(options.events_len.max(1));
        let (inboxes, readers): (Vec<_>, Vec<_>) =
            (0..count).map(|_| ShardInbox::new(options.inbox_len)).unzip();
        let mut shards = Shards { inboxes, addresses, threads: Vec::new(), stop: Arc::default() };
        for (number, (reader, sockets)) in (0..count).zip(readers.into_iter().zip(sockets)) {
            let start = Start {
                number,
                clock,
                engine: Config { shard: number, shards: count, ..options.engine.clone() },
                others: shards.inboxes.clone(),
                events: events.clone(),
                stop: shards.stop.clone(),
            };
            let thread = start.spawn(reader, sockets).map_err(ListenError::System)?;
            shards.threads.push(thread);
        }
        Ok((shards, event_reader))
    }

    /// The way into each shard, by number.
    #[must_use]
    pub fn inboxes(&self) -> &[ShardInbox] {
        &self.inboxes
    }

    /// The addresses really bound, in the order of the options.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whether every shard still runs.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.threads.iter().all(|thread| !thread.is_finished())
    }

    /// Stops every shard and waits until its sockets are closed.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for inbox in &self.inboxes {
            inbox.stop();
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a shard thread panicked");
            }
        }
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        self.end();
    }
}

struct Start {
    number: u8,
    clock: Clock,
    engine: Config,
    others: Vec<ShardInbox>,
    events: mpsc::Sender<ShardEvent>,
    stop: Arc<AtomicBool>,
}

impl Start {
    fn spawn(self, inbox: InboxReader, sockets: Vec<UdpSocket>) -> io::Result<JoinHandle<()>> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let group = {
            let _inside = runtime.enter();
            SocketGroup::new(sockets)?
        };
        std::thread::Builder::new().name(format!("shard-{}", self.number)).spawn(move || {
            let shard = Shard::new(self.engine, seed);
            let thread = ShardThread {
                number: self.number,
                clock: self.clock,
                shard,
                sockets: group,
                inbox,
                others: self.others,
                events: self.events,
                stop: self.stop,
                state: State::default(),
            };
            runtime.block_on(thread.run());
        })
    }
}
