//! What registrations say in each version, what Updates say, and in which order servers are registered with.

use core::time::Duration;

use lightship_client::{Account, AccountId, Config, Event, Failure, Phase, Profile, QueueMode, Retry, Text};
use lightship_coap::{Code, ContentFormat};
use lightship_lwm2m::Version;
use lightship_platform::Instant;

use crate::bench::{Bench, Reply, Temperature, account};

fn config(version: Version) -> Config {
    Config { version, ..Config::new("urn:dev:os:1") }
}

// Proves: REG-01, REG-05, REG-35, QUE-01
#[test]
fn each_version_is_told_its_parameters() {
    let asleep = Some(QueueMode::default());
    let sms = Some(Text::new("491761234567"));
    for (config, account_binding, expected) in [
        (config(Version::V1_0), "U", &["lt=300", "lwm2m=1.0", "b=U"][..]),
        (config(Version::V1_0), "UQ", &["lt=300", "lwm2m=1.0", "b=UQ"]),
        (config(Version::V1_0), "UQS", &["lt=300", "lwm2m=1.0", "b=UQS"]),
        (Config { queue_mode: asleep, ..config(Version::V1_0) }, "U", &["lt=300", "lwm2m=1.0", "b=UQ"]),
        (config(Version::V1_1), "UT", &["lt=300", "lwm2m=1.1", "b=U"]),
        (Config { queue_mode: asleep, ..config(Version::V1_1) }, "U", &["lt=300", "lwm2m=1.1", "b=U", "Q"]),
        (
            Config { queue_mode: asleep, sms, ..config(Version::V1_2) },
            "U",
            &["lt=300", "lwm2m=1.2", "b=U", "Q", "sms=491761234567"],
        ),
        (Config { sms, ..config(Version::V1_0) }, "U", &["lt=300", "lwm2m=1.0", "b=U", "sms=491761234567"]),
    ] {
        let mut bench =
            Bench::with(config, Account { binding: Text::new(account_binding), ..account(1, 300) });
        let register = bench.register();
        assert_eq!(register.query[0], "ep=urn:dev:os:1");
        assert_eq!(register.query[1..], *expected);
    }
    // What the Device object says counts more than the configuration.
    let mut bench = Bench::with(config(Version::V1_2), account(1, 300));
    bench.client.objects_mut().0.binding = "UT";
    assert_eq!(bench.register().query[3], "b=UT");
}

// Proves: REG-04
#[test]
fn the_name_is_not_left_out_where_there_is_no_session_to_tell_it() {
    let config = Config { endpoint_by_identity: true, ..config(Version::V1_2) };
    let register = Bench::with(config, account(1, 300)).register();
    assert!(register.query.iter().any(|part| part.starts_with("ep=")), "{:?}", register.query);
}

// Proves: REG-16
#[test]
fn optional_formats_are_announced_as_each_version_has_them() {
    for (version, expected) in [
        (Version::V1_0, "</1/0>"),
        (Version::V1_1, "</>;ct=\"60 110 112 11542\",</1/0>"),
        (Version::V1_2, "</>;ct=\"60 110 112 320 322 11542 11544\",</1/0>"),
    ] {
        let register = Bench::with(config(version), account(1, 300)).register();
        assert!(register.text().starts_with(expected), "{}", register.text());
    }
}

