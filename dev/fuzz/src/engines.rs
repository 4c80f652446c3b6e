//! The engines, driven by a script: datagrams from a few addresses, operations, answers, time.

use crate::script::Script;
use core::time::Duration;
use lightship_client::objects::Device;
use lightship_client::{Account, Client, Multiple, Object, Single};
use lightship_coap::FixedBuffer;
use lightship_lwm2m::{Endpoint, Path, ShortServerId};
use lightship_platform::{Instant, SeededRng};
use lightship_server::{
    Answer, Config, Content, ContentFormat, Event, Operation, Request, Shard, Wanted, WhenAsleep,
};
use std::net::SocketAddr;

/// What a stranger may make a shard keep, in registrations; the limit under test.
const REGISTRATIONS_MAX: usize = 4;

/// One shard: three peers, an operator who reads, writes, observes and forgets, a host who answers or does not.
pub(crate) fn shard(data: &[u8]) {
    let mut config = Config::default();
    config.limits.registrations = REGISTRATIONS_MAX;
    let mut shard = Shard::new(config, [7; 32]);
    let mut now = Instant::from_secs(1000);
    let mut script = Script(data);
    let endpoint: Endpoint = "a".parse().expect("an endpoint");
    while let Some(step) = script.byte() {
        let deadline = now + Duration::from_secs(30);
        let when_asleep = if step & 16 == 0 { WhenAsleep::Refuse } else { WhenAsleep::Hold };
        let path: Path = "/3/0".parse().expect("a path");
        match step % 8 {
            0..=3 => {
                let Some(datagram) = script.piece() else { break };
                let from = SocketAddr::from(([127, 0, 0, 1], 5000 + u16::from(step % 4)));
                shard.handle_input(now, from, &mut datagram.to_vec());
            }
            4 => {
                let operation = if step & 8 == 0 {
                    Operation::Read { path, accept: None }
                } else {
                    let payload = vec![b'x'; usize::from(step) * 16].into();
                    Operation::Replace { path, content: Content { format: ContentFormat::TEXT, payload } }
                };
                let _nobody = shard.request(now, &endpoint, Request { operation, deadline, when_asleep });
            }
            5 => {
                let _nobody = shard.observe(
                    now,
                    &endpoint,
                    Wanted { observed: path.into(), accept: None, attributes: Vec::new() },
                    deadline,
                    when_asleep,
                );
            }
            6 => {
                shard.forget(now, &endpoint);
            }
            _ => {
                now += Duration::from_millis(u64::from(script.byte().unwrap_or(0)) * 1000);
                shard.handle_timeout(now);
            }
        }
        drain(&mut shard, now, step & 128 == 0);
    }
}

fn drain(shard: &mut Shard, now: Instant, answers: bool) {
    let mut out = [0; 2048];
    loop {
        while shard.poll_transmit(&mut out).is_some() {}
        let Some(event) = shard.poll_event() else { break };
        match event {
            Event::AskRegister { ask, .. } if answers => {
                shard.answer(now, ask, Answer::Accept { observations: Vec::new() });
            }
            Event::AskDurable { ask, .. } | Event::Notified { ask: Some(ask), .. } if answers => {
                shard.answer(now, ask, Answer::Stored)
            }
            _ => {}
        }
    }
    let _next = shard.poll_timeout();
}

#[derive(Object, Clone, Default)]
#[lwm2m(object = 3303, version = "1.1")]
struct Temperature {
    #[resource(5700)]
    value: f64,
    #[resource(5750)]
    application: Option<lightship_client::Text<16>>,
}

/// One device with two servers and a Bootstrap-Server that send it anything.
pub(crate) fn client(data: &[u8]) {
    let objects = (
        Single::new(Device::new("Lightship", "fuzz", "1")),
        Multiple::<Temperature, 3>::new().creatable(Temperature::default).with(0, Temperature::default()),
    );
    let mut rng = SeededRng::new([7; 32]);
    let mut client: Client<_, FixedBuffer<4096>, 3, 4, 2048> =
        Client::new(lightship_client::Config::new("fuzz"), objects, &mut rng);
    let mut now = Instant::from_secs(1000);
    let servers = [1, 2].map(|number| {
        let ssid = ShortServerId::new(number).expect("a short server ID");
        Account::new(ssid, "coap://127.0.0.1")
    });
    let accounts: Vec<_> = servers
        .into_iter()
        .chain([Account::bootstrap("coap://127.0.0.1/b?c")])
        .map(|account| client.add_account(account).map_err(drop).expect("room for three"))
        .collect();
    let mut script = Script(data);
    let mut out = [0; 2048];
    client.start(now);
    while let Some(step) = script.byte() {
        let account = accounts[usize::from(step / 8) % 3];
        match step % 8 {
            0..=4 => {
                let Some(datagram) = script.piece() else { break };
                client.handle_input(now, account, &mut datagram.to_vec());
            }
            5 => client
                .objects_mut()
                .1
                .get_mut(0)
                .into_iter()
                .for_each(|sensor| sensor.value += f64::from(step)),
            6 if step & 128 != 0 => drop(client.bootstrap(now)),
            6 => client.update(now, account),
            _ => {
                now += Duration::from_millis(u64::from(script.byte().unwrap_or(0)) * 500);
                client.handle_timeout(now);
            }
        }
        while client.poll_transmit(&mut out).is_some() {}
        while client.poll_event().is_some() {}
        let _next = client.poll_timeout();
    }
}
