//! The bootstrap interface as CoAP messages, for both sides: what a device asks of a Bootstrap-Server and what that server commands.
//! Core TS 1.2, 6.1; Transport TS 1.2, 6.4.2.
//!
//! ```text
//!   device                                         Bootstrap-Server
//!     Request       POST /bs?ep=&pct=      ───────▶   2.04
//!     Discover      GET /, /o   Accept 40  ◀───────
//!     Read          GET /1, /2 and below   ◀───────
//!     Delete        DELETE /, /o, /o/i     ◀───────
//!     Write         PUT /o, /o/i, /o/i/r   ◀───────
//!     Finish        POST /bs               ◀───────
//!
//!     PackRequest   GET /bspack?ep=&acc=   ───────▶   2.05 with all of it at once (since 1.2)
//! ```
//!
//! The device writes a [`Request`] or [`PackRequest`], the server reads it back; the server writes a [`Command`], the device reads
//! it back. The content of a Bootstrap-Discover is an [`InstanceList`]. Whether a configuration can work at all, [`consistency`] says.

pub mod consistency;
mod discover;
mod request;

pub use discover::{InstanceList, InstanceListWriter, ListedInstance};
pub use request::{PackRequest, PreferredFormat, Refused, Request, account_text};

use crate::{
    Format, Path, Version,
    format::Use,
    path::{Level, PathError},
};
use core::fmt;
use lightship_coap::{Code, ContentFormat, Message, OptionWriter};

/// The path of the bootstrap interface on both sides: `/bs`.
pub const BS: &str = "bs";
/// The path that Bootstrap-Pack-Request goes to: `/bspack`.
pub const BSPACK: &str = "bspack";

/// What a Bootstrap-Server may command a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// List the instances there are.
    Discover,
    /// Read accounts (1) and access rights (2); since 1.1.
    Read,
    /// Write, whether or not it exists and whatever the access rights say.
    Write,
    /// Remove instances.
    Delete,
    /// The configuration is complete: check it and use it.
    Finish,
}

impl Operation {
    /// The method of the request.
    #[must_use]
    pub const fn method(self) -> Code {
        match self {
            Self::Discover | Self::Read => Code::GET,
            Self::Write => Code::PUT,
            Self::Delete => Code::DELETE,
            Self::Finish => Code::POST,
        }
    }

    /// The code of success.
    #[must_use]
    pub const fn success(self) -> Code {
        match self {
            Self::Discover | Self::Read => Code::CONTENT,
            Self::Write | Self::Finish => Code::CHANGED,
            Self::Delete => Code::DELETED,
        }
    }

    /// Whether the standard lets a device answer with that code: success, the 4.xx listed for the operation, those that CoAP
    /// itself gives (4.02 for an option, 4.08 and 4.13 for blocks), and any 5.xx.
    #[must_use]
    pub fn may_be_answered(self, code: Code) -> bool {
        match code {
            Code::BAD_REQUEST | Code::BAD_OPTION => true,
            Code::NOT_FOUND => matches!(self, Self::Discover | Self::Read),
            Code::UNAUTHORIZED | Code::METHOD_NOT_ALLOWED => self == Self::Read,
            Code::NOT_ACCEPTABLE => matches!(self, Self::Read | Self::Finish),
            Code::UNSUPPORTED_CONTENT_FORMAT
            | Code::REQUEST_ENTITY_INCOMPLETE
            | Code::REQUEST_ENTITY_TOO_LARGE => self == Self::Write,
            _ => code == self.success() || code.class() == 5,
        }
    }

    /// The first LwM2M version that has the operation.
    #[must_use]
    pub const fn since(self) -> Version {
        match self {
            Self::Read => Version::V1_1,
            Self::Discover | Self::Write | Self::Delete | Self::Finish => Version::V1_0,
        }
    }