// Proves: REG-23, REG-26, REG-35
#[test]
fn an_update_says_what_changed_and_nothing_else() {
    let mut bench = Bench::registered();
    let mut update = |change: &mut dyn FnMut(&mut Bench)| {
        change(&mut bench);
        bench.drain();
        bench.sent.retain(|(_, sent)| Reply::new(sent).path == ["rd", "5a3f"]);
        let update = bench.take();
        assert!(bench.sent.is_empty(), "one Update for it");
        bench.answer(&update, Code::CHANGED, |_| {});
        (update.query, update.payload.is_empty())
    };
    let nothing: [&str; 0] = [];
    let lifetime = update(&mut |bench| assert_eq!(bench.put("/1/0/1", "600"), Code::CHANGED));
    assert_eq!(lifetime, (vec!["lt=600".to_owned()], true));
    let binding = update(&mut |bench| bench.client.objects_mut().0.binding = "UN");
    assert_eq!(binding, (vec!["b=UN".to_owned()], true));
    let sms = update(&mut |bench| bench.client.config_mut().sms = Some(Text::new("4930")));
    assert_eq!(sms, (vec!["sms=4930".to_owned()], true));
    let queue = update(&mut |bench| bench.client.config_mut().queue_mode = Some(QueueMode::default()));
    assert_eq!(queue, (vec!["b=UN".to_owned(), "Q".to_owned()], true));
    let (query, bare) =
        update(&mut |bench| _ = bench.client.objects_mut().1.insert(2, Temperature::default()));
    assert_eq!((&query[..], bare), (&[] as &[String], false));
    let asked = update(&mut |bench| _ = bench.ask_with(Code::POST, "/1/0/8", |_| {}, &[]));
    assert_eq!((asked.0, asked.1), (nothing.map(str::to_owned).into(), true));
}

// Proves: REG-35
#[test]
fn a_binding_written_by_a_server_concerns_1_0_alone() {
    for (version, told) in [(Version::V1_0, true), (Version::V1_1, false), (Version::V1_2, false)] {
        let mut bench = Bench::with(config(version), account(1, 300));
        bench.register();
        assert_eq!(bench.put("/1/0/7", "US"), Code::CHANGED);
        let updates: Vec<Reply> = bench.sent.drain(..).map(|(_, sent)| Reply::new(&sent)).collect();
        let queries: Vec<String> = updates.iter().flat_map(|update| update.query.clone()).collect();
        assert_eq!(queries.join("&"), if told { "b=US" } else { "" }, "{version}");
    }
}

#[test]
fn a_version_that_nobody_takes_is_tried_from_the_top_again() {
    let mut bench = Bench::new();
    bench.client.register(bench.now, bench.id);
    bench.drain();
    for version in ["1.2", "1.1", "1.0", "1.2"] {
        if bench.sent.is_empty() {
            bench.until_sent();
        }
        let register = bench.take();
        assert_eq!(register.query[2], format!("lwm2m={version}"));
        bench.answer(&register, Code::PRECONDITION_FAILED, |_| {});
    }
}

fn pid(register: &Reply) -> Option<&str> {
    register.query.iter().find_map(|part| part.strip_prefix("pid="))
}

/// The Register that goes out now, answered.
fn answered(bench: &mut Bench, code: Code) -> Reply {
    if bench.sent.is_empty() {
        bench.client.register(bench.now, bench.id);
        bench.drain();
    }
    let register = bench.take();
    assert_eq!(register.path, ["rd"]);
    bench.answer(&register, code, |options| {
        if code == Code::CREATED {
            options.location_path("/rd/5a3f");
        }
    });
    register
}

// Proves: PRF-02, PRF-04
#[test]
fn a_profile_with_a_name_stands_for_the_list_unless_the_server_does_not_know_it() {
    let profile = Profile::Named(Text::new("v:thermo-1"));
    let mut bench = Bench::with(Config { profile, ..config(Version::V1_2) }, account(1, 300));
    let short = answered(&mut bench, Code::CREATED);
    assert_eq!((pid(&short), short.format, short.payload.len()), (Some("v:thermo-1"), None, 0));
    let short = answered(&mut bench, Code::CONFLICT);
    assert!(short.payload.is_empty());
    let long = answered(&mut bench, Code::CREATED);
    assert_eq!((pid(&long), long.format), (Some("v:thermo-1"), Some(ContentFormat::LINK)));
    assert!(long.text().contains("</3303/0>"));
    assert!(matches!(bench.client.phase(bench.id), Phase::Registered { .. }));
    assert!(!bench.events.contains(&Event::GaveUp(bench.id)), "it is no failed attempt");
    // Older versions know nothing of it.
    let profile = Profile::Named(Text::new("v:thermo-1"));
    let mut bench = Bench::with(Config { profile, ..config(Version::V1_1) }, account(1, 300));
    let register = answered(&mut bench, Code::CREATED);
    assert_eq!((pid(&register), register.payload.is_empty()), (None, false));
}

