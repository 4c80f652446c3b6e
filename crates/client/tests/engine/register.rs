//! Registration, against a server played by hand.

use core::time::Duration;

use crate::bench::{Bench, account};
use lightship_client::{Account, Config, Event, Failure, Phase, Retry};
use lightship_coap::{Code, ContentFormat, Type};
use lightship_lwm2m::{ShortServerId, Version};

const TEXT: ContentFormat = ContentFormat::TEXT;

// Proves: REG-01, REG-04, REG-05, REG-12
#[test]
fn register_says_who_the_client_is_and_what_it_has() {
    let mut bench = Bench::new();
    let register = bench.register();
    assert_eq!((register.ty, register.code, register.path), (Type::Con, Code::POST, vec!["rd".to_owned()]));
    assert_eq!(register.query, ["ep=urn:dev:os:1", "lt=300", "lwm2m=1.2", "b=U"]);
    assert_eq!(register.format, Some(ContentFormat::LINK));
    let list = core::str::from_utf8(&register.payload).expect("text");
    assert_eq!(
        list,
        "</>;ct=\"60 110 112 320 322 11542 11544\",</1/0>,</2>;ver=1.0,</3/0>,</16>,</3303>;ver=1.1,</3303/0>,</3311/0>"
    );
    assert!(bench.events.contains(&Event::Registered(bench.id)));
    assert_eq!(bench.client.location(bench.id).collect::<Vec<_>>(), ["rd", "5a3f"]);
}

// Proves: REG-11
#[test]
fn path_and_query_of_the_server_uri_stand_before_the_clients_own() {
    let ssid = ShortServerId::new(1).expect("legal");
    let mut bench = Bench::with(Config::new("x"), Account::new(ssid, "coap://[::1]:5683/a/b?k=v"));
    let register = bench.register();
    assert_eq!(register.path, ["a", "b", "rd"]);
    assert_eq!(register.query[0], "k=v");
}

// Proves: REG-42
#[test]
fn the_update_comes_a_transmission_before_the_end_but_not_before_half_of_the_lifetime() {
    for (lifetime_s, update_after_s) in [(300, 207), (86_400, 86_307), (60, 30), (1, 1)] {
        let mut bench = Bench::with(Config::new("x"), account(1, lifetime_s));
        bench.register();
        bench.advance(Duration::from_millis(update_after_s * 1000 - 1));
        assert!(bench.sent.is_empty(), "{lifetime_s}: too early");
        bench.advance(Duration::from_millis(1));
        let update = bench.take();
        assert_eq!((update.code, update.path.join("/")), (Code::POST, "rd/5a3f".to_owned()), "{lifetime_s}");
        // Nothing changed, so nothing is said.
        assert!(update.query.is_empty() && update.payload.is_empty());
        bench.answer(&update, Code::CHANGED, |_| {});
        assert!(bench.events.contains(&Event::Updated(bench.id)));
        bench.advance(Duration::from_millis(update_after_s * 1000));
        assert_eq!(bench.take().code, Code::POST, "{lifetime_s}: and again");
    }
}

// Proves: REG-21
#[test]
fn a_lifetime_of_zero_needs_no_update() {
    let mut bench = Bench::with(Config::new("x"), account(1, 0));
    bench.register();
    bench.seconds(10 * 86_400);
    assert!(bench.sent.is_empty());
}

// Proves: REG-10
#[test]
fn update_and_deregister_use_the_location_as_it_came() {
    let mut bench = Bench::new();
    bench.client.register(bench.now, bench.id);
    bench.drain();
    let register = bench.take();
    bench.answer(&register, Code::CREATED, |options| {
        for segment in ["rd", "a b/c", "ü"] {
            options.option(lightship_coap::OptionNumber::LOCATION_PATH, segment.as_bytes());
        }
    });
    bench.client.update(bench.now, bench.id);
    bench.drain();
    let update = bench.take();
    assert_eq!(update.path, ["rd", "a b/c", "ü"]);
    bench.answer(&update, Code::CHANGED, |_| {});
    bench.client.deregister(bench.now, bench.id);
    bench.drain();
    let deregister = bench.take();
    assert_eq!((deregister.code, deregister.path), (Code::DELETE, update.path));
}

// Proves: REG-26, REG-23
#[test]
fn a_written_lifetime_is_told_at_once() {
    let mut bench = Bench::registered();
    assert_eq!(bench.put("/1/0/1", "120"), Code::CHANGED);
    let update = bench.take();
    assert_eq!(update.query, ["lt=120"]);
    bench.answer(&update, Code::CHANGED, |_| {});
    bench.seconds(60);
    assert!(bench.take().query.is_empty(), "refreshed after half of the new lifetime");
}

