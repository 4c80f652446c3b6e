//! Send: what goes out, when it is allowed, and the one event that follows.

use lightship_client::{Account, AccountId, Client, Config, Event, Failure, SendId, SendRefused};
use lightship_coap::{Code, ContentFormat, Encoder, MessageId, Type};
use lightship_lwm2m::format::{Format, decode};
use lightship_lwm2m::{DataType, Path, Version, path};
use lightship_platform::Duration;
use lightship_platform::UnixTime;

use crate::bench::{Bench, Reply, Temperature, account};

fn open_account() -> Account {
    Account { mute_send: Some(false), ..account(1, 300) }
}

fn registered() -> Bench {
    let mut bench = Bench::with(Config::new("a"), open_account());
    bench.register();
    bench.events.clear();
    bench
}

fn send(bench: &mut Bench, paths: &[Path]) -> Result<SendId, SendRefused> {
    let sent = bench.client.send(bench.now, bench.id, paths);
    bench.drain();
    sent
}

fn outcome(bench: &mut Bench) -> Vec<Event> {
    let events = bench.events.drain(..);
    events.filter(|event| matches!(event, Event::Sent { .. } | Event::SendFailed { .. })).collect()
}

// Proves: OBS-20
#[test]
fn a_send_holds_what_the_paths_hold_and_ends_with_the_answer() {
    let mut bench = registered();
    let id =
        send(&mut bench, &[path!(3303 / 0 / 5700), path!(3 / 0 / 9), path!(3 / 0 / 0)]).expect("allowed");
    let sent = bench.take();
    assert_eq!((sent.ty, sent.code, sent.path.join("/").as_str()), (Type::Con, Code::POST, "dp"));
    assert_eq!(sent.format, Some(ContentFormat::SENML_CBOR));
    // In tree order; the battery level is absent and left out.
    let expected = b"\x82\xA3\x21\x65/3/0/\x00\x610\x03\x69Lightship\xA3\x21\x68/3303/0/\x00\x645700\x02";
    assert!(sent.payload.starts_with(expected), "{:02x?}", sent.payload);
    assert!(outcome(&mut bench).is_empty(), "no outcome before the answer");
    bench.answer(&sent, Code::CHANGED, |_| {});
    assert_eq!(outcome(&mut bench), [Event::Sent { account: bench.id, send: id }]);
    bench.seconds(100);
    assert!(outcome(&mut bench).is_empty() && bench.sent.is_empty(), "once");
}

#[test]
fn a_refused_and_an_unanswered_send_end_once() {
    let mut bench = registered();
    let id = send(&mut bench, &[path!(3 / 0)]).expect("allowed");
    let sent = bench.take();
    bench.answer(&sent, Code::NOT_FOUND, |_| {});
    let reason = Failure::Refused(Code::NOT_FOUND);
    assert_eq!(outcome(&mut bench), [Event::SendFailed { account: bench.id, send: id, reason }]);
    let id = send(&mut bench, &[path!(3 / 0)]).expect("allowed");
    bench.seconds(95);
    let reason = Failure::Timeout;
    assert_eq!(outcome(&mut bench), [Event::SendFailed { account: bench.id, send: id, reason }]);
}

// Proves: OBS-21
#[test]
fn only_an_explicit_false_opens_mute_send_and_only_since_1_1() {
    for (mute_send, version, refused) in [
        (None, Version::V1_2, SendRefused::Muted),
        (Some(true), Version::V1_1, SendRefused::Muted),
        (Some(false), Version::V1_0, SendRefused::NotRegistered),
    ] {
        let config = Config { version, ..Config::new("a") };
        let mut bench = Bench::with(config, Account { mute_send, ..account(1, 300) });
        assert_eq!(send(&mut bench, &[path!(3 / 0)]), Err(SendRefused::NotRegistered));
        bench.register();
        assert_eq!(send(&mut bench, &[path!(3 / 0)]), Err(refused));
        assert!(bench.sent.is_empty());
    }
    let mut bench = Bench::registered();
    assert_eq!(bench.put("/1/0/23", "0"), Code::CHANGED);
    assert!(send(&mut bench, &[path!(3 / 0)]).is_ok());
}

