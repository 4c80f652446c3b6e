//! What a server is made of, how it starts and how it stops.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lightship_net::{BootstrapThread, Clock, Shards};
use lightship_platform::crypto::{Crypto, FastCrypto};
use lightship_store::{
    AnyStore, EmbeddedOptions, EmbeddedStore, Limits as StoreLimits, LogLimits, MemoryStore,
    Options as StoreOptions, Store, StoreError,
};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::access::Access;
use crate::bootstrap::{Bootstrap, Role};
use crate::config::{Config, ConfigError};
use crate::core::{Core, Counters, timestamp};
use crate::directory::Directory;
use crate::fleet::{self, Fleet};
use crate::hand_over::{self, HandOver};
use crate::journal::{Forgotten, Journal};
use crate::models::{ModelError, Models};
use crate::queue::{self, Queue};
use crate::restart;
use crate::security::{
    self, Dates, Gate, History, KeepError, Keeper, KeyError, SealError, Setup, ticket_keys,
};
use crate::{http, listen, rest};

/// The server process.
pub struct Service;

/// A server that is up; dropping it stops it, too.
pub struct Running {
    listeners: Vec<Listener>,
    core: Arc<Core>,
    shards: Option<Shards>,
    journal: Option<JoinHandle<()>>,
    bootstrap: Option<BootstrapThread>,
    runtime: Option<Runtime>,
}

/// One socket that is listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// `coap`, `coaps`, `bootstrap-coap`, `bootstrap-coaps` or `http`.
    pub name: &'static str,
    /// `udp` or `tcp`.
    pub transport: &'static str,
    /// The address really bound, with its port.
    pub address: SocketAddr,
}