// Proves: REG-23, DMO-34
#[test]
fn a_changed_list_is_told_whole() {
    let mut bench = Bench::registered();
    let objects = bench.client.objects_mut();
    objects.1.insert(7, crate::bench::Temperature::default()).ok();
    bench.drain();
    let update = bench.take();
    assert!(update.text().ends_with("</3303/0>,</3303/7>,</3311/0>"), "{}", update.text());
    assert!(update.query.is_empty());
    bench.answer(&update, Code::CHANGED, |_| {});
    assert!(bench.sent.is_empty());

    assert_eq!(bench.ask(Code::DELETE, "/3303/7").code, Code::DELETED);
    assert!(bench.take().text().contains("</3303/0>,</3311/0>"));
}

// Proves: REG-29
#[test]
fn an_unknown_location_means_to_register_anew() {
    let mut bench = Bench::registered();
    bench.client.update(bench.now, bench.id);
    bench.drain();
    let update = bench.take();
    bench.answer(&update, Code::NOT_FOUND, |_| {});
    bench.accept_register();
    assert!(matches!(bench.client.phase(bench.id), Phase::Registered { .. }));
}

// Proves: REG-36
#[test]
fn the_update_trigger_is_answered_and_followed_by_an_update() {
    let mut bench = Bench::registered();
    assert_eq!(bench.ask(Code::POST, "/1/0/8").code, Code::CHANGED);
    let update = bench.take();
    assert_eq!((update.code, update.path.join("/")), (Code::POST, "rd/5a3f".to_owned()));
}

// Proves: REG-37
#[test]
fn without_a_bootstrap_account_the_bootstrap_trigger_is_not_allowed() {
    assert_eq!(Bench::registered().ask(Code::POST, "/1/0/9").code, Code::METHOD_NOT_ALLOWED);
}

// Proves: REG-39
#[test]
fn a_disabled_server_hears_nothing_until_the_time_is_over() {
    let mut bench = Bench::registered();
    assert_eq!(bench.put("/1/0/5", "100"), Code::CHANGED);
    assert_eq!(bench.ask(Code::POST, "/1/0/4").code, Code::CHANGED);
    let deregister = bench.take();
    assert_eq!((deregister.code, deregister.path.join("/")), (Code::DELETE, "rd/5a3f".to_owned()));
    bench.answer(&deregister, Code::DELETED, |_| {});
    bench.ask_with(Code::GET, "/3/0", |_| {}, &[]);
    bench.seconds(99);
    assert!(bench.sent.is_empty());
    bench.seconds(1);
    bench.accept_register();
}

// Proves: REG-30, ATT-17
#[test]
fn deregister_ends_the_registration_and_its_observations() {
    let mut bench = Bench::registered();
    bench.observe("/3303/0/5700");
    bench.client.deregister(bench.now, bench.id);
    bench.drain();
    let deregister = bench.take();
    assert_eq!(deregister.code, Code::DELETE);
    bench.answer(&deregister, Code::DELETED, |_| {});
    bench.set(30.0);
    bench.seconds(86_400);
    assert!(bench.sent.is_empty());
    assert!(bench.events.contains(&Event::Deregistered(bench.id)));
    assert_eq!(bench.client.phase(bench.id), Phase::Idle);
}

#[test]
fn a_lower_version_is_offered_when_the_server_refuses_the_higher() {
    let mut bench = Bench::new();
    bench.client.register(bench.now, bench.id);
    bench.drain();
    for version in ["1.2", "1.1"] {
        let register = bench.take();
        assert!(register.query.contains(&format!("lwm2m={version}")));
        bench.answer(&register, Code::PRECONDITION_FAILED, |_| {});
    }
    let register = bench.accept_register();
    assert!(register.query.contains(&"lwm2m=1.0".to_owned()));
    assert!(
        register.text().starts_with("</1/0>,"),
        "1.0 announces no formats, and gets the Server object of 1.0: {}",
        register.text()
    );
    assert!(register.text().contains("</3303>;ver=\"1.1\""), "{}", register.text());
}

// Proves: REG-40
#[test]
fn attempts_and_sequences_are_spaced_as_the_account_says() {
    let mut account = account(1, 300);
    account.retry = Retry::new(3, 10, 1000, 1);
    let mut bench = Bench::with(Config::new("x"), account);
    bench.client.register(bench.now, bench.id);
    bench.drain();
    for delay_s in [10, 20, 1000, 10, 20, 1000] {
        let register = bench.take();
        bench.answer(&register, Code::FORBIDDEN, |_| {});
        let gave_up = bench.events.pop_if(|event| *event == Event::GaveUp(bench.id)).is_some();
        assert_eq!(gave_up, delay_s == 1000, "the last of a sequence, of which there is one");
        assert!(matches!(
            bench.events.last(),
            Some(Event::Failed { reason: Failure::Refused(Code::FORBIDDEN), retry_in, .. })
                if *retry_in >= Duration::from_secs(delay_s) && *retry_in <= Duration::from_millis(delay_s * 1100)
        ));
        let waited = bench.until_sent();
        assert!(waited >= Duration::from_secs(delay_s), "{waited:?}, not {delay_s} s");
        assert!(waited <= Duration::from_millis(delay_s * 1100), "{waited:?}, not {delay_s} s");
    }
    bench.accept_register();
}