    /// The name in the standard.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Discover => "Bootstrap-Discover",
            Self::Read => "Bootstrap-Read",
            Self::Write => "Bootstrap-Write",
            Self::Delete => "Bootstrap-Delete",
            Self::Finish => "Bootstrap-Finish",
        }
    }

    /// Whether the operation may aim at that node.
    const fn reaches(self, path: Path) -> bool {
        match (self, path.level()) {
            (Self::Finish, level) => matches!(level, Level::Root),
            (Self::Discover, level) => matches!(level, Level::Root | Level::Object),
            (Self::Read, Level::Object | Level::Instance) => match path.object_id() {
                Some(object) => matches!(object.get(), 1 | 2),
                None => false,
            },
            (Self::Read, _) => false,
            (Self::Write, level) => matches!(level, Level::Object | Level::Instance | Level::Resource),
            (Self::Delete, level) => matches!(level, Level::Root | Level::Object | Level::Instance),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A command of the Bootstrap-Server, without the content that a Write carries as payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    /// What to do.
    pub operation: Operation,
    /// With which node; the root for a Finish. Always a plain path, never below the alternate path or the prefix of a gateway.
    pub path: Path,
    /// The content format of a Write, the one asked for by a Read; `None` for the others and where a message says none.
    pub format: Option<Format>,
}

/// Why a device refuses a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommandRefused {
    /// The method is none of the bootstrap interface.
    Method,
    /// The path is none, or begins with more than the data model has.
    Path(PathError),
    /// The operation cannot aim at a node of that level.
    Level(Operation),
    /// A Read aims at another object than Server (1) or Access Control (2).
    Unreadable,
    /// A Discover with a query: depth and the like are not of this interface.
    Query,
    /// The content format of a Write is unknown, or cannot hold a node of that level.
    ContentFormat,
    /// The format that a Read asks for is unknown, or cannot hold a node of that level.
    Accept,
}

impl CommandRefused {
    /// The response code that the standard names (Transport TS 1.2, table 6.4.2). Where no text decides (a Read outside its two
    /// objects), it is the one that says most.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Method | Self::Unreadable => Code::METHOD_NOT_ALLOWED,
            Self::Path(_) | Self::Level(_) | Self::Query => Code::BAD_REQUEST,
            Self::ContentFormat => Code::UNSUPPORTED_CONTENT_FORMAT,
            Self::Accept => Code::NOT_ACCEPTABLE,
        }
    }
}

impl fmt::Display for CommandRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method => f.write_str("the method is none of the bootstrap interface"),
            Self::Path(error) => write!(f, "not a path of a bootstrap command: {error}"),
            Self::Level(operation) => write!(f, "{operation} has no target of that level"),
            Self::Unreadable => f.write_str("only objects 1 and 2 can be read in a bootstrap"),
            Self::Query => f.write_str("a Bootstrap-Discover has no query"),
            Self::ContentFormat => f.write_str("the content format is not supported there"),
            Self::Accept => f.write_str("the format asked for is not supported there"),
        }
    }
}

impl core::error::Error for CommandRefused {}

impl Command {
    /// A Bootstrap-Discover of everything (`/`) or of one object.
    #[must_use]
    pub const fn discover(path: Path) -> Self {
        Self { operation: Operation::Discover, path, format: None }
    }

    /// A Bootstrap-Read in that format.
    #[must_use]
    pub const fn read(path: Path, accept: Format) -> Self {
        Self { operation: Operation::Read, path, format: Some(accept) }
    }

    /// A Bootstrap-Write in that format.
    #[must_use]
    pub const fn write(path: Path, format: Format) -> Self {
        Self { operation: Operation::Write, path, format: Some(format) }
    }

    /// A Bootstrap-Delete.
    #[must_use]
    pub const fn delete(path: Path) -> Self {
        Self { operation: Operation::Delete, path, format: None }
    }

    /// The Bootstrap-Finish.
    pub const FINISH: Self = Self { operation: Operation::Finish, path: Path::ROOT, format: None };

