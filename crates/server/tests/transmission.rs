//! Transmission parameters of some devices.

mod common;

use core::time::Duration;

use common::{SECOND, World, address, answer};
use lightship_coap::Code;
use lightship_server::{Config, Event, Outcome, Transmission};

const SLOW: &str = "192.0.2.1:5683";
const USUAL: &str = "192.0.2.2:5683";

/// 10 s and no dice, for everything in `nb-`.
fn config() -> Config {
    let transmission = Transmission {
        endpoints: vec!["nb-*".into()],
        ack_timeout: Duration::from_secs(10),
        ack_random_percent: 100,
        max_retransmit: 2,
    };
    Config { transmissions: vec![transmission], ..Config::default() }
}

/// The seconds after which something was sent to the device, over this time.
fn sent_after(world: &mut World, at: &str, seconds: u32) -> Vec<u32> {
    let mut sent = vec![0; world.sent_to(address(at)).len()];
    for second in 1..=seconds {
        world.pass(SECOND);
        sent.extend(vec![second; world.sent_to(address(at)).len()]);
    }
    sent
}

fn outcomes(world: &mut World) -> Vec<Outcome> {
    let events = world.take_events().into_iter();
    events
        .filter_map(|event| if let Event::RequestDone { outcome, .. } = event { Some(outcome) } else { None })
        .collect()
}

// Proves: COA-19, COA-02
#[test]
fn devices_with_certain_names_have_transmission_parameters_of_their_own() {
    let mut world = World::with(config());
    world.register(address(SLOW), "nb-1");
    world.register(address(USUAL), "a");
    world.read_request("nb-1", "/3/0/0");
    assert_eq!(sent_after(&mut world, SLOW, 69), [0, 10, 30]);
    assert!(outcomes(&mut world).is_empty(), "a last wait of 40 s");
    world.pass(SECOND);
    assert!(matches!(outcomes(&mut world)[..], [Outcome::Timeout]));
    // Another device at the same time goes on as usual.
    world.read_request("a", "/3/0/0");
    let usual = sent_after(&mut world, USUAL, 45);
    assert!(usual.len() == 5 && (2..=3).contains(&usual[1]), "{usual:?}");
}

// Proves: COA-19
#[test]
fn a_late_answer_of_such_a_device_is_the_answer_and_nothing_was_sent_twice() {
    let mut world = World::with(config());
    let location = world.register(address(SLOW), "nb-1");
    for round in 0..3 {
        world.read_request("nb-1", "/3/0/0");
        let request = world.request_to(address(SLOW));
        world.pass(Duration::from_secs(9));
        assert!(world.sent_to(address(SLOW)).is_empty(), "not repeated: {round}");
        world.send(address(SLOW), &answer(&request, Code::CONTENT).bytes());
        assert!(
            matches!(&outcomes(&mut world)[..], [Outcome::Response(response)] if response.code == Code::CONTENT)
        );
        // Silent until its link is forgotten: the next one has the same parameters.
        world.pass(Duration::from_secs(290 * round));
        let update = world.update_packet(&location, "lt=86400");
        assert_eq!(world.ask(address(SLOW), &update), Code::CHANGED);
    }
    // A new registration under another name is another device.
    world.register(address(SLOW), "b");
    world.read_request("b", "/3/0/0");
    assert_eq!(sent_after(&mut world, SLOW, 4).len(), 2);
}

#[test]
fn what_comes_again_after_long_from_such_a_device_is_known_as_a_copy() {
    let slow = Transmission {
        endpoints: vec!["nb-*".into()],
        ack_timeout: Duration::from_secs(15),
        ack_random_percent: 150,
        max_retransmit: 4,
    };
    let mut world = World::with(Config { transmissions: vec![slow], ..Config::default() });
    let location = world.register(address(SLOW), "nb-1");
    let update = world.update_packet(&location, "lt=3600").bytes();
    let first = world.send(address(SLOW), &update);
    // Its sender repeats for as long as these parameters say: 337 s, and 200 s on the way.
    world.pass(Duration::from_secs(500));
    world.take_events();
    assert_eq!(world.send(address(SLOW), &update), first);
    assert!(world.take_events().iter().all(|event| !matches!(event, Event::Updated { .. })));
}
