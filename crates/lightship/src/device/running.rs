//! A device that runs: engine, objects and sockets, steered by commands, telling what happens.

mod keep;
mod tell;

use self::keep::Kept;
use self::tell::session_text;
use super::command::{Command, quoted};
use super::object::{ObjectSet, World};
use super::settings::{SERVERS_MAX, Secure, Settings};
use crate::failure::{Failure, chain};
use crate::value_text;
use lightship_client::dtls::certificate::Anchors;
use lightship_client::{
    AccountId, Client, Event, HeapBuffer, Instant, Phase, Refusal, SendRefused, ShortServerId,
};
use lightship_lwm2m::attributes::AttributeChange;
use lightship_lwm2m::{ObjectId, Path};
use lightship_net::client_driver::{Clock, Driver};
use lightship_platform::UnixTime;
use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Paths that all servers together can observe.
const OBSERVATIONS_MAX: usize = 64;
/// Longest body that the device sends, in bytes.
const SENT_BODY_LEN_MAX: usize = 4 << 20;
/// How often objects are given the chance to move.
const TICK: Duration = Duration::from_millis(250);
/// How long a device that ends waits for its servers' answers.
const FAREWELL_MAX: Duration = Duration::from_secs(5);
/// How much of it what was sent may take.
const LAST_WORDS_MAX: Duration = Duration::from_secs(3);
/// The date that a standing clock begins at: 2026-01-01.
const STANDING_DATE: UnixTime = UnixTime::from_secs(1_767_225_600);

/// Objects that every device has, each with one instance if the number says so.
const STANDARD_OBJECTS: [(u16, u16); 10] =
    [(2, 0), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (16, 1), (3303, 1), (3441, 1), (3442, 1)];

type Engine = Client<ObjectSet, HeapBuffer, SERVERS_MAX, OBSERVATIONS_MAX, SENT_BODY_LEN_MAX>;
type DeviceDriver = Driver<ObjectSet, HeapBuffer, SERVERS_MAX, OBSERVATIONS_MAX, SENT_BODY_LEN_MAX>;

/// A device.
pub(crate) struct Device {
    driver: DeviceDriver,
    endpoint: String,
    world: Arc<World>,
    /// Lines that are still to be told.
    untold: VecDeque<String>,
    kept: Option<Kept>,
}

impl Device {
    /// A device with the standard objects and those of the settings.
    pub(crate) fn new(settings: Settings) -> Result<Self, Failure> {
        Self::with_objects(settings, &STANDARD_OBJECTS)
    }

