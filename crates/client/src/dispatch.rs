//! From a request of a server to calls on objects, and back to a response code (TS_Core 6.3, TS_Transport 6.4).
//!
//! Checks come in the order: path and method, object, instance, resource, operation, payload.

use lightship_coap::{Code, ContentFormat, Message};
use lightship_lwm2m::format::{EncodeError, Encoder, Format, Use};
use lightship_lwm2m::path::Level;
use lightship_lwm2m::path::PathError;
use lightship_lwm2m::{ObjectId, ObjectInstanceId, Path, Value, Version};

use crate::access;
use crate::discover;
use crate::negotiate;
use crate::object::{Arguments, Object, Objects, Refusal};
use crate::read::{Visitor, exists, walk};
use crate::server_object::ServerObject;
use crate::uri::below;
use crate::write;

/// All objects of the client, those of the application and its own.
pub(crate) struct World<'a> {
    /// Before every path, without slashes around it; empty for none and towards the Bootstrap-Server.
    pub(crate) root: &'a str,
    pub(crate) objects: &'a mut dyn Objects,
    pub(crate) server: ServerObject<'a>,
    /// The account on whose behalf something is done.
    pub(crate) asking: u8,
}

impl World<'_> {
    /// What stands before the names in SenML towards the server that asks.
    pub(crate) fn in_names(&self) -> &str {
        in_names(self.root, self.server.version)
    }

    /// Returns an object by its ID.
    pub(crate) fn object(&self, id: ObjectId) -> Option<&dyn Object> {
        if id == ObjectId::SERVER {
            return Some(&self.server);
        }
        let index = self.index(id)?;
        self.objects.at(index)
    }

    /// Returns an object by its ID, to change it.
    pub(crate) fn object_mut(&mut self, id: ObjectId) -> Option<&mut dyn Object> {
        if id == ObjectId::SERVER {
            return Some(&mut self.server);
        }
        let index = self.index(id)?;
        self.objects.at_mut(index)
    }

    /// Whether the server that asks may do this to an instance, or, without one, to the object itself.
    pub(crate) fn allows(
        &self,
        operation: Operation,
        object: ObjectId,
        instance: Option<ObjectInstanceId>,
    ) -> bool {
        access::allows(self, self.asking, operation, object, instance)
    }

    fn index(&self, id: ObjectId) -> Option<usize> {
        let known = (0..).map_while(|index| self.objects.at(index));
        known.take(usize::from(u16::MAX)).position(|object| object.model().id == id)
    }

    /// Returns the smallest Object ID that is `from` or higher; Security (0) is nobody's business.
    pub(crate) fn next_object(&self, from: u16) -> Option<ObjectId> {
        let own = core::iter::once(ObjectId::SERVER);
        let others = (0..).map_while(|index| self.objects.at(index)).map(|object| object.model().id);
        own.chain(others).filter(|id| id.get() >= from && !id.is_hidden()).min()
    }
}

/// An alternate path stands in the names of SenML since 1.2 (1.2.1, TS_Core 7.4.4).
pub(crate) fn in_names(root: &str, version: Version) -> &str {
    if version < Version::V1_2 { "" } else { root }
}

/// Why there is no success: a response code, or an answer that comes later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deny {
    With(Code),
    Later,
}

impl From<Code> for Deny {
    fn from(code: Code) -> Self {
        Deny::With(code)
    }
}

impl From<Refusal> for Deny {
    fn from(refusal: Refusal) -> Self {
        match code_of(refusal) {
            Some(code) => Deny::With(code),
            None => Deny::Later,
        }
    }
}

/// The response code of a refusal; `None` when it is none.
pub(crate) fn code_of(refusal: Refusal) -> Option<Code> {
    Some(match refusal {
        Refusal::NotFound => Code::NOT_FOUND,
        Refusal::NotAllowed => Code::METHOD_NOT_ALLOWED,
        Refusal::BadValue => Code::BAD_REQUEST,
        Refusal::Forbidden => Code::UNAUTHORIZED,
        Refusal::Busy => Code::SERVICE_UNAVAILABLE,
        Refusal::Failed => Code::INTERNAL_SERVER_ERROR,
        Refusal::Later => return None,
    })
}

/// What a request asks for, as method, path and options say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Read,
    Discover,
    Replace,
    PartialUpdate,
    WriteAttributes,
    Execute,
    Create,
    Delete,
}

/// A request after its path was understood.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) operation: Operation,
    pub(crate) path: Path,
    pub(crate) message: Message<'a>,
    pub(crate) payload: &'a [u8],
    /// The enabler version of the registration.
    pub(crate) version: Version,
    /// As [`World::root`].
    pub(crate) root: &'a str,
    /// The format of the answer, as the message has it or as the observation needs it.
    pub(crate) accept: Option<ContentFormat>,
}

