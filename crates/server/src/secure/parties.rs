//! Parties in little space: who each session and each registration is with, as text in slots of a few sizes.
//!
//! A [`Party`] with an identity and a name on the heap takes four times as much, and there are millions. One of a
//! certificate, which may have many names, is kept as it is.

use std::sync::Arc;

use core::num::NonZeroU32;

use lightship_lwm2m::Endpoint;

use super::party::{Endpoints, Mode, Party, Principal};

/// Names a party in the [`Parties`] that gave it, which has it until it is released.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PartyId(NonZeroU32);

/// Parties by their IDs. Each has one owner, who releases it.
pub(crate) struct Parties {
    sizes: [Slots; SIZES.len()],
    whole: Vec<Option<Arc<Party>>>,
    whole_free: Vec<u32>,
}

/// A party to be compared.
#[derive(Clone, Copy)]
pub(crate) enum PartyRef<'a> {
    /// Of a PSK identity or of a raw public key.
    Text {
        mode: Mode,
        identity: &'a [u8],
        /// The name of the only endpoint; `None` for any.
        endpoint: Option<&'a [u8]>,
    },
    Whole(&'a Party),
}

/// Slots of one size.
#[derive(Default)]
struct Slots {
    chunks: Vec<Box<[u8]>>,
    /// The number of slots that were ever in use.
    used: u32,
    /// The first free one; the next stands in it.
    free: Option<u32>,
}

/// Bytes in a slot: what it is, then the text that is identity and endpoint, or the length of the identity, the identity and
/// the endpoint. Names have 20 to 30 bytes as a rule.
const SIZES: [usize; 15] = [16, 19, 21, 23, 25, 27, 29, 31, 33, 36, 40, 48, 64, 160, 416];
/// Bytes of a chunk, which is a block of the allocator.
const CHUNK: usize = 8192;
const SIZE_SHIFT: u32 = 28;
const WHOLE: u32 = 15;

const RAW_PUBLIC_KEY: u8 = 1;
const ANY_ENDPOINT: u8 = 2;
/// The endpoint is the text of the identity.
const SAME: u8 = 4;
const FREE: u8 = 0xff;

impl PartyId {
    /// Of a device: a PSK identity that is its name, and speaks for it alone.
    pub(crate) const ITSELF: Self = Self(NonZeroU32::MAX);

    fn new(size: u32, index: u32) -> Self {
        let bits = size << SIZE_SHIFT | (index + 1);
        Self(NonZeroU32::new(bits).expect("an index and one is not zero"))
    }

    fn parts(self) -> (u32, u32) {
        let bits = self.0.get();
        (bits >> SIZE_SHIFT, (bits & ((1 << SIZE_SHIFT) - 1)).wrapping_sub(1))
    }
}

impl Parties {
    pub(crate) fn new() -> Self {
        Self { sizes: Default::default(), whole: Vec::new(), whole_free: Vec::new() }
    }

    /// Keeps a party until it is released.
    pub(crate) fn keep(&mut self, party: &Arc<Party>) -> PartyId {
        let view = PartyRef::from(&**party);
        let text = view.text();
        if let Some(text) = text
            && let Some(size) = SIZES.iter().position(|size| text.len() <= *size)
            && let (Some(slots), Ok(class)) = (self.sizes.get_mut(size), u32::try_from(size))
        {
            let index = slots.take(SIZES[size]);
            if let Some(slot) = slots.slot_mut(SIZES[size], index) {
                slot.fill(0);
                slot[..text.len()].copy_from_slice(&text);
            }
            return PartyId::new(class, index);
        }
        let index = self.whole_free.pop().unwrap_or_else(|| {
            self.whole.push(None);
            u32::try_from(self.whole.len() - 1).expect("the limits keep tables below 2^28 entries")
        });
        if let Some(place) = self.whole.get_mut(index as usize) {
            *place = Some(party.clone());
        }
        PartyId::new(WHOLE, index)
    }

