//! Send: what goes out, when it is allowed, and the one event that follows.

use lightship_client::{Account, AccountId, Client, Config, Event, Failure, SendId, SendRefused};
use lightship_coap::{Code, ContentFormat, Type};
use lightship_lwm2m::{Path, Version, path};

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
