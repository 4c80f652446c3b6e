//! Observations and notifications under virtual time.

use core::time::Duration;

use crate::bench::{Bench, Reply};
use lightship_client::Event;
use lightship_coap::{Code, ContentFormat, Encoder, MessageId, Token, Type};
use lightship_lwm2m::path;

const TEXT: ContentFormat = ContentFormat::TEXT;
const JSON: ContentFormat = ContentFormat::SENML_JSON;

/// A registered client whose lifetime is infinite, so that only notifications come.
fn quiet() -> Bench {
    let mut bench = Bench::with(lightship_client::Config::new("x"), crate::bench::account(1, 0));
    bench.register();
    bench
}

fn empty(ty: Type, id: MessageId) -> Vec<u8> {
    let mut buffer = [0; 4];
    Encoder::new(&mut buffer, ty, Code::EMPTY, id, Token::EMPTY).finish().expect("fits");
    buffer.to_vec()
}

// Proves: OBS-01, OBS-02, ATT-16
#[test]
fn the_answer_is_the_first_notification_and_changes_follow_by_themselves() {
    let mut bench = quiet();
    let (token, first) = bench.observe("/3303/0/5700");
    assert_eq!((first.code, first.text(), first.format), (Code::CONTENT, "21.5", Some(TEXT)));
    assert!(first.observe.is_some());
    bench.set(22.0);
    let next = bench.take();
    assert_eq!((next.token, next.ty, next.code, next.text()), (token, Type::Non, Code::CONTENT, "22"));
    assert!(next.observe > first.observe);
    bench.set(22.0);
    bench.seconds(1000);
    assert_eq!(
        bench.notified().iter().filter(|text| !text.is_empty()).count(),
        0,
        "equal values tell nothing"
    );

    for (path, code) in [
        ("/3/0/4", Code::METHOD_NOT_ALLOWED),
        ("/3/0/77", Code::NOT_FOUND),
        ("/99", Code::NOT_FOUND),
        ("/0/0", Code::UNAUTHORIZED),
        ("/3303/0/5700/0", Code::METHOD_NOT_ALLOWED),
    ] {
        let (_, answer) = bench.observe(path);
        assert_eq!((answer.code, answer.observe), (code, None), "{path}");
    }
    let options = |options: &mut lightship_coap::OptionWriter<'_>| {
        options.observe(0).accept(TEXT);
    };
    bench.ask_with(Code::GET, "/3303/0", options, &[]);
    assert_eq!(bench.take().code, Code::NOT_ACCEPTABLE);
}

// Proves: OBS-09, OBS-10
#[test]
fn a_notification_holds_the_whole_target_in_the_format_of_the_first_answer() {
    let mut bench = quiet();
    let options = |options: &mut lightship_coap::OptionWriter<'_>| {
        options.observe(0).accept(JSON);
    };
    bench.ask_with(Code::GET, "/3303", options, &[]);
    bench.take();
    bench.set(-3.0);
    let notification = bench.take();
    assert_eq!(notification.format, Some(JSON));
    assert_eq!(notification.text(), r#"[{"bn":"/3303/0/","n":"5700","v":-3},{"n":"5701","vs":"Cel"}]"#);
}

// Proves: ATT-03, OBS-27
#[test]
fn pmin_holds_back_and_then_tells_the_latest() {
    let mut bench = quiet();
    bench.ask(Code::PUT, "/3303/0/5700?pmin=10");
    bench.observe("/3303/0/5700");
    bench.seconds(3);
    bench.set(1.0);
    bench.seconds(3);
    bench.set(2.0);
    bench.advance(Duration::from_millis(3999));
    assert!(bench.sent.is_empty());
    bench.advance(Duration::from_millis(1));
    assert_eq!(bench.notified(), ["2"]);
    bench.set(3.0);
    bench.seconds(9);
    assert!(bench.sent.is_empty(), "pmin counts from the last notification");
    bench.seconds(1);
    assert_eq!(bench.notified(), ["3"]);
    bench.seconds(60);
    bench.set(4.0);
    assert_eq!(bench.notified(), ["4"], "at once when pmin is long over");
}

