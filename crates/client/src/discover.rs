//! Discover: what there is at and below a path, with the attributes of the server that asks (TS_Core 6.3.2).

use lightship_coap::Code;
use lightship_coap::link::{LinkWriter, TextBuffer};
use lightship_lwm2m::path::Level;
use lightship_lwm2m::{ObjectInstanceId, Path, ResourceId, Version};

pub(crate) use crate::attributes::Shown;
use crate::dispatch::{Deny, Request};
use crate::list::{state_version, stated_version};
use crate::object::{Object, ResourceModel};
use crate::uri::Below;
use crate::write::next_item;

/// Writes the links into `out`; returns their length.
pub(crate) fn discover(
    object: &dyn Object,
    request: &Request<'_>,
    attributes: &Shown<'_>,
    out: &mut [u8],
) -> Result<usize, Deny> {
    let path = request.path;
    if path.level() == Level::ResourceInstance {
        return Err(Code::METHOD_NOT_ALLOWED.into());
    }
    let depth = depth(request)?;
    let mut discovery = Discovery {
        object,
        attributes,
        root: request.root,
        version: request.version,
        target: path,
        deepest: path.len().saturating_add(depth),
        links: LinkWriter::new(TextBuffer::new(out)),
    };
    match (path.instance_id(), path.resource_id()) {
        (Some(instance), Some(resource)) => {
            let model = object.model().resource(resource).ok_or(Code::NOT_FOUND)?;
            if !object.has(instance, resource) {
                return Err(Code::NOT_FOUND.into());
            }
            discovery.resource(instance, model);
        }
        (Some(instance), None) => discovery.instance(instance),
        (None, _) => discovery.object(),
    }
    discovery.links.finish().map(|text| text.len()).map_err(|_| Code::INTERNAL_SERVER_ERROR.into())
}

/// How many levels below the target are shown: 2 below an object, otherwise 1; `depth` says otherwise since 1.2. Up to
/// 1.1 a resource is shown alone.
fn depth(request: &Request<'_>) -> Result<usize, Code> {
    let level = request.path.level();
    let usual = match level {
        Level::Object => 2,
        Level::Resource if request.version < Version::V1_2 => 0,
        Level::Root | Level::Instance | Level::Resource | Level::ResourceInstance => 1,
    };
    let knows_depth = request.version >= Version::V1_2;
    let mut depth = None;
    for query in request.message.uri_query() {
        let value = query.strip_prefix("depth=").ok_or(Code::BAD_OPTION)?;
        if !knows_depth {
            continue;
        }
        let number = match value {
            "0" => 0,
            "1" => 1,
            "2" => 2,
            "3" => 3,
            _ => return Err(Code::BAD_REQUEST),
        };
        if depth.replace(number).is_some() {
            return Err(Code::BAD_REQUEST);
        }
    }
    Ok(depth.unwrap_or(usual))
}

struct Discovery<'a, 'b> {
    object: &'a dyn Object,
    attributes: &'a Shown<'a>,
    root: &'a str,
    version: Version,
    target: Path,
    /// The longest path that is shown.
    deepest: usize,
    links: LinkWriter<TextBuffer<'b>>,
}

impl Discovery<'_, '_> {
    fn link(&mut self, path: Path) {
        self.links.link(format_args!("{}", Below(self.root, path)));
    }

    fn object(&mut self) {
        let model = self.object.model();
        let path = Path::object(model.id);
        self.link(path);
        if let Some(said) = stated_version(model.id, model.version, self.version) {
            state_version(&mut self.links, said, self.version);
        }
        self.attach(path);
        let mut from = Some(0);
        while let Some(instance) = from.and_then(|from| self.object.instance_from(from)) {
            self.instance(instance);
            from = instance.get().checked_add(1);
        }
    }

    fn instance(&mut self, instance: ObjectInstanceId) {
        let path = Path::instance(self.object.model().id, instance);
        if path.len() > self.deepest {
            return;
        }
        self.link(path);
        self.attach(path);
        if path.len() < self.deepest {
            let object = self.object;
            for model in object.model().resources.iter().filter(|model| object.has(instance, model.id)) {
                self.resource(instance, model);
            }
        }
    }

    fn resource(&mut self, instance: ObjectInstanceId, model: &ResourceModel) {
        let path = Path::resource(self.object.model().id, instance, model.id);
        self.link(path);
        // Up to 1.1 an object-level Discover has no dim.
        if model.multiple && (self.version >= Version::V1_2 || self.target.level() != Level::Object) {
            let mut count = 0_usize;
            self.each_item(instance, model.id, |_, _| count = count.saturating_add(1));
            self.links.attribute("dim", format_args!("{count}"));
        }
        self.attach(path);
        if model.multiple && path.len() < self.deepest {
            self.each_item(instance, model.id, |discovery, item| {
                if let Some(path) = path.child(item) {
                    discovery.link(path);
                    discovery.attach(path);
                }
            });
        }
    }

    fn each_item(
        &mut self,
        instance: ObjectInstanceId,
        resource: ResourceId,
        mut visit: impl FnMut(&mut Self, u16),
    ) {
        let mut from = Some(0);
        while let Some(item) = from.and_then(|from| next_item(self.object, instance, resource, from)) {
            visit(self, item.get());
            from = item.get().checked_add(1);
        }
    }

    /// Adds the attributes of a node: at the target also inherited ones. Up to 1.1 an object-level Discover shows those of
    /// the object alone.
    fn attach(&mut self, path: Path) {
        let shown = if path == self.target {
            self.attributes.inherited(path)
        } else if self.version < Version::V1_2 && self.target.level() == Level::Object {
            return;
        } else {
            self.attributes.at(path)
        };
        shown.write_to(&mut self.links);
    }
}
