//! The life of sessions: begun, kept, lost, resumed, closed.

use core::time::Duration;

use crate::world::{IDENTITY, KEY, World, psk_account};
use lightship_client::dtls::{self, Alert, Cid};
use lightship_client::{Config, Event, Failure, Phase, QueueMode, SessionEnd};
use lightship_coap::{Code, Type};
use lightship_lwm2m::Version;

fn is_secured(event: &Event) -> bool {
    matches!(event, Event::Secured(_))
}

fn ended(reason: SessionEnd) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::SessionEnded { reason: said, .. } if *said == reason)
}

fn without_cid() -> World {
    let mut world = World::new();
    world.server().config.connection_id = false;
    world.register();
    world
}

/// A device that sleeps after ten seconds.
fn sleepy(cid: bool) -> World {
    let mut config = Config::new(IDENTITY);
    config.queue_mode = Some(QueueMode { awake: Duration::from_secs(10), wake_every: None });
    let mut world = World::with(config, vec![psk_account(1)]);
    world.server().config.connection_id = cid;
    world.register();
    world.seconds(20);
    assert!(world.saw(|event| matches!(event, Event::Asleep(_))));
    world
}

/// Datagrams that came to the server since the last look, by the type of their first record.
fn kinds(world: &mut World) -> Vec<u8> {
    world.server().datagrams.drain(..).map(|datagram| datagram[0]).collect()
}

// Proves: SEC-01, DTL-01
#[test]
fn nothing_goes_out_in_the_clear_and_coap_waits_for_the_session() {
    let mut world = World::new();
    let register = world.register();
    assert!(register.query.contains(&format!("ep={IDENTITY}")));
    let secured = world.events.iter().position(is_secured);
    let registered = world.events.iter().position(|event| matches!(event, Event::Registered(_)));
    assert!(secured.is_some() && secured < registered, "{:?}", world.events);
    assert!(!world.client.session(world.id).expect("established").resumed);
    for datagram in core::mem::take(&mut world.server().datagrams) {
        assert!(matches!(datagram[0], 20..=22 | 25), "{datagram:02x?}");
        assert!(!datagram.windows(3).any(|part| part == b"ep="), "{datagram:02x?}");
    }
}

// Proves: DTL-01
#[test]
fn a_device_is_never_the_server_of_a_handshake() {
    let mut world = World::registered();
    let hello = world.server().datagrams.iter().find(|datagram| datagram[0] == 22 && datagram[13] == 1);
    let hello = hello.expect("a ClientHello").clone();
    let own = *world.client.session(world.id).expect("established");
    let before = world.server().datagrams.len();
    for _ in 0..3 {
        world.client.handle_input(world.now, world.id, &mut hello.clone());
        world.run();
    }
    assert_eq!(world.server().datagrams.len(), before, "nothing is answered");
    assert_eq!(world.client.session(world.id).map(|session| session.cid), Some(own.cid), "and nothing ends");
    // Nor before there is a session, when it waits for its server's answer.
    let mut world = World::new();
    let id = world.id;
    world.client.start(world.now);
    world.client.handle_input(world.now, id, &mut hello.clone());
    let register = world.register();
    assert!(register.query.contains(&format!("ep={IDENTITY}")));
    let answered = world.server().datagrams.iter().filter(|datagram| datagram[0] == 22 && datagram[13] == 2);
    assert_eq!(answered.count(), 0, "no ServerHello");
}

// Proves: SEC-01
#[test]
fn a_request_in_the_clear_is_not_answered() {
    let mut world = World::registered();
    let id = world.id;
    world.client.handle_input(world.now, id, &mut [0x40, 1, 0, 9, 0xb1, b'3']);
    world.run();
    assert!(world.server().told.is_empty());
    assert!(matches!(world.client.phase(id), Phase::Registered { .. }));
}

#[test]
fn requests_and_notifications_go_through_the_session_of_the_registration() {
    let mut world = World::registered();
    let answer = world.ask(Code::GET, "/3303/0/5700", Some(0));
    assert_eq!((answer.code, &answer.payload[..]), (Code::CONTENT, &b"21.5"[..]));
    world.set(22.5);
    let notification = world.take();
    assert_eq!(notification.payload, b"22.5");
    assert_eq!(notification.token, answer.token);
    assert_eq!(world.server().accepted, 1);
}

