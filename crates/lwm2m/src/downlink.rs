//! What a server asks of a device: the operations of device management and information reporting, as CoAP requests and the codes
//! that may answer them. Core TS 1.2, 6.3 and 6.4; Transport TS 1.2, 6.4.4 and 6.4.5.

use crate::{Format, Path, Version, format::Use, path::Level};
use core::fmt;
use lightship_coap::{Code, ContentFormat, Message, OptionWriter};

/// An operation on a device's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Read a node.
    Read,
    /// List what lies below a node, with the attributes attached.
    Discover,
    /// Write, replacing what was there.
    Replace,
    /// Write, leaving alone what the payload does not name.
    PartialUpdate,
    /// Attach attributes, or take them away.
    WriteAttributes,
    /// Run an executable resource.
    Execute,
    /// Make an object instance.
    Create,
    /// Remove an object instance; since 1.2 also a resource instance.
    Delete,
    /// Read, and be told of changes.
    Observe,
    /// Be told no more.
    CancelObservation,
    /// Read several nodes at once (since 1.1).
    ReadComposite,
    /// Write several resources at once (since 1.1).
    WriteComposite,
    /// Read several nodes, and be told of changes (since 1.1).
    ObserveComposite,
    /// Be told no more of several nodes (since 1.1).
    CancelObservationComposite,
}

impl Operation {
    /// What a request asks for, by method, path and options; `body_len` is the length of its whole body.
    ///
    /// A POST on a resource is an [`Operation::Execute`] unless it brings another format than text/plain; whether the resource
    /// can be executed, or has instances that a Partial Update may write, only the device's objects know. `None`: no operation
    /// of LwM2M, which a device answers with 4.05. The operations of the bootstrap interface are not among them.
    #[must_use]
    pub fn of(message: &Message<'_>, path: Path, body_len: usize) -> Option<Self> {
        let level = path.level();
        let observe = message.observe();
        Some(match (message.code(), level) {
            (Code::GET, Level::Root) => return None,
            (Code::GET, _) => match observe {
                Some(0) => Self::Observe,
                Some(1) => Self::CancelObservation,
                _ if message.accept() == Some(ContentFormat::LINK) => Self::Discover,
                _ => Self::Read,
            },
            (Code::PUT, Level::Root) => return None,
            (Code::PUT, _) if body_len == 0 && message.content_format().is_none() && has_query(message) => {
                Self::WriteAttributes
            }
            (Code::PUT, Level::Instance | Level::Resource | Level::ResourceInstance) => Self::Replace,
            (Code::POST, Level::Object) => Self::Create,
            (Code::POST, Level::Instance) => Self::PartialUpdate,
            (Code::POST, Level::Resource) => match message.content_format() {
                None | Some(ContentFormat::TEXT) => Self::Execute,
                Some(_) => Self::PartialUpdate,
            },
            (Code::DELETE, Level::Instance | Level::ResourceInstance) => Self::Delete,
            (Code::FETCH, Level::Root) => match observe {
                Some(0) => Self::ObserveComposite,
                Some(1) => Self::CancelObservationComposite,
                _ => Self::ReadComposite,
            },
            (Code::IPATCH, Level::Root) => Self::WriteComposite,
            _ => return None,
        })
    }

    /// The method of the request.
    #[must_use]
    pub const fn method(self) -> Code {
        match self {
            Self::Read | Self::Discover | Self::Observe | Self::CancelObservation => Code::GET,
            Self::Replace | Self::WriteAttributes => Code::PUT,
            Self::PartialUpdate | Self::Execute | Self::Create => Code::POST,
            Self::Delete => Code::DELETE,
            Self::ReadComposite | Self::ObserveComposite | Self::CancelObservationComposite => Code::FETCH,
            Self::WriteComposite => Code::IPATCH,
        }
    }

