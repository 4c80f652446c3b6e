//! Extensions of the two hellos (RFC 5246 §7.4.1.4).

use super::Reader;

/// The extensions that matter here; the discriminant is the number in the IANA registry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Extension {
    /// `server_name` (RFC 6066 §3).
    ServerName = 0,
    /// `max_fragment_length` (RFC 6066 §4).
    MaxFragmentLength = 1,
    /// `supported_groups` (RFC 8422 §5.1.1).
    SupportedGroups = 10,
    /// `ec_point_formats` (RFC 8422 §5.1.2).
    PointFormats = 11,
    /// `signature_algorithms` (RFC 5246 §7.4.1.4.1).
    SignatureAlgorithms = 13,
    /// `client_certificate_type` (RFC 7250 §3).
    ClientCertificateType = 19,
    /// `server_certificate_type` (RFC 7250 §3).
    ServerCertificateType = 20,
    /// `encrypt_then_mac` (RFC 7366).
    EncryptThenMac = 22,
    /// `extended_master_secret` (RFC 7627).
    ExtendedMasterSecret = 23,
    /// `record_size_limit` (RFC 8449).
    RecordSizeLimit = 28,
    /// `session_ticket` (RFC 5077).
    SessionTicket = 35,
    /// `connection_id` (RFC 9146 §3).
    ConnectionId = 54,
    /// `rrc` (RFC 9853).
    ReturnRoutability = 61,
    /// `renegotiation_info` (RFC 5746).
    RenegotiationInfo = 0xff01,
}

impl Extension {
    /// How many there are.
    const COUNT: usize = 14;

    /// All of them, by number.
    const ALL: [Self; Self::COUNT] = [
        Self::ServerName,
        Self::MaxFragmentLength,
        Self::SupportedGroups,
        Self::PointFormats,
        Self::SignatureAlgorithms,
        Self::ClientCertificateType,
        Self::ServerCertificateType,
        Self::EncryptThenMac,
        Self::ExtendedMasterSecret,
        Self::RecordSizeLimit,
        Self::SessionTicket,
        Self::ConnectionId,
        Self::ReturnRoutability,
        Self::RenegotiationInfo,
    ];

    /// The number in the IANA registry.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The extension with this number, if it is one of ours.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|extension| extension.number() == number)
    }

    const fn slot(self) -> usize {
        match self {
            Self::ServerName => 0,
            Self::MaxFragmentLength => 1,
            Self::SupportedGroups => 2,
            Self::PointFormats => 3,
            Self::SignatureAlgorithms => 4,
            Self::ClientCertificateType => 5,
            Self::ServerCertificateType => 6,
            Self::EncryptThenMac => 7,
            Self::ExtendedMasterSecret => 8,
            Self::RecordSizeLimit => 9,
            Self::SessionTicket => 10,
            Self::ConnectionId => 11,
            Self::ReturnRoutability => 12,
            Self::RenegotiationInfo => 13,
        }
    }
}

/// The extensions of a hello as they stand there.
#[derive(Clone, Copy, Debug)]
pub struct ExtensionList<'a>(Reader<'a>);

impl<'a> ExtensionList<'a> {
    /// The list at the end of a hello: nothing at all, or a length and the extensions; `None` if it does not end where it says.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self(Reader::new(&[])));
        }
        let mut reader = Reader::new(bytes);
        let list = reader.part16()?;
        reader.end()?;
        Some(Self(Reader::new(list)))
    }
}

impl<'a> Iterator for ExtensionList<'a> {
    /// Number and body; `None` instead of one that runs past the end, after which the list is over.
    type Item = Option<(u16, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.end().is_some() {
            return None;
        }
        let mut read = || Some((self.0.u16()?, self.0.part16()?));
        let item = read();
        if item.is_none() {
            self.0 = Reader::new(&[]);
        }
        Some(item)
    }
}

/// The known extensions of a hello, found by what they are.
#[derive(Clone, Copy, Default, Debug)]
pub struct Extensions<'a> {
    bodies: [Option<&'a [u8]>; Extension::COUNT],
    /// Whether there are others as well.
    pub has_unknown: bool,
}

impl<'a> Extensions<'a> {
    /// Reads the list at the end of a hello; `None` if it is malformed or names one of ours twice.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut all = Self::default();
        for item in ExtensionList::read(bytes)? {
            let (number, body) = item?;
            let Some(extension) = Extension::from_number(number) else {
                all.has_unknown = true;
                continue;
            };
            let slot = all.bodies.get_mut(extension.slot())?;
            if slot.replace(body).is_some() {
                return None;
            }
        }
        Some(all)
    }

    /// The body of an extension, if it is there.
    #[must_use]
    pub fn body(&self, extension: Extension) -> Option<&'a [u8]> {
        self.bodies.get(extension.slot()).copied().flatten()
    }

    /// Whether an extension is there.
    #[must_use]
    pub fn has(&self, extension: Extension) -> bool {
        self.body(extension).is_some()
    }

    /// Those that are there.
    pub fn present(&self) -> impl Iterator<Item = Extension> + '_ {
        Extension::ALL.into_iter().filter(|extension| self.has(*extension))
    }

    /// The host name of `server_name` in a ClientHello: outer `None` for a malformed one, inner `None` for none (RFC 6066 §3).
    #[must_use]
    pub fn server_name(&self) -> Option<Option<&'a str>> {
        let Some(body) = self.body(Extension::ServerName) else { return Some(None) };
        let mut reader = Reader::new(body);
        let mut names = Reader::new(reader.part16()?);
        reader.end()?;
        while names.end().is_none() {
            let name_type = names.u8()?;
            let name = names.part16()?;
            if name_type == 0 {
                let name = core::str::from_utf8(name).ok()?;
                return (!name.is_empty() && name.is_ascii() && name.len() <= 255).then_some(Some(name));
            }
        }
        Some(None)
    }

    /// A list of numbers of two bytes behind its length, as in `supported_groups` and `signature_algorithms`: outer `None` for
    /// a malformed one, inner `None` for none.
    #[must_use]
    pub fn numbers(&self, extension: Extension) -> Option<Option<impl Iterator<Item = u16> + Clone + 'a>> {
        let Some(body) = self.body(extension) else { return Some(None) };
        let mut reader = Reader::new(body);
        let list = reader.part16()?;
        reader.end()?;
        Some(Some(numbers(list)?))
    }

    /// A list of bytes behind its length, as in `ec_point_formats` and the certificate types of a ClientHello.
    #[must_use]
    pub fn bytes(&self, extension: Extension) -> Option<Option<&'a [u8]>> {
        let Some(body) = self.body(extension) else { return Some(None) };
        let mut reader = Reader::new(body);
        let list = reader.part8()?;
        reader.end()?;
        (!list.is_empty()).then_some(Some(list))
    }
}

/// A list of numbers of two bytes; `None` if it is empty or its length is odd.
pub(crate) fn numbers(list: &[u8]) -> Option<impl Iterator<Item = u16> + Clone + '_> {
    if list.is_empty() || !list.len().is_multiple_of(2) {
        return None;
    }
    Some(list.chunks_exact(2).map(|pair| u16::from_be_bytes(pair.first_chunk().copied().unwrap_or_default())))
}
