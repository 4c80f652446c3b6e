//! Registrations and updates per second of one shard: in memory, over loopback UDP, and beside a bare UDP echo loop
//! that the same load runs against.
//!
//! `cargo run --release -p lightship-bench --bin shard-vs-echo [DEVICES]`

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures and prints")]

use core::time::Duration;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant as Clock;

use lightship_bench::memory_shard::MemoryShard;
use lightship_bench::report;
use lightship_bench::traffic::{address, location, register, renumber, update};
use lightship_net::{Clock as NetClock, Options, Shards, Steering};
use lightship_server::{Answer, Config, Event};

/// Devices in the measurement in memory.
const IN_MEMORY: u32 = 200_000;
/// Devices, each a socket of its own, in the measurement over UDP.
const OVER_UDP: u32 = 2_000;
/// Devices that wait for an answer at the same time, of one load thread.
const WINDOW: usize = 64;
/// Threads that make load.
const LOAD_THREADS: usize = 2;
/// Rounds through all devices.
const ROUNDS: u16 = 50;

fn main() -> io::Result<()> {
    let devices = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(IN_MEMORY);
    println!("| what | per second | note |\n|---|---|---|");
    memory(devices);
    in_memory(devices);
    let echo = Echo::start()?;
    let registers: Vec<_> = (0..OVER_UDP).map(|number| register(number, 1)).collect();
    let bare = Load::new(echo.address, &registers)?.run(ROUNDS)?.0;
    row("bare UDP echo, datagrams of a Register", bare, "one thread, recv_from and send_to");
    let server = Server::start()?;
    let mut load = Load::new(server.address, &registers)?;
    let (rate, answers) = load.run(ROUNDS)?;
    row("Register over UDP, one shard", rate, &share(rate, bare));
    let locations = answers.iter().map(|answer| location(answer).ok_or_else(|| io::Error::other("refused")));
    let locations: Vec<_> = locations.collect::<io::Result<_>>()?;
    let updates: Vec<_> = locations.iter().map(|location| update(location, 1)).collect();
    load.messages.clone_from(&updates);
    let bare = Load::new(echo.address, &updates)?.run(ROUNDS)?.0;
    row("bare UDP echo, datagrams of an Update", bare, "the same");
    let (rate, _) = load.run(ROUNDS)?;
    row("Update over UDP, one shard", rate, &share(rate, bare));
    report::figure("update-vs-echo", rate / bare);
    Ok(())
}

fn row(what: &str, rate: f64, note: &str) {
    println!("| {what} | {rate:.0} | {note} |");
}

fn share(rate: f64, bare: f64) -> String {
    format!("{:.0} % of the bare echo", 100.0 * rate / bare)
}

fn in_memory(devices: u32) {
    let mut registers: Vec<_> = (0..devices).map(|number| register(number, 1)).collect();
    let mut updates = Vec::with_capacity(registers.len());
    let mut world = MemoryShard::default();
    let begin = Clock::now();
    let mut reading = Duration::ZERO;
    for (number, datagram) in (0..).zip(&mut registers) {
        world.input(address(number), datagram);
        let pause = Clock::now();
        updates.push(update(&location(&world.out).expect("registered"), 2));
        reading += pause.elapsed();
    }
    let rate = f64::from(devices) / (begin.elapsed() - reading).as_secs_f64();
    row("Register in memory, one shard", rate, &format!("{devices} new devices"));
    let begin = Clock::now();
    for (number, datagram) in (0..).zip(&mut updates) {
        world.input(address(number), datagram);
    }
    row(
        "Update in memory, one shard",
        f64::from(devices) / begin.elapsed().as_secs_f64(),
        "that changes nothing",
    );
}

/// What a device costs that has registered and is silent, as nearly all are at any moment.
fn memory(devices: u32) {
    const SLICES: u32 = 50;
    let mut registers: Vec<_> = (0..devices).map(|number| register(number, 1)).collect();
    let before = resident();
    let mut world = MemoryShard::default();
    for (number, datagram) in (0..).zip(&mut registers) {
        world.input(address(number), datagram);
        if number % (devices / SLICES).max(1) == 0 {
            // Answers are kept for repetitions until nobody can repeat the request any more.
            world.pass(world.now + Duration::from_secs(250));
        }
    }
    let bytes = resident().saturating_sub(before) / usize::try_from(devices).unwrap_or(usize::MAX);
    println!("| memory of a silent registered device | {bytes} B | resident, all included |");
}

