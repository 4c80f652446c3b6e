//! Told: the JSON of a registration as events have it, byte for byte what [`Device::shape`] becomes, without making that shape.
//!
//! What devices of one kind say of themselves is written once and kept. A kind is kept only after what comes out was compared with what
//! the shape becomes; whoever deviated, or has made instances for us, is written the long way.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use lightship_api::{EventType, Timestamp};
use lightship_server::{Deviations, Terms};

use super::Device;
use crate::security;

/// What the kinds of devices say, ready to be written.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    /// By the place of their terms.
    known: HashMap<usize, Kind>,
}

/// One kind of devices.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Kept, so that their place is nobody else's.
    _terms: Arc<Terms>,
    /// As the store has them.
    packed: Vec<u8>,
    json: Option<Json>,
}

/// What lies around what each device has of its own.
#[derive(Debug)]
struct Json {
    /// From the version to Queue Mode.
    front: Box<[u8]>,
    /// From the objects to the end.
    back: Box<[u8]>,
}

impl Kinds {
    /// What a device of these terms says, as the store has it.
    pub(crate) fn packed(&mut self, terms: &Arc<Terms>) -> &[u8] {
        &self.kind(terms).packed
    }

    fn kind(&mut self, terms: &Arc<Terms>) -> &mut Kind {
        let place = Arc::as_ptr(terms).addr();
        if self.known.len() >= KINDS_MAX && !self.known.contains_key(&place) {
            self.known.clear();
        }
        let new = || Kind { _terms: terms.clone(), packed: terms.packed(), json: None };
        self.known.entry(place).or_insert_with(new)
    }

    /// Appends what [`api::Event`](lightship_api::Event) becomes that shows a registration.
    ///
    /// # Errors
    /// When something has no JSON.
    pub(crate) fn write_event(
        &mut self,
        out: &mut Vec<u8>,
        (now, kind): (Timestamp, EventType),
        device: &Device,
        reason: Option<&str>,
    ) -> std::io::Result<()> {
        out.extend_from_slice(b"{\"time\":");
        write_time(out, now)?;
        write!(out, ",\"type\":\"{}\",\"endpoint\":", kind.name())?;
        write_text(out, device.registration.details.endpoint.as_str())?;
        out.extend_from_slice(b",\"registration\":");
        self.write(out, device)?;
        if let Some(reason) = reason {
            out.extend_from_slice(b",\"reason\":");
            write_text(out, reason)?;
        }
        out.push(b'}');
        Ok(())
    }

    /// Appends the registration of a device.
    fn write(&mut self, out: &mut Vec<u8>, device: &Device) -> std::io::Result<()> {
        let kind = self.kind(&device.registration.details.terms);
        let is_usual = device.is_usual();
        if is_usual && kind.json.is_none() {
            kind.json = Json::learn(device);
        }
        match &kind.json {
            Some(json) if is_usual => json.write(out, device),
            Some(_) | None => Ok(serde_json::to_writer(out, &device.shape())?),
        }
    }
}

impl Json {
    /// Cuts it out of what the shape becomes.
    fn learn(device: &Device) -> Option<Json> {
        let whole = serde_json::to_vec(&device.shape()).ok()?;
        let (mut head, mut own) = (Vec::new(), Vec::new());
        write_head(&mut head, device).ok()?;
        write_own(&mut own, device).ok()?;
        let rest = whole.strip_prefix(&*head)?;
        // Between them are a version, a number, letters and a flag.
        let at = rest.windows(STATE.len()).position(|window| window == STATE)?;
        let (front, rest) = rest.split_at_checked(at)?;
        let back = rest.strip_prefix(&*own)?;
        Some(Json { front: front.into(), back: back.into() })
    }

    fn write(&self, out: &mut Vec<u8>, device: &Device) -> std::io::Result<()> {
        write_head(out, device)?;
        out.extend_from_slice(&self.front);
        write_own(out, device)?;
        out.extend_from_slice(&self.back);
        Ok(())
    }
}

