//! Real sockets: a server of shards whose host says yes, and load from many sockets against it or against a bare echo.

#![allow(clippy::disallowed_methods, reason = "the stop-watch")]

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lightship_net::{Clock, Events, Options, ShardInbox, Shards, Steering};
use lightship_platform::crypto::FastCrypto;
use lightship_server::{Config, Security, Wanted};

use crate::memory_shard::{lift_limits, yes};
use crate::session::Session;
use crate::traffic::endpoint;

/// Devices that wait for an answer at the same time, of one load thread.
const WINDOW: usize = 64;
/// Threads that make load.
pub const LOAD_THREADS: usize = 2;

/// Shards on their threads and a host that says yes, on 127.0.0.1.
pub struct Server {
    /// The shards.
    pub shards: Shards,
}

impl Server {
    /// Starts so many shards, which want these observations of each device.
    ///
    /// # Errors
    /// What the system says against sockets and threads.
    pub fn start(shards: u8, observe: Vec<Wanted>) -> io::Result<Self> {
        let security = Some(Security::new(Arc::new(FastCrypto)));
        let mut engine = Config { security, ..Config::default() };
        lift_limits(&mut engine);
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = Options {
            addresses: vec![local],
            secure_addresses: vec![local],
            shards,
            engine,
            steering: Steering::Kernel,
            inbox_len: 1024,
            events_len: 4096,
        };
        let (shards, events) =
            Shards::start(&options, Clock::start()).map_err(|error| io::Error::other(error.to_string()))?;
        let inboxes = shards.inboxes().to_vec();
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        std::thread::Builder::new()
            .name("host".to_owned())
            .spawn(move || runtime.block_on(say_yes(events, &inboxes, &observe)))?;
        Ok(Self { shards })
    }

    /// Where CoAP is listened for.
    #[must_use]
    pub fn plain(&self) -> SocketAddr {
        self.shards.addresses()[0]
    }

    /// Where DTLS is listened for.
    #[must_use]
    pub fn secured(&self) -> SocketAddr {
        self.shards.secure_addresses()[0]
    }
}

async fn say_yes(mut events: Events, inboxes: &[ShardInbox], observe: &[Wanted]) {
    while let Some(round) = events.recv_round().await {
        let answers: Vec<_> = round.events.iter().filter_map(|event| yes(event, observe)).collect();
        let inbox = &inboxes[usize::from(round.shard)];
        if !answers.is_empty() && inbox.answer_many(answers).await.is_err() {
            return;
        }
    }
}

/// What each device sends in one round.
pub type Round = Vec<Box<[u8]>>;

/// Devices with a socket each.
pub struct Load {
    sockets: Vec<UdpSocket>,
    /// Devices that wait for an answer at the same time, of one load thread.
    window: usize,
    threads: usize,
}

/// What came of a load.
pub struct Taken {
    /// Answers per second.
    pub rate: f64,
    /// The last answer to each device.
    pub answers: Vec<Vec<u8>>,
}

impl Load {
    /// So many devices.
    ///
    /// # Errors
    /// What the system says against sockets.
    pub fn new(devices: usize) -> io::Result<Self> {
        let open = |_| {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_read_timeout(Some(Duration::from_secs(5)))?;
            Ok(socket)
        };
        Ok(Self {
            sockets: (0..devices).map(open).collect::<io::Result<_>>()?,
            window: WINDOW,
            threads: LOAD_THREADS,
        })
    }