    /// The code of success.
    #[must_use]
    pub const fn success(self) -> Code {
        match self {
            Self::Read
            | Self::Discover
            | Self::Observe
            | Self::CancelObservation
            | Self::ReadComposite
            | Self::ObserveComposite
            | Self::CancelObservationComposite => Code::CONTENT,
            Self::Replace
            | Self::PartialUpdate
            | Self::WriteAttributes
            | Self::Execute
            | Self::WriteComposite => Code::CHANGED,
            Self::Create => Code::CREATED,
            Self::Delete => Code::DELETED,
        }
    }

    /// Whether the standard lets a device answer with that code: success, the 4.xx listed for the operation, those that CoAP
    /// itself gives (4.02 for an option, 4.08 and 4.13 for blocks), and any 5.xx.
    #[must_use]
    pub fn may_be_answered(self, code: Code) -> bool {
        let takes_content = matches!(
            self,
            Self::Replace
                | Self::PartialUpdate
                | Self::Execute
                | Self::Create
                | Self::ReadComposite
                | Self::WriteComposite
                | Self::ObserveComposite
                | Self::CancelObservationComposite
        );
        let writes_or_gives_content = !matches!(
            self,
            Self::Discover | Self::WriteAttributes | Self::Execute | Self::Create | Self::Delete
        );
        match code {
            Code::BAD_REQUEST
            | Code::UNAUTHORIZED
            | Code::NOT_FOUND
            | Code::METHOD_NOT_ALLOWED
            | Code::BAD_OPTION => true,
            Code::NOT_ACCEPTABLE => writes_or_gives_content,
            Code::UNSUPPORTED_CONTENT_FORMAT
            | Code::REQUEST_ENTITY_INCOMPLETE
            | Code::REQUEST_ENTITY_TOO_LARGE => takes_content,
            _ => code == self.success() || code.class() == 5,
        }
    }

    /// What the payload of the request is for; `None` when it holds no values and no list of paths.
    #[must_use]
    pub const fn request_use(self) -> Option<Use> {
        match self {
            Self::Replace | Self::PartialUpdate | Self::Create => Some(Use::Write),
            Self::ReadComposite | Self::ObserveComposite | Self::CancelObservationComposite => {
                Some(Use::CompositePaths)
            }
            Self::WriteComposite => Some(Use::CompositeWrite),
            Self::Read
            | Self::Discover
            | Self::WriteAttributes
            | Self::Execute
            | Self::Delete
            | Self::Observe
            | Self::CancelObservation => None,
        }
    }

    /// What the payload of a good answer is for, and with it which formats an Accept may name; `None` when it holds no values
    /// (a Discover is answered in link format).
    #[must_use]
    pub const fn answer_use(self) -> Option<Use> {
        match self {
            Self::Read | Self::Observe | Self::CancelObservation => Some(Use::Read),
            Self::ReadComposite | Self::ObserveComposite | Self::CancelObservationComposite => {
                Some(Use::CompositeRead)
            }
            Self::Discover
            | Self::Replace
            | Self::PartialUpdate
            | Self::WriteAttributes
            | Self::Execute
            | Self::Create
            | Self::Delete
            | Self::WriteComposite => None,
        }
    }

    /// Whether a request may name that format in Accept, between sides that agreed on that version.
    #[must_use]
    pub fn may_accept(self, format: Format, version: Version) -> bool {
        self.answer_use().is_some_and(|purpose| format.is_for(purpose, version))
    }

    /// Whether a request may bring its payload in that format, between sides that agreed on that version.
    #[must_use]
    pub fn may_bring(self, format: Format, version: Version) -> bool {
        self.request_use().is_some_and(|purpose| format.is_for(purpose, version))
    }

    /// The first LwM2M version that has the operation.
    #[must_use]
    pub const fn since(self) -> Version {
        match self {
            Self::ReadComposite
            | Self::WriteComposite
            | Self::ObserveComposite
            | Self::CancelObservationComposite => Version::V1_1,
            Self::Read
            | Self::Discover
            | Self::Replace
            | Self::PartialUpdate
            | Self::WriteAttributes
            | Self::Execute
            | Self::Create
            | Self::Delete
            | Self::Observe
            | Self::CancelObservation => Version::V1_0,
        }
    }

