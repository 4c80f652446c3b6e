//! A client on a bench: virtual time, a server that the test plays by hand, message by message.

use core::time::Duration;

use lightship_client::objects::Device;
use lightship_client::{
    Account, AccountId, Arguments, Array, Client, Config, Event, Multiple, Object, Phase, Refusal, Single,
    Text,
};
use lightship_coap::{
    Code, ContentFormat, Encoder, FixedBuffer, Message, MessageId, OptionWriter, Token, Type,
};
use lightship_lwm2m::ShortServerId;
use lightship_platform::{Instant, SeededRng};

#[derive(Object, Clone, Debug, Default)]
#[lwm2m(object = 3303, version = "1.1", execute(5605 = Self::reset))]
pub(crate) struct Temperature {
    #[resource(5700, read = Self::measured)]
    pub(crate) value: f64,
    #[resource(5701)]
    pub(crate) unit: Option<&'static str>,
    #[resource(5750)]
    pub(crate) application: Option<Text<16>>,
    /// No value before the application has measured.
    pub(crate) pending: bool,
}

impl Temperature {
    fn reset(&mut self, arguments: Arguments<'_>) -> Result<(), Refusal> {
        if arguments.as_str() == "9" { Err(Refusal::Later) } else { Ok(()) }
    }

    fn measured(&self) -> Result<f64, Refusal> {
        if self.pending { Err(Refusal::Later) } else { Ok(self.value) }
    }
}

/// Access Control: writable arrays, links to other objects, mandatory writable resources.
#[derive(Object, Clone, Debug, Default)]
#[lwm2m(object = 2, version = "1.0")]
pub(crate) struct Rights {
    #[resource(0)]
    pub(crate) object: u16,
    #[resource(1)]
    pub(crate) instance: u16,
    #[resource(2)]
    pub(crate) acl: Option<Array<u16, 3>>,
    #[resource(3)]
    pub(crate) owner: u16,
}

/// Light Control: a Boolean, and an integer with a range.
#[derive(Object, Clone, Debug, Default)]
#[lwm2m(object = 3311)]
pub(crate) struct Light {
    #[resource(5850)]
    pub(crate) on: bool,
    #[resource(5851)]
    pub(crate) dimmer: Option<u8>,
}

/// Portfolio: an array that has to be there and may be written.
#[derive(Object, Clone, Debug, Default)]
#[lwm2m(object = 16)]
pub(crate) struct Portfolio {
    #[resource(0)]
    pub(crate) identity: Array<Text<16>, 2>,
}

pub(crate) type Objects = (
    Single<Device>,
    Multiple<Temperature, 3>,
    Multiple<Rights, 8>,
    Multiple<Light, 2>,
    Multiple<Portfolio, 1>,
);
pub(crate) type TestClient = Client<Objects, FixedBuffer<8192>, 4, 6, 2048>;

pub(crate) struct Bench {
    pub(crate) client: TestClient,
    pub(crate) id: AccountId,
    pub(crate) now: Instant,
    pub(crate) events: Vec<Event>,
    /// Datagrams of the client that the test has not looked at.
    pub(crate) sent: Vec<(AccountId, Vec<u8>)>,
    next: u16,
}

