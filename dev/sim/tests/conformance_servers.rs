//! Cases of OMA's Enabler Test Specification about a device with several servers.

mod world;

use lightship_client::{Array, Config, Multiple, Object, ResourceInstanceId, Single};
use lightship_coap::Code;
use lightship_lwm2m::Version;
use lightship_sim::case::World;
use lightship_sim::network::Quality;
use lightship_sim::pair::{NAME, Pair, account};

/// Access Control.
#[derive(Object, Clone, Default)]
#[lwm2m(object = 2)]
struct Access {
    #[resource(0)]
    object: u16,
    #[resource(1)]
    instance: u16,
    #[resource(2)]
    rights: Array<u16, 2>,
    #[resource(3)]
    owner: u16,
}

type Objects = (Single<world::Device>, Multiple<Access, 4>);

/// Configuration C.14: two servers, both of which may read the device.
fn two_servers() -> World<Objects> {
    const READ: u16 = 1;
    let mut rights = Array::new();
    for ssid in [1, 2] {
        let id = ResourceInstanceId::new(ssid).expect("legal");
        assert!(rights.insert(id, READ).is_ok(), "it fits");
    }
    let device = Access { object: 3, instance: 0, rights, owner: 1 };
    let own = |instance, owner| Access { object: 1, instance, rights: Array::new(), owner };
    let access = Multiple::new().with(0, own(0, 1)).with(1, own(1, 2)).with(2, device);
    let (device, _) = world::objects();
    let mut config = Config::new(NAME);
    config.version = Version::V1_1;
    let accounts = vec![account(1), account(2)];
    let pair = Pair::with_servers(1, Quality::PERFECT, config, (device, access), accounts);
    let mut world = World { pair, version: Version::V1_1 };
    for server in [0, 1] {
        world.pair.turn_to(server);
        world.pair.register();
    }
    world
}

// Case: LightweightM2M-1.1-int-950
#[test]
fn lightweightm2m_1_1_int_950_two_servers() {
    let mut world = two_servers();
    for server in [0, 1] {
        world.pair.turn_to(server);
        let registration = world.pair.registration().expect("registered");
        assert_eq!(&*registration.details.endpoint, NAME);
        assert!(world.pair.client.location(world.pair.account).next().is_some());
        assert_eq!(world.read("/3/0/0", None).len(), 1);
    }
}

// Case: LightweightM2M-1.1-int-951
#[test]
fn lightweightm2m_1_1_int_951_attributes_per_server() {
    let mut world = two_servers();
    for (server, attributes) in [(0, ["pmin=2", "pmax=10"]), (1, ["pmin=15", "pmax=50"])] {
        world.pair.turn_to(server);
        assert_eq!(world.attach("/3/0", &attributes), Code::CHANGED);
    }
    for (server, shown) in [(0, "pmin=2;pmax=10"), (1, "pmin=15;pmax=50")] {
        world.pair.turn_to(server);
        assert_eq!(world.discover("/3/0").get("/3/0").map(String::as_str), Some(shown));
    }
}
