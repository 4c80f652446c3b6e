//! HTTP connections: few, short of breath with slow peers, and never in the way of devices.

mod beyond;
mod heard_out;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;

use self::beyond::Beyond;
use self::heard_out::HeardOut;
use crate::core::{Core, stopped};
use crate::rest::{Peer, by_name};

/// Accepts connections until the server stops.
pub(crate) async fn serve(listener: TcpListener, router: Router, core: Arc<Core>) {
    let mut stopping = core.stopping.subscribe();
    allow_descriptors(&core);
    let beyond = Beyond::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stopping) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(seat) = Seat::take(&core) {
                    let router = router.clone();
                    tokio::spawn(async move {
                        let core = seat.core.clone();
                        connection(stream, peer, router, &core, Manner::Lasting).await;
                        drop(seat);
                    });
                } else {
                    let (router, core) = (router.clone(), core.clone());
                    beyond.take(stream, peer, |stream, peer| async move {
                        let served = connection(stream, peer, router, &core, Manner::Once);
                        // Whoever asks slowly keeps nobody else from asking.
                        let _ = tokio::time::timeout(CHECK_MAX, served).await;
                    });
                }
            }
            Err(error) => {
                // Out of file descriptors, as a rule: pause until some are closed.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// One connection's place among those allowed at once.
struct Seat {
    core: Arc<Core>,
}

impl Seat {
    fn take(core: &Arc<Core>) -> Option<Seat> {
        let open = &core.counters.http_connections;
        if open.fetch_add(1, Ordering::Relaxed) >= core.config.limits.connections_max {
            open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Seat { core: core.clone() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.core.counters.http_connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The system's usual thousand descriptors are too few for all connections beside the files of the store.
fn allow_descriptors(core: &Core) {
    let connections = core.config.limits.connections_max.saturating_add(beyond::WAITING_MAX);
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHER_DESCRIPTORS);
    if let Some(may) = lightship_net::fleet::allow_descriptors(wanted).filter(|may| *may < wanted) {
        tracing::debug!(may, wanted, "fewer descriptors than connections that may come");
    }
}

/// How long a connection is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// One request after another.
    Lasting,
    /// One request.
    Once,
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, core: &Core, manner: Manner) {
    let mut stopping = core.stopping.subscribe();
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Patient { stream, stalled: None });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(core.config.limits.request_timeout)
        .keep_alive(manner == Manner::Lasting)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_LEN_MAX);
    let router = TowerToHyperService::new(router);
    let patience = core.config.limits.request_timeout;
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        by_name(&mut request);
        router.call(request.map(|body| HeardOut::new(body, patience)))
    });
    let serving = builder.serve_connection(io, service);
    tokio::pin!(serving);
    let result = tokio::select! {
        result = &mut serving => result,
        () = stopped(&mut stopping) => {
            serving.as_mut().graceful_shutdown();
            match tokio::time::timeout(GRACE, serving).await {
                Ok(result) => result,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "an HTTP connection broke");
    }
}

/// A stream that gives up on a peer that does not read what it asked for.
struct Patient {
    stream: TcpStream,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn watch<T>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stalled = None;
            return poll;
        }
        let sleep = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL_MAX)));
        match sleep.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Headers of one request.
const HEADERS_MAX: usize = 64;
/// Bytes of the head of one request.
const HEAD_LEN_MAX: usize = 32 << 10;
/// How long one may be served that has no place.
const CHECK_MAX: Duration = Duration::from_secs(3);
/// How long a peer may refuse to read.
const STALL_MAX: Duration = Duration::from_secs(20);
/// How long running requests may go on when the server stops.
const GRACE: Duration = Duration::from_secs(3);
/// Files of the store, sockets of the shards, and what the program has besides.
const OTHER_DESCRIPTORS: u64 = 1024;
const PAUSE: Duration = Duration::from_millis(100);