/// What came back, copied out of its message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) code: Code,
    pub(crate) ty: Type,
    pub(crate) id: MessageId,
    pub(crate) token: Token,
    pub(crate) format: Option<ContentFormat>,
    pub(crate) observe: Option<u32>,
    pub(crate) location: Vec<String>,
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<String>,
    pub(crate) payload: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        core::str::from_utf8(&self.payload).expect("text")
    }

    pub(crate) fn new(datagram: &[u8]) -> Reply {
        let message = Message::parse(datagram).expect("the client speaks CoAP");
        let texts = |texts: &mut dyn Iterator<Item = &str>| texts.map(str::to_owned).collect();
        Reply {
            code: message.code(),
            ty: message.ty(),
            id: message.message_id(),
            token: message.token(),
            format: message.content_format(),
            observe: message.observe(),
            location: texts(&mut message.location_path()),
            path: texts(&mut message.uri_path()),
            query: texts(&mut message.uri_query()),
            payload: message.payload().to_vec(),
        }
    }
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench::with(Config::new("urn:dev:os:1"), account(1, 300))
    }

    pub(crate) fn with(config: Config, account: Account) -> Bench {
        let mut rng = SeededRng::new([7; 32]);
        let temperature = Temperature { value: 21.5, unit: Some("Cel"), ..Temperature::default() };
        let objects = (
            Single::new(Device::new("Lightship", "bench", "1.0")),
            Multiple::new().creatable(Temperature::default).with(0, temperature),
            Multiple::new().creatable(Rights::default),
            Multiple::new().with(0, Light::default()),
            Multiple::new(),
        );
        let mut client = TestClient::new(config, objects, &mut rng);
        let id = client.add_account(account).expect("room");
        Bench { client, id, now: Instant::from_secs(1000), events: Vec::new(), sent: Vec::new(), next: 100 }
    }

    /// A client that is registered with its first server.
    pub(crate) fn registered() -> Bench {
        let mut bench = Bench::new();
        bench.register();
        bench
    }

    pub(crate) fn register(&mut self) -> Reply {
        self.client.register(self.now, self.id);
        self.drain();
        self.accept_register()
    }

    /// Answers the Register that is waiting.
    pub(crate) fn accept_register(&mut self) -> Reply {
        let register = self.take();
        assert_eq!((register.code, register.path.last().map(String::as_str)), (Code::POST, Some("rd")));
        self.answer(&register, Code::CREATED, |options| {
            options.location_path("/rd/5a3f");
        });
        assert!(matches!(self.client.phase(self.id), Phase::Registered { .. }));
        register
    }

    /// The next datagram of the client.
    pub(crate) fn take(&mut self) -> Reply {
        assert!(!self.sent.is_empty(), "the client sent nothing");
        Reply::new(&self.sent.remove(0).1)
    }

    /// Answers a request of the client with a piggybacked response.
    pub(crate) fn answer(&mut self, to: &Reply, code: Code, options: impl FnOnce(&mut OptionWriter<'_>)) {
        let mut buffer = [0; 256];
        let mut message = Encoder::new(&mut buffer, Type::Ack, code, to.id, to.token);
        options(message.options());
        let len = message.finish().expect("fits");
        self.input(&buffer[..len]);
    }

    pub(crate) fn input(&mut self, datagram: &[u8]) {
        self.client.handle_input(self.now, self.id, &mut datagram.to_vec());
        self.drain();
    }

    /// Obeys the drain rule, and the timeouts that are due at once.
    pub(crate) fn drain(&mut self) {
        let mut out = [0; 1280];
        for round in 0.. {
            assert!(round < 100, "the client never comes to rest");
            while let Some(transmit) = self.client.poll_transmit(&mut out) {
                self.sent.push((transmit.to, out[..transmit.len].to_vec()));
            }
            while let Some(event) = self.client.poll_event() {
                self.events.push(event);
            }
            if self.client.poll_timeout().is_none_or(|at| at > self.now) {
                break;
            }
            self.client.handle_timeout(self.now);
        }
    }

    /// Lets time pass, timer by timer.
    pub(crate) fn advance(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.client.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.client.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// Lets time pass until the client sends; returns how long that took.
    pub(crate) fn until_sent(&mut self) -> Duration {
        let start = self.now;
        while self.sent.is_empty() {
            self.now = self.client.poll_timeout().expect("the client waits for something");
            self.client.handle_timeout(self.now);
            self.drain();
        }
        self.now.saturating_duration_since(start)
    }

    pub(crate) fn seconds(&mut self, seconds: u64) {
        self.advance(Duration::from_secs(seconds));
    }

    /// A confirmable request; the token is the message ID.
    pub(crate) fn ask_with(
        &mut self,
        code: Code,
        path: &str,
        options: impl FnOnce(&mut OptionWriter<'_>),
        payload: &[u8],
    ) -> Token {
        self.next += 1;
        let token = Token::new(&self.next.to_be_bytes()).expect("short");
        self.ask_as(token, code, path, options, payload);
        token
    }

    pub(crate) fn ask_as(
        &mut self,
        token: Token,
        code: Code,
        path: &str,
        options: impl FnOnce(&mut OptionWriter<'_>),
        payload: &[u8],
    ) {
        self.next += 1;
        let mut buffer = [0; 2048];
        let mut message = Encoder::new(&mut buffer, Type::Con, code, MessageId(self.next), token);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        if path != "/" {
            message.options().uri_path(path);
        }
        query.split('&').filter(|part| !part.is_empty()).for_each(|part| {
            message.options().uri_query(part);
        });
        options(message.options());
        let len = message.finish_with(payload).expect("fits");
        self.input(&buffer[..len]);
    }

    pub(crate) fn ask(&mut self, code: Code, path: &str) -> Reply {
        self.ask_with(code, path, |_| {}, &[]);
        self.take()
    }

    pub(crate) fn get(&mut self, path: &str, accept: ContentFormat) -> Reply {
        self.ask_with(Code::GET, path, |options| _ = options.accept(accept), &[]);
        self.take()
    }

    pub(crate) fn send(&mut self, code: Code, path: &str, format: ContentFormat, payload: &[u8]) -> Reply {
        self.ask_with(code, path, |options| _ = options.content_format(format), payload);
        self.take()
    }

    pub(crate) fn put(&mut self, path: &str, text: &str) -> Code {
        self.send(Code::PUT, path, ContentFormat::TEXT, text.as_bytes()).code
    }

    pub(crate) fn discover(&mut self, path: &str) -> Reply {
        self.get(path, ContentFormat::LINK)
    }

    /// Begins to observe; returns token and first answer.
    pub(crate) fn observe(&mut self, path: &str) -> (Token, Reply) {
        let token = self.ask_with(Code::GET, path, |options| _ = options.observe(0), &[]);
        (token, self.take())
    }

    pub(crate) fn set(&mut self, value: f64) {
        let temperature = &mut self.client.objects_mut().1;
        temperature.get_mut(0).expect("there").value = value;
        self.drain();
    }

    /// The values of the notifications that came since the last look, as text.
    pub(crate) fn notified(&mut self) -> Vec<String> {
        let text = |datagram: &[u8]| String::from_utf8_lossy(&Reply::new(datagram).payload).into_owned();
        self.sent.drain(..).map(|(_, datagram)| text(&datagram)).collect()
    }
}

pub(crate) fn account(ssid: u16, lifetime_s: u32) -> Account {
    Account::new(ShortServerId::new(ssid).expect("legal"), "coap://server.example").lifetime(lifetime_s)
}