/// Resident memory in bytes; 0 where the system does not tell.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    pages * 4096
}

/// A thread that sends back whatever comes.
struct Echo {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Echo {
    fn start() -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let echo = Self { address: socket.local_addr()?, stop: Arc::default() };
        let stop = echo.stop.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !stop.load(Ordering::Relaxed) {
                if let Ok((len, from)) = socket.recv_from(&mut buffer) {
                    // A lost echo shows as a timeout on the other side.
                    let _ = socket.send_to(&buffer[..len], from);
                }
            }
        });
        Ok(echo)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// One shard on its thread and a host that says yes.
struct Server {
    address: SocketAddr,
    _shards: Shards,
}

impl Server {
    fn start() -> io::Result<Self> {
        let options = Options {
            addresses: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            shards: 1,
            engine: Config::default(),
            secure_addresses: Vec::new(),
            steering: Steering::Kernel,
            inbox_len: 1024,
            events_len: 4096,
        };
        let (shards, mut events) = Shards::start(&options, NetClock::start())
            .map_err(|error| io::Error::other(error.to_string()))?;
        let inbox = shards.inboxes()[0].clone();
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                while let Some(event) = events.recv().await {
                    if let Event::AskRegister { ask, .. } = event.event
                        && inbox.answer(ask, Answer::Accept { observations: Vec::new() }).await.is_err()
                    {
                        return;
                    }
                }
            });
        });
        Ok(Self { address: shards.addresses()[0], _shards: shards })
    }
}

/// Devices with a socket and a message each.
struct Load {
    sockets: Vec<UdpSocket>,
    messages: Vec<Vec<u8>>,
    next_id: u16,
}

impl Load {
    fn new(server: SocketAddr, messages: &[Vec<u8>]) -> io::Result<Self> {
        let open = |_| {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.connect(server)?;
            socket.set_read_timeout(Some(Duration::from_secs(5)))?;
            Ok(socket)
        };
        let sockets = (0..messages.len()).map(open).collect::<io::Result<_>>()?;
        Ok(Self { sockets, messages: messages.to_vec(), next_id: 1 })
    }

    /// Sends each message so many times, always with a new message ID; returns answers per second, and the last ones.
    fn run(&mut self, rounds: u16) -> io::Result<(f64, Vec<Vec<u8>>)> {
        let first_id = self.next_id;
        self.next_id += rounds;
        let share = self.sockets.len().div_ceil(LOAD_THREADS);
        let begin = Clock::now();
        let answers = std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .sockets
                .chunks(share)
                .zip(self.messages.chunks_mut(share))
                .map(|(sockets, messages)| scope.spawn(move || exchange(sockets, messages, first_id, rounds)))
                .collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|_| Err(io::Error::other("a load thread panicked")))
            };
            threads.into_iter().map(join).collect::<io::Result<Vec<Vec<Vec<u8>>>>>()
        })?;
        let count = self.sockets.len() * usize::from(rounds);
        #[allow(clippy::cast_precision_loss, reason = "a rate to be read by people")]
        let rate = count as f64 / begin.elapsed().as_secs_f64();
        Ok((rate, answers.concat()))
    }
}

fn exchange(
    sockets: &[UdpSocket],
    messages: &mut [Vec<u8>],
    first_id: u16,
    rounds: u16,
) -> io::Result<Vec<Vec<u8>>> {
    let mut buffer = [0; 2048];
    let mut answers = vec![Vec::new(); sockets.len()];
    for id in first_id..first_id + rounds {
        messages.iter_mut().for_each(|message| renumber(message, id));
        let windows = sockets.chunks(WINDOW).zip(messages.chunks(WINDOW)).zip(answers.chunks_mut(WINDOW));
        for ((sockets, messages), answers) in windows {
            for (socket, message) in sockets.iter().zip(messages) {
                socket.send(message)?;
            }
            for (socket, answer) in sockets.iter().zip(answers) {
                let len = socket.recv(&mut buffer)?;
                answer.clear();
                answer.extend_from_slice(&buffer[..len]);
            }
        }
    }
    Ok(answers)
}