#[test]
fn there_is_nothing_to_send_where_nothing_may_be_read() {
    let mut bench = registered();
    for paths in [&[path!(3 / 0 / 9)][..], &[path!(0 / 0), path!(3 / 0 / 4)], &[path!(9)], &[]] {
        assert_eq!(send(&mut bench, paths), Err(SendRefused::Nothing), "{paths:?}");
    }
    assert_eq!(send(&mut bench, &[path!(3); 9]), Err(SendRefused::TooManyPaths));
}

#[test]
fn sends_wait_for_their_turn_and_for_the_update_that_names_a_new_instance() {
    let mut bench = registered();
    let _ = bench.client.objects_mut().1.insert(1, Temperature { value: 7.5, ..Temperature::default() });
    let first = send(&mut bench, &[path!(3303 / 1 / 5700)]).expect("allowed");
    let second = send(&mut bench, &[path!(3 / 0 / 0)]).expect("allowed");
    assert_eq!(send(&mut bench, &[path!(3 / 0 / 0)]), Err(SendRefused::Busy));
    let update = bench.take();
    assert_eq!(update.path, ["rd", "5a3f"]);
    assert!(update.text().contains("</3303/1>") && bench.sent.is_empty(), "{}", update.text());
    bench.answer(&update, Code::CHANGED, |_| {});
    let order: Vec<bool> = (0..2)
        .map(|_| {
            let sent = bench.take();
            bench.answer(&sent, Code::CHANGED, |_| {});
            sent.payload.windows(4).any(|window| window == b"3303")
        })
        .collect();
    assert_eq!(order, [true, false]);
    let sent = |send| Event::Sent { account: AccountId::clone(&bench.id), send };
    let expected = [sent(first), sent(second)];
    assert_eq!(outcome(&mut bench), expected);
}

/// Paths, values and moments of a SenML CBOR pack.
fn records(sent: &Reply) -> Vec<(Path, f64, Option<f64>)> {
    assert_eq!(sent.format, Some(ContentFormat::SENML_CBOR));
    decode(Format::SenmlCbor, Path::ROOT, &sent.payload)
        .map(|entry| {
            let entry = entry.expect("it can be read");
            let value = entry.value.decode_owned(DataType::Float).expect("a number");
            (entry.path, value.as_value().as_f64().expect("a number"), entry.time)
        })
        .collect()
}

const VALUE: Path = path!(3303 / 0 / 5700);

// Proves: OBS-20
#[test]
fn values_of_several_moments_go_out_in_one_send() {
    let mut bench = Bench::with(Config::new("a"), open_account());
    bench.client.set_date(bench.now, UnixTime::from_secs(1_700_000_000));
    assert_eq!(bench.client.send_recorded(bench.now, bench.id), Err(SendRefused::NotRegistered));
    // Before there is a registration, too.
    for value in [1.0, 2.0] {
        bench.set(value);
        assert_eq!(bench.client.record(bench.now, bench.id, &[VALUE, path!(3 / 0 / 9)]), Ok(1));
        bench.seconds(60);
    }
    bench.register();
    bench.set(3.0);
    assert_eq!(bench.client.record(bench.now, bench.id, &[VALUE]), Ok(1));
    assert_eq!(bench.client.record(bench.now, bench.id, &[path!(3 / 0 / 4)]), Err(SendRefused::Nothing));
    bench.set(4.0);
    bench.seconds(10);
    let send = |bench: &mut Bench| {
        let sent = bench.client.send_recorded(bench.now, bench.id);
        bench.drain();
        sent
    };
    send(&mut bench).expect("allowed");
    assert_eq!(send(&mut bench), Err(SendRefused::Busy), "one at a time");
    let date = 1_700_000_000.0;
    let expected =
        vec![(VALUE, 1.0, Some(date)), (VALUE, 2.0, Some(date + 60.0)), (VALUE, 3.0, Some(date + 120.0))];
    let first = bench.take();
    assert_eq!((first.ty, first.path.as_slice()), (Type::Con, &["dp".to_owned()][..]));
    assert_eq!(records(&first), expected);
    // Recorded meanwhile: it is not part of the Send that is refused, nor lost with the one that is taken.
    bench.seconds(1);
    bench.client.record(bench.now, bench.id, &[VALUE]).expect("room");
    bench.answer(&first, Code::SERVICE_UNAVAILABLE, |_| {});
    assert!(matches!(outcome(&mut bench)[..], [Event::SendFailed { .. }]));
    let id = send(&mut bench).expect("still there");
    let second = bench.take();
    assert_eq!(records(&second)[..3], expected);
    assert_eq!(records(&second)[3].1, 4.0);
    bench.answer(&second, Code::CHANGED, |_| {});
    assert_eq!(outcome(&mut bench), [Event::Sent { account: bench.id, send: id }]);
    assert_eq!(send(&mut bench), Err(SendRefused::Nothing), "told is told");
}

