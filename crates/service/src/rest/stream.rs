//! Streams of events (Server-Sent Events): what all have in common.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::access::Actor;
use crate::core::Core;

/// The answer to one who follows: these pieces, until there are no more or the right to read them ends.
pub(super) fn answer(
    core: Arc<Core>,
    actor: Arc<Actor>,
    pieces: impl Stream<Item = Bytes> + Send + 'static,
) -> Response {
    let ended = async move { actor.ended(&core).await };
    let pieces = pieces.map(Ok::<_, Infallible>).take_until(Box::pin(ended));
    let head = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (StatusCode::OK, head, Body::from_stream(pieces)).into_response()
}

/// What a stream begins with: how soon to come back when it breaks off.
pub(super) fn beginning() -> Bytes {
    Bytes::from_static(b"retry: 1000\n\n")
}

/// Says nothing.
pub(super) fn heartbeat() -> Bytes {
    Bytes::from_static(b": here\n\n")
}

/// A sign of life for readers and for the boxes in between.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(10);