// Proves: REG-42
#[test]
fn max_age_of_an_overloaded_server_is_honoured() {
    for code in [Code::SERVICE_UNAVAILABLE, Code::TOO_MANY_REQUESTS] {
        let mut bench = Bench::new();
        bench.client.register(bench.now, bench.id);
        bench.drain();
        let register = bench.take();
        bench.answer(&register, code, |options| _ = options.max_age_s(600));
        bench.seconds(599);
        assert!(bench.sent.is_empty(), "{code}");
        bench.seconds(1);
        bench.accept_register();
    }
}

// Proves: REG-42
#[test]
fn an_update_that_an_overloaded_server_refuses_is_repeated_and_the_registration_stays() {
    for code in [Code::SERVICE_UNAVAILABLE, Code::TOO_MANY_REQUESTS] {
        let mut bench = Bench::registered();
        assert_eq!(bench.put("/1/0/1", "600"), Code::CHANGED);
        bench.drain();
        let update = bench.take();
        assert_eq!(update.query, ["lt=600"]);
        bench.answer(&update, code, |options| _ = options.max_age_s(60));
        let postponed = Duration::from_secs(60);
        assert!(bench.events.iter().any(
            |event| matches!(event, Event::Postponed { reason: Failure::Refused(_), retry_in, .. } if *retry_in == postponed)
        ));
        assert!(matches!(bench.client.phase(bench.id), Phase::Registered { .. }), "{code}");
        assert_eq!(bench.ask(Code::GET, "/1/0/1").code, Code::CONTENT, "who is registered is answered");
        bench.seconds(59);
        assert!(bench.sent.is_empty(), "{code}");
        bench.seconds(1);
        let again = bench.take();
        assert_eq!(
            (&again.path[..], &again.query[..]),
            (&update.path[..], &update.query[..]),
            "all that the first one said"
        );
        bench.answer(&again, Code::CHANGED, |_| {});
        assert!(matches!(bench.client.phase(bench.id), Phase::Registered { .. }));
        // The lifetime goes on meanwhile: who is refused until its end registers anew.
        let mut bench = Bench::registered();
        bench.client.update(bench.now, bench.id);
        bench.drain();
        let update = bench.take();
        bench.answer(&update, code, |options| _ = options.max_age_s(3600));
        bench.seconds(302);
        assert_eq!(bench.take().path, ["rd"]);
    }
}

#[test]
fn silence_is_met_with_attempts_for_ever() {
    let mut bench = Bench::new();
    bench.client.register(bench.now, bench.id);
    bench.drain();
    bench.seconds(30 * 86_400);
    assert!(bench.sent.len() > 100);
    bench.sent.clear();
    bench.seconds(86_400 * 2);
    assert!(!bench.sent.is_empty());
    let timeouts = |event: &&Event| matches!(event, Event::Failed { reason: Failure::Timeout, .. });
    assert!(bench.events.iter().filter(timeouts).count() > 20);
    let register = bench.take();
    bench.answer(&register, Code::CREATED, |options| _ = options.location_path("/rd/1"));
    assert!(matches!(bench.client.phase(bench.id), Phase::Registered { .. }) || !bench.sent.is_empty());
}

#[test]
fn a_lost_update_leads_to_a_new_registration() {
    let mut bench = Bench::registered();
    bench.seconds(207 + 94);
    let updates =
        bench.sent.iter().filter(|(_, datagram)| crate::bench::Reply::new(datagram).path.len() == 2).count();
    assert_eq!(updates, 5, "one and four repetitions");
    bench.sent.drain(..updates);
    bench.accept_register();
}

// Proves: REG-46, ATT-14
#[test]
fn two_servers_do_not_see_each_others_registration_observations_and_attributes() {
    let mut bench = Bench::registered();
    let first = bench.id;
    let second = bench.client.add_account(account(2, 600)).expect("room");
    bench.client.register(bench.now, second);
    bench.drain();
    // The new /1 instance is news for the first server.
    let updates = bench.sent.iter().filter(|(to, _)| *to == first).count();
    bench.sent.retain(|(to, _)| *to == second);
    assert_eq!(updates, 1);
    bench.id = second;
    bench.accept_register();
    assert_eq!(bench.ask(Code::PUT, "/3303/0?pmin=50").code, Code::CHANGED);
    bench.observe("/3303/0/5700");
    bench.id = first;
    assert_eq!(bench.discover("/3303/0?depth=0").text(), "</3303/0>");
    bench.observe("/3303/0/5700");
    bench.set(25.0);
    assert_eq!(bench.sent.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [first]);
    bench.sent.clear();
    bench.id = second;
    bench.client.deregister(bench.now, second);
    bench.drain();
    bench.sent.clear();
    bench.set(26.0);
    assert_eq!(bench.sent.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [first]);
}

