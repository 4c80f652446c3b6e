//! Notifications that cannot be sent: kept, bounded, told with their time once the server is back.

use core::time::Duration;

use lightship_client::{Account, Config, Event, Phase};
use lightship_coap::{Code, ContentFormat, Encoder, MessageId, OptionWriter, Token, Type};
use lightship_lwm2m::{Version, path};
use lightship_platform::UnixTime;

use crate::bench::{Bench, Reply, account};

const JSON: ContentFormat = ContentFormat::SENML_JSON;
/// The date when the benches' clock shows 1000 s.
const DATE: i64 = 1_700_000_000;

fn ack(id: MessageId) -> Vec<u8> {
    let mut buffer = [0; 4];
    Encoder::new(&mut buffer, Type::Ack, Code::EMPTY, id, Token::EMPTY).finish().expect("fits");
    buffer.to_vec()
}

fn bench(change: impl FnOnce(&mut Account)) -> Bench {
    let mut account = account(1, 0);
    account.confirmable_notifications = Some(true);
    change(&mut account);
    let mut bench = Bench::with(Config::new("x"), account);
    bench.client.set_date(bench.now, UnixTime::from_secs(DATE));
    bench.register();
    bench.events.clear();
    bench
}

fn observe(bench: &mut Bench, path: &str, format: ContentFormat) -> (Token, Reply) {
    let options = |options: &mut OptionWriter<'_>| {
        options.observe(0).accept(format);
    };
    let token = bench.ask_with(Code::GET, path, options, &[]);
    (token, bench.take())
}

/// The next confirmable notification, acknowledged.
fn hear(bench: &mut Bench) -> Reply {
    let told = bench.take();
    assert_eq!((told.ty, told.code), (Type::Con, Code::CONTENT), "{told:?}");
    assert!(told.observe.is_some());
    bench.input(&ack(told.id));
    told
}

/// Goes on until the notification under way is given up, and with it the registration.
fn lose(bench: &mut Bench) {
    while matches!(bench.client.phase(bench.id), Phase::Registered { .. }) {
        bench.seconds(1);
    }
    bench.sent.clear();
}

/// The server is back: it takes the next Register.
fn come_back(bench: &mut Bench) {
    bench.sent.clear();
    while !bench.sent.iter().any(|(_, sent)| Reply::new(sent).path == ["rd"]) {
        bench.sent.clear();
        bench.seconds(1);
    }
    let at = bench.sent.iter().rposition(|(_, sent)| Reply::new(sent).path == ["rd"]).expect("there");
    bench.sent.drain(..at);
    bench.accept_register();
    bench.sent.clear();
}

/// Moments after [`DATE`] and values of a SenML pack about one resource.
fn moments(pack: &str) -> Vec<(i64, String)> {
    let field = |record: &str, name: &str| {
        let (_, rest) = record.split_once(&format!("\"{name}\":"))?;
        Some(rest.split([',', '}']).next().unwrap_or_default().to_owned())
    };
    let mut base = 0.0;
    pack.split("},")
        .map(|text| {
            if let Some(bt) = field(text, "bt") {
                base = bt.parse::<f64>().expect("a number");
            }
            let t = field(text, "t").map_or(0.0, |t| t.parse::<f64>().expect("a number"));
            #[allow(clippy::cast_possible_truncation, reason = "a date of today")]
            let at = (base + t).round() as i64;
            (at - DATE, field(text, "v").expect("a value"))
        })
        .collect()
}

