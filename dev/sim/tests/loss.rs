//! What loss may do, and what it may not.

use core::time::Duration;

use lightship_coap::{Code, ContentFormat};
use lightship_server::{Config, Content, Operation, Outcome};
use lightship_sim::host::{APPLICATION, RESET, VALUE};
use lightship_sim::network::Quality;
use lightship_sim::security::Transport;
use lightship_sim::world::{Act, World};

const DEVICES: usize = 60;

/// Everything that was asked, reported and measured in one run, without times and identifiers.
fn play(quality: Quality) -> (Vec<String>, Duration) {
    let mut world = World::new(7, DEVICES, quality, Config::default(), Transport::Plain);
    let begin = world.now;
    for device in 0..DEVICES {
        let endpoint = world.endpoint(device);
        world.host.want(&endpoint, VALUE);
        world.host.want(&endpoint, APPLICATION);
        world.devices[device].confirms = true;
        world.host.diligent = true;
        world.plan(Duration::from_millis(100 * device as u64), Act::Start(device));
    }
    world.run(Duration::from_secs(300));
    for step in 0..3 {
        for device in 0..DEVICES {
            let endpoint = world.endpoint(device);
            let payload = format!("step-{step}").into_bytes().into();
            let content = Content { format: ContentFormat::TEXT, payload };
            let operations = [
                Operation::Replace { path: APPLICATION, content },
                Operation::Execute { path: RESET, arguments: format!("0='{device}-{step}'") },
                Operation::Read { path: APPLICATION, accept: Some(ContentFormat::TEXT) },
            ];
            for operation in operations {
                let shard = world.shard.as_mut().expect("the server runs");
                world.host.send(world.now, shard, &endpoint, operation, Duration::from_secs(1000));
            }
            world.plan(Duration::ZERO, Act::Grow(device));
        }
        world.run(Duration::from_secs(500));
    }
    let mut seen = Vec::new();
    for (device, endpoint) in (0..DEVICES).map(|device| (device, world.endpoint(device))) {
        let sensor = world.devices[device].sensor();
        seen.push(format!("{endpoint} measures {} and did {:?}", sensor.value, sensor.executed));
        seen.push(format!("observed {:?}", world.host.observed(&endpoint, VALUE)));
        seen.push(format!("observed {:?}", world.host.observed(&endpoint, APPLICATION)));
        let Some(Outcome::Response(response)) = world.host.reads.get(&(endpoint, APPLICATION)) else {
            panic!("a Read was not answered");
        };
        assert_eq!(response.code, Code::CONTENT);
        seen.push(format!("read {}", String::from_utf8_lossy(&response.payload)));
    }
    assert_eq!(world.host.open_requests(), 0);
    seen.extend(world.host.executes.iter().map(|(arguments, verdict)| format!("{arguments} {verdict:?}")));
    let stats = world.shard.as_ref().expect("the server runs").stats();
    assert_eq!((stats.registrations, stats.requests_timed_out), (DEVICES as u64, 0));
    (seen, world.now.saturating_duration_since(begin))
}

// Proves: COA-02, COA-03
#[test]
fn losing_every_third_packet_changes_nothing_but_time() {
    let (good, _) = play(Quality::PERFECT);
    let (bad, _) = play(Quality { lose_every: 3, ..Quality::PERFECT });
    for (good, bad) in good.iter().zip(&bad) {
        assert_eq!(good, bad);
    }
    assert_eq!(good.len(), bad.len());
    assert!(good[0].ends_with("measures 3 and did [\"0='0-0'\", \"0='0-1'\", \"0='0-2'\"]"), "{}", good[0]);
}

/// The accident of the list, for each device: everything runs again without help.
#[test]
fn a_minute_without_network_ends_in_running_observations() {
    let mut world = World::new(11, 20, Quality::PERFECT, Config::default(), Transport::Plain);
    for device in 0..20 {
        let endpoint = world.endpoint(device);
        world.host.want(&endpoint, VALUE);
        world.devices[device].confirms = true;
        world.plan(Duration::ZERO, Act::Start(device));
    }
    world.run(Duration::from_secs(60));
    for device in 0..20 {
        world.plan(Duration::ZERO, Act::Cut(device, 60));
        world.plan(Duration::from_secs(1 + 3 * device as u64), Act::Grow(device));
    }
    // The cut, and then what a confirmable message takes to be repeated once more.
    world.run(Duration::from_secs(60 + 100));
    for device in 0..20 {
        let endpoint = world.endpoint(device);
        assert_eq!(world.host.observed(&endpoint, VALUE), Some("1"), "{endpoint}");
        assert!(world.devices[device].is_registered());
    }
}