    /// A device with these objects, each with so many instances, and those of the settings.
    pub(crate) fn with_objects(mut settings: Settings, objects: &[(u16, u16)]) -> Result<Self, Failure> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(Failure::failed)?;
        let clock = if settings.virtual_clock { Clock::standing(STANDING_DATE) } else { Clock::machine() };
        let endpoint = settings.config.endpoint.as_str().to_owned();
        let world = World::new(clock.clone(), seed, &endpoint);
        let mut set = ObjectSet::new(Arc::clone(&world));
        let standard = objects.iter().filter_map(|(id, count)| Some((ObjectId::new(*id)?, *count)));
        for (id, count) in standard.chain(settings.objects.iter().copied()) {
            set.add(id, count).map_err(Failure::usage)?;
        }
        for entry in std::mem::take(&mut settings.access) {
            set.add_access(entry).map_err(Failure::usage)?;
        }
        let (kept, attributes, sessions) = keep::take_up(&mut settings, &world, &mut set)?;
        world.set_server_count(settings.accounts.len());
        // Different from the seed of the objects' values, which anyone may see.
        getrandom::fill(&mut seed).map_err(Failure::failed)?;
        let mut driver = Driver::new(settings.config, set, clock, Arc::clone(&world.counters), seed);
        secure(&mut driver, settings.secure)?;
        let mut local = settings.local;
        for account in settings.accounts {
            driver.add_account(account, local).map_err(|error| Failure::usage(chain(&error)))?;
            // A chosen port can be had once: it is the first server's.
            if let Some(local) = &mut local {
                local.set_port(0);
            }
        }
        let mut device = Self { driver, endpoint, world, untold: VecDeque::new(), kept };
        device.take_up_sessions(sessions);
        device.begin_to_keep(attributes)?;
        Ok(device)
    }

    /// The servers by their Short Server IDs, without the Bootstrap-Server.
    fn servers(&self) -> Vec<(u16, AccountId)> {
        let accounts = self.driver.client().accounts();
        accounts.filter_map(|(id, account)| Some((account.ssid?.get(), id))).collect()
    }

    /// Begins to register with every server.
    pub(crate) fn start(&mut self) {
        self.driver.command(Client::start);
    }

    /// Waits for the next event and gives it as a line of text. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            if let Some(line) = self.untold.pop_front() {
                return line;
            }
            // Bind first: the borrow of the driver ends with the step.
            let step = tokio::time::timeout(TICK, self.driver.next()).await;
            match step {
                Ok(event) => {
                    let line = self.tell(&event);
                    self.follow_up(&event);
                    if event == Event::AccountsChanged {
                        self.world.set_server_count(self.servers().len());
                    }
                    self.keep_after(&event);
                    return line;
                }
                Err(_) => {
                    if let Some(line) = self.tick() {
                        return line;
                    }
                }
            }
        }
    }

    /// Lets the objects live; a restart that one of them asked for is told.
    fn tick(&mut self) -> Option<String> {
        if self.driver.client().objects().is_due() {
            self.driver.command(|client, _| client.objects_mut().tick());
        }
        self.keep_what_changed();
        if !self.world.take_restart() {
            return None;
        }
        self.start();
        Some("event restarted".to_owned())
    }

    /// Does what a server's operation asks of the device besides what the engine did.
    fn follow_up(&mut self, event: &Event) {
        let Event::Executed { account, path } = event else { return };
        let Some((paths, how)) = self.driver.client().objects().to_send(*path) else { return };
        let sent = self
            .driver
            .command(|client, now| client.send_as(now, *account, &paths, how.format, how.patience));
        if let Err(refused) = sent {
            let head = format!("event send_failed ssid={}", self.ssid(*account));
            self.untold.push_back(format!("{head} reason={}", quoted(&refused.to_string())));
        }
    }

    fn ssid(&self, account: AccountId) -> u16 {
        self.driver.client().account(account).and_then(|account| account.ssid).map_or(0, ShortServerId::get)
    }

    /// Obeys a command; what it answers stands behind `ok`.
    pub(crate) fn obey(&mut self, command: Command) -> Result<String, String> {
        let changes = matches!(command, Command::Set(..) | Command::Create(_) | Command::Delete(_));
        let answer = self.carry_out(command);
        if changes {
            self.keep_and_tell();
        }
        answer
    }

    fn carry_out(&mut self, command: Command) -> Result<String, String> {
        match command {
            Command::Set(path, text) => self.set(path, &text),
            Command::Create(path) => self.create(path),
            Command::Delete(path) => self.delete(path),
            Command::Update(ssid) => self.update(ssid),
            Command::Register(ssid) => self.register(ssid),
            Command::Bootstrap => match self.driver.command(Client::bootstrap) {
                true => Ok(String::new()),
                false => Err("there is no Bootstrap-Server account".to_owned()),
            },
            Command::Deregister => {
                self.deregister();
                Ok(String::new())
            }
            Command::Offline => {
                self.driver.go_offline();
                Ok(String::new())
            }
            Command::Online if self.driver.is_online() => Err("the device is online".to_owned()),
            Command::Online => {
                self.driver.go_online();
                Ok(String::new())
            }
            Command::Reconnect if !self.driver.is_online() => Err("the device is offline".to_owned()),
            Command::Reconnect => {
                self.driver.reconnect();
                Ok(String::new())
            }
            Command::Rebind if !self.driver.is_online() => Err("the device is offline".to_owned()),
            Command::Rebind => {
                self.driver.rebind();
                Ok(String::new())
            }
            Command::Send(paths) => self.send(|client, now, id| client.send(now, id, &paths)),
            Command::SendOnce(paths) => self.send(|client, now, id| client.send_unconfirmed(now, id, &paths)),
            Command::SendRecorded => self.send(|client, now, id| client.send_recorded(now, id)),
            Command::Record(paths) => self.send(|client, now, id| client.record(now, id, &paths)),
            Command::Sockets => Ok(self.sockets()),
            Command::Attributes(path, change) => self.attributes(path, &change),
            Command::Show(path) => self.show(path),
            Command::Advance(by) => self.advance(by),
            Command::Quit => Ok(String::new()),
        }
    }

    fn set(&mut self, path: Path, text: &str) -> Result<String, String> {
        let (object, instance, resource) = match (path.object_id(), path.instance_id(), path.resource_id()) {
            (Some(object), Some(instance), Some(resource)) => (object, instance, resource),
            _ => return Err(format!("{path} is no resource")),
        };
        refuse_accounts(object)?;
        let set = self.driver.client().objects();
        let data_type = set.data_type(path).ok_or_else(|| format!("{path} holds no value"))?;
        let value = value_text::parse(text, data_type)?;
        let shown = quoted(&value_text::print(&value.as_value()));
        self.driver.command(|client, _| {
            let object = client.objects_mut().find_mut(object).ok_or("no such object")?;
            object.set(instance, resource, path.resource_instance_id(), value)
        })?;
        Ok(format!("{path} {shown}"))
    }

    fn create(&mut self, path: Path) -> Result<String, String> {
        let object =
            path.object_id().filter(|_| path.len() <= 2).ok_or_else(|| format!("{path} is no instance"))?;
        refuse_accounts(object)?;
        let wanted = path.instance_id();
        let created = self.driver.command(|client, _| client.objects_mut().add_one(object, wanted))?;
        Ok(created.to_string())
    }

    fn delete(&mut self, path: Path) -> Result<String, String> {
        let target = path.object_id().zip(path.instance_id()).filter(|_| path.len() == 2);
        let (object, instance) = target.ok_or_else(|| format!("{path} is no instance"))?;
        refuse_accounts(object)?;
        let deleted = self.driver.command(|client, _| {
            client.objects_mut().find_mut(object).is_some_and(|object| object.remove_instance(instance))
        });
        if deleted { Ok(path.to_string()) } else { Err(format!("no {path}")) }
    }

    fn chosen(&self, ssid: Option<u16>) -> Result<Vec<(u16, AccountId)>, String> {
        let wanted = |known: u16| ssid.is_none_or(|ssid| ssid == known);
        let chosen: Vec<_> = self.servers().into_iter().filter(|(known, _)| wanted(*known)).collect();
        if chosen.is_empty() { Err("no server has that Short Server ID".to_owned()) } else { Ok(chosen) }
    }

    /// To every server that may be told; what comes of it is told as an event.
    fn send<R>(
        &mut self,
        mut send: impl FnMut(&mut Engine, Instant, AccountId) -> Result<R, SendRefused>,
    ) -> Result<String, String> {
        let mut taken = Vec::new();
        let mut refused = None;
        for (ssid, id) in self.servers() {
            match self.driver.command(|client, now| send(client, now, id)) {
                Ok(_) => taken.push(format!("ssid={ssid}")),
                Err(reason) => refused = refused.or(Some(format!("server {ssid}: {reason}"))),
            }
        }
        match refused {
            Some(reason) if taken.is_empty() => Err(reason),
            _ => Ok(taken.join(" ")),
        }
    }

    fn register(&mut self, ssid: Option<u16>) -> Result<String, String> {
        for (_, id) in self.chosen(ssid)? {
            self.driver.command(|client, now| client.register(now, id));
        }
        Ok(String::new())
    }

    fn update(&mut self, ssid: Option<u16>) -> Result<String, String> {
        let chosen = self.chosen(ssid)?;
        let registered = |id: AccountId| matches!(self.driver.client().phase(id), Phase::Registered { .. });
        let (ready, others): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|(_, id)| registered(*id));
        if let (true, Some((ssid, _))) = (ready.is_empty(), others.first()) {
            return Err(format!("not registered with server {ssid}"));
        }
        for (_, id) in ready {
            self.driver.command(|client, now| client.update(now, id));
        }
        Ok(String::new())
    }

    fn deregister(&mut self) {
        for (_, id) in self.servers() {
            if self.driver.client().phase(id) != Phase::Idle {
                self.driver.command(|client, now| client.deregister(now, id));
            }
        }
    }

    fn sockets(&self) -> String {
        let texts = self.driver.sockets().map(|socket| {
            let local = socket.local.map_or_else(|| "closed".to_owned(), |local| local.to_string());
            let peer = socket.peer.map_or_else(|| socket.server.to_string(), |peer| peer.to_string());
            let session = socket.session.as_ref().map_or_else(String::new, session_text);
            format!("ssid={} {local} {peer}{session}", self.ssid(socket.account))
        });
        texts.collect::<Vec<_>>().join(", ")
    }

    /// For every server; what is in force is shown for the first.
    fn attributes(&mut self, path: Path, change: &AttributeChange) -> Result<String, String> {
        for (_, id) in self.servers() {
            let attached = self.driver.command(|client, now| client.attach(now, id, path, change));
            attached.map_err(|refusal| why_not_attached(refusal, path))?;
        }
        let mut text = path.to_string();
        if let Some((_, id)) = self.servers().first() {
            let in_force = AttributeChange::from(self.driver.client().attributes(*id, path));
            in_force.queries(|part| text.push_str(&format!(" {part}")));
        }
        Ok(text)
    }

    fn show(&self, path: Option<Path>) -> Result<String, String> {
        let path = path.unwrap_or(Path::ROOT);
        let mut parts = Vec::new();
        for object in self.driver.client().objects().iter() {
            for instance in object.instance_ids() {
                let here = Path::instance(object.definition().id, instance);
                if path.is_root() {
                    parts.push(here.to_string());
                    continue;
                }
                let related = here.contains(path) || path.contains(here);
                let values = if related { object.values(instance) } else { Vec::new() };
                let below = values.into_iter().filter(|(at, _)| path.contains(*at));
                parts
                    .extend(below.map(|(at, value)| {
                        format!("{at}={}", quoted(&value_text::print(&value.as_value())))
                    }));
            }
        }
        parts.extend(self.show_accounts(path));
        if parts.is_empty() { Err(format!("nothing at {path}")) } else { Ok(parts.join(" ")) }
    }

    /// Objects 0 and 1, which the engine keeps.
    fn show_accounts(&self, path: Path) -> Vec<String> {
        let mut parts = Vec::new();
        for (_, account) in self.driver.client().accounts() {
            let (security, server) = (account.security.instance.get(), account.server_instance.get());
            let ssid = account.ssid.map(|ssid| ssid.get().to_string());
            let of_all = [
                ([0, security, 0], account.uri.as_str().to_owned()),
                ([0, security, 1], account.is_bootstrap().to_string()),
                ([0, security, 2], account.security.mode.number().to_string()),
            ];
            let of_servers = ssid.into_iter().flat_map(|ssid| {
                [
                    ([0, security, 10], ssid.clone()),
                    ([1, server, 0], ssid),
                    ([1, server, 1], account.lifetime_s.to_string()),
                    ([1, server, 6], account.notification_storing.to_string()),
                    ([1, server, 7], account.binding.as_str().to_owned()),
                ]
            });
            let values = of_all.into_iter().chain(of_servers);
            let mute = account.mute_send.map(|mute| ([1, server, 23], mute.to_string()));
            for (numbers, value) in values.chain(mute.filter(|_| !account.is_bootstrap())) {
                match Path::from_numbers(&numbers) {
                    Some(at) if path.is_root() => {
                        let text = at.truncated(2).to_string();
                        if !parts.contains(&text) {
                            parts.push(text);
                        }
                    }
                    Some(at) if path.contains(at) => parts.push(format!("{at}={}", quoted(&value))),
                    _ => {}
                }
            }
        }
        parts
    }

    fn advance(&mut self, by: Duration) -> Result<String, String> {
        if !self.driver.clock().stands_still() {
            return Err("advance needs --virtual-clock".to_owned());
        }
        self.driver.advance(by);
        let _ = self.tick();
        Ok(self.driver.clock().now().as_millis().to_string())
    }

    /// De-registers from every server and waits for the answers, but not for ever. A registration that is under way is
    /// awaited first, so that no server is left with a device that is gone, and so is what was sent.
    pub(crate) async fn farewell(
        &mut self,
        mut tell: impl FnMut(&str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let end = tokio::time::sleep(FAREWELL_MAX);
        let words = tokio::time::sleep(LAST_WORDS_MAX);
        tokio::pin!(end, words);
        let (mut leaving, mut heard) = (false, !self.driver.is_online());
        loop {
            let phases = || self.servers().into_iter().map(|(_, id)| self.driver.client().phase(id));
            if phases().all(|phase| phase == Phase::Idle) {
                return Ok(());
            }
            heard = heard || !self.driver.client().is_sending();
            if !leaving && heard && !phases().any(|phase| phase == Phase::Registering) {
                leaving = true;
                self.deregister();
                continue;
            }
            tokio::select! {
                line = self.next() => tell(&line)?,
                () = &mut words, if !heard => heard = true,
                () = &mut end => {
                    tracing::warn!("leaving without the answer of every server");
                    return Ok(());
                }
            }
        }
    }
}