// Proves: ATT-04, OBS-09
#[test]
fn pmax_tells_without_a_change_unless_it_does_not_count() {
    let mut bench = quiet();
    bench.ask(Code::PUT, "/3303/0/5700?pmin=5&pmax=20");
    bench.observe("/3303/0/5700");
    bench.advance(Duration::from_millis(19_999));
    assert!(bench.sent.is_empty());
    bench.advance(Duration::from_millis(1));
    assert_eq!(bench.notified(), ["21.5"]);
    bench.seconds(15);
    bench.set(1.0);
    assert_eq!(bench.notified(), ["1"]);
    bench.seconds(19);
    assert!(bench.sent.is_empty(), "pmax counts from the last notification");
    bench.seconds(1);
    assert_eq!(bench.notified(), ["1"]);
    for query in ["pmax=4", "pmax=0", "pmax"] {
        assert_eq!(bench.ask(Code::PUT, &format!("/3303/0/5700?{query}")).code, Code::CHANGED);
        bench.seconds(100);
        assert!(bench.sent.is_empty(), "{query}");
    }
    assert_eq!(bench.ask(Code::PUT, "/3303/0/5700?pmax=5").code, Code::CHANGED);
    bench.seconds(5);
    assert_eq!(
        bench.notified(),
        ["1", "1"],
        "equal to pmin it is in force: one is overdue, one comes after 5 s"
    );
}

// Proves: ATT-05, ATT-06, ATT-16
#[test]
fn thresholds_and_steps_count_from_the_last_value_told() {
    for (attributes, start, steps) in [
        ("gt=45&st=10", 45.0, &[(50.0, true)][..]),
        ("gt=45&st=10", 38.0, &[(49.0, true)]),
        (
            "gt=45",
            45.0,
            &[(46.0, true), (60.0, false), (45.0, false), (44.0, true), (45.0, false), (45.5, true)],
        ),
        ("lt=20", 25.0, &[(20.0, false), (19.0, true), (3.0, false), (20.0, false), (21.0, true)]),
        ("st=2", 10.0, &[(11.0, false), (11.9, false), (12.0, true), (10.5, false), (10.0, true)]),
        ("lt=20&gt=85&st=10", 75.0, &[(90.0, true), (99.0, false), (100.0, true), (10.0, true)]),
    ] {
        let mut bench = quiet();
        bench.set(start);
        assert_eq!(bench.ask(Code::PUT, &format!("/3303/0/5700?{attributes}")).code, Code::CHANGED);
        bench.observe("/3303/0/5700");
        for (value, told) in steps {
            bench.set(*value);
            assert_eq!(bench.notified().len(), usize::from(*told), "{attributes}: {value}");
        }
    }
}

// Proves: ATT-05
#[test]
fn the_one_way_reading_of_thresholds_can_be_chosen() {
    let config = lightship_client::Config {
        thresholds: lightship_client::Thresholds::OneWay,
        ..lightship_client::Config::new("x")
    };
    let mut bench = Bench::with(config, crate::bench::account(1, 0));
    bench.register();
    bench.set(48.0);
    bench.ask(Code::PUT, "/3303/0/5700?gt=45&st=10");
    bench.observe("/3303/0/5700");
    bench.set(42.0);
    assert!(bench.sent.is_empty(), "45 was crossed downwards");
    bench.set(46.0);
    assert!(bench.sent.is_empty(), "48 was told last, so nothing was crossed");
    bench.set(58.0);
    assert_eq!(bench.notified(), ["58"], "a step");
}

// Proves: ATT-09
#[test]
fn edges_fire_one_way_and_con_confirms() {
    let mut bench = quiet();
    bench.ask(Code::PUT, "/3311/0/5850?edge=1&con=1");
    bench.observe("/3311/0/5850");
    let switch = |bench: &mut Bench, on| {
        bench.client.objects_mut().3.get_mut(0).unwrap().on = on;
        bench.drain();
    };
    switch(&mut bench, true);
    let rising = bench.take();
    assert_eq!((rising.ty, rising.text()), (Type::Con, "1"));
    bench.input(&empty(Type::Ack, rising.id));
    switch(&mut bench, false);
    switch(&mut bench, true);
    assert!(bench.sent.is_empty(), "true was told last");
    bench.ask(Code::PUT, "/3311/0/5850?edge=0");
    switch(&mut bench, false);
    assert_eq!(bench.take().text(), "0");
}

// Proves: ATT-08
#[test]
fn evaluation_waits_for_epmin() {
    let mut bench = quiet();
    bench.ask(Code::PUT, "/3303/0/5700?epmin=10&epmax=30");
    bench.observe("/3303/0/5700");
    bench.seconds(2);
    bench.set(50.0);
    assert!(bench.sent.is_empty());
    bench.seconds(2);
    bench.set(21.5);
    bench.seconds(10);
    assert!(bench.sent.is_empty(), "the excursion was over before the evaluation");
    bench.set(23.0);
    bench.seconds(10);
    assert_eq!(bench.notified(), ["23"]);
}

// Proves: ATT-02, ATT-13
#[test]
fn attributes_count_at_and_above_the_observed_path_only() {
    let mut bench = quiet();
    bench.ask(Code::PUT, "/3303?pmin=10&pmax=100");
    bench.ask(Code::PUT, "/3303/0?pmin=20");
    bench.ask(Code::PUT, "/3303/0/5700?gt=1000");
    bench.observe("/3303/0");
    bench.set(1.0);
    bench.seconds(19);
    assert!(bench.sent.is_empty(), "pmin of the instance, not of the object");
    bench.seconds(1);
    assert_eq!(bench.notified().len(), 1, "the threshold below does not count");
    bench.seconds(100);
    assert_eq!(bench.notified().len(), 1, "pmax of the object");
}