// Proves: DTL-15
#[test]
fn a_connection_id_of_length_zero_is_offered_so_that_the_server_can_have_one() {
    let mut world = World::registered();
    let session = *world.client.session(world.id).expect("established");
    assert_eq!(session.cid, Cid::new(b"server"));
    let facts = world.server().facts();
    assert_eq!((facts.own_cid, facts.peer_cid), (Cid::new(b"server"), Some(Cid::EMPTY)));
    let sent = kinds(&mut world);
    assert_eq!(sent.last(), Some(&25), "records carry the server's connection ID: {sent:?}");
}

// Proves: DTL-15
#[test]
fn with_a_connection_id_a_session_survives_another_address() {
    let mut world = World::registered();
    world.port += 1;
    world.client.update(world.now, world.id);
    world.run();
    world.update_and_answer(Code::CHANGED);
    assert!(world.saw(|event| matches!(event, Event::Updated(_))));
    assert_eq!(world.ask(Code::GET, "/3/0/0", None).payload, b"Lightship");
    assert_eq!(world.server().accepted, 1);
}

// Proves: DTL-14
#[test]
fn without_one_the_silence_leads_to_a_resumed_session_and_an_update() {
    let mut world = without_cid();
    assert_eq!(world.client.session(world.id).map(|session| session.cid), Some(None));
    world.port += 1;
    world.client.update(world.now, world.id);
    world.run();
    assert!(world.server().told.is_empty(), "the server cannot tell whose records these are");
    world.until_told();
    assert!(world.saw(ended(SessionEnd::Silent)));
    world.update_and_answer(Code::CHANGED);
    assert!(world.client.session(world.id).is_some_and(|session| session.resumed));
    assert!(world.saw(|event| matches!(event, Event::Updated(_))));
}

#[test]
fn what_was_observed_goes_on_in_the_resumed_session() {
    let mut world = without_cid();
    let answer = world.ask(Code::GET, "/3303/0/5700", Some(0));
    world.port += 1;
    world.client.update(world.now, world.id);
    world.until_told();
    world.update_and_answer(Code::CHANGED);
    world.set(30.0);
    let notification = world.take();
    assert_eq!((notification.token, &notification.payload[..]), (answer.token, &b"30"[..]));
}

#[test]
fn a_server_that_forgot_everything_is_registered_with_anew() {
    let mut world = World::registered();
    world.server().crash();
    world.server().sessions.clear();
    world.client.update(world.now, world.id);
    world.until_told();
    assert!(!world.client.session(world.id).expect("a full handshake").resumed);
    // Handshake, Update, 4.04, Register.
    world.update_and_answer(Code::NOT_FOUND);
    world.accept_register();
    assert_eq!(world.server().accepted, 2);
}

// Proves: REG-21
#[test]
fn a_server_that_crashed_has_the_device_back_within_the_lifetime() {
    for (lifetime_s, cid, sends) in
        [(60, false, false), (60, true, false), (60, false, true), (20, true, false)]
    {
        let mut account = psk_account(1).lifetime(lifetime_s);
        account.mute_send = Some(false);
        let mut world = World::with(Config::new(IDENTITY), vec![account]);
        world.server().config.connection_id = cid;
        world.register();
        let registered = world.now;
        world.server().crash();
        world.server().sessions.clear();
        if sends {
            // Its answer is awaited when the Update is due.
            world.seconds(20);
            let path = "/3303/0/5700".parse().expect("a path");
            world.client.send(world.now, world.id, &[path]).expect("taken");
        }
        world.until_told();
        let taken = world.now.saturating_duration_since(registered);
        assert!(taken <= Duration::from_secs(u64::from(lifetime_s) + 1), "{taken:?} {:?}", world.events);
        world.accept_register();
        assert!(world.saw(ended(SessionEnd::Silent)));
        assert!(world.client.session(world.id).is_some_and(|session| !session.resumed));
        assert_eq!(world.server().accepted, 2);
    }
}