/// Makes the settings of secure sessions known to the engine.
fn secure(driver: &mut DeviceDriver, settings: Secure) -> Result<(), Failure> {
    let trust = Anchors::new(settings.trust.iter().map(Vec::as_slice)).map_err(Failure::usage)?;
    driver.command(|client, _| {
        if let Some(transport) = client.secure_transport_mut() {
            transport.config.connection_id = settings.cid;
            transport.config.record_size_limit = settings.record_size_limit;
            transport.config.max_fragment_len = settings.max_fragment_length;
            transport.config.retransmit_first = settings.timeout;
            transport.trust = trust;
        }
    });
    if let Some(path) = settings.key_log {
        let mut file = lightship_service::open_key_log(&path)
            .map_err(|error| Failure::failed(format_args!("{}: {error}", path.display())))?;
        driver.log_keys(Box::new(move |line| {
            if let Err(error) = writeln!(file, "{line}") {
                tracing::warn!(%error, "the key log cannot be written");
            }
        }));
    }
    Ok(())
}

fn why_not_attached(refusal: Refusal, path: Path) -> String {
    if refusal == Refusal::NotFound {
        format!("no {path}")
    } else if refusal == Refusal::NotAllowed {
        format!("{path} cannot be read")
    } else if refusal == Refusal::BadValue {
        format!("these attributes do not fit {path}, or each other")
    } else {
        "there is no room for more attributes".to_owned()
    }
}

/// Objects 0 and 1 are the engine's own: they come from the settings and change by the servers' operations.
fn refuse_accounts(object: ObjectId) -> Result<(), String> {
    if object == ObjectId::SECURITY || object == ObjectId::SERVER {
        return Err(format!("object {object} follows the settings and the servers, not this command"));
    }
    Ok(())
}
