//! Beyond: connections for which there is no place. Each waits a moment for the first words of its caller, at the price of a task without
//! a buffer: who asks for health or readiness is served, once; everybody else is told when to come again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Room for those that have no place.
#[derive(Clone, Debug)]
pub(super) struct Beyond {
    waiting: Arc<Semaphore>,
    checks: Arc<Semaphore>,
}

impl Beyond {
    pub(super) fn new() -> Beyond {
        Beyond {
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            checks: Arc::new(Semaphore::new(CHECKS_MAX)),
        }
    }

    /// Takes one in; `serve` is for whoever asks how the server is.
    pub(super) fn take<S, F>(&self, stream: TcpStream, peer: SocketAddr, serve: S)
    where
        S: FnOnce(TcpStream, SocketAddr) -> F + Send + 'static,
        F: Future<Output = ()> + Send,
    {
        let Ok(place) = self.waiting.clone().try_acquire_owned() else {
            // Without waiting; whether it is read is up to the caller's system.
            let _ = stream.try_write(TOO_MANY);
            return;
        };
        let checks = self.checks.clone();
        tokio::spawn(async move {
            let _place = place;
            let is_check = timeout(PATIENCE, is_check(&stream)).await.unwrap_or(false);
            match checks.try_acquire_owned().ok().filter(|_| is_check) {
                Some(_turn) => serve(stream, peer).await,
                None => farewell(stream).await,
            }
        });
    }
}

/// Whether the first thing that is asked for is health or readiness; it is looked at and left for whoever serves it.
async fn is_check(stream: &TcpStream) -> bool {
    let mut asked = [0; HEAD_LEN];
    loop {
        let Ok(len @ 1..) = stream.peek(&mut asked).await else { return false };
        let seen = asked.get(..len).unwrap_or_default();
        if CHECKS.iter().any(|check| seen.starts_with(check)) {
            return true;
        }
        if !CHECKS.iter().any(|check| check.starts_with(seen)) {
            return false;
        }
        // So far it may become one: the rest is on its way.
        tokio::time::sleep(BREATH).await;
    }
}

/// Tells one too many when to come again. What it asks is read for a moment, for else its system may forget our answer.
async fn farewell(stream: TcpStream) {
    let told = async {
        if stream.writable().await.is_err() {
            return;
        }
        // It is short enough for any buffer.
        let _ = stream.try_write(TOO_MANY);
        while stream.readable().await.is_ok() {
            let mut asked = [0; 1024];
            match stream.try_read(&mut asked) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    let _ = timeout(FAREWELL, told).await;
}

const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 153\r\n\r\n\
    {\"type\":\"/problems/overloaded\",\"title\":\"The server is overloaded or stopping.\",\"status\":503,\
    \"detail\":\"There are too many connections.\",\"retry_after_s\":1}";
/// How a request begins that is answered at all times.
const CHECKS: [&[u8]; 4] = [b"GET /healthz ", b"GET /readyz ", b"HEAD /healthz ", b"HEAD /readyz "];
const HEAD_LEN: usize = 16;
/// How long one may take to begin its request.
const PATIENCE: Duration = Duration::from_millis(500);
const BREATH: Duration = Duration::from_millis(10);
/// How long it may take to hear that it comes at a bad time.
const FAREWELL: Duration = Duration::from_millis(200);
/// Connections that may wait for either at once: some hundred bytes each, and a descriptor.
pub(super) const WAITING_MAX: usize = 4096;
/// Those of them that may be served at once.
const CHECKS_MAX: usize = 64;
