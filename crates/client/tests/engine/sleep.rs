//! Queue Mode: awake for a while after each message, asleep until something is due, and what waited in order.

use core::time::Duration;

use lightship_client::{Account, Config, Event, QueueMode};
use lightship_coap::{Code, ContentFormat, Encoder, MessageId, Token, Type};
use lightship_lwm2m::path;
use lightship_platform::{Instant, UnixTime};

use crate::bench::{Bench, Reply, account};

fn bench(wake_every_s: Option<u64>, change: impl FnOnce(&mut Account)) -> Bench {
    let queue_mode = QueueMode { wake_every: wake_every_s.map(Duration::from_secs), ..QueueMode::default() };
    let config = Config { queue_mode: Some(queue_mode), ..Config::new("a") };
    let mut account = Account { mute_send: Some(false), ..account(1, 86_400) };
    change(&mut account);
    let mut bench = Bench::with(config, account);
    bench.drain();
    assert_eq!(bench.client.sleep_until(), Some(Instant::NEVER), "nothing to do yet");
    bench.client.set_date(bench.now, UnixTime::from_secs(1_700_000_000));
    assert!(bench.register().query.contains(&"Q".to_owned()));
    bench.events.clear();
    bench
}

fn is_awake(bench: &Bench) -> bool {
    bench.client.sleep_until().is_none()
}

fn fall_asleep(bench: &mut Bench) {
    bench.seconds(93);
    assert!(!is_awake(bench) && bench.events.contains(&Event::Asleep(bench.id)), "{:?}", bench.events);
    bench.events.clear();
}

fn ack(bench: &mut Bench, id: MessageId) {
    let mut buffer = [0; 4];
    Encoder::new(&mut buffer, Type::Ack, Code::EMPTY, id, Token::EMPTY).finish().expect("fits");
    bench.input(&buffer);
}

fn update(bench: &mut Bench) {
    let update = bench.take();
    assert_eq!((update.path.join("/").as_str(), update.query.len()), ("rd/5a3f", 0));
    bench.answer(&update, Code::CHANGED, |_| {});
}

// Proves: QUE-03
#[test]
fn the_client_listens_for_a_transmission_after_each_message() {
    let mut bench = bench(None, |_| {});
    bench.advance(Duration::from_millis(92_999));
    assert!(is_awake(&bench));
    // A request prolongs it, and its answer.
    assert_eq!(bench.ask(Code::GET, "/3/0/0").code, Code::CONTENT);
    bench.advance(Duration::from_millis(92_999));
    assert!(is_awake(&bench));
    bench.advance(Duration::from_millis(1));
    assert!(!is_awake(&bench));
    assert_eq!(bench.events, [Event::Asleep(bench.id)]);
    // The registration is due a transmission before its end, and only that.
    assert_eq!(bench.client.sleep_until(), Some(Instant::from_secs(1000 + 86_400 - 93)));
    assert_eq!(bench.client.poll_timeout(), bench.client.sleep_until());
}

#[test]
fn an_open_exchange_keeps_the_client_awake() {
    let mut bench = bench(None, |_| {});
    bench.seconds(80);
    assert!(bench.client.send(bench.now, bench.id, &[path!(3 / 0)]).is_ok());
    bench.drain();
    let sent = bench.take();
    bench.seconds(80);
    assert!(is_awake(&bench), "the answer is still to come");
    bench.sent.clear();
    bench.answer(&sent, Code::CHANGED, |_| {});
    bench.seconds(92);
    assert!(is_awake(&bench));
    bench.seconds(1);
    assert!(!is_awake(&bench));
}

