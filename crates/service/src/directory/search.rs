//! Looking through the directory, in steps: between two steps others may write.

use lightship_lwm2m::Endpoint;

use super::names::Place;
use super::packed::Packed;
use super::{Device, Directory};
use crate::filter::{Facts, Filter, Moment};

/// A device that is looked at.
pub(crate) struct Seen<'a> {
    pub(crate) place: Place,
    packed: &'a Packed,
}

impl Seen<'_> {
    pub(crate) fn endpoint(&self) -> &Endpoint {
        self.packed.endpoint()
    }

    pub(crate) fn facts(&self) -> Facts<'_> {
        self.packed.facts()
    }
}

impl Directory {
    /// Shows devices behind `after` whose name may contain `text`, in the order of names, until `each` wants no more; the name to go on
    /// behind, if there may be more. `each` is called while others wait to write.
    pub(crate) fn walk(
        &self,
        text: &str,
        mut after: Option<String>,
        each: &mut dyn FnMut(&Seen<'_>) -> bool,
    ) -> Option<String> {
        loop {
            let (mut step, mut wants) = (0, true);
            let last = self.read().walk(text, after.as_deref(), &mut |place, packed| {
                wants = each(&Seen { place, packed });
                step += 1;
                wants && step < STEP
            });
            match last {
                Some(last) if wants => after = Some(last),
                last => return last,
            }
        }
    }

    /// A device, if a filter holds for it now.
    pub(crate) fn find_if(&self, endpoint: &str, filter: &Filter, now: Moment) -> Option<Device> {
        self.read().find_if(endpoint, &mut |packed| filter.holds(&packed.facts(), now))
    }

    /// The name that so many others come before.
    pub(crate) fn nth(&self, before: usize) -> Option<String> {
        self.read().nth(before)
    }

    /// What is at these places now; that may be other devices than those that were seen there.
    pub(crate) fn open(&self, places: &[Place]) -> Vec<Device> {
        let mut devices = Vec::with_capacity(places.len());
        for places in places.chunks(OPENED) {
            let table = self.read();
            devices.extend(places.iter().filter_map(|place| table.open(*place)));
        }
        devices
    }
}

/// Devices that are looked at before others may write.
const STEP: usize = 2048;
/// The same of those that are unpacked.
const OPENED: usize = 256;