impl Device {
    /// Whether its shape holds nothing of its own behind its session.
    fn is_usual(&self) -> bool {
        self.made.is_empty()
            && self.deleted.is_empty()
            && self.deviations.is_empty()
            && self.deviations_before.is_empty()
            && self.registration.deviations == Deviations::default()
    }
}

/// The name of the device, and of its registration.
fn write_head(out: &mut Vec<u8>, device: &Device) -> std::io::Result<()> {
    out.extend_from_slice(b"{\"endpoint\":");
    write_text(out, device.registration.details.endpoint.as_str())?;
    write!(out, ",\"registration_id\":\"{}\"", device.registration.id)
}

/// From the state to the session.
fn write_own(out: &mut Vec<u8>, device: &Device) -> std::io::Result<()> {
    let registration = &device.registration;
    out.extend_from_slice(STATE);
    out.extend_from_slice(if registration.presence.is_asleep() { b"\"asleep\"" } else { b"\"awake\"" });
    for (name, time) in [("awake_until", device.awake_until), ("expected_wake", device.expected_wake)] {
        if let Some(time) = time {
            write!(out, ",\"{name}\":")?;
            write_time(out, time)?;
        }
    }
    if device.commands_waiting > 0 {
        write!(out, ",\"commands_waiting\":{}", device.commands_waiting)?;
    }
    write!(out, ",\"address\":\"{}\",\"registered_at\":", registration.address)?;
    write_time(out, device.registered_at)?;
    out.extend_from_slice(b",\"updated_at\":");
    write_time(out, device.updated_at)?;
    out.extend_from_slice(b",\"expires_at\":");
    match device.expires_at {
        Some(expires_at) => write_time(out, expires_at)?,
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"security\":");
    if registration.party.is_none() {
        out.extend_from_slice(b"{\"mode\":\"nosec\"}");
    } else {
        serde_json::to_writer(&mut *out, &security::facts(registration))?;
    }
    if let Some(session) = device.session() {
        out.extend_from_slice(b",\"session\":");
        serde_json::to_writer(&mut *out, &session)?;
    }
    Ok(())
}

/// Appends a text in quotes.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) -> std::io::Result<()> {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\');
    if !is_plain {
        return Ok(serde_json::to_writer(out, text)?);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
    Ok(())
}

/// Appends a moment in quotes.
pub(crate) fn write_time(out: &mut Vec<u8>, time: Timestamp) -> std::io::Result<()> {
    match time.text() {
        Some(text) => {
            out.push(b'"');
            out.extend_from_slice(text.as_str().as_bytes());
            out.push(b'"');
            Ok(())
        }
        None => Ok(serde_json::to_writer(out, &time)?),
    }
}