#[test]
fn a_server_that_knows_no_profiles_at_all_is_not_told_one() {
    let profile = Profile::Named(Text::new("v:thermo-1"));
    let mut bench = Bench::with(Config { profile, ..config(Version::V1_2) }, account(1, 300));
    answered(&mut bench, Code::BAD_REQUEST);
    let long = answered(&mut bench, Code::BAD_REQUEST);
    assert!(pid(&long).is_some() && !long.payload.is_empty());
    let plain = answered(&mut bench, Code::CREATED);
    assert!(pid(&plain).is_none() && !plain.payload.is_empty());
}

#[cfg(feature = "profile-id")]
mod hashed {
    use super::*;

    fn bench() -> Bench {
        Bench::with(Config { profile: Profile::Hashed, ..config(Version::V1_2) }, account(1, 300))
    }

    // Proves: PRF-01, PRF-04
    #[test]
    fn a_hash_is_learnt_with_the_list_and_then_enough() {
        let mut bench = bench();
        let first = answered(&mut bench, Code::CREATED);
        let id = pid(&first).expect("an ID").to_owned();
        assert!(first.text().contains("</3303/0>"));
        let second = answered(&mut bench, Code::CREATED);
        assert_eq!((pid(&second), second.payload.len()), (Some(id.as_str()), 0));
        // A server that lost its memory.
        assert!(answered(&mut bench, Code::CONFLICT).payload.is_empty());
        let long = answered(&mut bench, Code::CREATED);
        assert_eq!((pid(&long), long.payload.is_empty()), (Some(id.as_str()), false));
        assert!(answered(&mut bench, Code::CREATED).payload.is_empty());
    }

    // Proves: PRF-07
    #[test]
    fn a_changed_list_is_told_with_its_new_hash() {
        let mut bench = bench();
        let first = answered(&mut bench, Code::CREATED);
        let _ = bench.client.objects_mut().1.insert(2, Temperature::default());
        bench.drain();
        let update = bench.take();
        assert!(update.text().contains("</3303/2>"));
        let new = pid(&update).expect("an ID").to_owned();
        assert_ne!(Some(new.as_str()), pid(&first));
        bench.answer(&update, Code::CHANGED, |_| {});
        let again = answered(&mut bench, Code::CREATED);
        assert_eq!((pid(&again), again.payload.len()), (Some(new.as_str()), 0));
        // The hash stands for the list, not for the moment.
        bench.client.objects_mut().1.remove(2);
        bench.drain();
        let update = bench.take();
        assert_eq!(pid(&update), pid(&first));
    }

