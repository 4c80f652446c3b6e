//! What the server knows of a registered device.

use core::hash::{Hash, Hasher};
use core::ops::Deref;
use std::net::SocketAddr;
use std::sync::Arc;

use lightship_coap::ContentFormat;
use lightship_lwm2m::{Binding, Endpoint, ObjectVersion, Path, Version};
use lightship_platform::Instant;

use crate::{Deviations, Party, Presence, RegistrationId, SessionInfo};

/// One registration, as it was when the event that carries it happened. Cloning shares all text.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The name of the registration; its Location-Path is `rd/` and this.
    pub id: RegistrationId,
    /// Where the device was heard last, and where requests to it go.
    pub address: SocketAddr,
    /// Whose it is, if it was made or last updated under security: nobody else, and nobody without security, can change it.
    pub party: Option<Arc<Party>>,
    /// The session by which the device can be reached; `None` without security, and while a secured device has none.
    pub session: Option<SessionInfo>,
    /// What the device said.
    pub details: Details,
    /// When it registered.
    pub registered_at: Instant,
    /// When it registered or sent an Update last.
    pub updated_at: Instant,
    /// Whether it can be reached now.
    pub presence: Presence,
    /// What it did otherwise than the standard says, in this registration and those before it that gave way to it.
    pub deviations: Deviations,
    /// When it ends without an Update; `None` for a lifetime of 0 (LwM2M 1.2: never).
    pub expires_at: Option<Instant>,
}

/// What a device says about itself when it registers (TS_Core 6.2.1): its name, and all the rest. Cloning shares both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Details {
    /// The Endpoint Client Name.
    pub endpoint: Endpoint,
    /// What it says beside its name; a shard keeps equal ones once.
    pub terms: Arc<Terms>,
}

impl Deref for Details {
    type Target = Terms;

    fn deref(&self) -> &Terms {
        &self.terms
    }
}

/// What a device says in its registration beside its name, as all devices of one kind do, as a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    /// The version of LwM2M that the device speaks.
    pub version: Version,
    /// Seconds without an Update after which the registration ends; 0 = never.
    pub lifetime_s: u32,
    /// The transports by which the device can be reached.
    pub binding: Binding,
    /// Whether the device sleeps between its messages.
    pub queue_mode: bool,
    /// The number or external identifier for SMS.
    pub sms: Option<Box<str>>,
    /// Registration parameters that the server does not know, in the order of the query.
    pub attributes: Box<[(Box<str>, Box<str>)]>,
    /// What the device offers; devices of one kind share one list.
    pub objects: Arc<ObjectList>,
}

impl Hash for Terms {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { version, lifetime_s, binding, queue_mode, sms, attributes, objects } = self;
        (version, lifetime_s, binding, queue_mode, sms, attributes).hash(state);
        // Where terms are shared, their lists are: the same list lies in one place.
        core::ptr::hash(Arc::as_ptr(objects), state);
    }
}

/// The list of objects of a registration (TS_Core 6.2.1, link format).
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct ObjectList {
    /// The path in front of all objects, without slashes at the ends; empty for none (`rt="oma.lwm2m"`).
    pub root: Box<str>,
    /// The content formats that the device announces with `ct` on the root link.
    pub formats: Box<[ContentFormat]>,
    /// The Profile IDs that the device gave with it or instead of it (LwM2M 1.2), as `pid` had them.
    pub profile: Option<Box<str>>,
    /// Objects and instances, ascending, each once, without those that no server may address.
    pub objects: Box<[ObjectLink]>,
}

/// One object or object instance of an [`ObjectList`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectLink {
    /// `/3303` or `/3303/0`.
    pub path: Path,
    /// The object's version if the device says one.
    pub version: Option<ObjectVersion>,
}