// Proves: OBS-13, QUE-07
#[test]
fn what_could_not_be_told_is_told_with_its_time_when_the_server_observes_again() {
    let mut bench = bench(|_| {});
    observe(&mut bench, "/3303/0/5700", JSON);
    bench.seconds(10);
    bench.set(1.0);
    bench.take();
    // Nobody answers. What follows is put off, and kept once it is clear that nobody will.
    bench.seconds(10);
    bench.set(2.0);
    bench.seconds(10);
    bench.set(3.0);
    lose(&mut bench);
    bench.set(4.0);
    let fourth_at = bench.now;
    come_back(&mut bench);
    let ended = Event::ObservationEnded { account: bench.id, path: path!(3303 / 0 / 5700) };
    assert!(bench.events.contains(&ended), "the new registration ended it: {:?}", bench.events);
    bench.seconds(30);
    assert!(bench.sent.is_empty(), "nobody observes");
    bench.set(5.0);
    assert!(bench.sent.is_empty());

    let (token, first) = observe(&mut bench, "/3303/0/5700", JSON);
    assert!(first.text().contains(r#""v":5"#), "the first answer is the present");
    let told = hear(&mut bench);
    assert_eq!(told.token, token);
    assert!(told.observe > first.observe);
    let since = |at: lightship_platform::Instant| i64::try_from(at.as_millis() / 1000).expect("small") - 1000;
    let expected = [(10, "1"), (20, "2"), (30, "3"), (since(fourth_at), "4")];
    assert_eq!(moments(told.text()), expected.map(|(at, value)| (at, value.to_owned())));
    // The present once more, so that nothing older stays the newest.
    let present = hear(&mut bench);
    assert!(present.text().contains(r#""v":5"#) && !present.text().contains("bt"), "{}", present.text());
    assert!(told.text().contains("1700000010"), "a date, not an age: {}", told.text());
    bench.seconds(1000);
    assert!(bench.sent.is_empty(), "once");
    bench.set(6.0);
    let next = hear(&mut bench);
    assert!(next.text().contains(r#""v":6"#) && !next.text().contains("bt"), "{}", next.text());
}

// Proves: OBS-13
#[test]
fn a_server_that_does_not_want_it_is_told_nothing_of_the_past() {
    let mut bench = bench(|account| account.notification_storing = false);
    observe(&mut bench, "/3303/0/5700", JSON);
    bench.set(1.0);
    bench.seconds(5);
    bench.set(2.0);
    lose(&mut bench);
    bench.set(3.0);
    come_back(&mut bench);
    observe(&mut bench, "/3303/0/5700", JSON);
    bench.seconds(100);
    assert!(bench.sent.is_empty());

    // What was kept before the server changed its mind is dropped as well.
    let mut bench = self::bench(|_| {});
    observe(&mut bench, "/3303/0/5700", JSON);
    bench.set(1.0);
    lose(&mut bench);
    come_back(&mut bench);
    assert_eq!(bench.put("/1/0/6", "0"), Code::CHANGED);
    observe(&mut bench, "/3303/0/5700", JSON);
    bench.seconds(100);
    assert!(bench.sent.is_empty());
}

// Proves: OBS-13
#[test]
fn a_disabled_server_hears_afterwards_what_happened_meanwhile() {
    let mut bench = bench(|account| account.disable_timeout_s = Some(600));
    observe(&mut bench, "/3303/0/5700", JSON);
    assert_eq!(bench.ask(Code::POST, "/1/0/4").code, Code::CHANGED);
    let farewell = bench.take();
    assert_eq!(farewell.code, Code::DELETE);
    bench.answer(&farewell, Code::DELETED, |_| {});
    for value in [1.0, 2.0] {
        bench.seconds(100);
        bench.set(value);
    }
    bench.seconds(399);
    assert!(bench.sent.is_empty(), "silent for ten minutes");
    bench.seconds(1);
    bench.accept_register();
    observe(&mut bench, "/3303/0/5700", JSON);
    assert_eq!(moments(hear(&mut bench).text()), [(100, "1".to_owned()), (200, "2".to_owned())]);
}

// Proves: ATT-10
#[test]
fn hqmax_keeps_the_newest_and_zero_keeps_none() {
    for (hqmax, expected) in [(3, vec!["4", "5", "6"]), (1, vec!["6"]), (0, vec![])] {
        let mut bench = bench(|_| {});
        assert_eq!(bench.ask(Code::PUT, &format!("/3303/0/5700?hqmax={hqmax}")).code, Code::CHANGED);
        observe(&mut bench, "/3303/0/5700", JSON);
        bench.set(0.0);
        lose(&mut bench);
        for value in 1..=6 {
            bench.seconds(1);
            bench.set(f64::from(value));
        }
        come_back(&mut bench);
        observe(&mut bench, "/3303/0/5700", JSON);
        if expected.is_empty() {
            bench.seconds(100);
            assert!(bench.sent.is_empty());
        } else {
            let told: Vec<String> =
                moments(hear(&mut bench).text()).into_iter().map(|(_, value)| value).collect();
            assert_eq!(told, expected, "hqmax={hqmax}");
        }
    }
}

// Proves: ATT-10
#[test]
fn hqmax_makes_the_answers_senml_unless_the_server_says_otherwise() {
    let mut bench = bench(|_| {});
    assert_eq!(bench.ask(Code::PUT, "/3303/0?hqmax=5").code, Code::CHANGED);
    let (_, first) = bench.observe("/3303/0/5700");
    assert_eq!(first.format, Some(ContentFormat::SENML_CBOR));
    let (_, first) = bench.observe("/3303/0/5701?hqmax=2");
    assert_eq!(first.format, Some(ContentFormat::SENML_CBOR));
    let (_, first) = bench.observe("/3/0/0");
    assert_eq!(first.format, Some(ContentFormat::TEXT));
    let (_, first) = observe(&mut bench, "/3303/0/5700", ContentFormat::TEXT);
    assert_eq!(first.format, Some(ContentFormat::TEXT));
}

#[test]
fn what_is_observed_without_times_hears_of_the_past_in_senml() {
    let mut bench = bench(|_| {});
    bench.observe("/3303/0/5700");
    bench.seconds(5);
    bench.set(1.0);
    lose(&mut bench);
    come_back(&mut bench);
    let (token, first) = bench.observe("/3303/0/5700");
    assert_eq!((first.text(), first.format), ("1", Some(ContentFormat::TEXT)));
    let told = hear(&mut bench);
    assert_eq!((told.token, told.format), (token, Some(ContentFormat::SENML_CBOR)));
    let expected = b"\x81\xA3\x21\x6C/3303/0/5700\x22\x1A\x65\x53\xF1\x05\x02";
    assert!(told.payload.starts_with(expected), "{:02x?}", told.payload);
    bench.set(4.0);
    let next = hear(&mut bench);
    assert_eq!((next.text(), next.format), ("4", Some(ContentFormat::TEXT)));
}

#[test]
fn what_does_not_fit_into_one_message_comes_in_several() {
    let mut bench = bench(|_| {});
    observe(&mut bench, "/3303/0/5700", JSON);
    bench.set(0.0);
    lose(&mut bench);
    for value in 1..=25 {
        bench.seconds(1);
        bench.set(f64::from(value) + 0.123_456_789);
    }
    come_back(&mut bench);
    observe(&mut bench, "/3303/0/5700", JSON);
    let mut told = Vec::new();
    let mut messages = 0;
    while !bench.sent.is_empty() {
        let message = hear(&mut bench);
        assert!(message.payload.len() <= 1024);
        told.extend(moments(message.text()));
        messages += 1;
    }
    assert!(messages > 1);
    let values: Vec<String> = told.iter().map(|(_, value)| value.clone()).collect();
    let changes = (1..=25).map(|value| format!("{value}.123456789"));
    let expected: Vec<String> = core::iter::once("0".to_owned()).chain(changes).collect();
    assert_eq!(values, expected);
    assert!(told.windows(2).all(|pair| pair[0].0 < pair[1].0));
}

#[test]
fn an_outage_without_an_end_costs_no_more_than_the_memory_there_is() {
    let mut bench = bench(|_| {});
    observe(&mut bench, "/3303/0/5700", JSON);
    bench.set(0.5);
    lose(&mut bench);
    for value in 0..2000 {
        bench.seconds(1);
        bench.set(f64::from(value));
    }
    come_back(&mut bench);
    observe(&mut bench, "/3303/0/5700", JSON);
    let mut values = Vec::new();
    while !bench.sent.is_empty() {
        values.extend(moments(hear(&mut bench).text()).into_iter().map(|(_, value)| value));
    }
    assert_eq!(values.last().map(String::as_str), Some("1999"));
    assert!((20..=100).contains(&values.len()), "{}", values.len());
}

#[test]
fn without_a_date_the_past_is_told_by_its_age() {
    let mut account = account(1, 0);
    account.confirmable_notifications = Some(true);
    let mut bench = Bench::with(Config::new("x"), account);
    bench.register();
    observe(&mut bench, "/3303/0/5700", JSON);
    bench.set(1.0);
    let told_at = bench.now;
    lose(&mut bench);
    come_back(&mut bench);
    observe(&mut bench, "/3303/0/5700", JSON);
    let age = bench.now.saturating_duration_since(told_at).as_secs();
    let told = hear(&mut bench);
    assert!(told.text().contains(&format!(r#""bt":-{age}"#)), "{}: {}", age, told.text());
}

#[test]
fn attributes_decide_what_is_kept() {
    let mut bench = bench(|_| {});
    assert_eq!(bench.ask(Code::PUT, "/3303/0/5700?st=10&pmin=5").code, Code::CHANGED);
    observe(&mut bench, "/3303/0/5700", JSON);
    bench.seconds(5);
    bench.set(50.0);
    lose(&mut bench);
    let start = bench.now;
    for value in [55.0, 61.0, 70.0, 72.0, 73.0] {
        bench.seconds(1);
        bench.set(value);
    }
    bench.seconds(60);
    come_back(&mut bench);
    observe(&mut bench, "/3303/0/5700", JSON);
    let told = moments(hear(&mut bench).text());
    let start = i64::try_from(start.as_millis() / 1000).expect("small") - 1000;
    // 55 is less than a step. 61 is one; 72 is the next, which pmin holds back until 73 is there.
    let expected = [(5, "50"), (start + 2, "61"), (start + 7, "73")];
    assert_eq!(told, expected.map(|(at, value)| (at, value.to_owned())));
}

#[test]
fn a_composite_observation_keeps_all_its_paths() {
    let mut bench = bench(|_| {});
    let list = br#"[{"n":"/3303/0/5700"},{"n":"/3311/0/5850"}]"#;
    let ask = |bench: &mut Bench| {
        let options = |options: &mut OptionWriter<'_>| {
            options.observe(0).content_format(ContentFormat::SENML_ETCH_JSON).accept(JSON);
        };
        bench.ask_with(Code::FETCH, "/", options, list);
        bench.take()
    };
    assert!(ask(&mut bench).observe.is_some());
    bench.set(1.0);
    lose(&mut bench);
    bench.seconds(50);
    bench.client.objects_mut().3.get_mut(0).expect("there").on = true;
    bench.drain();
    come_back(&mut bench);
    assert!(ask(&mut bench).observe.is_some());
    let told = hear(&mut bench);
    let text = told.text();
    assert_eq!((text.matches(r#""v":1"#).count(), text.matches(r#""vb":false"#).count()), (2, 1), "{text}");
    assert_eq!(text.matches(r#""vb":true"#).count(), 1, "{text}");
    bench.seconds(100);
    assert!(bench.sent.is_empty());
}

#[test]
fn after_an_interruption_at_the_same_address_observations_go_on() {
    for storing in [true, false] {
        let mut bench = bench(|account| account.notification_storing = storing);
        let (token, first) = observe(&mut bench, "/3303/0/5700", JSON);
        bench.client.offline(bench.now);
        for value in [1.0, 2.0] {
            bench.seconds(10);
            bench.set(value);
        }
        bench.seconds(1000);
        assert!(bench.sent.is_empty(), "nothing is even tried");
        assert!(bench.client.poll_timeout().is_none_or(|at| at > bench.now), "and nobody is woken for it");
        bench.client.online(bench.now);
        bench.drain();
        let update = bench.take();
        assert_eq!(update.path, ["rd", "5a3f"]);
        bench.answer(&update, Code::CHANGED, |_| {});
        let told = hear(&mut bench);
        assert_eq!(told.token, token);
        assert!(told.observe > first.observe);
        if storing {
            assert_eq!(moments(told.text()), [(10, "1".to_owned()), (20, "2".to_owned())]);
        } else {
            assert!(told.text().contains(r#""v":2"#) && !told.text().contains("bt"), "{}", told.text());
        }
        bench.seconds(100);
        assert!(bench.sent.is_empty());
        assert!(!bench.events.iter().any(|event| matches!(event, Event::ObservationEnded { .. })));
    }
}

#[test]
fn what_was_cancelled_or_not_asked_for_again_is_forgotten() {
    let mut bench = bench(|_| {});
    let (token, _) = observe(&mut bench, "/3303/0/5700", JSON);
    bench.set(1.0);
    bench.ask_as(token, Code::GET, "/3303/0/5700", |options| _ = options.observe(1), &[]);
    bench.sent.clear();
    observe(&mut bench, "/3303/0/5700", JSON);
    bench.sent.clear();
    bench.seconds(5);
    assert!(bench.sent.iter().all(|(_, sent)| Reply::new(sent).observe.is_none()), "cancelled");

    let mut bench = self::bench(|_| {});
    observe(&mut bench, "/3303/0/5700", JSON);
    bench.set(1.0);
    lose(&mut bench);
    come_back(&mut bench);
    bench.client.register(bench.now, bench.id);
    bench.drain();
    come_back(&mut bench);
    observe(&mut bench, "/3303/0/5700", JSON);
    bench.seconds(100);
    assert!(bench.sent.is_empty(), "a whole registration passed without anybody asking");
}

#[test]
fn a_late_acknowledgement_supersedes_what_was_put_off() {
    let mut bench = bench(|_| {});
    assert_eq!(bench.ask(Code::PUT, "/3303/0/5700?pmin=20").code, Code::CHANGED);
    observe(&mut bench, "/3303/0/5700", JSON);
    bench.seconds(20);
    bench.set(1.0);
    let open = bench.take();
    for value in [2.0, 3.0] {
        bench.seconds(20);
        bench.set(value);
    }
    bench.sent.clear();
    bench.seconds(1);
    bench.input(&ack(open.id));
    // pmin counts from the notification that went out, and it is long over.
    let next = hear(&mut bench);
    assert!(next.text().contains(r#""v":3"#) && !next.text().contains("bt"), "{}", next.text());
    bench.advance(Duration::from_secs(100));
    assert!(bench.sent.is_empty());
}

// Proves: OBS-13
#[test]
fn servers_of_1_0_hear_of_the_past_in_order_and_never_after_the_present() {
    let mut account = account(1, 0);
    account.confirmable_notifications = Some(true);
    let mut bench = Bench::with(Config { version: Version::V1_0, ..Config::new("x") }, account);
    bench.register();
    let (token, _) = bench.observe("/3303/0/5700");
    bench.client.offline(bench.now);
    for value in [1.0, 2.0] {
        bench.seconds(1);
        bench.set(value);
    }
    bench.client.online(bench.now);
    bench.drain();
    let update = bench.take();
    bench.answer(&update, Code::CHANGED, |_| {});
    let told: Vec<Reply> = (0..2).map(|_| hear(&mut bench)).collect();
    let texts: Vec<&str> = told.iter().map(Reply::text).collect();
    assert_eq!((texts, told[1].token, told[1].format), (vec!["1", "2"], token, Some(ContentFormat::TEXT)));

    bench.set(3.0);
    lose(&mut bench);
    bench.seconds(1);
    bench.set(4.0);
    come_back(&mut bench);
    assert_eq!(bench.observe("/3303/0/5700").1.text(), "4");
    bench.seconds(100);
    assert!(bench.sent.is_empty(), "3 would pass for the present value");
}