    /// The same with more threads: while the devices of one wait for a disk, those of others are served.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// Registers each device, and answers the Observe that follows by what `answer` makes of it; gives the Observes.
    ///
    /// # Errors
    /// When one does not come.
    pub fn observed(
        &self,
        server: SocketAddr,
        registers: &Round,
        answer: impl Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> io::Result<Vec<Vec<u8>>> {
        let mut buffer = [0; 2048];
        let one = |(socket, register): (&UdpSocket, &[u8])| {
            socket.connect(server)?;
            socket.send(register)?;
            let mut heard = Vec::new();
            loop {
                let nothing = |error| io::Error::other(format!("no Observe came ({error}), but {heard:?}"));
                let len = socket.recv(&mut buffer).map_err(nothing)?;
                heard.push(buffer[..len].to_vec());
                if let Some(answer) = answer(&buffer[..len]) {
                    socket.send(&answer)?;
                    return Ok(buffer[..len].to_vec());
                }
            }
        };
        self.sockets.iter().zip(registers.iter().map(|register| &**register)).map(one).collect()
    }

    /// Makes a handshake for each device.
    ///
    /// # Errors
    /// When one does not succeed.
    pub fn handshakes(&self, server: SocketAddr) -> io::Result<Vec<Session>> {
        let mut buffer = [0; 2048];
        let session = |(number, socket): (u32, &UdpSocket)| {
            socket.connect(server)?;
            let mut session = Session::new(&endpoint(number));
            while !session.is_established() {
                while let Some(datagram) = session.poll() {
                    socket.send(&datagram)?;
                }
                let len = socket.recv(&mut buffer)?;
                session.take(&buffer[..len]);
            }
            Ok(session)
        };
        (0..).zip(&self.sockets).map(session).collect()
    }

    /// Sends these rounds to a server, a few datagrams of each load thread under way at any time, each answered by one.
    ///
    /// # Errors
    /// When an answer does not come.
    pub fn run(&self, server: SocketAddr, rounds: &[Round]) -> io::Result<Taken> {
        for socket in &self.sockets {
            socket.connect(server)?;
        }
        let share = self.sockets.len().div_ceil(self.threads.max(1));
        let begin = Instant::now();
        let answers = std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .sockets
                .chunks(share)
                .enumerate()
                .map(|(number, sockets)| {
                    scope.spawn(move || exchange(sockets, rounds, number * share, self.window))
                })
                .collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|_| Err(io::Error::other("a load thread panicked")))
            };
            threads.into_iter().map(join).collect::<io::Result<Vec<Vec<Vec<u8>>>>>()
        })?;
        #[allow(clippy::cast_precision_loss, reason = "a rate to be read by people")]
        let rate = (self.sockets.len() * rounds.len()) as f64 / begin.elapsed().as_secs_f64();
        Ok(Taken { rate, answers: answers.concat() })
    }
}

fn exchange(sockets: &[UdpSocket], rounds: &[Round], from: usize, window: usize) -> io::Result<Vec<Vec<u8>>> {
    let mut buffer = [0; 2048];
    let mut answers = vec![Vec::new(); sockets.len()];
    for round in rounds {
        let messages = &round[from..from + sockets.len()];
        let windows = sockets.chunks(window).zip(messages.chunks(window)).zip(answers.chunks_mut(window));
        for ((sockets, messages), answers) in windows {
            for (socket, message) in sockets.iter().zip(messages) {
                socket.send(message)?;
            }
            for ((socket, answer), message) in sockets.iter().zip(answers).zip(messages) {
                // A notification is answered by nothing but an acknowledgement.
                let is_notification = message.get(1).is_some_and(|code| *code >= 0x40);
                let len =
                    if is_notification { socket.recv(&mut buffer)? } else { answer_of(socket, &mut buffer)? };
                answer.clear();
                answer.extend_from_slice(&buffer[..len]);
            }
        }
    }
    Ok(answers)
}

/// Waits for an answer; one that comes separately, after an empty acknowledgement, is acknowledged.
fn answer_of(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    const CON: u8 = 0x40;
    const ACK: u8 = 0x60;
    loop {
        let len = socket.recv(buffer)?;
        match buffer[..len] {
            [ACK, 0, _, _] => {}
            // An echo has the code of a request.
            [first, code, high, low, ..] if first & 0xf0 == CON && code >= 0x40 => {
                socket.send(&[ACK, 0, high, low])?;
                return Ok(len);
            }
            _ => return Ok(len),
        }
    }
}

/// Seconds of CPU that the threads of this process have taken whose names begin so; 0 where the system does not tell.
#[must_use]
pub fn cpu_s(name: &str) -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let spent: Duration = tasks
        .flatten()
        .filter(|task| {
            let named = std::fs::read_to_string(task.path().join("comm"));
            named.is_ok_and(|named| named.starts_with(name))
        })
        .filter_map(|task| {
            // The first word is the time on a CPU, in nanoseconds.
            let told = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            Some(Duration::from_nanos(told.split(' ').next()?.parse().ok()?))
        })
        .sum();
    spent.as_secs_f64()
}
