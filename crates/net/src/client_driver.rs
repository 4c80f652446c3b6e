//! Drives a [`Client`] engine over UDP: sockets, names, time.
//!
//! One driver is one device. [`Driver::next`] does the work and returns what happened; it may be dropped at any point
//! and called again. Between two calls the host gives orders through [`Driver::command`]. Nothing that a network does
//! ends a driver: datagrams get lost, names are looked up again after a failed registration, broken sockets are opened
//! again.

mod clock;
mod route;
mod traffic;

pub use clock::Clock;
pub use route::{Target, TargetError};
pub use traffic::{Counters, Traffic};

use self::route::{Arrived, Route};
use lightship_client::{
    Account, AccountId, Buffer, Client, Config, Event, Objects, SecureTransport, Session,
};
use lightship_platform::crypto::FastCrypto;
use lightship_platform::{Instant, SeededRng};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The largest datagram that is received whole.
const DATAGRAM_LEN_MAX: usize = 64 * 1024;
/// The largest datagram that is sent: what fits into one packet anywhere on IPv6.
const TRANSMIT_LEN_MAX: usize = 1232;
/// Datagrams and timeouts handled before the host gets a turn.
const ROUNDS_MAX: usize = 64;

/// A client engine with its sockets.
pub struct Driver<O, B: Buffer, const SERVERS: usize, const OBSERVATIONS: usize, const BODY: usize> {
    client: Box<Client<O, B, SERVERS, OBSERVATIONS, BODY>>,
    clock: Clock,
    routes: Vec<(AccountId, Route)>,
    /// Our side's address for servers that come later; its port was taken by the first.
    local: Option<SocketAddr>,
    events: VecDeque<Event>,
    counters: Arc<Counters>,
    online: bool,
    /// The engine sleeps, so that what arrives is lost.
    deaf: bool,
    buffer: Box<[u8]>,
    key_log: Option<KeyLog>,
}

/// Takes lines in the NSS format with the secrets of sessions.
pub type KeyLog = Box<dyn FnMut(&str) + Send>;

/// Why a server account cannot be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The server's URI.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// No place, or the Short Server ID exists.
    #[error("the account cannot be added: there are too many, or its Short Server ID is in use")]
    Refused,
}

/// A socket of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketInfo {
    /// Whose server it leads to.
    pub account: AccountId,
    /// The server as its URI names it.
    pub server: Target,
    /// The server's address, once its name was looked up.
    pub peer: Option<SocketAddr>,
    /// Our address and port while the socket is open.
    pub local: Option<SocketAddr>,
    /// The secure session, if there is one.
    pub session: Option<Session>,
}