    pub(crate) fn get(&self, id: PartyId) -> Option<PartyRef<'_>> {
        let (class, index) = id.parts();
        if class == WHOLE {
            return self.whole.get(index as usize)?.as_deref().map(PartyRef::Whole);
        }
        let size = *SIZES.get(class as usize)?;
        PartyRef::of_text(self.sizes.get(class as usize)?.slot(size, index)?)
    }

    /// The same for the host, who may keep it.
    pub(crate) fn party(&self, id: PartyId) -> Option<Arc<Party>> {
        match self.whole.get(id.parts().1 as usize) {
            Some(Some(party)) if id.parts().0 == WHOLE => Some(party.clone()),
            _ => self.get(id).map(PartyRef::to_party),
        }
    }

    pub(crate) fn release(&mut self, id: PartyId) {
        let (class, index) = id.parts();
        if class == WHOLE {
            if self.whole.get_mut(index as usize).is_some_and(|place| place.take().is_some()) {
                self.whole_free.push(index);
            }
        } else if let (Some(slots), Some(size)) =
            (self.sizes.get_mut(class as usize), SIZES.get(class as usize))
        {
            slots.give(*size, index);
        }
    }
}

impl Slots {
    fn take(&mut self, size: usize) -> u32 {
        if let Some(index) = self.free {
            let next = self.slot(size, index).and_then(|slot| slot.get(4..8)?.try_into().ok());
            self.free = next.map(u32::from_le_bytes).filter(|next| *next != u32::MAX);
            return index;
        }
        if (self.used as usize).is_multiple_of(CHUNK / size) {
            self.chunks.push(vec![0; CHUNK].into_boxed_slice());
        }
        self.used += 1;
        self.used - 1
    }

    fn give(&mut self, size: usize, index: u32) {
        let next = self.free.unwrap_or(u32::MAX);
        let Some(slot) = self.slot_mut(size, index).filter(|slot| slot.first() != Some(&FREE)) else {
            return;
        };
        slot[0] = FREE;
        slot[4..8].copy_from_slice(&next.to_le_bytes());
        self.free = Some(index);
    }

    fn slot(&self, size: usize, index: u32) -> Option<&[u8]> {
        let (chunk, at) = place(size, index);
        self.chunks.get(chunk)?.get(at..at + size)
    }

    fn slot_mut(&mut self, size: usize, index: u32) -> Option<&mut [u8]> {
        let (chunk, at) = place(size, index);
        self.chunks.get_mut(chunk)?.get_mut(at..at + size)
    }
}

/// The chunk of a slot, and where it begins in that.
const fn place(size: usize, index: u32) -> (usize, usize) {
    let in_chunk = CHUNK / size;
    (index as usize / in_chunk, index as usize % in_chunk * size)
}

impl<'a> PartyRef<'a> {
    /// A device that its own name stands for.
    pub(crate) fn itself(endpoint: &'a Endpoint) -> Self {
        Self::Text {
            mode: Mode::Psk,
            identity: endpoint.as_str().as_bytes(),
            endpoint: Some(endpoint.as_bytes()),
        }
    }

    /// Whether this is what a device's own name stands for.
    pub(crate) fn is_itself(self, device: &Endpoint) -> bool {
        self.is_of(device)
            && matches!(self, Self::Text { mode: Mode::Psk, identity, .. } if identity == device.as_bytes())
    }

    /// As it stands in a slot; `None` if it does not fit there.
    fn text(self) -> Option<Vec<u8>> {
        let Self::Text { mode, identity, endpoint } = self else { return None };
        let is_same = endpoint == Some(identity);
        let mut what = if mode == Mode::RawPublicKey { RAW_PUBLIC_KEY } else { 0 };
        what |= if endpoint.is_none() { ANY_ENDPOINT } else { 0 };
        what |= if is_same { SAME } else { 0 };
        // A text that an endpoint is ends before the zeros behind it: no name has one.
        if is_same {
            return Some([&[what][..], identity].concat());
        }
        let head = [what, u8::try_from(identity.len()).ok()?];
        Some([&head[..], identity, endpoint.unwrap_or_default()].concat())
    }

