//! Coming: registrations that are written, or about to be, and not told yet.

use std::collections::HashMap;

use lightship_lwm2m::Endpoint;
use lightship_server::RegistrationId;

/// The newest registration on its way of each endpoint.
#[derive(Default)]
pub(super) struct Coming {
    newest: HashMap<Endpoint, Expected>,
}

/// A registration on its way.
struct Expected {
    id: RegistrationId,
    /// How often credentials had changed when its device was judged.
    credentials: u64,
}

impl Coming {
    /// One more is on its way.
    pub(super) fn expect(&mut self, endpoint: Endpoint, id: RegistrationId, credentials: u64) {
        self.newest.insert(endpoint, Expected { id, credentials });
    }

    /// It is there, or comes to nothing; gives how often credentials had changed when its device was judged. A newer one of the same
    /// endpoint, whose device has asked again meanwhile, stays on its way.
    pub(super) fn take(&mut self, endpoint: &Endpoint, id: RegistrationId) -> Option<u64> {
        if self.of(endpoint)? != id {
            return None;
        }
        self.newest.remove(endpoint).map(|expected| expected.credentials)
    }

    /// The one that is on its way.
    pub(super) fn of(&self, endpoint: &Endpoint) -> Option<RegistrationId> {
        self.newest.get(endpoint).map(|expected| expected.id)
    }
}

#[cfg(test)]
mod tests {
    use lightship_server::Locator;

    use super::*;

    #[test]
    fn what_is_told_late_of_an_older_registration_leaves_the_newer_one_on_its_way() {
        let id = |random| Locator { shard: 0, node: 0, random };
        let pump = Endpoint::new("pump").expect("a name");
        let mut coming = Coming::default();
        coming.expect(pump.clone(), id(1), 5);
        coming.expect(pump.clone(), id(2), 6);
        assert_eq!(coming.take(&pump, id(1)), None);
        assert_eq!(coming.of(&pump), Some(id(2)));
        assert_eq!(coming.take(&pump, id(2)), Some(6));
        assert_eq!((coming.of(&pump), coming.take(&pump, id(2))), (None, None));
    }
}