impl<O: Objects, B: Buffer, const SERVERS: usize, const OBSERVATIONS: usize, const BODY: usize>
    Driver<O, B, SERVERS, OBSERVATIONS, BODY>
{
    /// A device without servers. Tokens, and the keys of secure sessions, come from `seed`: nobody may guess it, and it counts once.
    #[must_use]
    pub fn new(config: Config, objects: O, clock: Clock, counters: Arc<Counters>, seed: [u8; 32]) -> Self {
        let mut rng = SeededRng::new(seed);
        let mut client = Box::new(Client::new(config, objects, &mut rng));
        client.secure(SecureTransport::new(Box::new(FastCrypto), Box::new(rng)));
        Self {
            client,
            clock,
            routes: Vec::new(),
            local: None,
            events: VecDeque::new(),
            counters,
            online: true,
            deaf: false,
            buffer: vec![0; DATAGRAM_LEN_MAX].into_boxed_slice(),
            key_log: None,
        }
    }

    /// Tells the secrets of all sessions that begin from now on, for Wireshark: whoever has them reads everything.
    pub fn log_keys(&mut self, key_log: KeyLog) {
        self.key_log = Some(key_log);
        if let Some(transport) = self.client.secure_transport_mut() {
            transport.config.key_log = true;
        }
    }

    /// Adds a server; its name is looked up when there is something to send.
    ///
    /// # Errors
    /// A URI that is not CoAP over UDP, plain or secured, or an account that the engine does not take.
    pub fn add_account(
        &mut self,
        account: Account,
        local: Option<SocketAddr>,
    ) -> Result<AccountId, AccountError> {
        let target = Target::parse(account.uri.as_str())?;
        let id = self.client.add_account(account).map_err(|_| AccountError::Refused)?;
        self.routes.push((id, Route::new(target, local)));
        // A chosen port can be had once.
        self.local = self.local.or(local.map(|local| SocketAddr::new(local.ip(), 0)));
        Ok(id)
    }

    /// Makes the ways to the servers those of the accounts, which a bootstrap may have changed. Ways that stay keep their socket.
    fn follow_accounts(&mut self) {
        let mut old = std::mem::take(&mut self.routes);
        for (id, account) in self.client.accounts() {
            let target = match Target::parse(account.uri.as_str()) {
                Ok(target) => target,
                Err(error) => {
                    tracing::warn!(%error, "an account leads nowhere");
                    continue;
                }
            };
            let same = old.iter().position(|(known, route)| *known == id && *route.target() == target);
            let route = same.map_or_else(|| Route::new(target, self.local), |at| old.swap_remove(at).1);
            self.routes.push((id, route));
        }
    }

    /// Makes a way to an account that is newer than the ways: a bootstrap's first Register comes before the word of it. A
    /// Bootstrap-Server whose place another one takes still gets its answer the old way.
    fn reach(&mut self, id: AccountId) {
        let Some(account) = self.client.account(id) else { return };
        let Ok(target) = Target::parse(account.uri.as_str()) else { return };
        match self.routes.iter_mut().find(|(known, _)| *known == id) {
            Some((_, route)) if account.is_bootstrap() || *route.target() == target => {}
            Some((_, route)) => *route = Route::new(target, self.local),
            None => self.routes.push((id, Route::new(target, self.local))),
        }
    }

    /// The engine, to look at.
    #[must_use]
    pub fn client(&self) -> &Client<O, B, SERVERS, OBSERVATIONS, BODY> {
        &self.client
    }

    /// The device's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Gives the engine an order, with the present moment, and sends what follows from it.
    pub fn command<R>(
        &mut self,
        order: impl FnOnce(&mut Client<O, B, SERVERS, OBSERVATIONS, BODY>, Instant) -> R,
    ) -> R {
        let now = self.present();
        let result = order(&mut self.client, now);
        self.drain();
        result
    }

    /// Waits for the next event, receiving, sending and keeping time meanwhile. Dropping the future loses nothing.
    ///
    /// Must be called inside a tokio runtime with I/O and time.
    pub async fn next(&mut self) -> Event {
        let mut rounds = 0;
        loop {
            self.drain();
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let wait = self.client.poll_timeout().and_then(|moment| self.clock.until(moment));
            if wait.is_some_and(|wait| wait.is_zero()) {
                let now = self.present();
                self.client.handle_timeout(now);
            } else {
                self.arrival(wait).await;
            }
            rounds += 1;
            if rounds >= ROUNDS_MAX {
                rounds = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    /// Lets a standing clock run ahead, stopping at each moment that the engine waits for.
    pub fn advance(&mut self, by: Duration) {
        let target = self.clock.now() + by;
        self.drain();
        while let Some(moment) = self.client.poll_timeout().filter(|moment| *moment <= target) {
            self.clock.move_to(moment);
            let now = self.present();
            self.client.handle_timeout(now);
            self.drain();
        }
        self.clock.move_to(target);
    }

    /// Whether datagrams go out and come in.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.online
    }

    /// Cuts the device off and tells it so: sockets are closed, nothing is sent, notifications are kept for later.
    pub fn go_offline(&mut self) {
        self.online = false;
        self.close_sockets();
        self.command(Client::offline);
    }

    /// Ends [`Driver::go_offline`]: with new sockets the device has a new address. Secure sessions with a connection ID live on,
    /// others are resumed; without security the device registers anew (TS_Core 6.2.2).
    pub fn go_online(&mut self) {
        self.online = true;
        self.close_sockets();
        self.command(Client::moved);
    }

    /// Opens new sockets without telling the engine, which is what a NAT does that forgets.
    pub fn rebind(&mut self) {
        self.routes.iter_mut().for_each(|(_, route)| route.rebind());
    }

    /// Opens new sockets, begins new secure sessions, and registers anew.
    pub fn reconnect(&mut self) {
        self.close_sockets();
        self.command(Client::reconnect);
    }

    /// The device's sockets.
    pub fn sockets(&self) -> impl Iterator<Item = SocketInfo> + '_ {
        self.routes.iter().map(|(account, route)| SocketInfo {
            account: *account,
            server: route.target().clone(),
            peer: route.address(),
            local: route.local(),
            session: self.client.session(*account).copied(),
        })
    }

    /// The present moment, with the date as the machine knows it by now.
    fn present(&mut self) -> Instant {
        let now = self.clock.now();
        self.client.set_date(now, self.clock.date());
        now
    }

    fn close_sockets(&mut self) {
        self.routes.iter_mut().for_each(|(_, route)| route.close());
    }

    /// Sends all that the engine has to send and takes all that it tells.
    fn drain(&mut self) {
        let sleeps = self.client.sleep_until().is_some();
        if self.deaf && !sleeps {
            // The radio was off: nothing of this was ever received.
            self.routes.iter().for_each(|(_, route)| route.discard(&mut self.buffer));
        }
        self.deaf = sleeps;
        // What follows a failure goes out from the next socket, not from the one that is closed for it.
        let mut left = Vec::new();
        let mut changed = self.hear(&mut left);
        let mut out = [0; TRANSMIT_LEN_MAX];
        while let Some(transmit) = self.client.poll_transmit(&mut out) {
            let datagram = out.get(..transmit.len).unwrap_or_default();
            self.reach(transmit.to);
            let route = self.routes.iter_mut().find(|(account, _)| *account == transmit.to);
            if let Some((_, route)) = route.filter(|_| self.online)
                && route.send(datagram)
            {
                self.counters.sent(datagram.len());
            }
        }
        changed |= self.hear(&mut left);
        // Secure sessions end with last words on the socket that they had.
        for (account, route) in &mut self.routes {
            let used = self.client.session(*account).is_some() || self.client.is_connecting(*account);
            if left.contains(account) && !used {
                route.forget();
            }
        }
        while let Some(line) = self.client.poll_key_log() {
            if let Some(key_log) = &mut self.key_log {
                key_log(&line);
            }
        }
        if changed {
            // Last, so that a Bootstrap-Server that gave its place to another one still gets its answer.
            self.follow_accounts();
        }
    }

    /// Takes all that the engine tells; says whether there are other accounts. Servers that were left, and those whose address
    /// may be another one by the next attempt, are forgotten; secured ones are only collected for that.
    fn hear(&mut self, left: &mut Vec<AccountId>) -> bool {
        let mut changed = false;
        while let Some(event) = self.client.poll_event() {
            changed |= event == Event::AccountsChanged;
            let account = if let Event::Failed { account, .. } | Event::Deregistered(account) = event {
                Some(account)
            } else if let Event::BootstrapFailed { .. } = event {
                let mut accounts = self.client.accounts();
                accounts.find(|(_, account)| account.is_bootstrap()).map(|(id, _)| id)
            } else {
                None
            };
            self.events.push_back(event);
            let route = self.routes.iter_mut().find(|(known, _)| Some(*known) == account);
            match route {
                Some((account, route)) if route.target().is_secured() => left.push(*account),
                Some((_, route)) => route.forget(),
                None => {}
            }
        }
        changed
    }

    /// Waits for a datagram, but not longer than that.
    async fn arrival(&mut self, wait: Option<Duration>) {
        let (routes, buffer) = (&mut self.routes, &mut self.buffer);
        let routes = if self.deaf { &mut [][..] } else { routes.as_mut_slice() };
        let arrival = poll_fn(|cx| poll_routes(routes, cx, buffer));
        let arrived = match wait {
            Some(wait) => tokio::time::timeout(wait, arrival).await.ok(),
            None => Some(arrival.await),
        };
        if let Some(Some((account, len))) = arrived
            && let Some(datagram) = self.buffer.get_mut(..len)
        {
            self.counters.received(len);
            let now = self.clock.now();
            self.client.set_date(now, self.clock.date());
            self.client.handle_input(now, account, datagram);
        }
    }
}

/// The next datagram of any route; `None` when a route changed and has to be polled again.
fn poll_routes(
    routes: &mut [(AccountId, Route)],
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<Option<(AccountId, usize)>> {
    for (account, route) in routes {
        match route.poll(cx, buffer) {
            Poll::Ready(Arrived::Datagram(len)) => return Poll::Ready(Some((*account, len))),
            Poll::Ready(Arrived::Changed) => return Poll::Ready(None),
            Poll::Pending => {}
        }
    }
    Poll::Pending
}
