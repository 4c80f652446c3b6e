//! A server keeps what it found of its devices' chains.

use std::sync::Arc;

use lightship_dtls::certificate::{Anchors, CHAIN_COUNT_MAX, ChainDigest, Names, Refusal, Verdict, Verdicts};
use lightship_platform::UnixTime;
use rcgen::date_time_ymd;

use crate::limits::Counting;
use crate::{World, anchors, authority, chain, dns, entity, self_signed, signed};

/// As a server does it: what is kept, else a judgement.
fn judge(
    verdicts: &mut Verdicts,
    crypto: &Counting,
    presented: &[Vec<u8>],
    trusted: &Anchors,
    date: UnixTime,
) -> Result<Arc<Verdict>, Refusal> {
    let digest = ChainDigest::of(presented);
    if let Some(verdict) = verdicts.find(digest, date) {
        return Ok(verdict);
    }
    let verdict = Arc::new(Verdict::of_client(crypto, presented, trusted, Some(date))?);
    verdicts.keep(digest, verdict.clone());
    Ok(verdict)
}

fn day(year: i32, month: u8, day: u8) -> UnixTime {
    UnixTime::from_secs(date_time_ymd(year, month, day).unix_timestamp())
}

#[test]
fn the_same_chain_twice_costs_its_signatures_once() {
    let w = World::new();
    let device = signed(entity("urn:dev:1", &[dns("dev-1.example")]), &w.middle);
    let (presented, trusted) = (chain(&[&device, &w.middle]), anchors(&[&w.root]));
    let (mut verdicts, crypto) = (Verdicts::new(16), Counting(0.into()));
    let first = judge(&mut verdicts, &crypto, &presented, &trusted, day(2026, 1, 1)).unwrap();
    assert_eq!(crypto.count(), 2);
    let second = judge(&mut verdicts, &crypto, &presented, &trusted, day(2026, 1, 2)).unwrap();
    assert_eq!(crypto.count(), 2);
    assert_eq!(first, second);
    assert_eq!(
        (second.names.common_name.as_deref(), &*second.names.dns[0]),
        (Some("urn:dev:1"), "dev-1.example")
    );
    // Every byte of the chain counts, also of what is not needed, and where a certificate ends.
    let with_root = chain(&[&device, &w.middle, &w.root]);
    judge(&mut verdicts, &crypto, &with_root, &trusted, day(2026, 1, 1)).unwrap();
    assert_eq!(crypto.count(), 4);
    let mut forged = presented.clone();
    *forged[0].last_mut().unwrap() ^= 1;
    let verdict = judge(&mut verdicts, &crypto, &forged, &trusted, day(2026, 1, 1));
    assert_eq!(verdict, Err(Refusal::Signature), "the signature of the leaf is in the key");
    let joined = [presented.concat()];
    assert_ne!(ChainDigest::of(&joined), ChainDigest::of(&presented));
    assert!(judge(&mut verdicts, &crypto, &joined, &trusted, day(2026, 1, 1)).is_err());
}

// Proves: DTL-05
#[test]
fn a_kept_verdict_ends_with_the_first_certificate_that_expires_and_never_begins_before_the_last() {
    let w = World::new();
    let mut params = authority("Acme Devices");
    (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(2026, 6, 1));
    let middle = signed(params, &w.root);
    let mut params = entity("dev-1", &[]);
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 10), date_time_ymd(2027, 1, 1));
    let device = signed(params, &middle);
    let (presented, trusted) = (chain(&[&device, &middle]), anchors(&[&w.root]));
    let (mut verdicts, crypto) = (Verdicts::new(16), Counting(0.into()));
    let verdict = judge(&mut verdicts, &crypto, &presented, &trusted, day(2026, 3, 1)).unwrap();
    assert_eq!((verdict.from, verdict.until), (day(2026, 1, 10), day(2026, 6, 1)));
    let mut at = |seconds: i64| {
        let date = UnixTime::from_secs(day(2026, 6, 1).as_secs() + seconds);
        judge(&mut verdicts, &crypto, &presented, &trusted, date).map(|_| crypto.count())
    };
    assert_eq!(at(0), Ok(2), "the last second is still good");
    let refusal = at(1).unwrap_err();
    assert_eq!(refusal.to_string(), "certificate 'Acme Devices' expired on 2026-06-01");
    let refusal = judge(&mut verdicts, &crypto, &presented, &trusted, day(2026, 1, 9)).unwrap_err();
    assert!(matches!(refusal, Refusal::NotYetValid { .. }), "a clock that was set back: {refusal}");
}

#[test]
fn verdicts_are_bounded_and_those_that_are_asked_for_stay() {
    let verdict = |names| Arc::new(Verdict { names, from: day(2026, 1, 1), until: day(2027, 1, 1) });
    let digest = |number: u32| ChainDigest::of(&[number.to_be_bytes()]);
    let today = day(2026, 5, 5);
    let mut verdicts = Verdicts::new(64);
    let names = || Names { common_name: Some("dev".into()), ..Names::default() };
    verdicts.keep(digest(0), verdict(names()));
    for number in 1..1000 {
        verdicts.keep(digest(number), verdict(names()));
        verdicts.keep(digest(number), verdict(names()));
        assert!(verdicts.len() <= 64, "{}", verdicts.len());
        assert!(verdicts.find(digest(0), today).is_some(), "asked for each time: {number}");
        assert!(verdicts.find(digest(number.saturating_sub(10)), today).is_some());
    }
    assert!(verdicts.len() > 32);
    assert!(verdicts.find(digest(500), today).is_none());
    // One with names without end is judged each time.
    let long = Names { dns: vec!["n".repeat(900)], ..Names::default() };
    let many = Names { addresses: vec!["192.0.2.7".parse().unwrap(); 500], ..Names::default() };
    for names in [long, many] {
        verdicts.keep(digest(2000), verdict(names));
        assert!(verdicts.find(digest(2000), today).is_none());
    }
    for room in [0, 1] {
        let mut none = Verdicts::new(room);
        none.keep(digest(0), verdict(names()));
        assert!(none.is_empty() && none.find(digest(0), today).is_none());
    }
}

#[test]
fn strangers_leave_nothing() {
    let w = World::new();
    let trusted = anchors(&[&w.root]);
    let (mut verdicts, crypto) = (Verdicts::new(16), Counting(0.into()));
    let forged = signed(entity("dev-1", &[]), &self_signed(authority("Acme Root")));
    let own = self_signed(entity("dev-1", &[]));
    let crowd = vec![w.stranger.der(); CHAIN_COUNT_MAX + 1];
    for presented in [chain(&[&forged]), chain(&[&own]), chain(&[]), crowd, vec![vec![0x30; 100]]] {
        assert!(judge(&mut verdicts, &crypto, &presented, &trusted, day(2026, 1, 1)).is_err());
        assert!(verdicts.is_empty());
    }
}