#[test]
fn a_server_that_answers_handshakes_alone_is_not_asked_for_ever() {
    let mut world = World::registered();
    world.client.update(world.now, world.id);
    world.run();
    world.events.clear();
    // Neither Update nor Register are answered, handshakes are: one for the Update, and one for each attempt to register.
    world.seconds(10_000);
    let handshakes = world.server().accepted;
    assert!((2..=8).contains(&handshakes), "{handshakes} {:?}", world.events);
    assert!(world.saw(|event| matches!(event, Event::Failed { reason: Failure::Timeout, .. })));
}

#[test]
fn before_1_2_a_new_session_ends_the_registration_and_a_resumed_one_does_not() {
    for (version, forgets, path) in
        [(Version::V1_1, true, "rd"), (Version::V1_1, false, "rd/5a3f"), (Version::V1_2, true, "rd/5a3f")]
    {
        let mut config = Config::new(IDENTITY);
        config.version = version;
        let mut world = World::with(config, vec![psk_account(1)]);
        world.register();
        world.server().crash();
        if forgets {
            world.server().sessions.clear();
        }
        world.client.update(world.now, world.id);
        world.until_told();
        assert_eq!(world.take().path, path, "{version} {forgets}");
    }
}

// Proves: DTL-14
#[test]
fn a_session_that_rested_without_a_connection_id_is_resumed_before_anything_is_said() {
    let mut world = sleepy(false);
    kinds(&mut world);
    world.seconds(40);
    world.port += 1;
    world.client.update(world.now, world.id);
    world.run();
    assert!(!kinds(&mut world).contains(&21), "no goodbye before or after sleep");
    assert!(world.saw(ended(SessionEnd::Rested)));
    assert!(world.client.session(world.id).is_some_and(|session| session.resumed));
    world.update_and_answer(Code::CHANGED);
    assert!(world.saw(|event| matches!(event, Event::Updated(_))));
}

#[test]
fn a_session_with_a_connection_id_is_used_again_after_sleep() {
    let mut world = sleepy(true);
    kinds(&mut world);
    world.port += 1;
    world.seconds(200);
    world.update_and_answer(Code::CHANGED);
    assert_eq!(world.server().accepted, 1);
    let kinds = kinds(&mut world);
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| *kind == 25), "{kinds:?}");
}

#[test]
fn a_value_that_wakes_the_device_is_told_once_the_session_is_resumed() {
    let mut world = sleepy(false);
    let answer = world.ask(Code::GET, "/3303/0/5700", Some(0));
    world.seconds(100);
    assert!(world.saw(|event| matches!(event, Event::Asleep(_))));
    world.port += 1;
    world.set(40.0);
    world.seconds(1);
    world.update_and_answer(Code::CHANGED);
    let notification = world.take();
    assert_eq!((notification.token, &notification.payload[..]), (answer.token, &b"40"[..]));
    assert!(world.client.session(world.id).is_some_and(|session| session.resumed));
}

#[test]
fn whoever_leaves_says_goodbye() {
    let mut world = World::registered();
    world.client.deregister(world.now, world.id);
    world.run();
    let deregister = world.take();
    assert_eq!((deregister.code, deregister.path.as_str()), (Code::DELETE, "rd/5a3f"));
    world.answer(&deregister, Code::DELETED, |_| {});
    let closed = |event: &dtls::Event| matches!(event, dtls::Event::Closed(Alert::CLOSE_NOTIFY));
    assert!(world.server().events.iter().any(closed), "{:?}", world.server().events);
    assert_eq!(world.client.session(world.id), None);
    assert_eq!(world.client.phase(world.id), Phase::Idle);
}

#[test]
fn whoever_leaves_during_a_handshake_is_gone() {
    let mut world = World::new();
    world.cut = true;
    world.client.register(world.now, world.id);
    world.run();
    assert!(world.client.is_connecting(world.id));
    world.client.deregister(world.now, world.id);
    world.run();
    assert!(!world.client.is_connecting(world.id));
    assert_eq!(world.client.poll_timeout(), None);
}

