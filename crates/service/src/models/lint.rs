//! Lint: what is wrong, or likely a mistake, in a document with object definitions; all of it at once, with its place.
//!
//! Whatever keeps the document from being loaded is an error: the tests hold this against what [`super::xml`] refuses.

use std::collections::BTreeMap;

use lightship_api::{ModelFinding, Severity};
use lightship_lwm2m::object::{Definitions, Operations, OwnedObjectDefinition, Range};
use lightship_lwm2m::{DataType, ObjectId, ObjectVersion, ResourceId};

use super::urn::{class, urn};
use super::xml::{self, Element, NAME_LEN_MAX};

/// All findings, in the order of the document.
pub(crate) fn lint(xml: &[u8], known: &Definitions) -> Vec<ModelFinding> {
    let mut lint = Lint { findings: Vec::new(), known, reused: reused(known) };
    match xml::tree(xml).and_then(|root| xml::objects(&root).map(|found| found.len()).map(|_| root)) {
        Ok(root) => {
            let mut seen = Vec::new();
            for element in xml::objects(&root).unwrap_or_default() {
                lint.object(element, &mut seen);
            }
        }
        Err(error) => lint.error("", &error.message),
    }
    lint.findings.truncate(FINDINGS_MAX);
    lint.findings
}

struct Lint<'a> {
    findings: Vec<ModelFinding>,
    known: &'a Definitions,
    reused: BTreeMap<ResourceId, (DataType, String)>,
}