    fn of_text(slot: &'a [u8]) -> Option<Self> {
        let (what, rest) = slot.split_first()?;
        if *what == FREE {
            return None;
        }
        let (identity, name) = if what & SAME != 0 {
            let text = without_zeros(rest);
            (text, text)
        } else {
            let (len, rest) = rest.split_first()?;
            let (identity, rest) = rest.split_at_checked(usize::from(*len))?;
            (identity, without_zeros(rest))
        };
        let mode = if what & RAW_PUBLIC_KEY != 0 { Mode::RawPublicKey } else { Mode::Psk };
        Some(Self::Text { mode, identity, endpoint: (what & ANY_ENDPOINT == 0).then_some(name) })
    }

    pub(crate) fn mode(self) -> Mode {
        match self {
            Self::Text { mode, .. } => mode,
            Self::Whole(party) => party.principal.mode(),
        }
    }

    /// The endpoint that it may speak for, if it is one in particular.
    pub(crate) fn endpoint(self) -> Option<&'a str> {
        match self {
            Self::Text { endpoint, .. } => core::str::from_utf8(endpoint?).ok(),
            Self::Whole(party) => party.endpoints.one().map(Endpoint::as_str),
        }
    }

    /// Whether it is the same one who has proven to be that.
    pub(crate) fn is_same_principal(self, other: PartyRef<'_>) -> bool {
        match (self, other) {
            (Self::Text { mode, identity, .. }, PartyRef::Text { mode: its, identity: other, .. }) => {
                mode == its && identity == other
            }
            (Self::Whole(party), PartyRef::Whole(other)) => party.principal == other.principal,
            (Self::Text { .. }, PartyRef::Whole(_)) | (Self::Whole(_), PartyRef::Text { .. }) => false,
        }
    }

    /// Whether it may speak for this endpoint alone.
    pub(crate) fn is_of(self, endpoint: &Endpoint) -> bool {
        match self {
            Self::Text { endpoint: one, .. } => one == Some(endpoint.as_bytes()),
            Self::Whole(party) => party.endpoints.one() == Some(endpoint),
        }
    }

    /// Whether it may speak for this endpoint.
    pub(crate) fn allows(self, endpoint: &Endpoint) -> bool {
        let is_of_any = match self {
            Self::Text { endpoint: one, .. } => one.is_none(),
            Self::Whole(party) => party.endpoints.one().is_none(),
        };
        is_of_any || self.is_of(endpoint)
    }

    /// Whether it may continue what `other` has begun as `endpoint`: both may speak for that endpoint alone, or they are the same.
    pub(crate) fn may_continue(self, other: PartyRef<'_>, endpoint: &Endpoint) -> bool {
        self.allows(endpoint)
            && (self.is_same_principal(other) || (self.is_of(endpoint) && other.is_of(endpoint)))
    }

    /// The same for the host.
    pub(crate) fn to_party(self) -> Arc<Party> {
        let Self::Text { mode, identity, .. } = self else {
            let Self::Whole(party) = self else { unreachable!("it is one of two") };
            return Arc::new(party.clone());
        };
        let principal = match (mode, identity.try_into()) {
            (Mode::RawPublicKey, Ok(sha256)) => Principal::RawPublicKey(sha256),
            _ => Principal::Psk(identity.into()),
        };
        let endpoint = self.endpoint().and_then(|endpoint| Endpoint::new(endpoint).ok());
        Arc::new(Party { principal, endpoints: endpoint.map_or(Endpoints::Any, Endpoints::One) })
    }
}

/// A text without the zeros behind it, few as a rule.
fn without_zeros(text: &[u8]) -> &[u8] {
    let len = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    text.get(..len).unwrap_or_default()
}