// Proves: QUE-03, QUE-07
#[test]
fn what_is_due_wakes_the_client_which_says_so_first() {
    let mut bench = bench(None, |_| {});
    bench.observe("/3303/0/5700");
    bench.events.clear();
    fall_asleep(&mut bench);
    bench.set(25.0);
    assert_eq!(bench.events, [Event::Awake(bench.id)]);
    assert!(is_awake(&bench));
    update(&mut bench);
    assert_eq!(bench.take().text(), "25");
    fall_asleep(&mut bench);
    let send = bench.client.send(bench.now, bench.id, &[path!(3 / 0 / 0)]).expect("allowed");
    bench.drain();
    update(&mut bench);
    let sent = bench.take();
    assert_eq!(sent.path, ["dp"]);
    bench.answer(&sent, Code::CHANGED, |_| {});
    assert!(bench.events.contains(&Event::Sent { account: bench.id, send }));
}

// Proves: QUE-07
#[test]
fn what_waits_for_the_set_moment_goes_out_in_order() {
    let mut bench = bench(Some(3600), |account| account.confirmable_notifications = Some(true));
    let options = |options: &mut lightship_coap::OptionWriter<'_>| {
        options.observe(0).accept(ContentFormat::SENML_JSON);
    };
    bench.ask_with(Code::GET, "/3303/0/5700", options, &[]);
    bench.take();
    fall_asleep(&mut bench);
    let slept_at = bench.now;
    for value in [1.0, 2.0, 3.0] {
        bench.seconds(600);
        bench.set(value);
    }
    assert!(bench.client.send(bench.now, bench.id, &[path!(3 / 0 / 0)]).is_ok());
    bench.drain();
    assert!(bench.sent.is_empty() && !is_awake(&bench), "it sleeps");
    assert!(bench.client.sleep_until().is_some_and(|until| until <= slept_at + Duration::from_secs(3600)));
    assert_eq!(bench.until_sent(), Duration::from_secs(1800));
    update(&mut bench);
    let sent = bench.take();
    assert_eq!(sent.path, ["dp"]);
    bench.answer(&sent, Code::CHANGED, |_| {});
    let told = bench.take();
    let values: Vec<&str> = told.text().split("\"v\":").skip(1).map(|rest| &rest[..1]).collect();
    assert_eq!((told.ty, values), (Type::Con, vec!["1", "2", "3"]));
    assert!(told.text().contains("\"bt\":1700000693"), "{}", told.text());
    ack(&mut bench, told.id);
    assert!(bench.sent.is_empty());
    fall_asleep(&mut bench);
    assert!(!bench.events.iter().any(|event| matches!(event, Event::ObservationEnded { .. })));
}

#[test]
fn a_server_that_reaches_the_client_all_the_same_finds_it_awake() {
    let mut bench = bench(Some(3600), |_| {});
    bench.observe("/3303/0/5700");
    fall_asleep(&mut bench);
    bench.set(9.0);
    bench.ask_with(Code::GET, "/3/0/0", |_| {}, &[]);
    assert!(is_awake(&bench));
    let answers: Vec<Reply> = bench.sent.drain(..).map(|(_, sent)| Reply::new(&sent)).collect();
    assert_eq!(answers[0].code, Code::CONTENT);
    assert!(answers.iter().any(|answer| answer.observe.is_some()), "what waited goes out now");
}

#[test]
fn without_queue_mode_the_radio_stays_on() {
    let mut bench = Bench::registered();
    bench.seconds(100);
    assert_eq!(bench.client.sleep_until(), None);
}

#[test]
fn a_year_of_daily_wakes_costs_a_message_a_day() {
    let mut bench = bench(Some(86_400), |account| account.lifetime_s = 2 * 86_400);
    let (mut messages, mut asleep_s) = (0, 0_u64);
    let end = bench.now + Duration::from_secs(365 * 86_400);
    while bench.now < end {
        let before = bench.now;
        let was_asleep = !is_awake(&bench);
        bench.now = bench.client.poll_timeout().expect("something is planned");
        if was_asleep {
            asleep_s += bench.now.saturating_duration_since(before).as_secs();
        }
        bench.client.handle_timeout(bench.now);
        bench.drain();
        while !bench.sent.is_empty() {
            messages += 1;
            update(&mut bench);
        }
    }
    assert!((364..=366).contains(&messages), "{messages}");
    assert!(asleep_s > 365 * (86_400 - 100), "{asleep_s}");
}
