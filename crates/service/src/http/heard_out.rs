//! Rest of a body: what a caller goes on sending after it was answered. It is read and thrown away for a while, because the system resets
//! a connection that is closed with bytes unread, and the reset takes the answer along (RFC 9112 §9.6): who writes all of a body before
//! reading, as HTTP clients do, would never hear why it was refused.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;

/// A request's body; what is left of it when it is dropped is still read.
pub(super) struct HeardOut {
    body: Option<Incoming>,
    /// How long the rest may take.
    patience: Duration,
}

impl HeardOut {
    pub(super) fn new(body: Incoming, patience: Duration) -> HeardOut {
        HeardOut { body: Some(body), patience }
    }
}

impl Body for HeardOut {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = self.body.as_mut().map_or(Poll::Ready(None), |body| Pin::new(body).poll_frame(context));
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for HeardOut {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(tokio::time::timeout(self.patience, throw_away(body)));
        }
    }
}

/// Reads until the end, or until it is too much to be a mistake.
async fn throw_away(mut body: Incoming) {
    let mut left = REST_LEN_MAX;
    while let Some(Ok(frame)) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(less) => left = less,
            None => return,
        }
    }
}

/// 64 MiB.
const REST_LEN_MAX: usize = 64 << 20;
