//! Notification attributes: when a server wants to hear of a value. Core TS 1.2, 5.1.2 and 7.3.
//!
//! A server attaches them to a node of a device by Write-Attributes, or, since 1.2, carries them in an Observe. Both are a
//! query, `pmin=5&gt=40&st`, where a name without a value takes the attribute away: an [`AttributeChange`]. What is attached is an
//! [`Attributes`]. The rules between attributes hold for the merged set, so: parse, apply, check, and only then keep.

use crate::{DataType, float, path::Level, version::Version};
use core::fmt;
use lightship_coap::link::LinkWriter;

/// The attributes attached to a node, or carried by an observation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Attributes {
    /// Minimum time between notifications, in seconds.
    pub pmin: Option<u32>,
    /// Maximum time between notifications, in seconds; see [`Attributes::pmax_in_force`].
    pub pmax: Option<u32>,
    /// Minimum time between evaluations, in seconds (since 1.1).
    pub epmin: Option<u32>,
    /// Maximum time between evaluations, in seconds (since 1.1).
    pub epmax: Option<u32>,
    /// How many notifications are kept while the server is out of reach (since 1.2).
    pub hqmax: Option<u32>,
    /// The threshold above which crossing counts.
    pub gt: Option<f64>,
    /// The threshold below which crossing counts.
    pub lt: Option<f64>,
    /// The least change that counts, above 0.
    pub st: Option<f64>,
    /// Which edge of a Boolean counts: `true` = false to true, `false` = true to false (since 1.2).
    pub edge: Option<bool>,
    /// Whether notifications are confirmable (since 1.2).
    pub con: Option<bool>,
}

/// The name of a notification attribute, in the order in which they are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AttributeName {
    /// `pmin`
    Pmin,
    /// `pmax`
    Pmax,
    /// `gt`
    Gt,
    /// `lt`
    Lt,
    /// `st`
    St,
    /// `epmin`
    Epmin,
    /// `epmax`
    Epmax,
    /// `edge`
    Edge,
    /// `con`
    Con,
    /// `hqmax`
    Hqmax,
}

impl AttributeName {
    /// What its value may be, in words.
    #[must_use]
    pub const fn takes(self) -> &'static str {
        match self {
            Self::Pmin | Self::Pmax | Self::Epmin | Self::Epmax => "whole seconds from 0 to 4294967295",
            Self::Hqmax => "a whole number from 0 to 4294967295",
            Self::Gt | Self::Lt => "a decimal number",
            Self::St => "a decimal number above 0",
            Self::Edge | Self::Con => "0 or 1",
        }
    }

    /// All names.
    pub const ALL: [Self; 10] = [
        Self::Pmin,
        Self::Pmax,
        Self::Gt,
        Self::Lt,
        Self::St,
        Self::Epmin,
        Self::Epmax,
        Self::Edge,
        Self::Con,
        Self::Hqmax,
    ];

    /// The name as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pmin => "pmin",
            Self::Pmax => "pmax",
            Self::Gt => "gt",
            Self::Lt => "lt",
            Self::St => "st",
            Self::Epmin => "epmin",
            Self::Epmax => "epmax",
            Self::Edge => "edge",
            Self::Con => "con",
            Self::Hqmax => "hqmax",
        }
    }

    /// The attribute of that name, if it is a notification attribute.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }

    /// The first LwM2M version that has it.
    #[must_use]
    pub const fn since(self) -> Version {
        match self {
            Self::Pmin | Self::Pmax | Self::Gt | Self::Lt | Self::St => Version::V1_0,
            Self::Epmin | Self::Epmax => Version::V1_1,
            Self::Edge | Self::Con | Self::Hqmax => Version::V1_2,
        }
    }

    /// Whether it may stand at a node of that level, which, for a resource, has values of that type (`None` = unknown).
    #[must_use]
    pub fn fits(self, level: Level, data_type: Option<DataType>) -> bool {
        let resource = matches!(level, Level::Resource | Level::ResourceInstance);
        match self {
            Self::Gt | Self::Lt | Self::St => resource && data_type.is_none_or(DataType::is_numeric),
            Self::Edge => resource && data_type.is_none_or(|data_type| data_type == DataType::Boolean),
            Self::Pmin | Self::Pmax | Self::Epmin | Self::Epmax | Self::Con | Self::Hqmax => {
                level != Level::Root
            }
        }
    }

    const fn bit(self) -> u16 {
        match self {
            Self::Pmin => 1,
            Self::Pmax => 1 << 1,
            Self::Gt => 1 << 2,
            Self::Lt => 1 << 3,
            Self::St => 1 << 4,
            Self::Epmin => 1 << 5,
            Self::Epmax => 1 << 6,
            Self::Edge => 1 << 7,
            Self::Con => 1 << 8,
            Self::Hqmax => 1 << 9,
        }
    }
}

