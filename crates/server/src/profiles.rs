//! What Profile IDs stand for (LwM2M 1.2, TS_Core 6.2.1).
//!
//! A Profile ID names a list of objects, but says nothing about it: a dynamic one is a hash whose input no standard
//! defines. So the list is learnt from a device that gives both, and serves all devices that give the name alone.
//! Nobody can check that a device tells the truth. One that contradicts what was learnt makes the shard forget it:
//! then each device is asked for its own list (4.09).

use std::collections::{BTreeMap, VecDeque};

use lightship_lwm2m::uplink::ProfileIds;
use lightship_lwm2m::{Path, path};

use crate::parameters::Said;
use crate::{Limits, ObjectLink, ObjectList};

/// The lists learnt, by Profile ID; the one learnt first gives way to a new one.
#[derive(Default)]
pub(crate) struct Profiles {
    lists: BTreeMap<Box<str>, ObjectList>,
    /// In the order in which they were learnt.
    order: VecDeque<Box<str>>,
}

impl Profiles {
    /// The objects of a device: its list where that is whole, else what its profiles and its list say together.
    /// `None` if nothing is said, or something is that the shard does not know.
    pub(crate) fn resolve(&self, said: &Said, limits: &Limits) -> Option<ObjectList> {
        let Some(ids) = said.profile.as_deref().and_then(ProfileIds::parse) else {
            return said.list.clone();
        };
        let profile = said.profile.clone();
        if let Some(list) = said.list.as_ref().filter(|list| is_whole(list)) {
            return Some(ObjectList { profile, ..list.clone() });
        }
        let mut all = said.list.clone().unwrap_or_default();
        let mut objects: Vec<ObjectLink> = all.objects.into_vec();
        for id in ids.iter() {
            let known = self.lists.get(id)?;
            if all.root.is_empty() {
                all.root.clone_from(&known.root);
            }
            if all.formats.is_empty() {
                all.formats.clone_from(&known.formats);
            }
            objects.extend(known.objects.iter());
        }
        objects.sort();
        objects.dedup_by_key(|link| link.path);
        objects.truncate(limits.links);
        Some(ObjectList { profile, objects: objects.into(), ..all })
    }

    /// Takes note of what a device that was accepted has.
    pub(crate) fn learn(&mut self, list: &ObjectList, limits: &Limits) {
        let single = list.profile.as_deref().and_then(ProfileIds::parse).and_then(ProfileIds::single);
        let Some(id) = single.filter(|_| is_whole(list)) else { return };
        match self.lists.get(id) {
            Some(known) => {
                let kept = known.objects.iter().all(|link| list.objects.binary_search(link).is_ok());
                if !kept || known.root != list.root {
                    tracing::debug!(profile = id, "two devices mean different things by it");
                    self.lists.remove(id);
                    self.order.retain(|other| **other != *id);
                }
            }
            None if limits.profiles == 0 => {}
            None => {
                while self.lists.len() >= limits.profiles
                    && let Some(first) = self.order.pop_front()
                {
                    self.lists.remove(&first);
                }
                self.lists.insert(id.into(), ObjectList { profile: None, ..list.clone() });
                self.order.push_back(id.into());
            }
        }
    }
}

/// Whether a list can be all that a device has: objects 1 and 3 are on each. Beside a profile a device may list
/// only what the profile does not name.
fn is_whole(list: &ObjectList) -> bool {
    let has = |object: Path| list.objects.iter().any(|link| object.contains(link.path));
    has(path!(1)) && has(path!(3))
}