impl Lint<'_> {
    fn find(&mut self, severity: Severity, place: &str, message: &str) {
        // A sentence.
        let mut letters = message.trim_end_matches('.').chars();
        let first = letters.next().map(char::to_uppercase).into_iter().flatten();
        let message: String = first.chain(letters).chain(['.']).collect();
        self.findings.push(ModelFinding { severity, place: place.to_owned(), message });
    }

    fn error(&mut self, place: &str, message: &str) {
        self.find(Severity::Error, place, message);
    }

    fn warn(&mut self, place: &str, message: &str) {
        self.find(Severity::Warning, place, message);
    }

    fn object(&mut self, element: &Element, seen: &mut Vec<(ObjectId, ObjectVersion)>) {
        let number: Option<u16> = element.text_of("ObjectID").parse().ok();
        let place = number.map(|number| format!("/{number}")).unwrap_or_default();
        let id = number.and_then(ObjectId::new);
        match (number, id) {
            (None, _) => self.error(&place, "ObjectID is missing, or no number from 0 to 65534"),
            (Some(_), None) => self.error(&place, "ObjectID 65535 is reserved"),
            (Some(number), Some(_)) => self.class(&place, number),
        }
        self.name(&place, element);
        let version = self.version(&place, element, "ObjectVersion");
        self.version(&place, element, "LWM2MVersion");
        self.choices(&place, element);
        if let (Some(id), Some(version)) = (id, version) {
            self.stated_urn(&place, element, (id, version));
            if seen.contains(&(id, version)) {
                self.warn(
                    &place,
                    &format!("version {version} stands in the document twice; the last one counts"),
                );
            }
            seen.push((id, version));
        }
        let mut ids: Vec<ResourceId> = Vec::new();
        let mut names: Vec<&str> = Vec::new();
        for item in element.items() {
            self.resource(&place, item, &mut ids, &mut names);
        }
        if ids.is_empty() {
            self.warn(&place, "it has no resources");
        }
        // What is left is about the definition as a whole.
        if let Ok(definition) = xml::object(element) {
            self.versions(&place, &definition);
        } else if let Err(error) = xml::object(element)
            && !self.findings.iter().any(|found| found.severity == Severity::Error)
        {
            self.error(&place, &error.message);
        }
    }

    fn class(&mut self, place: &str, number: u16) {
        match number {
            1024..=2047 | 42_801.. => {
                self.warn(place, "object IDs from 1024 to 2047 and above 42800 are reserved")
            }
            42_769..=42_800 => {
                self.warn(place, "object IDs from 42769 to 42800 are for tests, and never shipped")
            }
            0..=1023 => self.warn(place, "object IDs below 1024 are given by OMA alone"),
            _ => {}
        }
    }

    fn name(&mut self, place: &str, element: &Element) {
        let name = element.text_of("Name");
        if name.is_empty() {
            self.error(place, "Name is missing");
        } else if name.len() > NAME_LEN_MAX {
            self.error(place, &format!("Name is longer than {NAME_LEN_MAX} bytes"));
        }
    }

    fn version(&mut self, place: &str, element: &Element, name: &str) -> Option<ObjectVersion> {
        match element.text_of(name) {
            "" => Some(ObjectVersion::V1_0),
            text => {
                let version = text.parse().ok();
                if version.is_none() {
                    self.error(place, &format!("{name} {text:?} is no version such as 1.1"));
                }
                version
            }
        }
    }

    fn choices(&mut self, place: &str, element: &Element) {
        for (name, yes, no) in
            [("MultipleInstances", "Multiple", "Single"), ("Mandatory", "Mandatory", "Optional")]
        {
            match xml::choice(element, name, yes, no) {
                Err(message) => self.error(place, &message),
                Ok(_) if element.text_of(name).is_empty() => {
                    self.warn(place, &format!("{name} is missing and taken as {no}"));
                }
                Ok(_) => {}
            }
        }
    }

    fn stated_urn(&mut self, place: &str, element: &Element, (id, version): (ObjectId, ObjectVersion)) {
        let stated = element.text_of("ObjectURN");
        let (Some(right), false) = (urn(id, version), stated.is_empty()) else { return };
        // Both spellings are valid for 1.0.
        let short = right.strip_suffix(":1.0").unwrap_or(&right);
        let long = format!("{short}:{version}");
        let is_right =
            stated == right || (version == ObjectVersion::V1_0 && [short, &long].contains(&stated));
        if !is_right {
            let class = class(id).unwrap_or_default();
            self.warn(
                place,
                &format!("ObjectURN {stated:?} does not fit class {class}, ID and version; {right} does"),
            );
        }
    }

    fn resource<'a>(
        &mut self,
        object: &str,
        element: &'a Element,
        ids: &mut Vec<ResourceId>,
        names: &mut Vec<&'a str>,
    ) {
        let text = element.attributes.get("ID").map_or("", |id| id.trim());
        let id = text.parse().ok().and_then(ResourceId::new);
        let place = if id.is_some() { format!("{object}//{text}") } else { object.to_owned() };
        match id {
            None => {
                self.error(&place, &format!("the ID {text:?} of a resource is no number from 0 to 65534"))
            }
            Some(id) if ids.contains(&id) => self.error(&place, "this ID is there twice"),
            Some(id) => ids.push(id),
        }
        self.name(&place, element);
        let name = element.text_of("Name");
        if names.contains(&name) {
            self.warn(&place, &format!("another resource is called {name:?} as well"));
        }
        names.push(name);
        self.choices(&place, element);
        let written = element.text_of("Operations");
        let operations = Operations::from_letters(written);
        if operations.is_none() {
            self.error(&place, &format!("Operations {written:?} is none of R, W, RW, E"));
        }
        let kind = match element.text_of("Type") {
            "" | "None" | "none" => None,
            kind => {
                let known = xml::data_type(kind);
                if known.is_none() {
                    self.error(&place, &format!("there is no data type {kind:?}"));
                }
                Some(known)
            }
        };
        if let Some(operations) = operations {
            self.operations(&place, element, operations, kind);
        }
        if let Some(kind) = kind.flatten() {
            self.range(&place, element.text_of("RangeEnumeration"), kind);
            self.reuse(&place, id, kind);
        }
    }

    fn operations(
        &mut self,
        place: &str,
        element: &Element,
        operations: Operations,
        kind: Option<Option<DataType>>,
    ) {
        if operations.readable() || operations.writable() {
            if kind.is_none() {
                self.error(place, "it can be read or written, and has no Type");
            }
        } else if operations == Operations::EXECUTE {
            if kind.is_some() {
                self.warn(place, "it is only executed, so it has no value and needs no Type");
            }
            if element.text_of("MultipleInstances").eq_ignore_ascii_case("Multiple") {
                self.warn(place, "it is only executed, so it cannot have instances");
            }
            if !element.text_of("Units").is_empty() {
                self.warn(place, "it is only executed, so it has no Units");
            }
        }
    }

    fn range(&mut self, place: &str, range: &str, kind: DataType) {
        if matches!(Range::parse(range), Range::Unknown(_)) {
            self.warn(
                place,
                &format!("the range {range:?} is not understood, so it is not enforced; 0..100 would be"),
            );
        } else if !range.trim().is_empty() && matches!(kind, DataType::Boolean | DataType::ObjectLink) {
            self.warn(place, &format!("a {} has no range", words(kind)));
        }
    }

    /// A re-usable resource means the same everywhere.
    fn reuse(&mut self, place: &str, id: Option<ResourceId>, kind: DataType) {
        let Some((usual, name)) = id.and_then(|id| self.reused.get(&id)) else { return };
        if *usual != kind {
            let (usual, kind) = (words(*usual), words(kind));
            let message =
                format!("re-usable resource {name:?} is {usual} in OMA's registry, and {kind} here");
            self.warn(place, &message);
        }
    }

    fn versions(&mut self, place: &str, new: &OwnedObjectDefinition) {
        let version = new.version;
        if let Some(known) = self.known.lookup(new.id, version) {
            let is_same = super::show::diff(&known, &new.as_definition());
            let is_same = is_same.object.is_empty()
                && is_same.added.is_empty()
                && is_same.removed.is_empty()
                && is_same.changed.is_empty();
            if is_same {
                self.warn(place, &format!("version {version} is known already, and is the same"));
            } else if self.known.is_loaded(new.id, version) {
                self.error(
                    place,
                    &format!("version {version} is loaded already, and differs; give it a new version"),
                );
            } else {
                self.warn(place, &format!("version {version} is built in, and differs; it would be hidden"));
            }
            return;
        }
        let before = self.known.versions(new.id).filter(|old| old.version.major == version.major);
        let Some(before) = before.filter(|old| old.version < version).last() else { return };
        let diff = super::show::diff(&before, &new.as_definition());
        let (old, older) = (before.version, "in a minor version only optional resources are new");
        for gone in &diff.removed {
            self.warn(
                &format!("{place}//{}", gone.id),
                &format!("version {old} has it, this one does not; {older}"),
            );
        }
        for added in diff.added.iter().filter(|added| added.mandatory) {
            self.warn(
                &format!("{place}//{}", added.id),
                &format!("version {old} lacks it, and it is mandatory; {older}"),
            );
        }
        for changed in &diff.changed {
            for change in changed.changes.iter().filter(|change| change.field == "type") {
                let (from, to) = (&change.from, &change.to);
                let message =
                    format!("its type was {from} in version {old} and is {to}; that needs a major version");
                self.warn(&format!("{place}//{}", changed.id), &message);
            }
        }
    }
}

