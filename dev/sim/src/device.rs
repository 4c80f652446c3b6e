//! A simulated device: a real client engine and what survives its crashes.

use lightship_client::dtls::Resumption;
use lightship_client::{
    Account, AccountId, Arguments, Client, Config, Event, Object, Phase, Refusal, Retry, Session, Single,
    Text,
};
use lightship_coap::peer::HeapBuffer;
use lightship_lwm2m::{ShortServerId, Version};
use lightship_platform::{Instant, Rng as _, SeededRng};

use crate::security::{self, Transport};

/// What the device measures and remembers; survives a crash.
#[derive(Object, Clone, Default, Debug)]
#[lwm2m(object = 3303, version = "1.1", execute(5605 = Self::reset))]
pub struct Sensor {
    /// A counter in the guise of a temperature: it only grows.
    #[resource(5700)]
    pub value: f32,
    /// What the server writes.
    #[resource(5750)]
    pub application: Option<Text<16>>,
    /// The arguments of each Execute that was carried out.
    pub executed: Vec<String>,
}

impl Sensor {
    fn reset(&mut self, arguments: Arguments<'_>) -> Result<(), Refusal> {
        self.executed.push(arguments.as_str().to_owned());
        Ok(())
    }
}

type Engine = Client<(Single<Sensor>,), HeapBuffer, 1, 8, 1024>;

/// One device.
pub struct Device {
    /// Its Endpoint Client Name.
    pub name: String,
    /// Its lifetime in seconds.
    pub lifetime_s: u32,
    /// Whether its notifications are confirmed: if not, one may be lost, and only the next brings the value.
    pub confirms: bool,
    /// Its number.
    number: usize,
    transport: Transport,
    /// What it remembers while it is off.
    stored: Sensor,
    resumption: Option<Resumption>,
    engine: Option<(Engine, AccountId)>,
}

impl Device {
    /// A device that is off.
    #[must_use]
    pub fn new(number: usize, lifetime_s: u32, confirms: bool, transport: Transport) -> Self {
        let stored = Sensor { application: Some(Text::new("fresh")), ..Sensor::default() };
        let name = format!("urn:sim:{number}");
        Self { name, lifetime_s, confirms, number, transport, stored, resumption: None, engine: None }
    }

    /// Switches it on: it registers.
    pub fn start(&mut self, now: Instant, rng: &mut SeededRng) {
        let mut config = Config::new(&self.name);
        config.version = Version::V1_1;
        let mut engine = Engine::new(config, (Single::new(self.stored.clone()),), rng);
        let ssid = ShortServerId::new(1).expect("a legal number");
        let scheme = if self.transport.is_secured() { "coaps" } else { "coap" };
        let mut account = Account::new(ssid, &format!("{scheme}://server")).lifetime(self.lifetime_s);
        account.confirmable_notifications = Some(self.confirms);
        account.retry = Retry::new(5, 10, 120, 1);
        if self.transport.is_secured() {
            security::furnish(&mut account, self.number, &self.name);
            let mut seed = [0; 32];
            rng.fill(&mut seed);
            engine.secure(security::transport(SeededRng::new(seed)));
        }
        let account = engine.add_account(account).expect("the first account fits");
        engine.set_resumption(account, self.resumption.take());
        engine.register(now, account);
        self.engine = Some((engine, account));
    }

    /// Switches it off without a word.
    pub fn crash(&mut self) {
        if let Some((engine, account)) = self.engine.take() {
            self.resumption = engine.resumption(account).cloned();
            self.stored = (*engine.objects().0).clone();
        }
    }

    /// Whether it is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.engine.is_some()
    }

    /// Whether it believes to be registered.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.engine
            .as_ref()
            .is_some_and(|(engine, account)| matches!(engine.phase(*account), Phase::Registered { .. }))
    }

    /// What it measures and remembers.
    #[must_use]
    pub fn sensor(&self) -> &Sensor {
        self.engine.as_ref().map_or(&self.stored, |(engine, _)| &engine.objects().0)
    }

    /// Changes what it measures.
    pub fn sensor_mut(&mut self) -> &mut Sensor {
        match &mut self.engine {
            Some((engine, _)) => &mut engine.objects_mut().0,
            None => &mut self.stored,
        }
    }

    /// A datagram from the server.
    pub fn handle_input(&mut self, now: Instant, datagram: &mut [u8]) {
        if let Some((engine, account)) = &mut self.engine {
            engine.handle_input(now, *account, datagram);
        }
    }

    /// Its time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some((engine, _)) = &mut self.engine {
            engine.handle_timeout(now);
        }
    }

    /// When it wants to be woken.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.engine.as_ref()?.0.poll_timeout()
    }

    /// Its secure session.
    #[must_use]
    pub fn session(&self) -> Option<Session> {
        self.engine.as_ref().and_then(|(engine, account)| engine.session(*account).copied())
    }

    /// The next datagram to the server.
    pub fn poll_transmit(&mut self, out: &mut [u8]) -> Option<usize> {
        Some(self.engine.as_mut()?.0.poll_transmit(out)?.len)
    }

    /// The next event of its engine.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.engine.as_mut()?.0.poll_event()
    }
}
