//! What devices of one kind say is kept once.

mod common;

use std::sync::Arc;

use common::{World, address, endpoint};

#[test]
fn devices_of_one_kind_share_what_they_say() {
    let mut world = World::new();
    world.register(address("192.0.2.1:1"), "one");
    world.register(address("192.0.2.2:1"), "other");
    let terms = |name| world.shard.registration(&endpoint(name)).expect("registered").details.terms;
    assert!(Arc::ptr_eq(&terms("one"), &terms("other")));
}
