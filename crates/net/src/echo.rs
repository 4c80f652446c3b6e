//! A responder that knows nothing: what the system calls of a shard cost alone, to compare a shard with.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::Interest;

use crate::sys::{self, Slot};
use crate::udp;

/// Threads that send back whatever comes, in batches and by the calls that shards make; dropping it stops them.
#[derive(Debug)]
pub struct Echo {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Echo {
    /// One thread that listens there; port 0 leaves the choice to the system.
    ///
    /// # Errors
    /// What the system says against the address or the thread.
    pub fn start(address: SocketAddr) -> io::Result<Echo> {
        Self::start_many(address, 1)
    }

    /// Listens there with so many threads, each with a socket of its own, over which the system spreads what comes as it does over
    /// those of shards; port 0 leaves the choice to the system. The threads' name is `echo`.
    ///
    /// # Errors
    /// What the system says against the address or the threads.
    pub fn start_many(address: SocketAddr, threads: u8) -> io::Result<Echo> {
        let (sockets, address) = udp::bind(address, threads)?;
        let mut echo = Echo { address, stop: Arc::default(), threads: Vec::new() };
        for socket in sockets {
            let stopped = echo.stop.clone();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
            let thread = std::thread::Builder::new().name("echo".to_owned()).spawn(move || {
                if let Err(error) = runtime.block_on(run(&socket, &stopped)) {
                    tracing::warn!(%error, "the echo has ended");
                }
            })?;
            echo.threads.push(thread);
        }
        Ok(echo)
    }

    /// The address really bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It has said what there was to say.
            let _ = thread.join();
        }
    }
}

async fn run(socket: &UdpSocket, stop: &AtomicBool) -> io::Result<()> {
    let readiness = tokio::net::UdpSocket::from_std(socket.try_clone()?)?;
    let mut slots = Slot::batch();
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        let received = readiness.try_io(Interest::READABLE, || sys::receive(socket, &mut slots));
        rounds += 1;
        match received {
            Ok(count) => {
                let mut rest = slots.get(..count).unwrap_or_default();
                while !rest.is_empty() {
                    // What the system does not take is lost, as with shards.
                    let sent = sys::send(socket, rest).unwrap_or(rest.len()).max(1);
                    rest = rest.get(sent..).unwrap_or_default();
                }
            }
            Err(_) => {
                let ready = poll_fn(|context| readiness.poll_recv_ready(context));
                // In time to see that it shall stop; then whatever is ready is ready.
                let _ = tokio::time::timeout(SLEEP_MAX, ready).await;
                rounds = 0;
            }
        }
        if rounds >= ROUNDS_MAX {
            tokio::task::yield_now().await;
            rounds = 0;
        }
    }
    Ok(())
}

/// As in a shard's thread.
const ROUNDS_MAX: u32 = 64;
const SLEEP_MAX: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_comes_back() {
        let echo = Echo::start_many("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.connect(echo.address()).unwrap();
        let mut buffer = [0; 16];
        for n in 0..100 {
            socket.send(&[n, 7]).unwrap();
            assert_eq!(socket.recv(&mut buffer).unwrap(), 2);
            assert_eq!(buffer[..2], [n, 7]);
        }
    }
}
