//! What devices and the host have said, as bytes.

use std::sync::Arc;

use lightship_coap::ContentFormat;
use lightship_lwm2m::{Binding, Endpoint, Version};

use super::{Reader, Writer};
use crate::{
    Certificate, Composite, Content, Details, Endpoints, Mode, ObjectLink, ObjectList, Observed, Party,
    Principal, Terms, Wanted,
};

impl Party {
    pub(crate) fn freeze(&self, writer: &mut Writer) {
        writer.u8(self.principal.mode() as u8);
        match &self.principal {
            Principal::Psk(identity) => writer.bytes(identity),
            Principal::RawPublicKey(sha256) => writer.raw(sha256),
            Principal::Certificate(certificate) => {
                writer.raw(&certificate.sha256);
                writer.maybe(certificate.common_name.as_deref(), Writer::text);
                writer.len(certificate.names.len());
                certificate.names.iter().for_each(|name| writer.text(name));
            }
        }
        writer.maybe(self.endpoints.one(), |writer, endpoint| writer.text(endpoint));
    }

    pub(crate) fn thaw(reader: &mut Reader<'_>) -> Option<Self> {
        let principal = match reader.u8()? {
            mode if mode == Mode::Psk as u8 => Principal::Psk(reader.bytes()?.into()),
            mode if mode == Mode::RawPublicKey as u8 => Principal::RawPublicKey(reader.array()?),
            mode if mode == Mode::Certificate as u8 => Principal::Certificate(Box::new(Certificate {
                sha256: reader.array()?,
                common_name: reader.maybe(Reader::text)?.map(Into::into),
                names: reader.list(|reader| reader.text().map(Into::into))?.into(),
            })),
            _ => return None,
        };
        let endpoints = match reader.maybe(Reader::text)? {
            Some(endpoint) => Endpoints::One(Endpoint::new(endpoint).ok()?),
            None => Endpoints::Any,
        };
        Some(Self { principal, endpoints })
    }
}

impl ObjectList {
    pub(super) fn freeze(&self, writer: &mut Writer) {
        writer.text(&self.root);
        writer.len(self.formats.len());
        self.formats.iter().for_each(|format| writer.u16(format.0));
        writer.maybe(self.profile.as_deref(), Writer::text);
        writer.len(self.objects.len());
        for link in &self.objects {
            writer.text(&link.path.to_string());
            writer.maybe(link.version, |writer, version| writer.text(&version.to_string()));
        }
    }

    pub(super) fn thaw(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            root: reader.text()?.into(),
            formats: reader.list(|reader| reader.u16().map(ContentFormat))?.into(),
            profile: reader.maybe(Reader::text)?.map(Into::into),
            objects: reader
                .list(|reader| {
                    let path = reader.text()?.parse().ok()?;
                    let version = match reader.maybe(Reader::text)? {
                        Some(version) => Some(version.parse().ok()?),
                        None => None,
                    };
                    Some(ObjectLink { path, version })
                })?
                .into(),
        })
    }
}

impl Details {
    /// Everything but the list of objects.
    pub(super) fn freeze(&self, writer: &mut Writer) {
        writer.text(&self.endpoint);
        writer.text(self.version.as_str());
        writer.u32(self.lifetime_s);
        writer.text(&self.binding.to_string());
        writer.bool(self.queue_mode);
        writer.maybe(self.sms.as_deref(), Writer::text);
        writer.len(self.attributes.len());
        for (name, value) in &self.attributes {
            writer.text(name);
            writer.text(value);
        }
    }

    pub(super) fn thaw(reader: &mut Reader<'_>, objects: Arc<ObjectList>) -> Option<Self> {
        let endpoint = Endpoint::new(reader.text()?).ok()?;
        let terms = Terms {
            version: reader.text()?.parse().ok()?,
            lifetime_s: reader.u32()?,
            binding: Binding::parse(reader.text()?, Version::V1_1)?.0,
            queue_mode: reader.bool()?,
            sms: reader.maybe(Reader::text)?.map(Into::into),
            attributes: reader.list(|reader| Some((reader.text()?.into(), reader.text()?.into())))?.into(),
            objects,
        };
        Some(Self { endpoint, terms: Arc::new(terms) })
    }
}

impl Wanted {
    pub(crate) fn freeze(&self, writer: &mut Writer) {
        match &self.observed {
            Observed::Node(path) => {
                writer.bool(false);
                writer.text(&path.to_string());
            }
            Observed::Composite(composite) => {
                writer.bool(true);
                writer.text(&composite.name);
                writer.u16(composite.content.format.0);
                writer.bytes(&composite.content.payload);
            }
        }
        writer.maybe(self.accept, |writer, format| writer.u16(format.0));
        writer.len(self.attributes.len());
        self.attributes.iter().for_each(|text| writer.text(text));
    }

    pub(crate) fn thaw(reader: &mut Reader<'_>) -> Option<Self> {
        let observed = if reader.bool()? {
            let name = reader.text()?.into();
            let content = Content { format: ContentFormat(reader.u16()?), payload: reader.bytes()?.into() };
            Observed::Composite(Composite { name, content })
        } else {
            Observed::Node(reader.text()?.parse().ok()?)
        };
        Some(Self {
            observed,
            accept: reader.maybe(Reader::u16)?.map(ContentFormat),
            attributes: reader.list(|reader| reader.text().map(str::to_owned))?,
        })
    }
}