/// What goes into the response besides what is in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Success {
    pub(crate) code: Code,
    pub(crate) format: Option<ContentFormat>,
    pub(crate) len: usize,
    /// The instance that the client numbered itself.
    pub(crate) location: Option<Path>,
}

impl Success {
    pub(crate) const fn plain(code: Code) -> Self {
        Success { code, format: None, len: 0, location: None }
    }
}

impl<'a> Request<'a> {
    /// Understands path and method. Whether a POST on a resource executes is seen later, from the object.
    pub(crate) fn new(
        message: Message<'a>,
        payload: &'a [u8],
        version: Version,
        root: &'a str,
    ) -> Result<Request<'a>, Code> {
        let segments = below(root, message.uri_path()).ok_or(Code::NOT_FOUND)?;
        let path = Path::from_segments(segments.map(str::as_bytes)).map_err(|error| {
            // A segment that is no number names nothing here; numbers in a wrong shape break the data model.
            if error == PathError::NotNumeric { Code::NOT_FOUND } else { Code::METHOD_NOT_ALLOWED }
        })?;
        if path.object_id().is_some_and(ObjectId::is_hidden) {
            return Err(Code::UNAUTHORIZED);
        }
        let has_query = message.uri_query().next().is_some();
        let addresses_item = path.level() == Level::ResourceInstance;
        let operation = match (message.code(), path.level()) {
            (_, Level::Root) => return Err(Code::METHOD_NOT_ALLOWED),
            // Resource instances have paths since 1.1, and can be deleted since 1.2.
            _ if addresses_item && version < Version::V1_1 => return Err(Code::METHOD_NOT_ALLOWED),
            (Code::DELETE, _) if addresses_item && version < Version::V1_2 => {
                return Err(Code::METHOD_NOT_ALLOWED);
            }
            (Code::GET, _) if message.accept() == Some(ContentFormat::LINK) => Operation::Discover,
            (Code::GET, _) => Operation::Read,
            (Code::PUT, _) if has_query && payload.is_empty() && message.content_format().is_none() => {
                Operation::WriteAttributes
            }
            (Code::PUT, Level::Instance | Level::Resource | Level::ResourceInstance) => Operation::Replace,
            (Code::POST, Level::Object) => Operation::Create,
            (Code::POST, Level::Instance) => Operation::PartialUpdate,
            (Code::POST, Level::Resource) => Operation::Execute,
            (Code::DELETE, Level::Instance | Level::ResourceInstance) => Operation::Delete,
            _ => return Err(Code::METHOD_NOT_ALLOWED),
        };
        // A cancellation repeats the options of the Observe, whose attributes mean nothing any more (RFC 7641 section 3.6).
        let observing = operation == Operation::Read && matches!(message.observe(), Some(0 | 1));
        let may_have_query =
            matches!(operation, Operation::Discover | Operation::WriteAttributes) || observing;
        // The Transport TS shows the arguments of an Execute in the query, too; the Core TS has them in the payload alone.
        let only_arguments = || message.uri_query().all(|part| Arguments::parse(part.as_bytes()).is_some());
        let is_execute = operation == Operation::Execute && only_arguments();
        if has_query && !may_have_query && !is_execute {
            return Err(Code::BAD_OPTION);
        }
        Ok(Request { operation, path, message, payload, version, root, accept: message.accept() })
    }

    /// Checks that object and instance exist, are a server's business, and that this one has the right to do what it asks.
    pub(crate) fn locate(&mut self, world: &World<'_>) -> Result<(), Code> {
        let id = self.path.object_id().ok_or(Code::METHOD_NOT_ALLOWED)?;
        let object = world.object(id).ok_or(Code::NOT_FOUND)?;
        let instance = self.path.instance_id();
        if instance.is_some_and(|instance| !exists(object, instance)) {
            return Err(Code::NOT_FOUND);
        }
        let resource = self.path.resource_id().and_then(|id| object.model().resource(id));
        if self.operation == Operation::Execute
            && self.version >= Version::V1_1
            && resource.is_some_and(|model| model.multiple && model.operations.writable())
        {
            // POST on a resource that holds values adds to an array (TS_Core 6.3.3).
            self.operation = Operation::PartialUpdate;
        }
        // What is read or attached on the level of an object is judged instance by instance, or not at all.
        let judged = match self.operation {
            Operation::Discover => false,
            Operation::Read | Operation::WriteAttributes => instance.is_some(),
            Operation::Replace
            | Operation::PartialUpdate
            | Operation::Execute
            | Operation::Create
            | Operation::Delete => true,
        };
        if judged && !world.allows(self.operation, id, instance) { Err(Code::UNAUTHORIZED) } else { Ok(()) }
    }

    /// Does what is asked, except Write-Attributes and the bookkeeping of observations; content goes to `out`.
    pub(crate) fn perform(
        &self,
        world: &mut World<'_>,
        attributes: &discover::Shown<'_>,
        out: &mut [u8],
    ) -> Result<Success, Deny> {
        let id = self.path.object_id().ok_or(Code::METHOD_NOT_ALLOWED)?;
        match self.operation {
            Operation::Read => {
                let (format, len) = read(world, self.path, self.accept, self.version, out)?;
                Ok(Success { code: Code::CONTENT, format: Some(format), len, location: None })
            }
            Operation::Discover => {
                let object = world.object(id).ok_or(Code::NOT_FOUND)?;
                let len = discover::discover(object, self, attributes, out)?;
                Ok(Success { code: Code::CONTENT, format: Some(ContentFormat::LINK), len, location: None })
            }
            Operation::Execute => self.execute(world, id),
            Operation::Replace | Operation::PartialUpdate => write::write(world, self, out),
            Operation::Create => write::create(world, self, out),
            Operation::Delete => write::delete(world, self),
            Operation::WriteAttributes => Err(Code::INTERNAL_SERVER_ERROR.into()),
        }
    }

    fn execute(&self, world: &mut World<'_>, id: ObjectId) -> Result<Success, Deny> {
        let (Some(instance), Some(resource)) = (self.path.instance_id(), self.path.resource_id()) else {
            return Err(Code::METHOD_NOT_ALLOWED.into());
        };
        let object = world.object_mut(id).ok_or(Code::NOT_FOUND)?;
        let model = *object.model().resource(resource).ok_or(Code::NOT_FOUND)?;
        if !object.has(instance, resource) {
            return Err(Code::NOT_FOUND.into());
        }
        if !model.operations.executable() {
            return Err(Code::METHOD_NOT_ALLOWED.into());
        }
        if self.message.content_format().is_some_and(|format| format != ContentFormat::TEXT) {
            return Err(Code::UNSUPPORTED_CONTENT_FORMAT.into());
        }
        let arguments = Arguments::parse(self.payload).ok_or(Code::BAD_REQUEST)?;
        object.execute(instance, resource, arguments)?;
        Ok(Success::plain(Code::CHANGED))
    }
}