// Proves: ATT-02
#[test]
fn the_account_has_the_last_word_on_pmin_and_pmax() {
    let mut bench = quiet();
    assert_eq!(bench.put("/1/0/2", "10"), Code::CHANGED);
    assert_eq!(bench.put("/1/0/3", "40"), Code::CHANGED);
    bench.observe("/3303/0/5700");
    bench.set(1.0);
    bench.seconds(9);
    assert!(bench.sent.is_empty());
    bench.seconds(1);
    assert_eq!(bench.notified(), ["1"]);
    bench.seconds(40);
    assert_eq!(bench.notified(), ["1"]);
}

// Proves: OBS-03
#[test]
fn attributes_of_the_observe_request_replace_the_attached_ones() {
    let mut bench = quiet();
    bench.ask(Code::PUT, "/3303/0/5700?gt=1000");
    let (_, first) = bench.observe("/3303/0/5700?pmin=5");
    assert!(first.observe.is_some());
    bench.set(1.0);
    bench.seconds(5);
    assert_eq!(bench.notified(), ["1"]);
    assert_eq!(bench.discover("/3303/0/5700").text(), "</3303/0/5700>;gt=1000");
    for query in ["lt=5&gt=1", "dim=1", "pmin=-1"] {
        let (_, refused) = bench.observe(&format!("/3303/0/5700?{query}"));
        assert_eq!((refused.code, refused.observe), (Code::BAD_REQUEST, None), "{query}");
    }
    let old = lightship_client::Config {
        version: lightship_lwm2m::Version::V1_1,
        ..lightship_client::Config::new("x")
    };
    let mut bench = Bench::with(old, crate::bench::account(1, 0));
    bench.register();
    assert_eq!(bench.observe("/3303/0/5700?pmin=5").1.code, Code::BAD_REQUEST, "1.1 has no such thing");
}

// Proves: OBS-05
#[test]
fn an_observation_ends_by_observe_1_or_by_reset() {
    let mut bench = quiet();
    let (token, _) = bench.observe("/3303/0/5700");
    bench.ask_as(token, Code::GET, "/3303/0/5700", |options| _ = options.observe(1), &[]);
    let last = bench.take();
    assert_eq!((last.code, last.observe), (Code::CONTENT, None));
    bench.set(1.0);
    assert!(bench.sent.is_empty());

    bench.observe("/3303/0/5700");
    bench.set(2.0);
    let notification = bench.take();
    assert_eq!(notification.ty, Type::Non);
    bench.input(&empty(Type::Reset, notification.id));
    bench.set(3.0);
    assert!(bench.sent.is_empty(), "a Reset to a non-confirmable one");

    bench.ask(Code::PUT, "/3303/0/5700?con=1");
    bench.observe("/3303/0/5700");
    bench.set(4.0);
    let notification = bench.take();
    assert_eq!(notification.ty, Type::Con);
    bench.input(&empty(Type::Reset, notification.id));
    bench.set(5.0);
    bench.seconds(100);
    assert!(bench.sent.is_empty(), "a Reset to a confirmable one");
    let ended = Event::ObservationEnded { account: bench.id, path: path!(3303 / 0 / 5700) };
    assert_eq!(bench.events.iter().filter(|event| **event == ended).count(), 3);
}

// Proves: OBS-05
#[test]
fn a_cancellation_may_repeat_the_attributes_of_its_observe() {
    let mut bench = quiet();
    let (token, first) = bench.observe("/3303/0/5700?pmin=1&pmax=5");
    assert!(first.observe.is_some());
    bench.ask_as(token, Code::GET, "/3303/0/5700?pmin=1&pmax=5", |options| _ = options.observe(1), &[]);
    let last = bench.take();
    assert_eq!((last.code, last.observe), (Code::CONTENT, None));
    bench.seconds(100);
    assert!(bench.sent.is_empty(), "neither pmax nor a change tells any more");
    assert_eq!(
        bench.ask(Code::GET, "/3303/0/5700?pmin=1").code,
        Code::BAD_OPTION,
        "no query on a plain Read"
    );
}

