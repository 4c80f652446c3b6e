//! Streams of events (Server-Sent Events): what all have in common.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;

use crate::access::Actor;
use crate::core::Core;

/// What one who follows is told, piece by piece.
pub(super) trait Pieces: Send + 'static {
    /// The next piece of the stream; `None` ends it.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// The answer to one who follows: pieces, until there are no more or the right to read them ends.
pub(super) fn answer(core: Arc<Core>, actor: Arc<Actor>, reader: impl Pieces) -> Response {
    let ended = async move { actor.ended(&core).await };
    let pieces = futures_util::stream::unfold(reader, |mut reader| async move {
        let piece = reader.next().await?;
        Some((Ok::<_, Infallible>(piece), reader))
    });
    let pieces = pieces.take_until(Box::pin(ended));
    let head = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (StatusCode::OK, head, Body::from_stream(pieces)).into_response()
}

/// What a stream begins with: how soon to come back when it breaks off.
pub(super) fn beginning() -> Bytes {
    Bytes::from_static(b"retry: 1000\n\n")
}

/// Says that all has been told that there was when the reader came.
pub(super) fn so_far() -> Bytes {
    Bytes::from_static(b": so far\n\n")
}

/// Says nothing.
pub(super) fn heartbeat() -> Bytes {
    Bytes::from_static(b": here\n\n")
}

/// A sign of life for readers and for the boxes in between.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(10);
