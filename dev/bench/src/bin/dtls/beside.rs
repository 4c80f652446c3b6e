//! dimpl, in the same way.

use std::sync::Arc;
use std::time::Instant;

use dimpl::crypto::{Dtls12CipherSuite, NamedGroup};
use dimpl::{Config, Dtls, DtlsCertificate, Output, PskResolver};

use crate::measure::Pair;
use crate::{DATA_LEN, IDENTITY, KEY};

struct OneKey;

impl PskResolver for OneKey {
    fn resolve(&self, identity: &[u8]) -> Option<Vec<u8>> {
        (identity == IDENTITY).then(|| KEY.to_vec())
    }
}

/// What all pairs of one measurement share.
pub(crate) struct Setting {
    client: Arc<Config>,
    server: Arc<Config>,
    certificate: Option<DtlsCertificate>,
}

impl Setting {
    pub(crate) fn psk() -> Self {
        let suites = [Dtls12CipherSuite::PSK_AES128_CCM_8];
        let key: Arc<dyn PskResolver> = Arc::new(OneKey);
        let client = Config::builder()
            .dtls12_cipher_suites(&suites)
            .with_psk_client(IDENTITY.to_vec(), Arc::clone(&key))
            .build();
        let server = Config::builder().dtls12_cipher_suites(&suites).with_psk_server(None, key).build();
        Self {
            client: Arc::new(client.expect("a configuration")),
            server: Arc::new(server.expect("a configuration")),
            certificate: None,
        }
    }

    pub(crate) fn certificates() -> Self {
        let suites = [Dtls12CipherSuite::ECDHE_ECDSA_AES128_GCM_SHA256];
        let config = || {
            let groups = [NamedGroup::Secp256r1];
            let built = Config::builder().dtls12_cipher_suites(&suites).kx_groups(&groups).build();
            Arc::new(built.expect("a configuration"))
        };
        let certificate = dimpl::certificate::generate_self_signed_certificate().expect("a certificate");
        Self { client: config(), server: config(), certificate: Some(certificate) }
    }

    fn make(&self, config: &Arc<Config>) -> Dtls {
        match &self.certificate {
            Some(certificate) => Dtls::new_12(Arc::clone(config), certificate.clone(), Instant::now()),
            None => Dtls::new_12_psk(Arc::clone(config), Instant::now()),
        }
    }
}

/// A client and a server.
pub(crate) struct Dimpl<'a> {
    setting: &'a Setting,
    client: Option<Dtls>,
    server: Option<Dtls>,
    connected: (bool, bool),
    up: Vec<Vec<u8>>,
    down: Vec<Vec<u8>>,
}

impl<'a> Dimpl<'a> {
    pub(crate) fn new(setting: &'a Setting) -> Self {
        let mut client = setting.make(&setting.client);
        client.set_active(true);
        Self {
            setting,
            client: Some(client),
            server: None,
            connected: (false, false),
            up: Vec::new(),
            down: Vec::new(),
        }
    }
}

fn drain(side: &mut Dtls, to: &mut Vec<Vec<u8>>, connected: &mut bool) {
    let mut out = [0; 2048];
    loop {
        match side.poll_output(&mut out) {
            Output::Packet(packet) => to.push(packet.to_vec()),
            Output::Connected => *connected = true,
            Output::Timeout(_) => return,
            _ => {}
        }
    }
}

impl Pair for Dimpl<'_> {
    fn client_turn(&mut self) {
        let Some(client) = &mut self.client else { return };
        client.handle_timeout(Instant::now()).expect("time");
        for datagram in self.down.drain(..) {
            client.handle_packet(&datagram).expect("a datagram");
        }
        drain(client, &mut self.up, &mut self.connected.0);
    }

    fn server_turn(&mut self) {
        let server = self.server.get_or_insert_with(|| {
            let mut server = self.setting.make(&self.setting.server);
            server.set_active(false);
            server.handle_timeout(Instant::now()).expect("time");
            server
        });
        if self.up.is_empty() {
            return;
        }
        for datagram in self.up.drain(..) {
            server.handle_packet(&datagram).expect("a datagram");
        }
        drain(server, &mut self.down, &mut self.connected.1);
    }

    fn is_done(&self) -> bool {
        self.connected == (true, true)
    }

    fn ask(&mut self) {
        let Some(client) = &mut self.client else { return };
        client.send_application_data(&[7; DATA_LEN]).expect("sealed");
        drain(client, &mut self.up, &mut self.connected.0);
    }

    fn serve(&mut self) {
        let Some(server) = &mut self.server else { return };
        for datagram in self.up.drain(..) {
            server.handle_packet(&datagram).expect("a datagram");
            drain(server, &mut self.down, &mut self.connected.1);
            server.send_application_data(&[7; DATA_LEN]).expect("sealed");
            drain(server, &mut self.down, &mut self.connected.1);
        }
    }

    fn take(&mut self) {
        let Some(client) = &mut self.client else { return };
        for datagram in self.down.drain(..) {
            client.handle_packet(&datagram).expect("a datagram");
        }
        drain(client, &mut self.up, &mut self.connected.0);
    }

    fn drop_client(&mut self) {
        self.client = None;
        self.up = Vec::new();
        self.down = Vec::new();
    }
}