// Proves: OBS-21
#[test]
fn recorded_values_of_what_is_gone_are_left_out() {
    let mut bench = registered();
    let _ = bench.client.objects_mut().1.insert(1, Temperature { value: 7.5, ..Temperature::default() });
    bench.drain();
    let update = bench.take();
    bench.answer(&update, Code::CHANGED, |_| {});
    let gone = path!(3303 / 1 / 5700);
    assert_eq!(bench.client.record(bench.now, bench.id, &[gone, VALUE]), Ok(2));
    bench.client.objects_mut().1.remove(1);
    bench.drain();
    let update = bench.take();
    bench.answer(&update, Code::CHANGED, |_| {});
    bench.client.send_recorded(bench.now, bench.id).expect("allowed");
    bench.drain();
    let paths: Vec<Path> = records(&bench.take()).into_iter().map(|(path, ..)| path).collect();
    assert_eq!(paths, [VALUE]);
}

#[test]
fn what_was_recorded_beyond_one_body_goes_with_the_next_send() {
    let mut bench = registered();
    let paths = [path!(3 / 0 / 0), path!(3 / 0 / 1), VALUE];
    for value in 0..15 {
        bench.set(f64::from(value) + 0.000_000_123);
        bench.client.record(bench.now, bench.id, &paths).expect("room");
        bench.seconds(1);
    }
    let mut told = 0;
    while bench.client.send_recorded(bench.now, bench.id).is_ok() {
        bench.drain();
        let sent = bench.take();
        told += sent.payload.windows(4).filter(|window| window == b"5700").count();
        bench.answer(&sent, Code::CHANGED, |_| {});
    }
    assert!(told >= 10, "{told}");
}

// Proves: OBS-24
#[test]
fn a_send_without_confirmation_is_sent_once() {
    let mut bench = registered();
    let paths = [path!(3 / 0 / 0)];
    let id = bench.client.send_unconfirmed(bench.now, bench.id, &paths).expect("allowed");
    bench.drain();
    let sent = bench.take();
    assert_eq!((sent.ty, sent.code), (Type::Non, Code::POST));
    let mut buffer = [0; 32];
    let len = Encoder::new(&mut buffer, Type::Non, Code::CHANGED, MessageId(9), sent.token).finish().unwrap();
    bench.input(&buffer[..len]);
    assert_eq!(outcome(&mut bench), [Event::Sent { account: bench.id, send: id }]);

    let id = bench.client.send_unconfirmed(bench.now, bench.id, &paths).expect("allowed");
    bench.drain();
    bench.take();
    bench.seconds(10);
    assert!(bench.sent.is_empty(), "never repeated");
    let reason = Failure::Timeout;
    assert_eq!(outcome(&mut bench), [Event::SendFailed { account: bench.id, send: id, reason }]);
    // It holds up nothing for longer.
    assert!(send(&mut bench, &paths).is_ok());
    bench.take();

    let config = Config { version: Version::V1_1, ..Config::new("a") };
    let mut bench = Bench::with(config, open_account());
    bench.register();
    let refused = bench.client.send_unconfirmed(bench.now, bench.id, &paths);
    assert_eq!(refused, Err(SendRefused::NotRegistered), "1.1 has no such thing");
}

