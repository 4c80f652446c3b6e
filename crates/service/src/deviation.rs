//! What devices' data has otherwise than it should; it is served all the same where its meaning is clear.

/// One kind of deviation in content. Those of messages are the shard's to see.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Deviation {
    /// A value is not of the type that the object definition says.
    WrongType,
    /// One value where the definition has instances, or the other way round.
    WrongMultiplicity,
    /// A value lies outside the range of the definition.
    OutsideRange,
    /// A name in SenML without its first slash.
    MissingSlash,
    /// A content format under the number it had before IANA gave it one.
    OldFormatNumber,
    /// The links of a Discover break RFC 6690.
    SloppyLinks,
    /// The payload could not be understood at all, or speaks of what was not asked for.
    Undecodable,
}

impl Deviation {
    /// The name in the API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Deviation::WrongType => "wrong-type",
            Deviation::WrongMultiplicity => "wrong-multiplicity",
            Deviation::OutsideRange => "outside-range",
            Deviation::MissingSlash => "missing-slash",
            Deviation::OldFormatNumber => "old-format-number",
            Deviation::SloppyLinks => "sloppy-links",
            Deviation::Undecodable => "undecodable",
        }
    }
}