/// What re-usable resources are in the registry, as most objects have them.
fn reused(known: &Definitions) -> BTreeMap<ResourceId, (DataType, String)> {
    let mut uses: BTreeMap<ResourceId, Vec<(DataType, &str, usize)>> = BTreeMap::new();
    let all: Vec<_> = known.all().filter(|one| !known.is_loaded(one.id, one.version)).collect();
    for resource in all.iter().flat_map(|definition| definition.resources()) {
        let Some(kind) = resource.data_type.filter(|_| REUSABLE.contains(&resource.id.get())) else {
            continue;
        };
        let kinds = uses.entry(resource.id).or_default();
        match kinds.iter_mut().find(|(known, ..)| *known == kind) {
            Some((.., count)) => *count += 1,
            None => kinds.push((kind, resource.name, 1)),
        }
    }
    let usual = |kinds: Vec<(DataType, &str, usize)>| {
        let most = kinds.into_iter().max_by_key(|(.., count)| *count)?;
        Some((most.0, most.1.to_owned()))
    };
    uses.into_iter().filter_map(|(id, kinds)| Some((id, usual(kinds)?))).collect()
}

fn words(kind: DataType) -> &'static str {
    lightship_api::ValueType::from(kind).name()
}

/// Resource IDs that mean the same in every object.
const REUSABLE: std::ops::RangeInclusive<u16> = 2048..=26_240;
/// Findings that are told of one document.
const FINDINGS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"<LWM2M><Object ObjectType="MODefinition"><Name>Pump</Name>
<ObjectID>33000</ObjectID><ObjectURN>urn:oma:lwm2m:x:33000:1.1</ObjectURN><LWM2MVersion>1.1</LWM2MVersion><ObjectVersion>1.1</ObjectVersion>
<MultipleInstances>Multiple</MultipleInstances><Mandatory>Optional</Mandatory><Resources>
<Item ID="1"><Name>Speed</Name><Operations>RW</Operations><MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory><Type>Float</Type><RangeEnumeration>0..9</RangeEnumeration></Item>
<Item ID="2"><Name>Go</Name><Operations>E</Operations><MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory><Type></Type></Item>
</Resources></Object></LWM2M>"#;

    fn told(xml: &str) -> Vec<(Severity, String, String)> {
        let found = lint(xml.as_bytes(), &Definitions::new());
        found.into_iter().map(|one| (one.severity, one.place, one.message)).collect()
    }

    #[test]
    fn each_mistake_is_found_at_its_place() {
        use Severity::{Error, Warning};
        // Nobody gives out URNs there.
        let good = GOOD.replace("<ObjectURN>urn:oma:lwm2m:x:33000:1.1</ObjectURN>", "");
        assert_eq!(told(&good), []);
        for (from, to, severity, place, part) in [
            ("<Name>Pump</Name>", "", Error, "/33000", "Name is missing"),
            ("<Name>Speed</Name>", "", Error, "/33000//1", "Name is missing"),
            ("ID=\"2\"", "ID=\"1\"", Error, "/33000//1", "twice"),
            ("ID=\"2\"", "ID=\"x\"", Error, "/33000", "no number"),
            ("<Name>Go<", "<Name>Speed<", Warning, "/33000//2", "as well"),
            ("<Type></Type>", "<Type>String</Type>", Warning, "/33000//2", "only executed"),
            ("<Type>Float</Type>", "<Type></Type>", Error, "/33000//1", "no Type"),
            ("<Type>Float</Type>", "<Type>Number</Type>", Error, "/33000//1", "no data type"),
            (">RW<", ">RX<", Error, "/33000//1", "none of R"),
            ("0..9", "some", Warning, "/33000//1", "not understood"),
            ("<ObjectVersion>1.1", "<ObjectVersion>x", Error, "/33000", "no version"),
            (
                "<Mandatory>Optional</Mandatory><Resources>",
                "<Resources>",
                Warning,
                "/33000",
                "taken as Optional",
            ),
            ("<ObjectID>33000", "<ObjectID>", Error, "", "ObjectID"),
            ("<ObjectID>33000", "<ObjectID>65535", Error, "/65535", "reserved"),
            ("<ObjectID>33000", "<ObjectID>1500", Warning, "/1500", "reserved"),
            ("<ObjectID>33000", "<ObjectID>42770", Warning, "/42770", "tests"),
            ("ID=\"1\"", "ID=\"5700\"", Warning, "/33000//5700", ""),
            ("</LWM2M>", "", Error, "", "cut"),
        ] {
            let bent = if from == "ID=\"1\"" {
                good.replace(from, to).replace("Float", "String")
            } else {
                good.replacen(from, to, 1)
            };
            let found = told(&bent);
            let is = |(how, at, words): &(Severity, String, String)| {
                *how == severity && at == place && words.contains(part)
            };
            assert!(found.iter().any(is), "{to}: {found:?}");
            assert_eq!(xml::read(bent.as_bytes()).is_err(), severity == Error, "{to}");
        }
    }

    #[test]
    fn a_urn_fits_class_id_and_version() {
        let at = |urn: &str, id: &str, version: &str| {
            let stated = GOOD
                .replace("urn:oma:lwm2m:x:33000:1.1", urn)
                .replace("<ObjectID>33000", &format!("<ObjectID>{id}"));
            let found = told(&stated.replace("<ObjectVersion>1.1", &format!("<ObjectVersion>{version}")));
            found.iter().any(|(_, _, message)| message.contains("does not fit"))
        };
        assert!(!at("urn:oma:lwm2m:x:12000:1.1", "12000", "1.1"));
        assert!(!at("urn:oma:lwm2m:x:12000", "12000", "1.0"));
        assert!(!at("urn:oma:lwm2m:x:12000:1.0", "12000", "1.0"));
        assert!(at("urn:oma:lwm2m:x:12000", "12000", "1.1"));
        assert!(at("urn:oma:lwm2m:ext:12000:1.1", "12000", "1.1"));
        assert!(at("urn:oma:lwm2m:x:12001:1.1", "12000", "1.1"));
    }

    #[test]
    fn a_minor_version_only_adds_what_is_optional() {
        let mut known = Definitions::new();
        for definition in xml::read(GOOD.as_bytes()).unwrap() {
            known.load(definition);
        }
        let next = GOOD.replace("<ObjectVersion>1.1", "<ObjectVersion>1.2").replace("Float", "String");
        let next = next.replace("ID=\"2\"", "ID=\"3\"").replace("Go", "Stop");
        let found = lint(next.as_bytes(), &known);
        let told: Vec<_> = found.iter().map(|one| (one.place.as_str(), one.message.as_str())).collect();
        assert!(
            told.iter().any(|(place, text)| *place == "/33000//2" && text.contains("this one does not")),
            "{told:?}"
        );
        assert!(
            told.iter().any(|(place, text)| *place == "/33000//1" && text.contains("major version")),
            "{told:?}"
        );
        let other = GOOD.replace("Speed", "Rate");
        assert!(lint(other.as_bytes(), &known).iter().any(|one| one.severity == Severity::Error));
        assert!(lint(GOOD.as_bytes(), &known).iter().all(|one| one.severity == Severity::Warning));
    }
}