    // Proves: PRF-03, PRF-07
    #[test]
    fn the_hash_is_of_the_suite_that_the_server_prefers_and_covers_versions() {
        let mut seen = Vec::new();
        for (prefers, suite, digits) in
            [(None, 5, 16), (Some(6), 6, 8), (Some(1), 1, 64), (Some(4), 4, 24), (Some(9), 5, 16)]
        {
            let account = Account { profile_hash: prefers, ..account(1, 300) };
            let config = Config { profile: Profile::Hashed, ..config(Version::V1_2) };
            let register = answered(&mut Bench::with(config, account), Code::CREATED);
            let (said, hash) = pid(&register).and_then(|id| id.split_once(':')).expect("suite and hash");
            assert_eq!((said, hash.len()), (suite.to_string().as_str(), digits));
            assert!(hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
            seen.push(hash.to_owned());
        }
        // All are the beginning of one hash.
        assert!(seen.iter().all(|hash| seen[2].starts_with(hash)), "{seen:?}");
        // SHA-256 of all objects with their versions, of which the list leaves out what is implied.
        assert_eq!(seen[0], EXPECTED);
    }

    /// The first 64 bits of SHA-256 over
    /// `</1>;ver=1.2,</1/0>,</2>;ver=1.0,</3>;ver=1.2,</3/0>,</16>;ver=1.0,</3303>;ver=1.1,</3303/0>,</3311>;ver=1.0,</3311/0>`.
    const EXPECTED: &str = "371def76c0f48916";
}

fn at(id: &AccountId, bench: &mut Bench) -> Reply {
    bench.id = *id;
    let place = bench.sent.iter().position(|(to, _)| to == id).expect("it sent something there");
    Reply::new(&bench.sent.remove(place).1)
}

fn accept(bench: &mut Bench, id: &AccountId) {
    let register = at(id, bench);
    bench.answer(&register, Code::CREATED, |options| _ = options.location_path("/rd/1"));
}

/// Refuses attempts until the account is given up.
fn refuse_all(bench: &mut Bench, id: &AccountId) {
    for _ in 0..20 {
        while !bench.sent.iter().any(|(to, _)| to == id) {
            bench.seconds(1);
        }
        let register = at(id, bench);
        bench.answer(&register, Code::FORBIDDEN, |_| {});
        if bench.events.contains(&Event::GaveUp(*id)) {
            return;
        }
    }
    panic!("{id:?} is never given up");
}

fn registers(bench: &Bench) -> Vec<usize> {
    bench.sent.iter().map(|(to, _)| to.index()).collect()
}

fn ordered(priorities: [Option<u32>; 4], change: impl Fn(&mut Account)) -> (Bench, Vec<AccountId>) {
    let mut accounts = (1..).zip(priorities).map(|(ssid, priority)| {
        let mut account = Account { priority, retry: Retry::new(2, 5, 50, 1), ..account(ssid, 0) };
        change(&mut account);
        account
    });
    let mut bench = Bench::with(Config::new("x"), accounts.next().expect("one"));
    let mut ids = vec![bench.id];
    ids.extend(accounts.map(|account| bench.client.add_account(account).expect("room")));
    bench.client.start(bench.now);
    bench.drain();
    (bench, ids)
}

// Proves: REG-41
#[test]
fn servers_with_an_order_are_registered_with_one_after_the_other() {
    let (mut bench, ids) = ordered([Some(7), None, Some(2), Some(7)], |_| {});
    // The one without an order does not wait for anybody.
    assert_eq!(registers(&bench), [1, 2]);
    bench.seconds(3);
    bench.sent.truncate(2);
    accept(&mut bench, &ids[2]);
    assert_eq!(registers(&bench), [1, 0], "the next in order");
    accept(&mut bench, &ids[0]);
    assert_eq!(registers(&bench), [1, 3]);
    accept(&mut bench, &ids[3]);
    accept(&mut bench, &ids[1]);
    assert!(bench.sent.is_empty());
    let registered = |event: &&Event| matches!(event, Event::Registered(_));
    assert_eq!(bench.events.iter().filter(registered).count(), 4);
}

// Proves: REG-41
#[test]
fn a_server_that_fails_makes_room_or_blocks() {
    let (mut bench, ids) = ordered([Some(1), Some(2), None, None], |_| {});
    for id in &ids[2..] {
        accept(&mut bench, id);
    }
    refuse_all(&mut bench, &ids[0]);
    accept(&mut bench, &ids[1]);
    // It goes on trying with the first one.
    while bench.sent.is_empty() {
        bench.seconds(1);
    }
    accept(&mut bench, &ids[0]);

    let (mut bench, ids) =
        ordered([Some(1), Some(2), None, None], |account| account.failure_block = Some(true));
    for id in &ids[2..] {
        accept(&mut bench, id);
    }
    refuse_all(&mut bench, &ids[0]);
    assert_eq!(bench.client.phase(ids[1]), Phase::Waiting { until: Instant::NEVER });
    while bench.sent.is_empty() {
        bench.seconds(1);
    }
    assert_eq!(registers(&bench), [0], "the second is still blocked");
    accept(&mut bench, &ids[0]);
    accept(&mut bench, &ids[1]);
}

#[test]
fn a_server_that_is_left_makes_room_too() {
    let (mut bench, ids) = ordered([Some(1), Some(2), None, None], |_| {});
    assert_eq!(registers(&bench), [0, 2, 3]);
    bench.client.deregister(bench.now, ids[0]);
    bench.drain();
    accept(&mut bench, &ids[1]);
}

// Proves: REG-36
#[test]
fn the_update_trigger_takes_an_argument_that_names_a_binding() {
    let mut bench = Bench::registered();
    for argument in ["0='U'", "0='S'", ""] {
        let reply = bench.send(Code::POST, "/1/0/8", ContentFormat::TEXT, argument.as_bytes());
        assert_eq!(reply.code, Code::CHANGED, "{argument}");
        let update = bench.take();
        assert_eq!((update.path.join("/").as_str(), update.query.len()), ("rd/5a3f", 0), "{argument}");
        bench.answer(&update, Code::CHANGED, |_| {});
    }
    let refused = bench.send(Code::POST, "/1/0/8", ContentFormat::TEXT, b"0='U',0='U'");
    assert_eq!(refused.code, Code::BAD_REQUEST);
}

// Proves: REG-40
#[test]
fn the_first_attempt_waits_for_the_initial_delay_once() {
    let account = Account { initial_delay_s: Some(30), ..account(1, 0) };
    let mut bench = Bench::with(Config::new("x"), account);
    bench.client.start(bench.now);
    bench.drain();
    assert_eq!(bench.until_sent(), Duration::from_secs(30));
    bench.accept_register();
    bench.client.start(bench.now);
    bench.drain();
    assert_eq!(bench.until_sent(), Duration::ZERO, "it was registered before");
}

// Proves: REG-40
#[test]
fn the_defaults_are_those_of_the_standard_and_the_greatest_delay_means_never() {
    let mut bench = Bench::new();
    bench.client.register(bench.now, bench.id);
    bench.drain();
    for delay_s in [60, 120, 240, 480, 86_400, 60] {
        let register = bench.take();
        bench.answer(&register, Code::FORBIDDEN, |_| {});
        let waited = bench.until_sent();
        let range = Duration::from_secs(delay_s)..=Duration::from_millis(delay_s * 1100);
        assert!(range.contains(&waited), "{waited:?}, not {delay_s} s");
    }
    assert_eq!(bench.events.iter().filter(|event| **event == Event::GaveUp(bench.id)).count(), 1);

    let retry = Retry::new(2, 5, u32::MAX, 3);
    let mut bench = Bench::with(Config::new("x"), Account { retry, ..account(1, 0) });
    bench.client.register(bench.now, bench.id);
    bench.drain();
    let id = bench.id;
    refuse_all(&mut bench, &id);
    assert_eq!(bench.client.poll_timeout(), None, "nothing more is tried");
    bench.seconds(1_000_000);
    assert!(bench.sent.is_empty());
    let last =
        Event::Failed { account: id, reason: Failure::Refused(Code::FORBIDDEN), retry_in: Duration::MAX };
    assert!(bench.events.contains(&last));
    // A host that knows better may still try.
    bench.client.register(bench.now, id);
    bench.drain();
    bench.accept_register();
}

#[test]
fn servers_of_different_versions_live_side_by_side() {
    let (mut bench, ids) = ordered([None; 4], |_| {});
    for (id, version) in ids.iter().zip(["1.2", "1.1", "1.0", "1.2"]) {
        loop {
            let register = at(id, &mut bench);
            if register.query[2] == format!("lwm2m={version}") {
                bench.answer(&register, Code::CREATED, |options| _ = options.location_path("/rd/1"));
                break;
            }
            bench.answer(&register, Code::PRECONDITION_FAILED, |_| {});
        }
    }
    assert!(bench.sent.is_empty());
    for (id, format) in ids.iter().zip([112, 112, 11542, 112]) {
        bench.id = *id;
        let read = bench.ask(Code::GET, "/3303/0");
        assert_eq!((read.code, read.format), (Code::CONTENT, Some(ContentFormat(format))));
        bench.observe("/3303/0/5700");
    }
    bench.set(3.0);
    assert_eq!(registers(&bench), [0, 1, 2, 3], "each is notified");
}