// Proves: OBS-10, DMO-34
#[test]
fn a_vanished_target_is_told_once() {
    let mut bench = quiet();
    bench.client.objects_mut().1.insert(5, crate::bench::Temperature::default()).ok();
    bench.drain();
    let update = bench.take();
    bench.answer(&update, Code::CHANGED, |_| {});
    let (token, _) = bench.observe("/3303/5/5700");
    assert_eq!(bench.ask(Code::DELETE, "/3303/5").code, Code::DELETED);
    let replies: Vec<Reply> = bench.sent.drain(..).map(|(_, sent)| Reply::new(&sent)).collect();
    let goodbyes: Vec<&Reply> = replies.iter().filter(|reply| reply.token == token).collect();
    assert_eq!(goodbyes.len(), 1);
    assert_eq!((goodbyes[0].code, goodbyes[0].observe), (Code::NOT_FOUND, None));
    bench.set(1.0);
    bench.seconds(100);
    assert!(bench.sent.iter().all(|(_, sent)| Reply::new(sent).token != token));
}

// Proves: OBS-11
#[test]
fn once_a_day_a_notification_is_confirmable() {
    let mut account = crate::bench::account(1, 0);
    account.default_pmax_s = Some(3600);
    let mut bench = Bench::with(lightship_client::Config::new("x"), account);
    bench.register();
    bench.observe("/3303/0/5700");
    let mut confirmable = Vec::new();
    for hour in 1..=50 {
        bench.seconds(3600);
        let notification = bench.take();
        if notification.ty == Type::Con {
            confirmable.push(hour);
            bench.input(&empty(Type::Ack, notification.id));
        }
    }
    assert_eq!(confirmable, [24, 48]);
    assert_eq!(bench.put("/1/0/26", "1"), Code::CHANGED);
    bench.seconds(3600);
    assert_eq!(bench.take().ty, Type::Con, "the account's default mode");
}

#[test]
fn a_notification_that_nobody_acknowledges_leads_to_a_new_registration() {
    let mut bench = Bench::with(lightship_client::Config::new("x"), crate::bench::account(1, 0));
    bench.register();
    bench.ask(Code::PUT, "/3303/0/5700?con=1");
    bench.observe("/3303/0/5700");
    bench.set(1.0);
    bench.seconds(94);
    bench.sent.retain(|(_, sent)| Reply::new(sent).path == ["rd"]);
    bench.accept_register();
}

#[test]
fn values_that_change_while_a_notification_is_open_are_told_afterwards() {
    let mut bench = quiet();
    bench.ask(Code::PUT, "/3303/0/5700?con=1");
    bench.observe("/3303/0/5700");
    bench.set(1.0);
    let open = bench.take();
    bench.set(2.0);
    bench.set(3.0);
    assert!(bench.sent.is_empty(), "one at a time");
    bench.input(&empty(Type::Ack, open.id));
    assert_eq!(bench.notified(), ["3"]);
}

// Bad inputs 75 to 80.
#[test]
fn observe_requests_are_bounded_and_odd_ones_harmless() {
    let mut bench = quiet();
    for _ in 0..100 {
        assert!(bench.observe("/3303/0/5700").1.observe.is_some(), "replaced, not added");
    }
    bench.set(1.0);
    assert_eq!(bench.notified().len(), 1);
    let paths = ["/3303", "/3303/0", "/3303/0/5701", "/3/0", "/3/0/0", "/3/0/1", "/3/0/3"];
    let observed = paths.map(|path| bench.observe(path).1.observe.is_some());
    assert_eq!(
        observed,
        [true, true, true, true, true, false, false],
        "six places; beyond them a plain answer"
    );

    let mut bench = quiet();
    bench.ask_as(Token::EMPTY, Code::GET, "/3303/0/5700", |options| _ = options.observe(0), &[]);
    assert_eq!(bench.take().code, Code::CONTENT, "an empty token");
    bench.ask_with(Code::GET, "/3303/0/5701", |options| _ = options.observe(2), &[]);
    let reply = bench.take();
    assert_eq!((reply.code, reply.observe), (Code::CONTENT, None), "Observe 2 is no Observe");
    bench.ask_with(Code::GET, "/3303/0/5701", |options| _ = options.observe(1), &[]);
    let reply = bench.take();
    assert_eq!((reply.code, reply.observe), (Code::CONTENT, None), "a token never used");
    bench.ask_with(Code::POST, "/3/0/4", |options| _ = options.observe(0), &[]);
    assert_eq!(bench.take().code, Code::CHANGED, "Observe on POST is ignored");
}

#[test]
fn values_computed_on_reading_are_sampled_when_wanted() {
    let config = lightship_client::Config {
        sample_every: Some(Duration::from_secs(5)),
        ..lightship_client::Config::new("x")
    };
    let mut bench = Bench::with(config, crate::bench::account(1, 0));
    bench.register();
    assert_eq!(bench.client.poll_timeout(), None, "nobody observes, nobody wakes");
    bench.observe("/3303/0/5700");
    let sampled = bench.client.poll_timeout().expect("a sample");
    assert!(sampled <= bench.now + Duration::from_secs(5));
}