impl fmt::Display for AttributeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Some of the attribute names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttributeNames(u16);

impl AttributeNames {
    /// Whether the name is among them.
    #[must_use]
    pub const fn contains(self, name: AttributeName) -> bool {
        self.0 & name.bit() != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names, in printing order.
    pub fn iter(self) -> impl Iterator<Item = AttributeName> {
        AttributeName::ALL.into_iter().filter(move |name| self.contains(*name))
    }

    const fn with(self, name: AttributeName) -> Self {
        Self(self.0 | name.bit())
    }
}

/// Why attributes were refused. A device answers all of them with 4.00.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AttributeError {
    /// No notification attribute has that name; `dim`, `ver`, `ssid`, `uri` and `lwm2m` are read-only properties.
    Unknown,
    /// An attribute stands twice.
    Duplicate(AttributeName),
    /// The value is no number of the attribute's kind, is negative, too large, or, for st, zero.
    BadValue(AttributeName),
    /// lt is not below gt, or lt plus twice st is not.
    Thresholds,
    /// epmin is not below epmax.
    EvaluationPeriods,
}

impl fmt::Display for AttributeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("not a notification attribute"),
            Self::Duplicate(name) => write!(f, "{name} stands twice"),
            Self::BadValue(name) => write!(f, "{name} has a bad value; it takes {}", name.takes()),
            Self::Thresholds => f.write_str("lt, and lt plus twice st, must be below gt"),
            Self::EvaluationPeriods => f.write_str("epmin must be below epmax"),
        }
    }
}

impl core::error::Error for AttributeError {}

impl Attributes {
    /// No attribute at all.
    pub const NONE: Self = Self {
        pmin: None,
        pmax: None,
        epmin: None,
        epmax: None,
        hqmax: None,
        gt: None,
        lt: None,
        st: None,
        edge: None,
        con: None,
    };

    /// The names of the attributes that are set.
    #[must_use]
    pub fn names(&self) -> AttributeNames {
        let mut names = AttributeNames::default();
        for name in AttributeName::ALL {
            if self.value(name).is_some() {
                names = names.with(name);
            }
        }
        names
    }