impl<'a> From<&'a Party> for PartyRef<'a> {
    fn from(party: &'a Party) -> Self {
        let endpoint = party.endpoints.one().map(|endpoint| endpoint.as_bytes());
        match &party.principal {
            Principal::Psk(identity) => Self::Text { mode: Mode::Psk, identity, endpoint },
            Principal::RawPublicKey(sha256) => {
                Self::Text { mode: Mode::RawPublicKey, identity: sha256, endpoint }
            }
            Principal::Certificate(_) => Self::Whole(party),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::party::Certificate;
    use super::*;

    fn party(principal: Principal, endpoint: Option<&str>) -> Arc<Party> {
        let endpoint = endpoint.map(|name| Endpoint::new(name).expect("a name"));
        Arc::new(Party { principal, endpoints: endpoint.map_or(Endpoints::Any, Endpoints::One) })
    }

    #[test]
    fn a_party_is_the_same_after_it_was_kept() {
        let certificate = Certificate { sha256: [7; 32], common_name: None, names: Box::default() };
        let long = "n".repeat(252);
        let all = [
            party(Principal::Psk(b"lamp".as_slice().into()), Some("lamp")),
            party(Principal::Psk([0, 255, 0].into()), Some("lamp")),
            party(Principal::Psk([0, 0].into()), None),
            party(Principal::Psk(Box::default()), Some("l")),
            party(Principal::Psk([1; 128].into()), Some(&long)),
            party(Principal::Psk([1; 300].into()), Some("l")),
            party(Principal::RawPublicKey([0; 32]), Some("lamp")),
            party(Principal::RawPublicKey([9; 32]), None),
            party(Principal::Certificate(Box::new(certificate)), Some("lamp")),
        ];
        let mut parties = Parties::new();
        for round in 0..600 {
            let ids: Vec<_> = all.iter().map(|party| parties.keep(party)).collect();
            for (id, party) in ids.iter().zip(&all) {
                assert_eq!(parties.party(*id).as_ref(), Some(party));
                assert_ne!(*id, PartyId::ITSELF);
            }
            // Some stay, so that the tables grow.
            let gone = if round % 3 == 0 { &ids[..] } else { &ids[..4] };
            for id in gone {
                parties.release(*id);
                assert!(parties.get(*id).is_none());
                parties.release(*id);
            }
        }
    }

    #[test]
    fn a_device_that_its_name_stands_for_takes_nothing() {
        let lamp = Endpoint::new("lamp").expect("a name");
        let own = party(Principal::Psk(b"lamp".as_slice().into()), Some("lamp"));
        assert!(PartyRef::from(&*own).is_itself(&lamp));
        assert_eq!(PartyRef::itself(&lamp).to_party(), own);
        for other in [
            party(Principal::Psk(b"new".as_slice().into()), Some("lamp")),
            party(Principal::Psk(b"lamp".as_slice().into()), Some("pump")),
            party(Principal::Psk(b"lamp".as_slice().into()), None),
        ] {
            assert!(!PartyRef::from(&*other).is_itself(&lamp), "{other:?}");
        }
    }

    #[test]
    fn only_the_same_identity_or_the_endpoints_own_may_go_on() {
        let endpoint = Endpoint::new("lamp").expect("a name");
        let may = |(name, endpoints): (&[u8], Endpoints), (before, theirs): (&[u8], Endpoints)| {
            let party = Party { principal: Principal::Psk(name.into()), endpoints };
            let other = Party { principal: Principal::Psk(before.into()), endpoints: theirs };
            PartyRef::from(&party).may_continue(PartyRef::from(&other), &endpoint)
        };
        let one = || Endpoints::One(endpoint.clone());
        assert!(may((&b"new"[..], one()), (&b"old"[..], one())));
        assert!(may((&b"same"[..], Endpoints::Any), (&b"same"[..], Endpoints::Any)));
        assert!(!may((&b"new"[..], Endpoints::Any), (&b"old"[..], one())));
        let other = Endpoints::One(Endpoint::new("pump").expect("a name"));
        assert!(!may((&b"same"[..], other), (&b"same"[..], one())));
    }
}
