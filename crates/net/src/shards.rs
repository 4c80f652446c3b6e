//! Starting and stopping the shard threads.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lightship_server::{BadFrozen, Config, Frozen, Shard};

use crate::clock::Clock;
use crate::events::{self, EventSender, Events};
use crate::feed::{Feed, FeedReader};
use crate::inbox::{InboxReader, ShardInbox};
use crate::shard_thread::{ShardThread, State};
use crate::socket_group::Sockets;
use crate::sys::tidy_heap;
use crate::udp::{self, Steering};
use crate::ways;

/// What shard threads are started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Listen here, each shard at each address.
    pub addresses: Vec<SocketAddr>,
    /// Listen here for coaps, each shard at each address.
    pub secure_addresses: Vec<SocketAddr>,
    /// Who finds the shard of a secured session whose device has a new address.
    pub steering: Steering,
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
    secure_addresses: Vec<SocketAddr>,
    threads: Vec<JoinHandle<Option<Frozen>>>,
    feed: Option<Feed>,
    stop: Arc<AtomicBool>,
    freeze: Arc<AtomicBool>,
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
    pub fn start(options: &Options, clock: Clock) -> Result<(Shards, Events), ListenError> {
        Self::resume(options, clock, Before::default())
    }

    /// The same, going on with what was before a restart: each shard with what bears its number; the rest is dropped.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn resume(options: &Options, clock: Clock, before: Before) -> Result<(Shards, Events), ListenError> {
        let Before { mut frozen, elapsed, stored } = before;
        let count = options.shards.max(1);
        let (plain, addresses) = open(&options.addresses, count, |address| udp::bind(address, count))?;
        let (secured, secure_addresses) = open(&options.secure_addresses, count, |address| {
            udp::bind_secured(address, count, options.steering)
        })?;
        let (events, event_reader) = events::channel(options.events_len);
        let (inboxes, readers): (Vec<_>, Vec<_>) =
            (0..count).map(|_| ShardInbox::new(options.inbox_len)).unzip();
        let (feed, mut feeders) = stored.then(|| Feed::new(count)).unzip();
        let mut shards = Shards {
            feed,
            inboxes,
            addresses,
            secure_addresses,
            threads: Vec::new(),
            stop: Arc::default(),
            freeze: Arc::default(),
        };
        let sockets = plain.into_iter().zip(secured);
        for (number, (reader, (plain, secured))) in (0..count).zip(readers.into_iter().zip(sockets)) {
            let place = frozen.iter().position(|frozen| frozen.shard() == Some(number));
            let start = Start {
                number,
                clock,
                frozen: place.map(|place| (frozen.swap_remove(place), elapsed)),
                feed: feeders.as_mut().map(|feeders| feeders.remove(0)),
                freeze: shards.freeze.clone(),
                engine: Config { shard: number, shards: count, ..options.engine.clone() },
                others: shards.inboxes.clone(),
                events: events.clone(),
                stop: shards.stop.clone(),
            };
            let thread = start.spawn(reader, plain, secured).map_err(ListenError::System)?;
            shards.threads.push(thread);
        }
        if !frozen.is_empty() {
            tracing::warn!(
                shards = frozen.len(),
                "what these were before the restart fits no shard, and is dropped"
            );
        }
        Ok((shards, event_reader))
    }

    /// The way in for stored registrations, once, if the shards were started to wait for those ([`Before::stored`]).
    pub fn take_feed(&mut self) -> Option<Feed> {
        self.feed.take()
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

    /// The addresses really bound for coaps, in the order of the options.
    #[must_use]
    pub fn secure_addresses(&self) -> &[SocketAddr] {
        &self.secure_addresses
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

    /// The same, for an orderly restart: what the next process goes on with ([`Shards::resume`]). It holds keys.
    #[must_use]
    pub fn freeze(mut self) -> Vec<Frozen> {
        self.freeze.store(true, Ordering::Relaxed);
        self.end()
    }

    fn end(&mut self) -> Vec<Frozen> {
        let mut frozen = Vec::new();
        // Whoever still waits for that waits no longer.
        self.feed = None;
        self.stop.store(true, Ordering::Relaxed);
        for inbox in &self.inboxes {
            inbox.stop();
        }
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(shard) => frozen.extend(shard),
                Err(_) => tracing::error!("a shard thread panicked"),
            }
        }
        frozen
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        self.end();
    }
}

/// Opens a socket for each shard at each address: by shard, and the addresses really bound.
fn open(
    addresses: &[SocketAddr],
    shards: u8,
    bind: impl Fn(SocketAddr) -> io::Result<(Vec<UdpSocket>, SocketAddr)>,
) -> Result<(Vec<Vec<UdpSocket>>, Vec<SocketAddr>), ListenError> {
    let mut sockets: Vec<Vec<UdpSocket>> = (0..shards).map(|_| Vec::new()).collect();
    let mut bound = Vec::new();
    for &address in addresses {
        let (group, at) = bind(address).map_err(|source| ListenError::Address { address, source })?;
        bound.push(at);
        sockets.iter_mut().zip(group).for_each(|(of_shard, socket)| of_shard.push(socket));
    }
    Ok((sockets, bound))
}

/// What shards go on with.
#[derive(Debug, Default)]
pub struct Before {
    /// What [`Shards::freeze`] gave; nobody else may have the bytes.
    pub frozen: Vec<Frozen>,
    /// How long ago that was.
    pub elapsed: Duration,
    /// Whether registrations out of a store come, too: the shards read nothing from their sockets until the feed of
    /// [`Shards::take_feed`] is dropped.
    pub stored: bool,
}

struct Start {
    number: u8,
    clock: Clock,
    frozen: Option<(Frozen, Duration)>,
    feed: Option<FeedReader>,
    freeze: Arc<AtomicBool>,
    engine: Config,
    others: Vec<ShardInbox>,
    events: EventSender,
    stop: Arc<AtomicBool>,
}

impl Start {
    fn spawn(
        self,
        inbox: InboxReader,
        plain: Vec<UdpSocket>,
        secured: Vec<UdpSocket>,
    ) -> io::Result<JoinHandle<Option<Frozen>>> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_io().enable_time().on_thread_park(tidy_heap).build()?;
        let mut sockets = {
            let _inside = runtime.enter();
            Sockets::new(plain, secured)?
        };
        std::thread::Builder::new().name(format!("shard-{}", self.number)).spawn(move || {
            let mut shard = Shard::new(self.engine, seed);
            if let Some((frozen, elapsed)) = self.frozen {
                let frozen = ways::split(&frozen, &mut sockets).ok_or(BadFrozen);
                let thawed = frozen.and_then(|frozen| shard.thaw(self.clock.now(), elapsed, frozen));
                if let Err(error) = thawed {
                    tracing::warn!(%error, shard = self.number, "nothing is left of before the restart");
                }
            }
            let thread = ShardThread {
                number: self.number,
                clock: self.clock,
                shard,
                sockets,
                inbox,
                others: self.others,
                events: self.events,
                stop: self.stop,
                freeze: self.freeze,
                state: State::default(),
            };
            runtime.block_on(thread.run(self.feed))
        })
    }
}
