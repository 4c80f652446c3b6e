//! Downlink operations as CoAP requests (TS_Transport 6.4.3).

use lightship_coap::{Code, ContentFormat, OptionWriter};
use lightship_lwm2m::Path;
use lightship_lwm2m::downlink::write_path;

use crate::downlink::Task;
use crate::{Content, Observed, Operation, Wanted};

/// A request ready to be handed to a CoAP machine.
pub(crate) struct Outgoing<'a> {
    pub(crate) code: Code,
    path: Path,
    query: Query<'a>,
    content_format: Option<ContentFormat>,
    accept: Option<ContentFormat>,
    observe: Option<u32>,
    pub(crate) payload: &'a [u8],
}

enum Query<'a> {
    None,
    Depth(u8),
    Texts(&'a [String]),
}

/// Observe's values in a request (RFC 7641 §2).
const OBSERVE: u32 = 0;
const CANCEL: u32 = 1;

impl<'a> Outgoing<'a> {
    fn new(code: Code, path: Path) -> Self {
        Self {
            code,
            path,
            query: Query::None,
            content_format: None,
            accept: None,
            observe: None,
            payload: &[],
        }
    }

    /// A request about several nodes; its body names them.
    fn composite(code: Code, content: &'a Content, accept: Option<ContentFormat>) -> Self {
        Self {
            content_format: Some(content.format),
            payload: &content.payload,
            accept,
            ..Self::new(code, Path::ROOT)
        }
    }

    /// The request that does what the host wants.
    pub(crate) fn of_operation(operation: &'a Operation) -> Self {
        match operation {
            Operation::Read { path, accept } => Self { accept: *accept, ..Self::new(Code::GET, *path) },
            Operation::Discover { path, depth } => Self {
                accept: Some(ContentFormat::LINK),
                query: depth.map_or(Query::None, Query::Depth),
                ..Self::new(Code::GET, *path)
            },
            Operation::Replace { path, content } => Self {
                content_format: Some(content.format),
                payload: &content.payload,
                ..Self::new(Code::PUT, *path)
            },
            Operation::PartialUpdate { path, content } => Self {
                content_format: Some(content.format),
                payload: &content.payload,
                ..Self::new(Code::POST, *path)
            },
            Operation::WriteAttributes { path, attributes } => {
                Self { query: Query::Texts(attributes), ..Self::new(Code::PUT, *path) }
            }
            Operation::Execute { path, arguments } => Self {
                content_format: (!arguments.is_empty()).then_some(ContentFormat::TEXT),
                payload: arguments.as_bytes(),
                ..Self::new(Code::POST, *path)
            },
            Operation::Create { path, content } => Self {
                content_format: content.as_ref().map(|content| content.format),
                payload: content.as_ref().map_or(&[], |content| &content.payload),
                ..Self::new(Code::POST, *path)
            },
            Operation::Delete { path } => Self::new(Code::DELETE, *path),
            Operation::ReadComposite { content, accept } => Self::composite(Code::FETCH, content, *accept),
            Operation::WriteComposite { content } => Self::composite(Code::IPATCH, content, None),
        }
    }

    /// The request that starts an observation.
    pub(crate) fn observe(wanted: &'a Wanted) -> Self {
        Self { observe: Some(OBSERVE), ..Self::value(wanted) }
    }

    /// The request that ends one: the same but for the Observe option (RFC 7641 §3.6).
    pub(crate) fn cancel(wanted: &'a Wanted) -> Self {
        Self { observe: Some(CANCEL), ..Self::value(wanted) }
    }

    /// The request for the whole of a value of which a notification had only the first block.
    pub(crate) fn value(wanted: &'a Wanted) -> Self {
        let request = match &wanted.observed {
            Observed::Node(path) => Self { accept: wanted.accept, ..Self::new(Code::GET, *path) },
            Observed::Composite(composite) => Self::composite(Code::FETCH, &composite.content, wanted.accept),
        };
        Self { query: Query::Texts(&wanted.attributes), ..request }
    }

    /// Writes the options; `root` is the device's alternate path (TS_Core 6.2.1).
    pub(crate) fn write_options(&self, root: &str, options: &mut OptionWriter<'_>) {
        if let Some(observe) = self.observe {
            options.observe(observe);
        }
        write_path(root, self.path, options);
        if let Some(format) = self.content_format {
            options.content_format(format);
        }
        match self.query {
            Query::None => {}
            Query::Depth(depth) => {
                options.uri_query_fmt(format_args!("depth={depth}"));
            }
            Query::Texts(texts) => {
                for text in texts {
                    options.uri_query(text);
                }
            }
        }
        if let Some(accept) = self.accept {
            options.accept(accept);
        }
    }
}

impl Operation {
    /// What the operation is about; the root for those of several nodes.
    #[must_use]
    pub fn path(&self) -> Path {
        match self {
            Self::Read { path, .. }
            | Self::Discover { path, .. }
            | Self::Replace { path, .. }
            | Self::PartialUpdate { path, .. }
            | Self::WriteAttributes { path, .. }
            | Self::Execute { path, .. }
            | Self::Create { path, .. }
            | Self::Delete { path } => *path,
            Self::ReadComposite { .. } | Self::WriteComposite { .. } => Path::ROOT,
        }
    }

    /// The length of the body that travels to the device.
    pub(crate) fn body_len(&self) -> usize {
        Outgoing::of_operation(self).payload.len()
    }

    /// Whether doing it twice is the same as doing it once, so that it may be sent again when nobody knows whether
    /// it was received. An Execute is not.
    #[must_use]
    pub const fn may_be_repeated(&self) -> bool {
        match self {
            Self::Read { .. }
            | Self::Discover { .. }
            | Self::Replace { .. }
            | Self::WriteAttributes { .. }
            | Self::ReadComposite { .. } => true,
            Self::PartialUpdate { .. }
            | Self::Execute { .. }
            | Self::Create { .. }
            | Self::Delete { .. }
            | Self::WriteComposite { .. } => false,
        }
    }
}

impl Task {
    /// Whether the task may be sent again from the start when nobody knows whether it was done.
    pub(crate) fn may_be_repeated(&self) -> bool {
        match self {
            Self::Operation(operation) => operation.may_be_repeated(),
            Self::Observe(_) | Self::FetchValue(_) | Self::CancelObservation(_) => true,
        }
    }
}