    /// Whether no attribute is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names().is_empty()
    }

    /// Checks the rules between attributes. pmax below pmin is no error: it is ignored.
    ///
    /// # Errors
    /// [`AttributeError::Thresholds`] or [`AttributeError::EvaluationPeriods`].
    pub fn check(&self) -> Result<(), AttributeError> {
        if let (Some(lt), Some(gt)) = (self.lt, self.gt) {
            let step = self.st.unwrap_or_default();
            // Written so that NaN fails too.
            let ordered = lt < gt && lt + 2.0 * step < gt;
            if !ordered {
                return Err(AttributeError::Thresholds);
            }
        }
        match (self.epmin, self.epmax) {
            (Some(epmin), Some(epmax)) if epmin >= epmax => Err(AttributeError::EvaluationPeriods),
            _ => Ok(()),
        }
    }

    /// Each attribute from here, or, where it is not set, from `above`: how a node inherits.
    #[must_use]
    pub fn or(self, above: Self) -> Self {
        Self {
            pmin: self.pmin.or(above.pmin),
            pmax: self.pmax.or(above.pmax),
            epmin: self.epmin.or(above.epmin),
            epmax: self.epmax.or(above.epmax),
            hqmax: self.hqmax.or(above.hqmax),
            gt: self.gt.or(above.gt),
            lt: self.lt.or(above.lt),
            st: self.st.or(above.st),
            edge: self.edge.or(above.edge),
            con: self.con.or(above.con),
        }
    }

    /// pmax when it counts: not 0 and not below pmin.
    #[must_use]
    pub fn pmax_in_force(&self) -> Option<u32> {
        self.pmax.filter(|pmax| *pmax > 0 && *pmax >= self.pmin.unwrap_or_default())
    }

    /// Prints the attributes onto the link that was begun last, as Discover shows them.
    pub fn write_to<W: fmt::Write>(&self, writer: &mut LinkWriter<W>) {
        for name in AttributeName::ALL {
            if let Some(value) = self.value(name) {
                writer.attribute(name.as_str(), format_args!("{value}"));
            }
        }
    }

    fn value(&self, name: AttributeName) -> Option<AttributeValue> {
        match name {
            AttributeName::Pmin => self.pmin.map(AttributeValue::Number),
            AttributeName::Pmax => self.pmax.map(AttributeValue::Number),
            AttributeName::Epmin => self.epmin.map(AttributeValue::Number),
            AttributeName::Epmax => self.epmax.map(AttributeValue::Number),
            AttributeName::Hqmax => self.hqmax.map(AttributeValue::Number),
            AttributeName::Gt => self.gt.map(AttributeValue::Decimal),
            AttributeName::Lt => self.lt.map(AttributeValue::Decimal),
            AttributeName::St => self.st.map(AttributeValue::Decimal),
            AttributeName::Edge => self.edge.map(|flag| AttributeValue::Number(flag.into())),
            AttributeName::Con => self.con.map(|flag| AttributeValue::Number(flag.into())),
        }
    }

    /// Sets an attribute from its text, or takes it away.
    fn set(&mut self, name: AttributeName, text: Option<&str>) -> Result<(), AttributeError> {
        let bad = AttributeError::BadValue(name);
        match name {
            AttributeName::Pmin => self.pmin = text.map(|text| seconds(text).ok_or(bad)).transpose()?,
            AttributeName::Pmax => self.pmax = text.map(|text| seconds(text).ok_or(bad)).transpose()?,
            AttributeName::Epmin => self.epmin = text.map(|text| seconds(text).ok_or(bad)).transpose()?,
            AttributeName::Epmax => self.epmax = text.map(|text| seconds(text).ok_or(bad)).transpose()?,
            AttributeName::Hqmax => self.hqmax = text.map(|text| seconds(text).ok_or(bad)).transpose()?,
            AttributeName::Gt => self.gt = text.map(|text| decimal(text).ok_or(bad)).transpose()?,
            AttributeName::Lt => self.lt = text.map(|text| decimal(text).ok_or(bad)).transpose()?,
            AttributeName::St => {
                let step = text.map(|text| decimal(text).filter(|step| *step > 0.0).ok_or(bad));
                self.st = step.transpose()?;
            }
            AttributeName::Edge => self.edge = text.map(|text| flag(text).ok_or(bad)).transpose()?,
            AttributeName::Con => self.con = text.map(|text| flag(text).ok_or(bad)).transpose()?,
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum AttributeValue {
    Number(u32),
    Decimal(f64),
}

impl fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => fmt::Display::fmt(number, f),
            // Never an exponent, no zeros without meaning.
            Self::Decimal(number) => fmt::Display::fmt(&float::Decimal(*number), f),
        }
    }
}

