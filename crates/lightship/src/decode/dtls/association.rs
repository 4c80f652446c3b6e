//! What both sides of one association said in the clear, as far as it is needed to open the rest.

use super::secrets::Given;
use lightship_dtls::inspect::{self, Record, Role, Secrets};
use lightship_dtls::message::{ClientHello, Extension, Extensions, Fragment, HEADER_LEN, Kind, ServerHello};
use lightship_dtls::{KeyExchange, Suite};
use lightship_platform::crypto::{RustCrypto, Sha256};
use std::collections::BTreeMap;

/// Messages that are kept of a handshake, and their lengths; longer ones are not put together.
const MESSAGES_MAX: usize = 32;
const MESSAGE_LEN_MAX: usize = 20_000;

/// One association as a third party sees it.
pub(super) struct Association {
    sides: [String; 2],
    number: u64,
    client: Option<String>,
    client_random: Option<[u8; 32]>,
    server_random: Option<[u8; 32]>,
    suite: Option<u16>,
    extended_master_secret: bool,
    encrypt_then_mac: bool,
    /// The connection IDs in records of the client and of the server.
    cids: [Option<Vec<u8>>; 2],
    /// What the client wants in records to it, if the server agrees.
    offered: Option<Vec<u8>>,
    messages: BTreeMap<(u8, u16), Partial>,
    secrets: Option<Secrets>,
}

/// A message while its fragments come.
struct Partial {
    kind: u8,
    /// Header and body, as if it had never been cut.
    raw: Vec<u8>,
    /// Which bytes of the body are there.
    present: Vec<bool>,
}

fn index(role: Role) -> u8 {
    u8::from(role == Role::Server)
}

impl Association {
    pub(super) fn new(from: &str, to: &str, number: u64) -> Self {
        Self {
            sides: [from.to_owned(), to.to_owned()],
            number,
            client: None,
            client_random: None,
            server_random: None,
            suite: None,
            extended_master_secret: false,
            encrypt_then_mac: false,
            cids: [None, None],
            offered: None,
            messages: BTreeMap::new(),
            secrets: None,
        }
    }

    /// Stands for both sides where a request is remembered for its response.
    pub(super) fn name(&self) -> String {
        format!("association {}", self.number)
    }

    pub(super) fn is_between(&self, from: &str, to: &str) -> bool {
        let [one, other] = &self.sides;
        (one == from && other == to) || (one == to && other == from)
    }

    /// Who sends, as far as the addresses tell.
    pub(super) fn sender(&self, from: &str, to: &str) -> Option<Role> {
        let client = self.client.as_deref()?;
        if from == to || !self.is_between(from, to) {
            return None;
        }
        Some(if from == client { Role::Client } else { Role::Server })
    }

    /// Who sends, by the connection ID of a record.
    pub(super) fn sender_by_cid(&self, record: &[u8]) -> Option<Role> {
        let behind = record.get(11..).filter(|_| record.first() == Some(&super::CID))?;
        let is = |role| {
            let cid = self.cids.get(usize::from(index(role)))?.as_ref()?;
            (!cid.is_empty() && behind.starts_with(cid)).then_some(role)
        };
        is(Role::Client).or_else(|| is(Role::Server))
    }

    pub(super) fn cid_len(&self, sender: Role) -> Option<usize> {
        self.cids.get(usize::from(index(sender)))?.as_ref().map(Vec::len)
    }

    pub(super) fn suite(&self) -> Option<Suite> {
        self.suite.and_then(Suite::from_number)
    }

    /// Takes in a part of a message; gives the message once it is whole.
    pub(super) fn take(&mut self, sender: Option<Role>, fragment: &Fragment<'_>) -> Option<Vec<u8>> {
        let Some(sender) = sender else { return fragment.is_whole().then(|| fragment.raw.to_vec()) };
        if fragment.kind == Kind::ClientHello as u8 {
            self.begin(fragment);
        }
        let key = (index(sender), fragment.sequence);
        if fragment.len > MESSAGE_LEN_MAX
            || (self.messages.len() >= MESSAGES_MAX && !self.messages.contains_key(&key))
        {
            return None;
        }
        let partial = self.messages.entry(key).or_insert_with(|| Partial::new(fragment));
        if partial.kind != fragment.kind || partial.present.len() != fragment.len {
            *partial = Partial::new(fragment);
        }
        let raw = partial.add(fragment)?.to_vec();
        let body = raw.get(HEADER_LEN..).unwrap_or_default();
        if fragment.kind == Kind::ClientHello as u8 {
            self.client_hello(body);
        } else if fragment.kind == Kind::ServerHello as u8 {
            self.server_hello(body);
        }
        Some(raw)
    }

    /// Another random begins another handshake.
    fn begin(&mut self, fragment: &Fragment<'_>) {
        let random: Option<[u8; 32]> = fragment.body.get(2..34).and_then(|bytes| bytes.try_into().ok());
        if fragment.offset == 0 && random.is_some() && random != self.client_random {
            let [from, to] = &self.sides;
            let client = self.client.take();
            *self = Self { client, ..Self::new(from, to, self.number) };
        }
    }

    /// The sender of this datagram begins handshakes.
    pub(super) fn client_is(&mut self, from: &str) {
        self.client = Some(from.to_owned());
    }

    fn client_hello(&mut self, body: &[u8]) {
        let Some(hello) = ClientHello::read(body) else { return };
        self.client_random = Some(*hello.start.random);
        self.offered = connection_id(&hello.extensions);
    }

