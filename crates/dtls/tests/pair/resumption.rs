//! Sessions that go on, and those that do not.

use std::sync::Arc;
use std::time::Duration;

use lightship_dtls::{
    Alert, Answer, Cid, Connect, Failure, Fault, Presented, Resumption, Suite, TicketKey, TicketKeys,
};
use lightship_platform::Instant;
use lightship_platform::crypto::Secret;

use crate::harness::{Pair, pair, psk_connect};

const SUITE: Suite = Suite::PskAes128Ccm8;

fn ticket_key(name: u8) -> TicketKey {
    TicketKey { name: [name; 8], key: Secret::new(&[name; 16]), since: Instant::from_secs(10) }
}

fn ticket_keys(current: u8, previous: Option<u8>) -> Option<Arc<TicketKeys>> {
    let lifetime = Duration::from_secs(3600);
    let keys = TicketKeys { current: ticket_key(current), previous: previous.map(ticket_key), lifetime };
    Some(Arc::new(keys))
}

/// A first session with a ticket.
fn with_ticket() -> Resumption {
    with_ticket_of(Cid::EMPTY)
}

fn with_ticket_of(server_cid: Cid) -> Resumption {
    let mut pair = pair(SUITE);
    pair.server_cid = server_cid;
    pair.server.config.ticket_keys = ticket_keys(1, None);
    pair.connect(psk_connect());
    pair.run();
    pair.assert_talks();
    // Who gets a ticket is not remembered by the server.
    assert!(pair.server.resumption().is_none());
    pair.client.resumption().cloned().unwrap()
}

/// A second session; `arrange` changes its circumstances.
fn resume(resumption: Resumption, arrange: impl FnOnce(&mut Pair)) -> Pair {
    let mut pair = pair(SUITE);
    pair.server.config.ticket_keys = ticket_keys(1, None);
    arrange(&mut pair);
    pair.connect(Connect { resume: Some(resumption), ..psk_connect() });
    pair.run();
    pair
}

fn assert_resumed(mut pair: Pair, expected: bool) {
    pair.assert_talks();
    assert_eq!(pair.client.facts().unwrap().resumed, expected);
    assert_eq!(pair.server.facts().unwrap().resumed, expected);
    assert_eq!(*pair.server.facts().unwrap().note, *b"note");
}

#[test]
fn a_ticket_is_good_while_its_key_and_its_time_last() {
    let resumption = with_ticket();
    assert_resumed(resume(resumption.clone(), |_| ()), true);
    assert_resumed(
        resume(resumption.clone(), |pair| pair.server.config.ticket_keys = ticket_keys(2, Some(1))),
        true,
    );
    assert_resumed(
        resume(resumption.clone(), |pair| pair.server.config.ticket_keys = ticket_keys(2, None)),
        false,
    );
    assert_resumed(resume(resumption.clone(), |pair| pair.server.config.ticket_keys = None), false);
    assert_resumed(resume(resumption.clone(), |pair| pair.now += Duration::from_secs(3601)), false);
    let mut forged = resumption;
    let last = forged.ticket.len() - 20;
    forged.ticket[last] ^= 1;
    assert_resumed(resume(forged, |_| ()), false);
}

#[test]
fn a_ticket_says_in_clear_where_it_was_given_and_nobody_can_change_that() {
    let resumption = with_ticket_of(Cid::new(&[3, 4, 5]).unwrap());
    assert_eq!(TicketKeys::origin_of(&resumption.ticket), Some([3, 4]));
    assert_eq!(TicketKeys::origin_of(&with_ticket().ticket), Some([0, 0]));
    assert_resumed(resume(resumption.clone(), |_| ()), true);
    for len in 0..10 {
        assert_eq!(TicketKeys::origin_of(&resumption.ticket[..len]), None);
    }
    for at in [8, 9] {
        let mut moved = resumption.clone();
        moved.ticket[at] ^= 1;
        assert_ne!(TicketKeys::origin_of(&moved.ticket), Some([3, 4]));
        assert_resumed(resume(moved, |_| ()), false);
    }
}

#[test]
fn a_session_is_not_resumed_under_another_name_of_the_server() {
    // RFC 6066 §3: a full handshake instead.
    for (name, is_same) in [(Some("LIGHTSHIP.example"), true), (Some("other.example"), false), (None, false)]
    {
        let mut pair = pair(SUITE);
        pair.server.config.ticket_keys = ticket_keys(1, None);
        let server_name = name.map(Into::into);
        pair.connect(Connect { resume: Some(with_ticket()), server_name, ..psk_connect() });
        pair.run();
        assert_resumed(pair, is_same);
    }
}

#[test]
fn a_resumed_session_has_new_keys_and_new_connection_ids() {
    let resumption = with_ticket();
    let record = |pair: &mut Pair| {
        pair.send(crate::harness::From::Client, b"the same");
        pair.log.last().unwrap().1.clone()
    };
    let mut one = resume(resumption.clone(), |_| ());
    let mut other =
        resume(resumption, |pair| pair.server.rng = lightship_platform::SeededRng::from_number(77));
    assert_ne!(record(&mut one)[21..], record(&mut other)[21..]);
}

#[test]
fn a_peer_that_is_no_longer_welcome_proves_itself_anew() {
    let refuse = |pair: &mut Pair| {
        pair.server.judge = Box::new(|presented| match presented {
            Presented::Resumed(note) => {
                assert_eq!(**note, *b"note");
                Answer::Refuse(Alert::ACCESS_DENIED)
            }
            Presented::PskIdentity(_) => Answer::Refuse(Alert::UNKNOWN_PSK_IDENTITY),
            _ => Answer::Resume(None),
        });
    };
    let pair = resume(with_ticket(), refuse);
    assert_eq!(pair.server.failure(), Some(Failure::AlertSent(Alert::UNKNOWN_PSK_IDENTITY, Fault::Refused)));
    assert!(!pair.client.is_established());
}

#[test]
fn the_extended_master_secret_of_a_session_stays_what_it_was() {
    // RFC 7627 §5.3: made without, offered with: a full handshake.
    let mut made_without = with_ticket();
    made_without.extended_master_secret = false;
    let sessions = crate::harness::Sessions::default();
    made_without.ticket = Box::default();
    made_without.session_id = b"an id"[..].into();
    sessions.borrow_mut().insert(made_without.session_id.clone(), made_without.clone());
    let arrange = |pair: &mut Pair| pair.server.judge = crate::harness::judge(&sessions);
    assert_resumed(resume(made_without, arrange), false);
}

#[test]
fn a_wrong_master_secret_resumes_nothing() {
    let mut resumption = with_ticket();
    resumption.master_secret = Secret::new(&[1; 48]);
    let mut pair = resume(resumption, |_| ());
    while !pair.client.events.iter().any(|event| matches!(event, lightship_dtls::Event::Failed(_))) {
        assert!(pair.wait());
        pair.run();
    }
    assert!(!pair.client.is_established() && !pair.server.is_established());
}

#[test]
fn a_session_of_another_suite_is_not_resumed() {
    let resumption = with_ticket();
    let pair =
        resume(resumption.clone(), |pair| pair.client.config.suites = vec![Suite::PskAes128Gcm, SUITE]);
    assert_resumed(pair, true);
    let other = |pair: &mut Pair| {
        pair.client.config.suites = vec![Suite::PskAes128Gcm];
        pair.server.config.suites = vec![Suite::PskAes128Gcm];
    };
    assert_resumed(resume(resumption, other), false);
}