/// Decimal digits of a 32-bit number.
fn seconds(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Decimal digits with an optional fraction. The grammar has no sign and no exponent, but thresholds below zero are needed, and
/// both are sent.
fn decimal(text: &str) -> Option<f64> {
    let magnitude = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = magnitude.split_once(['e', 'E']).unwrap_or((magnitude, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || !digits(exponent) {
        return None;
    }
    float::parse(text).filter(|number| number.is_finite())
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// What a Write-Attributes says: attributes to set and attributes to take away.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AttributeChange {
    set: Attributes,
    unset: AttributeNames,
}

impl AttributeChange {
    /// Reads a query, one part an option: `pmin=5` sets, `pmin` and `pmin=` take away.
    ///
    /// # Errors
    /// [`AttributeError`] for an unknown name, one that stands twice, or a bad value. The rules between attributes are not
    /// checked here but on the merged set, by [`Attributes::check`].
    pub fn parse<'a>(queries: impl IntoIterator<Item = &'a str>) -> Result<Self, AttributeError> {
        let mut change = Self::default();
        for query in queries {
            let (name, value) = query.split_once('=').unwrap_or((query, ""));
            let name = AttributeName::from_text(name).ok_or(AttributeError::Unknown)?;
            change.add(name, Some(value).filter(|value| !value.is_empty()))?;
        }
        Ok(change)
    }

    /// Adds an attribute: with a text to set it, with none to take it away.
    ///
    /// # Errors
    /// [`AttributeError`] for a name that was added already, or a bad value.
    pub fn add(&mut self, name: AttributeName, text: Option<&str>) -> Result<(), AttributeError> {
        if self.names().contains(name) {
            return Err(AttributeError::Duplicate(name));
        }
        self.set.set(name, text)?;
        if text.is_none() {
            self.unset = self.unset.with(name);
        }
        Ok(())
    }

    /// The attributes that are set.
    #[must_use]
    pub const fn set(&self) -> &Attributes {
        &self.set
    }

    /// The names of the attributes that are taken away.
    #[must_use]
    pub const fn unset(&self) -> AttributeNames {
        self.unset
    }

    /// All names, set or taken away.
    #[must_use]
    pub fn names(&self) -> AttributeNames {
        AttributeNames(self.set.names().0 | self.unset.0)
    }

    /// What is attached after the change.
    #[must_use]
    pub fn apply(&self, stored: &Attributes) -> Attributes {
        let mut merged = self.set.or(*stored);
        for name in self.unset.iter() {
            // Taking away cannot fail.
            let _ = merged.set(name, None);
        }
        merged
    }

    /// Gives the parts of the query, one by one.
    pub fn queries(&self, mut part: impl FnMut(fmt::Arguments<'_>)) {
        for name in AttributeName::ALL {
            match self.set.value(name) {
                Some(value) => part(format_args!("{name}={value}")),
                None if self.unset.contains(name) => part(format_args!("{name}")),
                None => {}
            }
        }
    }
}

impl From<Attributes> for AttributeChange {
    /// The change that sets all of them and takes none away.
    fn from(set: Attributes) -> Self {
        Self { set, unset: AttributeNames::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{string::String, string::ToString, vec::Vec};

    fn parse(query: &str) -> Result<AttributeChange, AttributeError> {
        AttributeChange::parse(query.split('&'))
    }

    fn printed(change: &AttributeChange) -> String {
        let mut parts = Vec::new();
        change.queries(|part| parts.push(part.to_string()));
        parts.join("&")
    }

    // Proves: ATT-12
    #[test]
    fn queries_are_read_and_written() {
        for query in [
            "pmin=5&pmax=60&gt=50&lt=42.2&st=0.5&epmin=1&epmax=2&edge=1&con=0&hqmax=10",
            "gt=-10.5",
            "pmin&st",
            "pmax=0",
        ] {
            assert_eq!(printed(&parse(query).expect("legal")), query);
        }
        assert_eq!(printed(&parse("pmin=&gt=50.0").expect("legal")), "pmin&gt=50");
        assert_eq!(printed(&parse("gt=1.5e3&lt=-2E-1").expect("legal")), "gt=1500&lt=-0.2");
    }

    // Bad inputs 185 to 187.
    #[test]
    fn bad_values_unknown_names_and_repetitions_are_refused() {
        use AttributeError::{BadValue, Duplicate, Unknown};
        for (query, error) in [
            ("pmin=-1", BadValue(AttributeName::Pmin)),
            ("pmin=1e9999", BadValue(AttributeName::Pmin)),
            ("pmin=4294967296", BadValue(AttributeName::Pmin)),
            ("pmax=1.5", BadValue(AttributeName::Pmax)),
            ("pmin=1&pmin=2", Duplicate(AttributeName::Pmin)),
            ("pmin&pmin=2", Duplicate(AttributeName::Pmin)),
            ("st=NaN", BadValue(AttributeName::St)),
            ("st=0", BadValue(AttributeName::St)),
            ("st=-1", BadValue(AttributeName::St)),
            ("gt=inf", BadValue(AttributeName::Gt)),
            ("gt=1e999", BadValue(AttributeName::Gt)),
            ("gt=1e", BadValue(AttributeName::Gt)),
            ("lt=.5", BadValue(AttributeName::Lt)),
            ("edge=2", BadValue(AttributeName::Edge)),
            ("con=true", BadValue(AttributeName::Con)),
            ("dim=3", Unknown),
            ("ver=1.1", Unknown),
            ("Pmin=1", Unknown),
            ("", Unknown),
        ] {
            assert_eq!(parse(query), Err(error), "{query}");
        }
    }

    // Core TS 1.2, 7.3.2; bad input 186.
    // Proves: ATT-07
    #[test]
    fn rules_hold_for_the_merged_set() {
        let check = |query: &str| parse(query).expect("legal alone").apply(&Attributes::NONE).check();
        assert_eq!(check("lt=5&gt=1"), Err(AttributeError::Thresholds));
        assert_eq!(check("lt=5&gt=5"), Err(AttributeError::Thresholds));
        assert_eq!(check("lt=1&gt=2&st=1"), Err(AttributeError::Thresholds));
        assert_eq!(check("lt=1&gt=3&st=1"), Err(AttributeError::Thresholds));
        assert_eq!(check("lt=1&gt=3.1&st=1"), Ok(()));
        assert_eq!(check("epmin=5&epmax=5"), Err(AttributeError::EvaluationPeriods));
        assert_eq!(check("pmin=10&pmax=5"), Ok(()));

        let stored = parse("gt=50&pmin=5").expect("legal").apply(&Attributes::NONE);
        let merged = parse("lt=60&pmin").expect("legal").apply(&stored);
        assert_eq!(merged, Attributes { gt: Some(50.0), lt: Some(60.0), ..Attributes::NONE });
        assert_eq!(merged.check(), Err(AttributeError::Thresholds));
    }

    #[test]
    fn pmax_below_pmin_or_zero_does_not_count() {
        let pmax = |query: &str| parse(query).expect("legal").set().pmax_in_force();
        assert_eq!(pmax("pmin=10&pmax=5"), None);
        assert_eq!(pmax("pmin=10&pmax=10"), Some(10));
        assert_eq!(pmax("pmax=0"), None);
        assert_eq!(pmax("pmax=7"), Some(7));
    }

    // Proves: ATT-11
    #[test]
    fn each_attribute_has_its_levels_and_types() {
        use AttributeName::{Con, Edge, Gt, Pmin};
        assert!(Pmin.fits(Level::Object, None));
        assert!(!Pmin.fits(Level::Root, None));
        assert!(!Gt.fits(Level::Instance, None));
        assert!(Gt.fits(Level::Resource, Some(DataType::Float)));
        assert!(!Gt.fits(Level::Resource, Some(DataType::String)));
        assert!(Edge.fits(Level::ResourceInstance, Some(DataType::Boolean)));
        assert!(!Edge.fits(Level::Resource, Some(DataType::Integer)));
        assert!(Con.fits(Level::Object, None));
    }

    #[test]
    fn discover_shows_them_on_the_link() {
        let mut writer = LinkWriter::new(String::new());
        writer.link(format_args!("/3/0/7")).attribute("dim", format_args!("2"));
        let set = *parse("lt=42.2&gt=50&pmin=5").expect("legal").set();
        set.write_to(&mut writer);
        assert_eq!(writer.finish().as_deref(), Ok("</3/0/7>;dim=2;pmin=5;gt=50;lt=42.2"));
        assert_eq!(set.or(Attributes { pmin: Some(9), con: Some(true), ..Attributes::NONE }).con, Some(true));
    }
}