#[test]
fn to_leave_while_a_register_is_under_way_waits_for_its_end() {
    let mut bench = Bench::new();
    bench.client.register(bench.now, bench.id);
    bench.drain();
    let register = bench.take();
    bench.client.deregister(bench.now, bench.id);
    bench.drain();
    assert!(bench.sent.is_empty());
    bench.answer(&register, Code::CREATED, |options| _ = options.location_path("/rd/1"));
    let deregister = bench.take();
    assert_eq!((deregister.code, deregister.path.join("/")), (Code::DELETE, "rd/1".to_owned()));
    bench.answer(&deregister, Code::DELETED, |_| {});
    assert_eq!(bench.client.phase(bench.id), Phase::Idle);

    bench.client.register(bench.now, bench.id);
    bench.client.deregister(bench.now, bench.id);
    bench.drain();
    let register = bench.take();
    bench.answer(&register, Code::FORBIDDEN, |_| {});
    bench.seconds(86_400);
    assert!(bench.sent.is_empty(), "no further attempt");
    assert_eq!(bench.events.iter().filter(|event| **event == Event::Deregistered(bench.id)).count(), 2);
}

// Proves: REG-21
#[test]
fn after_a_sleep_beyond_the_lifetime_nothing_goes_out_before_a_register() {
    let mut bench = Bench::registered();
    bench.observe("/3303/0/5700");
    // The host sleeps: no timer is served.
    bench.now += Duration::from_secs(301);
    bench.set(30.0);
    bench.accept_register();
    assert!(bench.sent.is_empty(), "and no notification of an observation that the server forgot");
}

#[test]
fn an_update_that_the_lifetime_overtook_does_not_hold_up_those_of_the_next_registration() {
    let mut bench = Bench::registered();
    bench.seconds(207);
    let update = bench.take();
    assert_eq!(update.path.join("/"), "rd/5a3f");
    // The host sleeps while it is under way.
    bench.now += Duration::from_secs(94);
    bench.drain();
    bench.accept_register();
    assert!(bench.sent.is_empty());
    bench.seconds(207);
    assert_eq!(bench.take().path.join("/"), "rd/5a3f");
}

// Proves: REG-32
#[test]
fn a_changed_own_address_means_to_register_anew() {
    let mut bench = Bench::registered();
    bench.client.reconnect(bench.now);
    bench.drain();
    bench.accept_register();
}

#[test]
fn requests_before_the_registration_are_ignored() {
    let mut bench = Bench::new();
    bench.ask_with(Code::GET, "/3/0", |options| _ = options.accept(TEXT), &[]);
    assert!(bench.sent.is_empty());
    bench.client.register(bench.now, bench.id);
    bench.drain();
    bench.ask_with(Code::GET, "/3/0", |_| {}, &[]);
    assert_eq!(bench.sent.len(), 1, "only the Register");
}

#[test]
fn the_configured_version_is_the_highest_offered() {
    let config = Config { version: Version::V1_1, ..Config::new("x") };
    let mut bench = Bench::with(config, account(1, 300));
    let register = bench.register();
    assert!(register.query.contains(&"lwm2m=1.1".to_owned()));
    assert!(register.text().contains(",</1/0>") && !register.text().contains("</1>"), "{}", register.text());
}

// Proves: GEN-04
#[test]
fn a_server_meets_the_object_versions_of_its_own_release() {
    for (version, has) in [
        (Version::V1_0, [Code::CONTENT, Code::NOT_FOUND, Code::NOT_FOUND]),
        (Version::V1_1, [Code::CONTENT, Code::CONTENT, Code::NOT_FOUND]),
        (Version::V1_2, [Code::CONTENT, Code::CONTENT, Code::CONTENT]),
    ] {
        let mut account = account(1, 300);
        account.retry = Retry::new(5, 60, 86_400, 1);
        account.confirmable_notifications = Some(false);
        let mut bench = Bench::with(Config { version, ..Config::new("x") }, account);
        bench.register();
        for (path, code) in ["/1/0/1", "/1/0/17", "/1/0/26"].into_iter().zip(has) {
            assert_eq!(bench.ask(Code::GET, path).code, code, "{version} {path}");
        }
    }
}