// Proves: OBJ-05
#[test]
fn a_goodbye_of_the_server_leads_to_a_new_session_but_not_to_one_after_the_other() {
    let mut world = World::registered();
    world.server_closes();
    assert!(world.saw(ended(SessionEnd::Closed(Alert::CLOSE_NOTIFY))));
    assert!(world.client.session(world.id).is_some(), "another session at once");
    let update = world.take();
    assert_eq!(update.path, "rd/5a3f");
    // Again, before anything was answered: the server is given time.
    world.server_closes();
    assert!(world.client.session(world.id).is_none());
    let failed = |event: &Event| matches!(event, Event::Failed { reason: Failure::NotSecured, retry_in, .. } if *retry_in >= Duration::from_secs(60));
    assert!(world.saw(failed));
    assert!(world.until_told() >= Duration::from_secs(60));
    world.accept_register();
    // The last alert can be read.
    assert_eq!(world.ask(Code::GET, "/1/0/11", None).payload, b"0");
}

#[test]
fn an_attempt_without_answer_counts_as_an_attempt_to_register() {
    let mut world = World::new();
    world.cut = true;
    world.client.register(world.now, world.id);
    world.run();
    world.seconds(130);
    let failures = |world: &mut World| {
        let mut failures = Vec::new();
        for event in world.events.drain(..) {
            if let Event::Failed { reason: Failure::NotSecured, retry_in, .. } = event {
                failures.push(retry_in.as_secs());
            }
        }
        failures
    };
    let first = failures(&mut world);
    assert!(matches!(first[..], [60..=66]), "{first:?}");
    world.seconds(3000);
    let others = failures(&mut world);
    assert!(matches!(others[..], [120..=132, 240..=264, 480..=528, 86_400..=95_040]), "{others:?}");
    world.cut = false;
    world.until_told();
    world.accept_register();
}

#[test]
fn a_lossy_start_is_repeated_after_nine_seconds() {
    let mut world = World::new();
    world.cut = true;
    world.client.register(world.now, world.id);
    world.run();
    world.seconds(8);
    world.cut = false;
    world.run();
    assert!(world.server().datagrams.is_empty());
    world.seconds(2);
    assert_eq!(world.take().path, "rd");
}

#[test]
fn another_address_that_the_device_knows_of_is_told_or_resumed() {
    let mut world = World::registered();
    world.port += 1;
    world.client.moved(world.now);
    world.run();
    world.update_and_answer(Code::CHANGED);
    assert_eq!(world.server().accepted, 1, "the connection ID is enough");
    let mut world = without_cid();
    world.port += 1;
    world.client.moved(world.now);
    world.run();
    assert!(world.saw(ended(SessionEnd::Moved)));
    world.update_and_answer(Code::CHANGED);
    assert!(world.client.session(world.id).is_some_and(|session| session.resumed));
}

#[test]
fn a_reconnect_begins_a_session_and_a_registration() {
    let mut world = World::registered();
    world.client.reconnect(world.now);
    world.run();
    assert_eq!(world.server().accepted, 2);
    world.accept_register();
    assert!(world.client.session(world.id).is_some_and(|session| session.resumed));
}

#[test]
fn what_does_not_fit_into_a_record_of_the_server_comes_in_blocks() {
    let mut world = World::new();
    world.client.secure_transport_mut().expect("there").config.record_size_limit = Some(1100);
    world.server().config.record_size_limit = Some(128);
    world.client.register(world.now, world.id);
    world.run();
    let first = world.take();
    assert_eq!((first.path.as_str(), first.payload.len()), ("rd", 32), "a block of the list of objects");
}

#[test]
fn offline_and_online_keep_the_session() {
    let mut world = World::registered();
    world.client.offline(world.now);
    world.seconds(50);
    world.client.online(world.now);
    world.run();
    world.update_and_answer(Code::CHANGED);
    assert_eq!(world.server().accepted, 1);
}

#[test]
fn a_resumption_survives_a_restart_of_the_device() {
    let mut world = World::registered();
    let kept = world.client.resumption(world.id).cloned().expect("the server gave the means");
    let mut again = World::new();
    core::mem::swap(&mut again.servers, &mut world.servers);
    again.client.set_resumption(again.id, Some(kept.clone()));
    again.register();
    assert!(again.client.session(again.id).is_some_and(|session| session.resumed));
    // What the server has forgotten leads to a full handshake.
    let mut third = World::new();
    third.client.set_resumption(third.id, Some(kept));
    third.register();
    assert!(third.client.session(third.id).is_some_and(|session| !session.resumed));
}