    /// Reads a command, as the device receives it in a bootstrap session.
    ///
    /// The numbers that formats had before IANA are understood, and a missing content format is left to the caller. Whether the
    /// object is known, and whether the payload says something about the node, is the caller's to find out.
    ///
    /// # Errors
    /// [`CommandRefused`]: the reason, and with it the code.
    pub fn parse(message: &Message<'_>) -> Result<Self, CommandRefused> {
        if message.code() == Code::POST {
            return if message.uri_path().eq([BS]) { Ok(Self::FINISH) } else { Err(CommandRefused::Method) };
        }
        let path =
            Path::from_segments(message.uri_path().map(str::as_bytes)).map_err(CommandRefused::Path)?;
        let command = match message.code() {
            Code::GET if message.accept() == Some(ContentFormat::LINK) => Self::discover(path),
            Code::GET => {
                let format = known(message.accept()).ok_or(CommandRefused::Accept)?;
                Self { operation: Operation::Read, path, format }
            }
            Code::PUT => {
                let format = known(message.content_format()).ok_or(CommandRefused::ContentFormat)?;
                Self { operation: Operation::Write, path, format }
            }
            Code::DELETE => Self::delete(path),
            _ => return Err(CommandRefused::Method),
        };
        command.checked(message.uri_query().next().is_some())
    }

    fn checked(self, has_query: bool) -> Result<Self, CommandRefused> {
        if !self.operation.reaches(self.path) {
            let level = CommandRefused::Level(self.operation);
            return Err(if self.operation == Operation::Read { CommandRefused::Unreadable } else { level });
        }
        let fits = |purpose| self.format.is_none_or(|format| holds(format, self.path, purpose));
        match self.operation {
            Operation::Discover if has_query => Err(CommandRefused::Query),
            Operation::Read if !fits(Use::Read) => Err(CommandRefused::Accept),
            Operation::Write if !fits(Use::Write) => Err(CommandRefused::ContentFormat),
            Operation::Discover
            | Operation::Read
            | Operation::Write
            | Operation::Delete
            | Operation::Finish => Ok(self),
        }
    }

    /// Whether the standard has such a command between sides of that version: the level fits, and a Write says its format.
    #[must_use]
    pub fn is_for(&self, version: Version) -> bool {
        let fits = |purpose| {
            self.format
                .is_some_and(|format| holds(format, self.path, purpose) && format.is_for(purpose, version))
        };
        let format_fits = match self.operation {
            Operation::Write => fits(Use::Write),
            Operation::Read => self.format.is_none() || fits(Use::Read),
            Operation::Discover | Operation::Delete | Operation::Finish => true,
        };
        version >= self.operation.since() && self.operation.reaches(self.path) && format_fits
    }

    /// Adds path and formats to a request with the method [`Operation::method`].
    pub fn write_options(&self, options: &mut OptionWriter<'_>) {
        if self.operation == Operation::Finish {
            options.uri_path_segment(BS);
            return;
        }
        for number in self.path.numbers() {
            options.uri_path_number(number);
        }
        let number = self.format.map(|format| ContentFormat(format.number()));
        match (self.operation, number) {
            (Operation::Discover, _) => {
                options.accept(ContentFormat::LINK);
            }
            (Operation::Read, Some(number)) => {
                options.accept(number);
            }
            (Operation::Write, Some(number)) => {
                options.content_format(number);
            }
            _ => {}
        }
    }
}

/// The format of a number; outside: unknown, inside: nothing said.
fn known(number: Option<ContentFormat>) -> Option<Option<Format>> {
    match number {
        None => Some(None),
        Some(number) => Format::from_number(number.0).map(Some),
    }
}

/// Whether a payload in that format can say something about the node, whatever the version.
fn holds(format: Format, path: Path, purpose: Use) -> bool {
    let in_some_version = format.is_for(purpose, Version::LATEST) || format.is_for(purpose, Version::V1_0);
    in_some_version && (!format.is_single_value() || path.level() == Level::Resource)
}

#[cfg(test)]
mod tests;
