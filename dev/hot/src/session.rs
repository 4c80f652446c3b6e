//! A device's side of a DTLS session, for measurements of the other side.

use lightship_dtls::{Association, Cid, Config, Connect, Credential, Host, Path, Record, Suite};
use lightship_platform::crypto::{FastCrypto, Secret};
use lightship_platform::{Instant, SeededRng};

/// The key of every device here.
pub const KEY: &[u8] = b"0123456789abcdef";

/// An association of a device with PSK, CCM_8 and a connection ID in what it sends.
pub struct Session {
    association: Association,
    config: Config,
    rng: SeededRng,
    now: Instant,
}

impl Session {
    /// A handshake that has not begun.
    #[must_use]
    pub fn new(identity: &str) -> Self {
        let config = Config { suites: vec![Suite::PskAes128Ccm8], ..Config::default() };
        let mut rng = SeededRng::new([9; 32]);
        let now = Instant::from_secs(1);
        let credential = Credential::Psk { identity: identity.as_bytes().into(), key: Secret::new(KEY) };
        let connect = Connect { credential, server_name: None, own_cid: Cid::EMPTY, resume: None };
        let mut host = Host { now, crypto: &FastCrypto, rng: &mut rng, config: &config };
        let association = Association::connect(&mut host, connect);
        Self { association, config, rng, now }
    }

    /// Whether application data may go.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.association.is_established()
    }

    /// The next datagram of the handshake.
    pub fn poll(&mut self) -> Option<Vec<u8>> {
        let mut out = [0; 2048];
        let mut host = Host { now: self.now, crypto: &FastCrypto, rng: &mut self.rng, config: &self.config };
        let transmit = self.association.poll_transmit(&mut host, &mut out)?;
        Some(out[..transmit.len].to_vec())
    }

    /// Takes a datagram of the server's; gives the application data in it, if any.
    pub fn take(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let (mut datagram, mut at, mut data) = (datagram.to_vec(), 0, None);
        let mut host = Host { now: self.now, crypto: &FastCrypto, rng: &mut self.rng, config: &self.config };
        while let Some(record) =
            self.association.handle_record(&mut host, Path::Current, &mut datagram, &mut at)
        {
            if let Record::Data { range, .. } = record {
                data = Some(datagram[range].to_vec());
            }
        }
        while self.association.poll_event().is_some() {}
        data
    }

    /// Puts a message into a record.
    ///
    /// # Panics
    /// Before the handshake is done.
    #[must_use]
    pub fn seal(&mut self, message: &[u8]) -> Vec<u8> {
        let mut out = [0; 2048];
        let len = self.seal_into(message, &mut out);
        out[..len].to_vec()
    }

    /// The same, into a buffer; gives the length.
    ///
    /// # Panics
    /// Before the handshake is done, and where the buffer is too small.
    pub fn seal_into(&mut self, message: &[u8], out: &mut [u8]) -> usize {
        let headroom = self.association.headroom();
        out[headroom..headroom + message.len()].copy_from_slice(message);
        let mut host = Host { now: self.now, crypto: &FastCrypto, rng: &mut self.rng, config: &self.config };
        self.association.seal(&mut host, out, message.len()).expect("an established session")
    }
}