#[test]
fn a_send_goes_through_the_session_and_ends_with_it() {
    let mut account = psk_account(1);
    account.mute_send = Some(false);
    let mut world = World::with(Config::new(IDENTITY), vec![account]);
    world.server().config.connection_id = false;
    world.register();
    let path = "/3303/0/5700".parse().expect("a path");
    world.client.send(world.now, world.id, &[path]).expect("taken");
    world.run();
    let send = world.take();
    assert_eq!((send.ty, send.path.as_str()), (Type::Con, "dp"));
    world.answer(&send, Code::CHANGED, |_| {});
    assert!(world.saw(|event| matches!(event, Event::Sent { .. })));
    world.client.send(world.now, world.id, &[path]).expect("taken");
    world.run();
    world.take();
    world.server_closes();
    let failed = |event: &Event| matches!(event, Event::SendFailed { reason: Failure::NotSecured, .. });
    assert!(world.saw(failed));
    world.update_and_answer(Code::CHANGED);
}

// Proves: SEC-09
#[test]
fn each_account_has_an_association_of_its_own() {
    let mut world = World::with(Config::new(IDENTITY), vec![psk_account(1), psk_account(2)]);
    world.client.start(world.now);
    world.run();
    let ids: Vec<_> = world.client.accounts().map(|(id, _)| id).collect();
    for id in ids {
        world.id = id;
        world.accept_register();
        assert_eq!(world.server().accepted, 1);
    }
    // One that ends leaves the other alone.
    world.server_closes();
    assert_eq!(world.servers[0].accepted, 1);
    assert_eq!(world.servers[1].accepted, 2);
}

// Proves: REG-04
#[test]
fn the_name_is_left_out_only_where_the_session_tells_it() {
    for (version, by_identity, said) in [
        (Version::V1_2, true, false),
        (Version::V1_1, true, false),
        (Version::V1_0, true, true),
        (Version::V1_2, false, true),
    ] {
        let mut config = Config::new(IDENTITY);
        (config.version, config.endpoint_by_identity) = (version, by_identity);
        let register = World::with(config, vec![psk_account(1)]).register();
        let found = register.query.iter().any(|part| part.starts_with("ep="));
        assert_eq!(found, said, "{version} {by_identity}: {:?}", register.query);
    }
}

// Proves: SEC-08
#[test]
fn keys_are_told_only_to_a_key_log_and_never_printed() {
    let mut world = World::registered();
    assert_eq!(world.client.poll_key_log(), None);
    let printed = format!("{:?} {:?}", world.client, world.events);
    let key = format!("{KEY:?}");
    for secret in [key.trim_matches(['[', ']']), "0123456789abcdef"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    let mut world = World::new();
    world.client.secure_transport_mut().expect("there").config.key_log = true;
    world.register();
    let line = world.client.poll_key_log().expect("a line");
    assert!(line.starts_with("CLIENT_RANDOM "), "{line}");
    assert_eq!(world.client.poll_key_log(), None);
}

/// Long before the numbers run out, at a moment when nothing is under way; each answer arrives.
// Proves: DTL-21
#[test]
fn worn_keys_are_replaced_while_nothing_is_under_way() {
    let mut world = World::new();
    world.client.secure_transport_mut().expect("secured").config.records_max = 40;
    world.register();
    let token = world.ask(Code::GET, "/3303/0/5700", Some(0)).token;
    world.saw(|_| false);
    let mut reads = 0;
    while world.server().accepted == 1 {
        let answer = world.ask(Code::GET, "/3/0/0", None);
        assert_eq!((answer.code, &answer.payload[..]), (Code::CONTENT, &b"Lightship"[..]));
        reads += 1;
        assert!(reads < 30, "three quarters are enough");
    }
    assert!(reads > 20, "not sooner than they are worn: {reads}");
    assert!(world.client.session(world.id).is_some_and(|session| session.resumed));
    let used_up = world.events.iter().filter(|event| ended(SessionEnd::UsedUp)(event)).count();
    assert_eq!(used_up, 1);
    world.update_and_answer(Code::CHANGED);
    world.set(40.0);
    world.until_told();
    assert_eq!(world.take().token, token, "what was observed goes on");
}
