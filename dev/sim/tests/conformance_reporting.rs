//! Cases of OMA's Enabler Test Specification about attributes: attached, inherited, shown, and carried in an Observe.

mod world;

use core::time::Duration;

use lightship_coap::Code;

const MINUTE: Duration = Duration::from_secs(60);

fn attached(shown: Option<&String>) -> Vec<&str> {
    let mut shown: Vec<_> = shown.map_or("", String::as_str).split(';').filter(|s| !s.is_empty()).collect();
    shown.sort_unstable();
    shown
}

// Case: LightweightM2M-1.1-int-261
#[test]
fn lightweightm2m_1_1_int_261_attributes_of_a_multiple_resource() {
    let mut world = world::world_1_2();
    assert_eq!(attached(world.discover("/3/0/11").get("/3/0/11")), ["dim=1"]);
    assert_eq!(world.attach("/3", &["pmin=10", "pmax=200"]), Code::CHANGED);
    assert_eq!(world.attach("/3/0", &["pmax=320"]), Code::CHANGED);
    assert_eq!(world.attach("/3/0/11/0", &["pmax=100", "epmin=1", "epmax=20"]), Code::CHANGED);
    let links = world.discover("/3/0/11");
    assert_eq!(attached(links.get("/3/0/11")), ["dim=1", "pmax=320", "pmin=10"]);
    assert_eq!(attached(links.get("/3/0/11/0")), ["epmax=20", "epmin=1", "pmax=100"]);
    assert_eq!(links.len(), 2);
}

// Case: LightweightM2M-1.2-int-264
#[test]
fn lightweightm2m_1_2_int_264_discover_to_depth_1() {
    let mut world = world::world_1_2();
    let links = world.discover_to("/3", Some(1));
    assert_eq!(links.keys().collect::<Vec<_>>(), ["/3", "/3/0"]);
    assert_eq!(attached(links.get("/3/0")), [""; 0]);
    assert_eq!(world.attach("/3/0", &["pmax=200"]), Code::CHANGED);
    let links = world.discover_to("/3", Some(1));
    assert_eq!(links.keys().collect::<Vec<_>>(), ["/3", "/3/0"]);
    assert_eq!(attached(links.get("/3/0")), ["pmax=200"]);
}

// Case: LightweightM2M-1.2-int-266
#[test]
fn lightweightm2m_1_2_int_266_discover_to_depth_3() {
    let mut world = world::world_1_2();
    let links = world.discover_to("/3", Some(2));
    assert!(links.contains_key("/3/0/7") && !links.contains_key("/3/0/7/0"), "{links:?}");
    assert_eq!(world.attach("/3", &["pmin=10"]), Code::CHANGED);
    assert_eq!(world.attach("/3/0/7", &["pmax=200"]), Code::CHANGED);
    assert_eq!(world.attach("/3/0/7/1", &["gt=20"]), Code::CHANGED);
    let links = world.discover_to("/3", Some(3));
    assert_eq!(attached(links.get("/3")), ["pmin=10", "ver=1.1"]);
    assert_eq!(attached(links.get("/3/0/7")), ["dim=2", "pmax=200"]);
    assert_eq!(attached(links.get("/3/0/7/0")), [""; 0]);
    assert_eq!(attached(links.get("/3/0/7/1")), ["gt=20"]);
}

// Case: LightweightM2M-1.1-int-310
#[test]
fn lightweightm2m_1_1_int_310_composite_and_attribute_change() {
    let mut world = world::world();
    world.observe_composite("set", &["/1/0", "/3/0"]);
    assert_eq!(world.gaps("set", MINUTE), [], "nothing changes, and nothing says how often");
    assert_eq!(world.attach("/3", &["pmax=5"]), Code::CHANGED);
    // The first is overdue at once: the last report is a minute old.
    let gaps = world.gaps("set", MINUTE);
    assert!((12..=13).contains(&gaps.len()), "{gaps:?}");
    assert!(gaps.iter().skip(1).all(|gap| gap.as_secs_f32() < 5.5), "{gaps:?}");
}

// Case: LightweightM2M-1.2-int-312
#[test]
fn lightweightm2m_1_2_int_312_attributes_in_observe() {
    let mut world = world::world_1_2();
    world.observe_with("/3/0/7", &["pmin=5", "pmax=15"]);
    let gaps = world.gaps("/3/0/7", 2 * MINUTE);
    assert!((7..=8).contains(&gaps.len()), "{gaps:?}");
    let within = |gap: &Duration| (5.0..15.5).contains(&gap.as_secs_f32());
    assert!(gaps.iter().skip(1).all(within), "{gaps:?}");
    // A value that changes all the time is told every pmin seconds.
    let gaps = world.gaps_while("/3/0/7", MINUTE, |objects| objects.0.drift());
    assert!((11..=12).contains(&gaps.len()), "{gaps:?}");
    assert!(gaps.iter().skip(1).all(|gap| (5.0..6.5).contains(&gap.as_secs_f32())), "{gaps:?}");
}

// Case: LightweightM2M-1.2-int-313
#[test]
fn lightweightm2m_1_2_int_313_attributes_in_observe_override() {
    let mut world = world::world_1_2();
    assert_eq!(world.attach("/3/0/7", &["pmax=60"]), Code::CHANGED);
    world.observe_with("/3/0/7", &["pmax=10"]);
    let gaps = world.gaps("/3/0/7", 2 * MINUTE);
    assert!((11..=12).contains(&gaps.len()), "{gaps:?}");
    assert!(gaps.iter().all(|gap| gap.as_secs_f32() < 10.5), "{gaps:?}");
}
