//! Devices that take short records only get what they are due in blocks that fit.

mod common;

use common::secure::{Device, HOME, world};
use common::{Packet, SECOND, World, endpoint, path, read};
use lightship_coap::{Code, ContentFormat, OptionNumber, Type};
use lightship_dtls::Config;
use lightship_server::{Content, Event, Operation, Outcome, Request, RequestId};

fn write(world: &mut World, len: usize) -> RequestId {
    let content = Content { format: ContentFormat::OPAQUE, payload: vec![7; len].into() };
    let request =
        Request::new(Operation::Replace { path: path("/5/0/0"), content }, world.now + 100 * SECOND);
    let id = world.shard.request(world.now, &endpoint("lamp"), request).expect("taken");
    world.drain();
    id
}

#[test]
fn a_write_goes_in_blocks_that_fit_the_records_of_the_device() {
    for (config, limit) in [
        (Config { record_size_limit: Some(200), ..Config::default() }, 200),
        (Config { record_size_limit: Some(64), ..Config::default() }, 64),
        (Config { max_fragment_len: Some(512), ..Config::default() }, 512),
    ] {
        let mut world = world(&["lamp"]);
        let (mut device, _) = Device::register(&mut world, HOME, config, "lamp");
        assert!(device.association.is_established());
        for len in [10, 400, 3000] {
            world.take_events();
            let id = write(&mut world, len);
            let mut body = Vec::new();
            let mut messages = device.hear(&mut world);
            while let Some(message) = messages.pop() {
                assert!(message.len() <= limit, "{} bytes for {limit}", message.len());
                let request = read(&message);
                body.extend_from_slice(request.payload());
                let block = request.option(OptionNumber::BLOCK1).map(|option| option.value.to_vec());
                let more = block.as_ref().and_then(|block| block.last()).is_some_and(|last| last & 8 != 0);
                let code = if more { Code::CONTINUE } else { Code::CHANGED };
                let mut reply = Packet::new(Type::Ack, code, request.message_id().0, &[]);
                reply.token = request.token();
                if let Some(block) = block {
                    reply = reply.option(OptionNumber::BLOCK1, &block);
                }
                messages = device.say(&mut world, &reply);
            }
            assert_eq!(body, vec![7; len], "{limit}");
            assert!(world.events.iter().any(|event| matches!(event,
                Event::RequestDone { id: done, outcome: Outcome::Response(response), .. }
                    if *done == id && response.code == Code::CHANGED)));
        }
    }
}
