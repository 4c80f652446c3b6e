//! Whatever a device in Queue Mode, its network and the callers do: nothing new goes to a device that sleeps, an Execute
//! goes once at most, every request ends once.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one event")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{LIST, Packet, SECOND, World, address, answer, endpoint, path, read};
use lightship_coap::{Code, Type};
use lightship_server::{Event, Operation, Request, RequestId, WhenAsleep};
use proptest::prelude::*;

const HOME: &str = "192.0.2.1:5683";

/// What happens next, and a number to choose with.
#[derive(Clone, Copy, Debug)]
enum Step {
    Read(WhenAsleep, u32),
    Execute(WhenAsleep, u32),
    Pass(u32),
    Ping,
    Update,
    Register,
    Answer,
    Acknowledge,
    Reject,
    Cancel(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let when = || prop_oneof![Just(WhenAsleep::Hold), Just(WhenAsleep::Refuse)];
    prop_oneof![
        3 => (when(), 1..400_u32).prop_map(|(when, patience)| Step::Read(when, patience)),
        3 => (when(), 1..400_u32).prop_map(|(when, patience)| Step::Execute(when, patience)),
        6 => (1..120_u32).prop_map(Step::Pass),
        2 => Just(Step::Ping),
        2 => Just(Step::Update),
        1 => Just(Step::Register),
        5 => Just(Step::Answer),
        1 => Just(Step::Acknowledge),
        1 => Just(Step::Reject),
        1 => any::<u32>().prop_map(Step::Cancel),
    ]
}

#[derive(Default)]
struct Seen {
    location: String,
    asleep: bool,
    /// Requests that the device has and has not answered.
    open: Vec<Vec<u8>>,
    message_ids: BTreeSet<u16>,
    /// How many messages carried an Execute, by its arguments.
    executes: BTreeMap<Vec<u8>, u32>,
    asked: Vec<RequestId>,
    done: BTreeSet<RequestId>,
}

impl Seen {
    fn look(&mut self, world: &mut World, back: Vec<Vec<u8>>) {
        let mut woke = !self.asleep;
        for event in world.take_events() {
            match event {
                Event::Awake { .. } | Event::Registered { .. } => (self.asleep, woke) = (false, true),
                Event::Asleep { .. } => self.asleep = true,
                Event::RequestDone { id, .. } => assert!(self.done.insert(id), "it ended twice"),
                _ => {}
            }
        }
        let sent = back.into_iter().chain(world.sent_to(address(HOME)));
        for bytes in sent {
            let message = read(&bytes);
            if message.code() == Code::CREATED {
                self.location = message.location_path().collect::<Vec<_>>().join("/");
            }
            if !message.code().is_request() || !self.message_ids.insert(message.message_id().0) {
                continue;
            }
            assert!(woke, "a request went to a device that sleeps");
            if message.code() == Code::POST {
                *self.executes.entry(message.payload().to_vec()).or_default() += 1;
            }
            self.open.push(bytes);
        }
    }
}

fn play(world: &mut World, seen: &mut Seen, number: usize, step: Step) -> Vec<Vec<u8>> {
    let mut ask = |world: &mut World, operation, when_asleep, patience: u32| {
        let request = Request { operation, deadline: world.now + SECOND * patience, when_asleep };
        seen.asked.extend(world.shard.request(world.now, &endpoint("a"), request));
        world.drain();
        Vec::new()
    };
    let packet = match step {
        Step::Read(when, patience) => {
            return ask(world, Operation::Read { path: path("/3/0/0"), accept: None }, when, patience);
        }
        Step::Execute(when, patience) => {
            let arguments = format!("0='{number}'");
            return ask(world, Operation::Execute { path: path("/3/0/4"), arguments }, when, patience);
        }
        Step::Pass(seconds) => {
            world.pass(SECOND * seconds);
            return Vec::new();
        }
        Step::Cancel(which) => {
            if let Some(id) = seen.asked.get(which as usize % seen.asked.len().max(1)) {
                world.shard.cancel(world.now, *id);
                world.drain();
            }
            return Vec::new();
        }
        Step::Ping => Packet::new(Type::Con, Code::EMPTY, world.id(), &[]),
        Step::Update => world.update_packet(&seen.location, ""),
        Step::Register => world.register_packet("ep=a&lt=86400&lwm2m=1.1&b=U&Q", LIST),
        Step::Answer | Step::Acknowledge | Step::Reject => {
            let Some(request) = seen.open.pop() else { return Vec::new() };
            match step {
                Step::Answer => answer(&request, Code::CHANGED),
                Step::Reject => Packet::new(Type::Reset, Code::EMPTY, read(&request).message_id().0, &[]),
                _ => Packet::new(Type::Ack, Code::EMPTY, read(&request).message_id().0, &[]),
            }
        }
    };
    world.send(address(HOME), &packet.bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    // Proves: QUE-02
    #[test]
    fn nothing_goes_to_sleepers_and_no_execute_twice(steps in proptest::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        let mut seen = Seen::default();
        let back = play(&mut world, &mut seen, 0, Step::Register);
        seen.look(&mut world, back);
        for (number, step) in steps.into_iter().enumerate() {
            let back = play(&mut world, &mut seen, number, step);
            seen.look(&mut world, back);
        }
        world.pass(SECOND * 1000);
        seen.look(&mut world, Vec::new());
        prop_assert!(seen.executes.values().all(|times| *times == 1), "{:?}", seen.executes);
        let asked: BTreeSet<_> = seen.asked.iter().copied().collect();
        prop_assert_eq!(asked, seen.done, "every request ends");
    }
}