impl std::fmt::Display for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.name, self.transport, self.address)
    }
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be listened on.
    #[error("cannot listen on {name} {address}")]
    Listen {
        /// `coap`, `coaps`, `bootstrap-coap`, `bootstrap-coaps` or `http`.
        name: &'static str,
        /// Which address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Store(#[from] StoreError),
    /// The credentials that are kept cannot be read.
    #[error("the credentials cannot be read")]
    Seal(#[from] SealError),
    /// Keys or certificates cannot be used.
    #[error("keys or certificates cannot be used")]
    Keys(#[from] KeyError),
    /// Object definitions cannot be loaded.
    #[error("object definitions cannot be loaded")]
    Models(#[from] ModelError),
    /// The system refused threads or random numbers.
    #[error("the system refuses what a server needs")]
    System(#[source] std::io::Error),
}

impl StartError {
    /// Whether another process has the folder of the store.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(self, StartError::Store(StoreError::InUse { .. }))
    }
}

impl Service {
    /// Starts everything and returns when every listener is open. It brings its own threads: call it outside of any
    /// async runtime.
    ///
    /// # Errors
    /// When an address is taken, the store cannot be opened, or the system refuses.
    pub fn start(config: Config) -> Result<Running, StartError> {
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(|error| StartError::System(std::io::Error::other(error)))?;
        // Never 0, which no log was ever written by.
        let writer = u32::from_be_bytes(random).max(1);
        let clock = Clock::start();
        let store = open_store(&config, writer, clock)?;
        Service::start_on(config, store, writer, clock)
    }

    /// The same with a store that is open already: tests bring one that fails.
    #[doc(hidden)]
    pub fn start_with(config: Config, store: AnyStore) -> Result<Running, StartError> {
        Service::start_on(config, store, 1, Clock::start())
    }

    fn start_on(config: Config, store: AnyStore, writer: u32, clock: Clock) -> Result<Running, StartError> {
        let kept = config.store.folder.as_ref().map(|folder| folder.join("models"));
        let models = Models::open(config.models.folder.as_deref(), kept)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(BLOCKING_MAX)
            .thread_name("service")
            .on_thread_park(lightship_net::tidy_heap)
            .enable_all()
            .build()
            .map_err(StartError::System)?;
        let https = bind_http(&runtime, &config.listen.http)?;
        let crypto: Arc<dyn Crypto> = Arc::new(FastCrypto);
        let mut setup = Setup::read(&config, &crypto, clock.now())?;
        let key_log = security::key_log(&config)?;
        let newest = runtime.block_on(store.newest())?;
        let access = runtime.block_on(Access::open(&config.api, &store))?;
        let keeper = runtime.block_on(open_credentials(&config, &store, &crypto))?;
        let kept = runtime.block_on(ticket_keys::go_on(&store, &keeper, &*crypto, clock, &mut setup));
        let before = runtime.block_on(HandOver::take(&config, &store, &keeper, clock));
        let (mut shards, events) = listen::shards(&config, setup.server, clock, &before)?;
        let gate_before = before.gate.clone();
        drop(before);
        let (bootstrap, sessions) = listen::bootstrap(&config, setup.bootstrap, clock)?.unzip();
        let mut listeners = listen::listeners(&shards, bootstrap.as_ref());
        listeners.extend(https.iter().map(|(listener, _)| listener.clone()));
        let queue = runtime.block_on(Queue::open(writer, &store))?;
        let fleet = runtime.block_on(Fleet::open(&store, timestamp(clock.date())))?;
        let (share, news) = Bootstrap::new(bootstrap.as_ref().map(|thread| thread.inbox().clone()));
        let core = Arc::new(Core {
            access,
            bootstrap: share,
            gate: Gate::new(runtime.block_on(History::open(&store))?, setup.identities, setup.trust, key_log),
            crypto,
            keeper,
            clock,
            store,
            queue,
            directory: Directory::new(clock),
            models,
            inboxes: shards.inboxes().to_vec(),
            newest: watch::Sender::new(newest),
            stopping: watch::Sender::new(false),
            counters: Counters::default(),
            fleet,
            forgotten: Forgotten::default(),
            config,
        });
        let is_gone = gate_before.is_some_and(|before| !core.gate.take_over(&before));
        // A thread of its own: what devices do, however much, keeps no request to the API waiting. What it starts runs with the rest.
        let journal = Journal::new(core.clone());
        let rest = runtime.handle().clone();
        let journal = runtime.spawn_blocking(move || rest.block_on(journal.run(events, news)));
        if let Some(feed) = shards.take_feed() {
            restart::feed(&core, runtime.handle(), feed)?;
        }
        launch(&runtime, &core, https, setup.dates);
        if is_gone {
            runtime.block_on(security::end_vouched(&core));
        }
        runtime.spawn(security::keep_watch(core.clone()));
        if let Some(kept) = kept {
            runtime.spawn(ticket_keys::keep(core.clone(), kept));
        }
        if let Some(sessions) = sessions {
            runtime.spawn(Role::new(core.clone()).run(sessions));
        }
        let (shards, journal) = (Some(shards), Some(journal));
        Ok(Running { listeners, core, shards, journal, bootstrap, runtime: Some(runtime) })
    }
}

fn open_store(config: &Config, writer: u32, clock: Clock) -> Result<AnyStore, StoreError> {
    let Some(folder) = config.store.folder.clone() else {
        let events_max = config.limits.events_kept;
        return Ok(AnyStore::Memory(MemoryStore::new(StoreOptions {
            writer,
            events_max,
            limits: StoreLimits { audit_max: config.audit.entries_max.min(IN_MEMORY_MAX), ..limits(config) },
            ..StoreOptions::default()
        })));
    };
    let options = EmbeddedOptions::new(folder, writer, Arc::new(move || clock.date().as_millis()));
    let log = LogLimits {
        age_ms: i64::try_from(config.store.events_age_max.as_millis()).unwrap_or(i64::MAX),
        bytes: config.store.events_bytes_max,
        ..LogLimits::default()
    };
    let crate::config::Store { durability, free_bytes_min, cache_bytes, .. } = config.store;
    let limits = limits(config);
    let tidy = lightship_net::tidy_heap;
    let options = EmbeddedOptions { durability, free_bytes_min, cache_bytes, log, limits, tidy, ..options };
    EmbeddedStore::open(options).map(AnyStore::Embedded)
}

fn limits(config: &Config) -> StoreLimits {
    let (audit_max, audit_age_ms) = (config.audit.entries_max, config.audit.age_max_ms());
    StoreLimits { audit_max, audit_age_ms, ..StoreLimits::default() }
}

fn launch(runtime: &Runtime, core: &Arc<Core>, https: Vec<(Listener, TcpListener)>, mut dates: Dates) {
    // Before anyone is told that the server is ready.
    dates.tell(core.clock.date());
    runtime.spawn(security::keep_dates(core.clone(), dates));
    runtime.spawn(restart::go_on(core.clone()));
    runtime.spawn(queue::keep_watch(core.clone()));
    runtime.spawn(fleet::values::keep(core.clone()));
    runtime.spawn(fleet::rates::keep(core.clone()));
    runtime.spawn(fleet::keep::keep(core.clone()));
    runtime.spawn(fleet::gone::keep(core.clone()));
    {
        let _inside = runtime.enter();
        fleet::bulk::go_on(core);
    }
    #[cfg(unix)]
    runtime.spawn(reload(core.clone()));
    let router = rest::router(core);
    for (_, listener) in https {
        runtime.spawn(http::serve(listener, router.clone(), core.clone()));
    }
}

async fn open_credentials(
    config: &Config,
    store: &AnyStore,
    crypto: &Arc<dyn Crypto>,
) -> Result<Keeper, StartError> {
    let folder = config.store.folder.as_deref();
    let opened = security::open(crypto.clone(), &config.security.seal_key, store, folder).await;
    opened.map_err(|error| match error {
        KeepError::Store(error) => StartError::Store(error),
        KeepError::Seal(error) => StartError::Seal(error),
        KeepError::Unusable(_) | KeepError::Taken { .. } => {
            StartError::System(std::io::Error::other(error.to_string()))
        }
    })
}

fn bind_http(
    runtime: &Runtime,
    addresses: &[SocketAddr],
) -> Result<Vec<(Listener, TcpListener)>, StartError> {
    let bind = |address: &SocketAddr| {
        let listener = runtime.block_on(TcpListener::bind(*address)).and_then(|l| Ok((l.local_addr()?, l)));
        let failed = |source| StartError::Listen { name: "http", address: *address, source };
        let (address, listener) = listener.map_err(failed)?;
        Ok((Listener { name: "http", transport: "tcp", address }, listener))
    };
    addresses.iter().map(bind).collect()
}

impl Running {
    /// Every open listener, in the order of the configuration; print each as `listening {listener}`.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// The first address of the REST API.
    #[must_use]
    pub fn http(&self) -> Option<SocketAddr> {
        self.listeners.iter().find(|l| l.name == "http").map(|l| l.address)
    }

    /// The first address for devices that bootstrap.
    #[must_use]
    pub fn bootstrap(&self) -> Option<SocketAddr> {
        self.listeners.iter().find(|l| l.name == "bootstrap-coap").map(|l| l.address)
    }

    /// The first address for devices with security.
    #[must_use]
    pub fn coaps(&self) -> Option<SocketAddr> {
        self.listeners.iter().find(|l| l.name == "coaps").map(|l| l.address)
    }

    /// The first address for devices that bootstrap with security.
    #[must_use]
    pub fn bootstrap_coaps(&self) -> Option<SocketAddr> {
        self.listeners.iter().find(|l| l.name == "bootstrap-coaps").map(|l| l.address)
    }

    /// The first address for devices.
    #[must_use]
    pub fn coap(&self) -> Option<SocketAddr> {
        self.listeners.iter().find(|l| l.name == "coap").map(|l| l.address)
    }

    /// From now on a signal to end does not kill the process but ends [`Signals::wait`]: to be called before anyone is
    /// told that the server is ready.
    #[must_use]
    pub fn catch_signals(&self) -> Signals<'_> {
        let told = self.runtime.as_ref().map(|runtime| {
            let _inside = runtime.enter();
            let told: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(told_to_end());
            told
        });
        Signals { running: self, told }
    }

    /// Stops: takes no more requests, lets running ones end for a moment, closes sockets.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.core.stopping.send_replace(true);
        let Some(runtime) = self.runtime.take() else { return };
        // Requests under way need the shards, so these go last.
        let connections = &self.core.counters.http_connections;
        for _ in 0..GRACE_STEPS {
            if connections.load(std::sync::atomic::Ordering::Relaxed) == 0 && self.core.queue.is_idle() {
                break;
            }
            std::thread::park_timeout(GRACE_STEP);
        }
        if let Some(shards) = self.shards.take() {
            let core = &self.core;
            let goes_on = core.config.store.folder.is_some() && !core.config.security.hand_over.is_zero();
            if goes_on {
                let frozen = shards.freeze();
                runtime.block_on(hand_over::leave(core, &frozen));
            } else {
                shards.stop();
            }
        }
        if let Some(bootstrap) = self.bootstrap.take() {
            bootstrap.stop();
        }
        if let Some(journal) = self.journal.take() {
            // What the shards told last is written, too.
            let written = runtime.block_on(async { tokio::time::timeout(LAST_WRITE_MAX, journal).await });
            if written.is_err() {
                tracing::error!("the store does not take what happened last");
            }
        }
        let core = &self.core;
        // What is not written is a minute of rates.
        let _ = runtime
            .block_on(async { tokio::time::timeout(LAST_WRITE_MAX, fleet::keep::write_last(core)).await });
        // Who opens the store next finds it free: the last that hold it are gone by then.
        runtime.shutdown_timeout(LAST_TASKS_MAX);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Signals to end that are caught.
pub struct Signals<'a> {
    running: &'a Running,
    told: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Signals<'_> {
    /// Waits for one, also if it came before; or until a shard has died of a mistake of ours.
    pub fn wait(self) {
        let (Some(mut told), Some(runtime)) = (self.told, self.running.runtime.as_ref()) else { return };
        runtime.block_on(async {
            loop {
                if tokio::time::timeout(LIFE_CHECK, &mut told).await.is_ok() {
                    return;
                }
                let bootstraps = self.running.bootstrap.as_ref().is_none_or(BootstrapThread::alive);
                if !bootstraps || !self.running.shards.as_ref().is_some_and(Shards::alive) {
                    tracing::error!("a thread that serves devices has died; stopping");
                    return;
                }
            }
        });
    }
}

/// Reads anew what may be read anew, whenever the process is told to (SIGHUP).
#[cfg(unix)]
async fn reload(core: Arc<Core>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut told) = signal(SignalKind::hangup()) else { return };
    let mut stopping = core.stopping.subscribe();
    loop {
        tokio::select! {
            told = told.recv() => match told {
                Some(()) => security::trust_anew(&core).await,
                None => return,
            },
            () = crate::core::stopped(&mut stopping) => return,
        }
    }
}

/// Ends when the process is told to end; signals count from this call on.
#[cfg(unix)]
fn told_to_end() -> impl Future<Output = ()> + Send {
    use tokio::signal::unix::{SignalKind, signal};
    let caught = signal(SignalKind::terminate()).and_then(|t| Ok((t, signal(SignalKind::interrupt())?)));
    async move {
        let Ok((mut terminate, mut interrupt)) = caught else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
async fn told_to_end() {
    let _ = tokio::signal::ctrl_c().await;
}

/// The whole life of a server: start, tell `on_ready` (who prints the `listening` lines and `ready`), wait for the
/// signal to end, stop.
///
/// # Errors
/// See [`Service::start`].
pub fn run(config: Config, on_ready: impl FnOnce(&Running)) -> Result<(), StartError> {
    let running = Service::start(config)?;
    let signals = running.catch_signals();
    on_ready(&running);
    signals.wait();
    running.stop();
    Ok(())
}

/// Threads for REST and events; the shards and the journal have their own.
const WORKERS: usize = 2;
/// The journal, and threads that write files and read models; those come and go.
const BLOCKING_MAX: usize = 5;
/// Entries about who changed what, where they are in memory.
const IN_MEMORY_MAX: usize = 10_000;
const LIFE_CHECK: Duration = Duration::from_secs(1);
/// How long tasks and threads may take that are on their way.
const LAST_TASKS_MAX: Duration = Duration::from_secs(2);
/// How long the store may take for what the shards told last.
const LAST_WRITE_MAX: Duration = Duration::from_secs(5);
const GRACE_STEP: Duration = Duration::from_millis(20);
/// Four seconds: longer than a connection's own grace.
const GRACE_STEPS: u32 = 200;