    /// The name in the standard.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Discover => "Discover",
            Self::Replace => "Write (Replace)",
            Self::PartialUpdate => "Write (Partial Update)",
            Self::WriteAttributes => "Write-Attributes",
            Self::Execute => "Execute",
            Self::Create => "Create",
            Self::Delete => "Delete",
            Self::Observe => "Observe",
            Self::CancelObservation => "Cancel Observation",
            Self::ReadComposite => "Read-Composite",
            Self::WriteComposite => "Write-Composite",
            Self::ObserveComposite => "Observe-Composite",
            Self::CancelObservationComposite => "Cancel Observation-Composite",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

fn has_query(message: &Message<'_>) -> bool {
    message.uri_query().next().is_some()
}

/// Adds the Uri-Path of a node, behind the alternate path of the device, if it has one.
pub fn write_path(alternate_path: &str, path: Path, options: &mut OptionWriter<'_>) {
    for segment in alternate_path.split('/').filter(|segment| !segment.is_empty()) {
        options.uri_path_segment(segment);
    }
    for number in path.numbers() {
        options.uri_path_number(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path;
    use lightship_coap::{Encoder, MessageId, Token, Type};

    /// Writes a request and reads it back as an operation.
    fn read_back(
        method: Code,
        path: Path,
        body: &[u8],
        more: impl FnOnce(&mut OptionWriter<'_>),
    ) -> Option<Operation> {
        let mut buffer = [0; 128];
        let mut encoder = Encoder::new(&mut buffer, Type::Con, method, MessageId(1), Token::default());
        write_path("/lwm2m/", path, encoder.options());
        more(encoder.options());
        let len = encoder.finish_with(body).expect("fits");
        let message = Message::parse(buffer.get(..len).unwrap_or_default()).expect("a message");
        assert_eq!(message.uri_path().next(), Some("lwm2m"));
        let numbers = message.uri_path().skip(1).map(str::as_bytes);
        let found = Path::from_segments(numbers).expect("a path");
        assert_eq!(found, path);
        Operation::of(&message, found, body.len())
    }

    #[test]
    fn requests_mean_what_the_table_says() {
        let plain = |method, path, body: &[u8]| read_back(method, path, body, |_| {});
        assert_eq!(plain(Code::GET, path!(3 / 0), b""), Some(Operation::Read));
        assert_eq!(plain(Code::GET, Path::ROOT, b""), None);
        assert_eq!(plain(Code::PUT, path!(3 / 0 / 14), b"x"), Some(Operation::Replace));
        assert_eq!(plain(Code::PUT, path!(3), b"x"), None);
        assert_eq!(plain(Code::POST, path!(3303), b"x"), Some(Operation::Create));
        assert_eq!(plain(Code::POST, path!(3303 / 0), b"x"), Some(Operation::PartialUpdate));
        assert_eq!(plain(Code::POST, path!(3 / 0 / 4), b""), Some(Operation::Execute));
        assert_eq!(plain(Code::POST, path!(3 / 0 / 7 / 1), b""), None);
        assert_eq!(plain(Code::DELETE, path!(3303 / 0), b""), Some(Operation::Delete));
        assert_eq!(plain(Code::DELETE, path!(3303), b""), None);
        assert_eq!(plain(Code::FETCH, Path::ROOT, b"x"), Some(Operation::ReadComposite));
        assert_eq!(plain(Code::FETCH, path!(3 / 0), b"x"), None);
        assert_eq!(plain(Code::IPATCH, Path::ROOT, b"x"), Some(Operation::WriteComposite));
    }

    #[test]
    fn options_tell_operations_apart() {
        fn with(method: Code, body: &[u8], more: impl FnOnce(&mut OptionWriter<'_>)) -> Option<Operation> {
            read_back(method, path!(3 / 0 / 9), body, more)
        }
        let observe = |value: u32| {
            with(Code::GET, b"", |options| {
                options.observe(value);
            })
        };
        assert_eq!(observe(0), Some(Operation::Observe));
        assert_eq!(observe(1), Some(Operation::CancelObservation));
        assert_eq!(observe(2), Some(Operation::Read));
        let discover = with(Code::GET, b"", |options| {
            options.accept(ContentFormat::LINK);
        });
        assert_eq!(discover, Some(Operation::Discover));
        let attributes = with(Code::PUT, b"", |options| {
            options.uri_query("pmin=5");
        });
        assert_eq!(attributes, Some(Operation::WriteAttributes));
        // An empty text is a value when its format stands there.
        let empty = with(Code::PUT, b"", |options| {
            options.uri_query("pmin=5").content_format(ContentFormat::TEXT);
        });
        assert_eq!(empty, Some(Operation::Replace));
        let update = with(Code::POST, b"x", |options| {
            options.content_format(ContentFormat::LWM2M_TLV);
        });
        assert_eq!(update, Some(Operation::PartialUpdate));
    }

    #[test]
    fn each_operation_has_its_codes() {
        assert!(Operation::Read.may_be_answered(Code::CONTENT));
        assert!(Operation::Read.may_be_answered(Code::NOT_ACCEPTABLE));
        assert!(!Operation::Read.may_be_answered(Code::UNSUPPORTED_CONTENT_FORMAT));
        assert!(!Operation::Discover.may_be_answered(Code::NOT_ACCEPTABLE));
        assert!(Operation::Replace.may_be_answered(Code::REQUEST_ENTITY_TOO_LARGE));
        assert!(!Operation::Delete.may_be_answered(Code::CHANGED));
        assert!(!Operation::Execute.may_be_answered(Code::FORBIDDEN), "4.03 is no answer of a device");
        assert!(Operation::Create.may_be_answered(Code::INTERNAL_SERVER_ERROR));
        assert_eq!(Operation::Create.success(), Code::CREATED);
    }

    // Core TS 1.2, 7.4; Transport TS 1.2, 6.4.4.
    // Proves: FMT-26
    #[test]
    fn formats_go_with_operations() {
        let (v1_1, v1_2) = (Version::V1_1, Version::V1_2);
        for composite in
            [Operation::ReadComposite, Operation::ObserveComposite, Operation::CancelObservationComposite]
        {
            assert!(composite.may_bring(Format::SenmlEtchCbor, v1_2), "{composite}");
            assert!(!composite.may_bring(Format::SenmlEtchCbor, v1_1), "{composite}");
            assert!(!composite.may_bring(Format::Lwm2mCbor, v1_2), "{composite}");
            assert!(composite.may_accept(Format::Lwm2mCbor, v1_2), "{composite}");
            assert!(!composite.may_accept(Format::SenmlEtchCbor, v1_2), "{composite}");
            assert!(!composite.may_accept(Format::Tlv, v1_2), "{composite}");
            assert!(composite.may_be_answered(Code::UNSUPPORTED_CONTENT_FORMAT), "{composite}");
        }
        assert!(Operation::WriteComposite.may_bring(Format::Lwm2mCbor, v1_2));
        assert!(!Operation::WriteComposite.may_bring(Format::Tlv, v1_2));
        assert!(!Operation::WriteComposite.may_accept(Format::SenmlCbor, v1_2));
        assert!(
            Operation::Read.may_accept(Format::Tlv, v1_2) && !Operation::Read.may_bring(Format::Tlv, v1_2)
        );
        assert!(Operation::Create.may_bring(Format::SenmlCbor, v1_1));
        assert!(!Operation::Create.may_bring(Format::SenmlCbor, Version::V1_0));
    }
}
