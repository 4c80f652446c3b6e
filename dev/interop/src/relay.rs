//! A relay of datagrams between one device and one server: it counts what the device tells, changes its address as a
//! NAT would, and can make its messages say something else.

use crate::process::pause;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const DATAGRAM_LEN_MAX: usize = 65_535;
const NAP: Duration = Duration::from_millis(1);
/// RFC 7252 §4.1: an empty message has no more than its header.
const RESET_LEN: usize = 4;

/// Changes a datagram on its way from the device to the server.
pub(crate) type Edit = fn(&mut [u8]);

/// A running relay; dropping it ends it.
pub(crate) struct Relay {
    /// Where the device sends to.
    pub(crate) front: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// What the server sees; a rebinding replaces it.
    back: Mutex<UdpSocket>,
    /// Responses and notifications (2.05) that the device sent.
    contents: AtomicUsize,
    /// Datagrams that the server sent.
    answers: AtomicUsize,
    /// Resets among them.
    resets: AtomicUsize,
    /// What the device sent last.
    last: Mutex<Vec<u8>>,
    /// Whether everything goes twice, both ways.
    repeat: AtomicBool,
    server: SocketAddr,
    ended: AtomicBool,
}

impl Relay {
    /// Relays to `server` from now on.
    pub(crate) fn start(server: SocketAddr, edit: Edit) -> Result<Self, String> {
        let front = socket()?;
        let address = front.local_addr().map_err(|error| error.to_string())?;
        let shared = Arc::new(Shared {
            back: Mutex::new(socket()?),
            contents: AtomicUsize::new(0),
            answers: AtomicUsize::new(0),
            resets: AtomicUsize::new(0),
            last: Mutex::new(Vec::new()),
            repeat: AtomicBool::new(false),
            server,
            ended: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        std::thread::spawn(move || own.run(&front, edit));
        Ok(Self { front: address, shared })
    }

    /// From now on the server sees another port, as after a router started anew.
    pub(crate) fn rebind(&self) -> Result<(), String> {
        *self.shared.back.lock().unwrap_or_else(PoisonError::into_inner) = socket()?;
        Ok(())
    }

    /// Sends bytes to the server from where it sees the device.
    pub(crate) fn inject(&self, bytes: &[u8]) -> Result<(), String> {
        let back = self.shared.back.lock().unwrap_or_else(PoisonError::into_inner);
        back.send_to(bytes, self.shared.server).map(drop).map_err(|error| error.to_string())
    }

    /// What the device sent last.
    pub(crate) fn last(&self) -> Vec<u8> {
        self.shared.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many datagrams the server sent so far.
    pub(crate) fn answers(&self) -> usize {
        self.shared.answers.load(Ordering::Relaxed)
    }

    /// How many Resets the server sent so far. What the server sends after the last of them reaches the device after it.
    pub(crate) fn resets(&self) -> usize {
        self.shared.resets.load(Ordering::Relaxed)
    }

    /// Whether everything goes twice from now on.
    pub(crate) fn repeat(&self, on: bool) {
        self.shared.repeat.store(on, Ordering::Relaxed);
    }

    /// How many responses and notifications with content the device sent so far.
    pub(crate) fn contents(&self) -> usize {
        self.shared.contents.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn copies(&self) -> usize {
        1 + usize::from(self.repeat.load(Ordering::Relaxed))
    }

    fn run(&self, front: &UdpSocket, edit: Edit) {
        let mut buffer = vec![0; DATAGRAM_LEN_MAX];
        let mut device = None;
        while !self.ended.load(Ordering::Relaxed) {
            let mut idle = true;
            let back = self.back.lock().unwrap_or_else(PoisonError::into_inner);
            if let Ok((len, from)) = front.recv_from(&mut buffer) {
                idle = false;
                device = Some(from);
                let datagram = &mut buffer[..len];
                edit(datagram);
                if datagram.get(1) == Some(&0x45) {
                    self.contents.fetch_add(1, Ordering::Relaxed);
                }
                datagram.clone_into(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner));
                for _ in 0..self.copies() {
                    let _lost = back.send_to(datagram, self.server);
                }
            }
            if let (Ok((len, _)), Some(device)) = (back.recv_from(&mut buffer), device) {
                idle = false;
                self.answers.fetch_add(1, Ordering::Relaxed);
                for _ in 0..self.copies() {
                    let _lost = front.send_to(&buffer[..len], device);
                }
                let is_reset = len == RESET_LEN && buffer.first().is_some_and(|first| first & 0xf0 == 0x70);
                self.resets.fetch_add(usize::from(is_reset), Ordering::Relaxed);
            }
            drop(back);
            if idle {
                pause(NAP);
            }
        }
    }
}

fn socket() -> Result<UdpSocket, String> {
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    socket.set_nonblocking(true).map_err(|error| error.to_string())?;
    Ok(socket)
}

/// Leaves datagrams as they are.
pub(crate) fn unchanged(_: &mut [u8]) {}

/// Writes `;ver="1.1"`, as 1.0 has it, in a way that Leshan's server takes: the same length, without quotation marks.
pub(crate) fn without_quotes(datagram: &mut [u8]) {
    const QUOTED: &[u8] = b";ver=\"1.1\"";
    const PLAIN: &[u8] = b";ver=1.1;a";
    while let Some(at) = datagram.windows(QUOTED.len()).position(|window| window == QUOTED) {
        datagram[at..at + PLAIN.len()].copy_from_slice(PLAIN);
    }
}

/// Makes a device that registers with 1.1 one of 1.0.
pub(crate) fn as_version_1_0(datagram: &mut [u8]) {
    const SAID: &[u8] = b"lwm2m=1.1";
    if let Some(at) = datagram.windows(SAID.len()).position(|window| window == SAID) {
        datagram[at + SAID.len() - 1] = b'0';
    }
}