/// Writes the values at and below a path into `out`; returns their format and length.
pub(crate) fn read(
    world: &World<'_>,
    path: Path,
    accept: Option<ContentFormat>,
    version: Version,
    out: &mut [u8],
) -> Result<(ContentFormat, usize), Deny> {
    let object = path.object_id().and_then(|id| world.object(id)).ok_or(Code::NOT_FOUND)?;
    let number = accept.unwrap_or_else(|| default_format(object, path, version));
    let format = negotiate::usable(number, Use::Read, version);
    let mut encode = Encode::new(world, format.unwrap_or(Format::Text), path, out);
    walk(world, path, &mut encode)?;
    let Some(format) = format else { return Err(Code::NOT_ACCEPTABLE.into()) };
    match encode.encoder.finish() {
        Ok(len) => Ok((ContentFormat(format.number()), len)),
        Err(EncodeError::NotSingleValue | EncodeError::NotExpressible) => Err(Code::NOT_ACCEPTABLE.into()),
        Err(_) => Err(Code::INTERNAL_SERVER_ERROR.into()),
    }
}

/// What a client answers in when nobody says: text for one value, otherwise what every server of that version reads.
pub(crate) fn default_format(object: &dyn Object, path: Path, version: Version) -> ContentFormat {
    let multiple = |resource| object.model().resource(resource).is_some_and(|model| model.multiple);
    match (path.level(), path.resource_id()) {
        (Level::ResourceInstance, _) => ContentFormat::TEXT,
        (Level::Resource, Some(resource)) if !multiple(resource) => ContentFormat::TEXT,
        _ if version == Version::V1_0 => ContentFormat::LWM2M_TLV,
        _ => ContentFormat::SENML_CBOR,
    }
}

pub(crate) struct Encode<'b> {
    pub(crate) encoder: Encoder<'b>,
}

impl<'b> Encode<'b> {
    pub(crate) fn new(world: &'b World<'_>, format: Format, base: Path, out: &'b mut [u8]) -> Self {
        Encode { encoder: Encoder::new(format, base, out).with_alternate_path(world.in_names()) }
    }
}

impl Visitor for Encode<'_> {
    fn value(&mut self, path: Path, value: Value<'_>) {
        // The error sticks in the encoder.
        let _ = self.encoder.entry(path, &value);
    }

    fn empty(&mut self, path: Path) {
        let _ = self.encoder.empty(path);
    }
}