    fn server_hello(&mut self, body: &[u8]) {
        let Some(hello) = ServerHello::read(body) else { return };
        self.server_random = Some(*hello.random);
        self.suite = Some(hello.suite);
        self.extended_master_secret = hello.extensions.has(Extension::ExtendedMasterSecret);
        self.encrypt_then_mac = hello.extensions.has(Extension::EncryptThenMac);
        self.secrets = None;
        // What one side says stands in the records of the other.
        self.cids = match connection_id(&hello.extensions) {
            Some(of_client) => [Some(of_client), self.offered.clone()],
            None => [None, None],
        };
    }

    /// Opens a protected record: who sent it, what it holds; or why not.
    pub(super) fn unprotect(
        &mut self,
        given: &mut Given,
        sender: Option<Role>,
        datagram: &[u8],
        record: &Record,
    ) -> Result<(Role, u8, Vec<u8>), &'static str> {
        let (Some(client), Some(server)) = (self.client_random, self.server_random) else {
            return Err("its handshake is not here");
        };
        let Some(suite) = self.suite() else { return Err("its cipher suite is not known here") };
        let roles = match sender {
            Some(role) => vec![role],
            None => vec![Role::Client, Role::Server],
        };
        let attempt = |secrets: &Secrets| {
            roles.iter().find_map(|role| {
                let (kind, inner) = secrets.open(&RustCrypto, *role, datagram, record)?;
                Some((*role, kind, inner))
            })
        };
        if let Some(secrets) = &self.secrets {
            return attempt(secrets).ok_or("it is not authentic");
        }
        let candidates = self.candidates(given, suite, &client, &server);
        for master in candidates {
            let keys = Secrets::new(&RustCrypto, &master, &client, &server, suite, self.encrypt_then_mac);
            if let Some(keys) = keys
                && let Some(opened) = attempt(&keys)
            {
                self.secrets = Some(keys);
                given.remember(master);
                return Ok(opened);
            }
        }
        Err(match suite.key_exchange() {
            KeyExchange::Psk => "no secret that was given fits",
            KeyExchange::EcdhePsk | KeyExchange::EcdheEcdsa => {
                "the key log does not have it, and with ephemeral keys nothing else opens it"
            }
        })
    }

    /// Master secrets that it may have: as logged, from a pre-shared key, or of an earlier session.
    fn candidates(&self, given: &Given, suite: Suite, client: &[u8; 32], server: &[u8; 32]) -> Vec<[u8; 48]> {
        let logged = given.logged(client).copied();
        let keys = given.keys().filter(|_| suite.key_exchange() == KeyExchange::Psk);
        let hash = self.extended_master_secret.then(|| self.session_hash());
        let derived = keys.filter_map(|key| match &hash {
            Some(None) => None,
            Some(Some(hash)) => Some(*inspect::psk_master(&RustCrypto, key, Some(hash), client, server)),
            None => Some(*inspect::psk_master(&RustCrypto, key, None, client, server)),
        });
        logged.into_iter().chain(derived).chain(given.found().copied()).collect()
    }

    /// The hash of all messages from the ClientHello that counts up to ClientKeyExchange (RFC 7627 §3).
    fn session_hash(&self) -> Option<[u8; 32]> {
        let whole = |partial: &&Partial| partial.is_whole();
        let of = |role| self.messages.range((index(role), 0)..=(index(role), u16::MAX));
        let kind = |partial: &Partial, kind: Kind| partial.kind == kind as u8;
        let (begin, hello) = of(Role::Client).rfind(|(_, one)| kind(one, Kind::ClientHello))?;
        let (end, _) = of(Role::Client).find(|(_, one)| kind(one, Kind::ClientKeyExchange))?;
        let (last, _) = of(Role::Server).find(|(_, one)| kind(one, Kind::ServerHelloDone))?;
        let server = of(Role::Server)
            .filter(|(at, one)| *at <= last && !kind(one, Kind::HelloVerifyRequest))
            .map(|(_, one)| one);
        let client = of(Role::Client).filter(|(at, _)| *at > begin && *at <= end).map(|(_, one)| one);
        let mut transcript = Vec::new();
        for one in std::iter::once(hello).chain(server).chain(client) {
            transcript.extend_from_slice(&Some(one).filter(whole)?.raw);
        }
        Some(Sha256::of(&transcript))
    }
}

fn connection_id(extensions: &Extensions<'_>) -> Option<Vec<u8>> {
    let (len, cid) = extensions.body(Extension::ConnectionId)?.split_first()?;
    (usize::from(*len) == cid.len()).then(|| cid.to_vec())
}

impl Partial {
    fn new(fragment: &Fragment<'_>) -> Self {
        let mut raw = vec![0; HEADER_LEN + fragment.len];
        // The header says of a whole message that its only fragment is all of it.
        let (kind, len) = (fragment.raw.get(..6), fragment.raw.get(1..4));
        for (at, part) in [(0, kind), (9, len)] {
            if let Some(part) = part
                && let Some(place) = raw.get_mut(at..at + part.len())
            {
                place.copy_from_slice(part);
            }
        }
        Self { kind: fragment.kind, raw, present: vec![false; fragment.len] }
    }

    fn is_whole(&self) -> bool {
        self.present.iter().all(|present| *present)
    }

    fn add(&mut self, fragment: &Fragment<'_>) -> Option<&[u8]> {
        let end = fragment.offset + fragment.body.len();
        let place = self.raw.get_mut(HEADER_LEN + fragment.offset..HEADER_LEN + end)?;
        place.copy_from_slice(fragment.body);
        self.present.get_mut(fragment.offset..end)?.fill(true);
        self.is_whole().then_some(self.raw.as_slice())
    }
}
