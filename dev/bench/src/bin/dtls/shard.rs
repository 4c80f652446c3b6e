//! What a secured session costs in the real engine: sessions of a shard, with everything that it keeps of them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lightship_dtls::{
    Answer as ClientAnswer, Association, Cid, Config as Dtls, Connect, Credential, Event as ClientEvent,
};
use lightship_dtls::{Host, Path, Suite};
use lightship_platform::crypto::{FastCrypto, Secret};
use lightship_platform::{Instant, SeededRng};
use lightship_server::{
    Answer, Config, Credential as Known, Endpoints, Event, Limits, Party, Presented, Principal, Security,
    SecurityEvent, Shard,
};

use crate::KEY;
use crate::measure::resident;

/// Sessions opened together.
const BATCH: u32 = 100;

struct Client {
    association: Association,
    from: SocketAddr,
    up: Vec<Vec<u8>>,
}

/// A shard, and clients that leave as soon as their sessions are open.
struct Fleet {
    shard: Shard,
    now: Instant,
    rng: SeededRng,
    config: Dtls,
}

impl Fleet {
    fn new() -> Self {
        let mut security = Security::new(Arc::new(FastCrypto));
        security.dtls = Arc::new(Dtls { suites: vec![Suite::PskAes128Ccm8], ..Dtls::default() });
        let config = Dtls::clone(&security.dtls);
        let engine = Config { security: Some(security), limits: Limits::default(), ..Config::default() };
        Self {
            shard: Shard::new(engine, [7; 32]),
            now: Instant::from_secs(1000),
            rng: SeededRng::new([8; 32]),
            config,
        }
    }

    fn client(&mut self, number: u32) -> Client {
        let identity = format!("urn:dev:bench:{number:010}");
        let mut host = Host { now: self.now, crypto: &FastCrypto, rng: &mut self.rng, config: &self.config };
        let connect = Connect {
            credential: Credential::Psk { identity: identity.into_bytes().into(), key: Secret::new(KEY) },
            server_name: None,
            own_cid: Cid::EMPTY,
            resume: None,
        };
        let [a, b, c, d] = (number + (10 << 24)).to_be_bytes();
        // Each from a network of its own: the budgets of one network are not what is measured.
        let from = SocketAddr::from(([a, d, c, b.wrapping_add(1)], 5000));
        Client { association: Association::connect(&mut host, connect), from, up: Vec::new() }
    }

    /// Opens sessions numbered from `first` on.
    fn open(&mut self, first: u32) {
        let mut clients: HashMap<SocketAddr, Client> = HashMap::new();
        for number in first..first + BATCH {
            let client = self.client(number);
            clients.insert(client.from, client);
        }
        let addresses: Vec<SocketAddr> = clients.keys().copied().collect();
        for _ in 0..5 {
            for from in &addresses {
                let Some(client) = clients.get_mut(from) else { continue };
                self.say(client);
                for mut datagram in client.up.drain(..) {
                    self.shard.handle_secured_input(self.now, *from, &mut datagram);
                }
                self.drain(&mut clients);
            }
        }
        assert!(
            clients.values().all(|client| client.association.is_established()),
            "a handshake did not end"
        );
        // What is kept for repetitions of the last messages goes, before the next ones come.
        self.now += Duration::from_secs(600);
        self.shard.handle_timeout(self.now);
        self.drain(&mut clients);
    }

    /// Collects what a client has to say; once it is established that is one CoAP ping, by which its handshake is over.
    fn say(&mut self, client: &mut Client) {
        let mut host = Host { now: self.now, crypto: &FastCrypto, rng: &mut self.rng, config: &self.config };
        let mut out = [0; 2048];
        loop {
            while let Some(transmit) = client.association.poll_transmit(&mut host, &mut out) {
                client.up.push(out[..transmit.len].to_vec());
            }
            match client.association.poll_event() {
                Some(ClientEvent::Ask(_)) => {
                    client.association.answer(&mut host, ClientAnswer::Accept { note: Box::default() });
                }
                Some(ClientEvent::Established(_)) => {
                    let start = client.association.headroom();
                    out[start..start + 4].copy_from_slice(&[0x40, 0, 0x12, 0x34]);
                    let len = client.association.seal(&mut host, &mut out, 4).expect("sealed");
                    client.up.push(out[..len].to_vec());
                }
                Some(ClientEvent::Failed(failure)) => panic!("{failure:?}"),
                Some(_) => {}
                None => return,
            }
        }
    }

    fn drain(&mut self, clients: &mut HashMap<SocketAddr, Client>) {
        let mut out = [0; 2048];
        loop {
            let mut quiet = true;
            while let Some(transmit) = self.shard.poll_transmit(&mut out) {
                quiet = false;
                let Some(client) = clients.get_mut(&transmit.to) else { continue };
                let mut host =
                    Host { now: self.now, crypto: &FastCrypto, rng: &mut self.rng, config: &self.config };
                let datagram = &mut out[..transmit.len];
                let mut at = 0;
                while client.association.handle_record(&mut host, Path::Current, datagram, &mut at).is_some()
                {
                }
            }
            while let Some(event) = self.shard.poll_event() {
                quiet = false;
                if let Event::Security(SecurityEvent::AskCredential { ask, presented, .. }) = event {
                    let Presented::PskIdentity(identity) = presented else { panic!("{presented:?}") };
                    let name = String::from_utf8(identity.into_vec()).expect("a name");
                    let endpoint = name.parse().expect("a name of a device");
                    let known = Known::Psk { key: Secret::new(KEY), endpoints: Endpoints::One(endpoint) };
                    self.shard.answer(self.now, ask, Answer::Credential(known));
                }
            }
            if quiet {
                return;
            }
        }
    }
}

/// Resident bytes of one idle session, of so many.
pub(crate) fn idle_session(count: u32) -> usize {
    let mut fleet = Fleet::new();
    // What there is only once is there before the first look.
    (0..10).for_each(|batch| fleet.open(batch * BATCH));
    let before = resident();
    (10..10 + count / BATCH).for_each(|batch| fleet.open(batch * BATCH));
    let stats = fleet.shard.stats().security;
    assert_eq!(stats.sessions, u64::from(count + 10 * BATCH), "{stats:?}");
    resident().saturating_sub(before) / usize::try_from(count).unwrap_or(1)
}

/// Resident bytes of who one session is with: identity, name, and the place where they stand.
pub(crate) fn party(count: u32) -> usize {
    let mut kept = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    kept.resize(kept.capacity(), None);
    let before = resident();
    for (place, number) in kept.iter_mut().zip(0_u32..) {
        let identity = format!("urn:dev:bench:{number:010}");
        let endpoint = identity.parse().expect("a name of a device");
        let principal = Principal::Psk(identity.into_bytes().into());
        *place = Some(Arc::new(Party { principal, endpoints: Endpoints::One(endpoint) }));
    }
    let bytes = resident().saturating_sub(before) / kept.len();
    // Nobody may find room here that the next measurement would miss.
    std::mem::forget(kept);
    bytes
}