const STATE: &[u8] = b",\"state\":";
/// Kinds that are kept; then all are forgotten, and learnt again.
const KINDS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lightship_api as api;
    use lightship_lwm2m::{Binding, Endpoint, Version};
    use lightship_net::Clock;
    use lightship_platform::Instant;
    use lightship_server::{
        Details, Deviation, Endpoints, Locator, ObjectLink, ObjectList, Party, Presence, Principal,
        Registration,
    };

    use super::*;

    fn device(name: &str, terms: &Arc<Terms>) -> Device {
        let details = Details { endpoint: Endpoint::new(name).expect("a name"), terms: terms.clone() };
        let registration = Registration {
            id: Locator { shard: 0, node: 0, random: 7 },
            address: ([10, 0, 0, 1], 5683).into(),
            party: None,
            session: None,
            details,
            registered_at: Instant::from_secs(1),
            updated_at: Instant::from_secs(2),
            presence: Presence::Listening,
            deviations: Deviations::default(),
            expires_at: Some(Instant::from_secs(300)),
        };
        Device::new(0, registration, Clock::start())
    }

    fn terms(queue_mode: bool) -> Arc<Terms> {
        let link = |path: &str| ObjectLink { path: path.parse().expect("a path"), version: None };
        let objects = Arc::new(ObjectList {
            root: "a,\"state\":b".into(),
            formats: [lightship_server::ContentFormat(110)].into(),
            profile: None,
            objects: [link("/1/0"), link("/3/0"), link("/3303/0")].into(),
        });
        let attributes = [("x\"".into(), ",\"state\":\"".into())].into();
        let (version, binding) = (Version::V1_1, Binding::UDP);
        Arc::new(Terms {
            version,
            lifetime_s: 300,
            binding,
            queue_mode,
            sms: Some("1".into()),
            attributes,
            objects,
        })
    }

    #[test]
    fn what_is_written_is_what_the_shape_becomes() {
        let mut kinds = Kinds::default();
        let mut devices = Vec::new();
        for queue_mode in [false, true] {
            let terms = terms(queue_mode);
            devices.extend(["pump", "a \"b\"\\", "größe", "urn:imei:1"].map(|name| device(name, &terms)));
            let mut endless = device("endless", &terms);
            endless.expires_at = None;
            let mut waited = device("waited", &terms);
            waited.commands_waiting = 3;
            let mut asleep = device("asleep", &terms);
            let presence =
                Presence::Asleep { since: Instant::from_secs(2), expected: Some(Instant::from_secs(9)) };
            asleep.present(presence, |_| Timestamp(9_000));
            let mut awake = device("awake", &terms);
            awake.present(Presence::Awake { until: Instant::from_secs(9) }, |_| {
                Timestamp(-62_167_219_200_001)
            });
            let mut deviated = device("deviated", &terms);
            deviated.deviations_before = BTreeMap::from([(Deviation::OtherCase, 2)]);
            let mut made = device("made", &terms);
            made.changed("/3303/1".parse().expect("a path"), true);
            let mut secured = device("secured", &terms);
            let endpoints = Endpoints::One(Endpoint::new("secured").expect("a name"));
            let party = Party { principal: Principal::Psk(b"me".as_slice().into()), endpoints };
            secured.registration.party = Some(Arc::new(party));
            devices.extend([endless, waited, asleep, awake, deviated, made, secured]);
        }
        // Twice: whoever comes first is learnt from.
        for device in devices.iter().chain(devices.iter().rev()) {
            let mut written = Vec::new();
            kinds.write(&mut written, device).expect("a registration");
            let shape = serde_json::to_string(&device.shape()).expect("a shape");
            assert_eq!(String::from_utf8(written).expect("UTF-8"), shape);
        }
        assert_eq!(kinds.known.len(), 2);
        assert!(kinds.known.values().all(|kind| kind.json.is_some()), "learnt");
    }

    #[test]
    fn an_event_is_what_serde_makes_of_it() {
        let mut kinds = Kinds::default();
        let device = device("a \"pump\"", &terms(false));
        for (kind, reason) in
            EventType::ALL.into_iter().zip([None, Some("forgotten by \"us\"")].into_iter().cycle())
        {
            let now = Timestamp(1_800_000_000_123);
            let mut event = api::Event::new(String::new(), now, kind, "a \"pump\"".to_owned());
            event.registration = Some(Box::new(device.shape()));
            event.reason = reason.map(str::to_owned);
            let mut written = Vec::new();
            kinds.write_event(&mut written, (now, kind), &device, reason).expect("an event");
            assert_eq!(
                String::from_utf8(written).expect("UTF-8"),
                serde_json::to_string(&event).expect("an event")
            );
        }
    }

    #[test]
    fn no_more_kinds_are_kept_than_said() {
        let mut kinds = Kinds::default();
        for _ in 0..KINDS_MAX + 10 {
            assert_eq!(kinds.packed(&terms(true)), terms(true).packed());
        }
        assert!(kinds.known.len() <= KINDS_MAX);
    }
}