// Proves: OBS-21
#[test]
fn a_send_that_waits_is_muted_too() {
    let mut bench = registered();
    send(&mut bench, &[path!(3 / 0 / 0)]).expect("allowed");
    let first = bench.take();
    let id = send(&mut bench, &[path!(3 / 0 / 1)]).expect("allowed");
    assert_eq!(bench.put("/1/0/23", "1"), Code::CHANGED);
    bench.answer(&first, Code::CHANGED, |_| {});
    let reason = Failure::Muted;
    assert!(bench.events.contains(&Event::SendFailed { account: bench.id, send: id, reason }));
    bench.seconds(10);
    assert!(bench.sent.is_empty());
}

#[test]
fn a_send_without_an_answer_makes_the_client_look_for_its_server() {
    let mut bench = registered();
    send(&mut bench, &[path!(3 / 0)]).expect("allowed");
    bench.seconds(95);
    assert!(matches!(outcome(&mut bench)[..], [Event::SendFailed { reason: Failure::Timeout, .. }]));
    let last = bench.sent.pop().expect("an Update");
    assert_eq!(Reply::new(&last.1).path, ["rd", "5a3f"]);
}

#[test]
fn a_send_ends_with_the_registration() {
    let mut bench = registered();
    let id = send(&mut bench, &[path!(3 / 0)]).expect("allowed");
    bench.take();
    Client::deregister(&mut bench.client, bench.now, bench.id);
    bench.drain();
    let reason = Failure::Ended;
    assert_eq!(outcome(&mut bench), [Event::SendFailed { account: bench.id, send: id, reason }]);
    assert_eq!(bench.take().code, Code::DELETE);
}

#[test]
fn a_send_is_in_the_format_of_the_configuration_where_the_version_has_it() {
    for (send_format, version, expected) in [
        (ContentFormat::SENML_JSON, Version::V1_1, ContentFormat::SENML_JSON),
        (ContentFormat::LWM2M_CBOR, Version::V1_1, ContentFormat::SENML_CBOR),
        (ContentFormat::LWM2M_CBOR, Version::V1_2, ContentFormat::LWM2M_CBOR),
        (ContentFormat::TEXT, Version::V1_2, ContentFormat::SENML_CBOR),
    ] {
        let mut bench = Bench::with(Config { send_format, version, ..Config::new("a") }, open_account());
        bench.register();
        send(&mut bench, &[path!(3 / 0 / 0)]).expect("allowed");
        let sent: Reply = bench.take();
        assert_eq!(sent.format, Some(expected));
    }
}

#[test]
fn a_send_can_have_a_format_and_a_patience_of_its_own() {
    let mut bench = registered();
    let wanted = (Some(ContentFormat::SENML_JSON), Some(Duration::from_millis(1500)));
    let sent = bench.client.send_as(bench.now, bench.id, &[path!(3 / 0 / 0)], wanted.0, wanted.1);
    let id = sent.expect("allowed");
    bench.drain();
    assert_eq!(bench.take().format, wanted.0);
    // CoAP itself would have repeated the message after two seconds and waited for more than a minute.
    bench.advance(Duration::from_millis(1400));
    assert_eq!(outcome(&mut bench), []);
    bench.advance(Duration::from_millis(200));
    let reason = Failure::Timeout;
    assert_eq!(outcome(&mut bench), [Event::SendFailed { account: bench.id, send: id, reason }]);
    // The next one need not wait.
    send(&mut bench, &[path!(3 / 0 / 0)]).expect("allowed");
    assert_eq!(bench.take().format, Some(ContentFormat::SENML_CBOR));
}
