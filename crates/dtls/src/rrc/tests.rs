use lightship_platform::SeededRng;

use super::*;

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

fn response_to(challenge: &[u8; LEN]) -> [u8; LEN] {
    assert_eq!(challenge[0], 0);
    let mut peer = Rrc::default();
    let mut rng = SeededRng::new([2; 32]);
    peer.handle(at(0), &mut rng, Path::Current, challenge);
    let (path, answer) = peer.poll().unwrap();
    assert_eq!((path, answer[0]), (Path::Current, 1));
    assert!(peer.is_idle(), "each challenge is answered once");
    answer
}

// Proves: DTL-16
#[test]
fn a_peer_that_answers_at_the_new_path_has_moved() {
    let mut rng = SeededRng::new([1; 32]);
    let mut rrc = Rrc::default();
    rrc.begin(at(0), &mut rng, Variant::Basic);
    let (path, challenge) = rrc.poll().unwrap();
    assert_eq!(path, Path::New);
    assert_eq!(rrc.poll(), None);
    assert_eq!(rrc.poll_timeout(), Some(at(1000)));
    let answer = response_to(&challenge);
    assert_eq!(rrc.handle(at(10), &mut rng, Path::Current, &answer), Outcome::Nothing, "by the other path");
    assert_eq!(rrc.handle(at(10), &mut rng, Path::New, &answer), Outcome::Moved);
    assert!(rrc.is_idle());
    assert_eq!(rrc.handle(at(20), &mut rng, Path::New, &answer), Outcome::Nothing, "once");
}

// Proves: DTL-16
#[test]
fn a_wrong_cookie_moves_nobody() {
    let mut rng = SeededRng::new([1; 32]);
    let mut rrc = Rrc::default();
    rrc.begin(at(0), &mut rng, Variant::Basic);
    let (_, challenge) = rrc.poll().unwrap();
    let good = response_to(&challenge);
    let mut wrong = good;
    wrong[8] ^= 1;
    for body in [&wrong[..], &good[..8], &[&good[..], &[0]].concat(), &[], &[1], &[1; 9], &[0xff; 9]] {
        assert_eq!(rrc.handle(at(1), &mut rng, Path::New, body), Outcome::Nothing, "{body:?}");
    }
    assert_eq!(rrc.handle(at(1), &mut rng, Path::New, &good), Outcome::Moved);
}

/// Three challenges with fresh cookies, 1, 2 and 4 seconds apart; an answer to an earlier one is still good.
#[test]
fn a_silent_path_is_asked_three_times_and_then_let_be() {
    let mut rng = SeededRng::new([1; 32]);
    let mut rrc = Rrc::default();
    rrc.begin(at(0), &mut rng, Variant::Basic);
    let (_, first) = rrc.poll().unwrap();
    rrc.handle_timeout(at(999), &mut rng);
    assert_eq!(rrc.poll(), None);
    rrc.handle_timeout(at(1000), &mut rng);
    let (_, second) = rrc.poll().unwrap();
    assert_ne!(first, second);
    assert_eq!(rrc.poll_timeout(), Some(at(3000)));
    rrc.begin(at(1500), &mut rng, Variant::Basic);
    assert_eq!(rrc.poll(), None, "one check at a time");
    rrc.handle_timeout(at(3000), &mut rng);
    assert!(rrc.poll().is_some());
    assert_eq!(rrc.handle(at(3500), &mut rng, Path::New, &response_to(&first)), Outcome::Moved);
    rrc.begin(at(4000), &mut rng, Variant::Basic);
    for time in [5000, 7000, 11_000] {
        assert!(!rrc.is_idle());
        rrc.handle_timeout(at(time), &mut rng);
    }
    assert!(rrc.is_idle());
    assert_eq!(rrc.poll_timeout(), None);
}

/// Somebody forwards records from another address: the peer still answers at the current one, and stays.
#[test]
fn an_association_is_not_drawn_away_from_a_living_path() {
    let mut rng = SeededRng::new([1; 32]);
    let mut rrc = Rrc::default();
    rrc.begin(at(0), &mut rng, Variant::Enhanced);
    let (path, challenge) = rrc.poll().unwrap();
    assert_eq!(path, Path::Current);
    assert_eq!(rrc.handle(at(5), &mut rng, Path::Current, &response_to(&challenge)), Outcome::Nothing);
    assert!(rrc.is_idle());
}

#[test]
fn a_dropped_or_dead_path_is_left_for_the_new_one() {
    for dropped in [true, false] {
        let mut rng = SeededRng::new([1; 32]);
        let mut rrc = Rrc::default();
        rrc.begin(at(0), &mut rng, Variant::Enhanced);
        let (_, challenge) = rrc.poll().unwrap();
        if dropped {
            let mut drop = challenge;
            drop[0] = 2;
            assert_eq!(rrc.handle(at(5), &mut rng, Path::Current, &drop), Outcome::Nothing);
        } else {
            rrc.handle_timeout(at(1000), &mut rng);
        }
        let (path, challenge) = rrc.poll().unwrap();
        assert_eq!(path, Path::New);
        let answer = response_to(&challenge);
        assert_eq!(rrc.handle(at(1100), &mut rng, Path::New, &answer), Outcome::Moved);
    }
}

/// An answer goes where the challenge came from, at once, whatever else is under way.
#[test]
fn a_challenge_is_answered_where_it_came_from() {
    let mut rng = SeededRng::new([1; 32]);
    let mut rrc = Rrc::default();
    rrc.begin(at(0), &mut rng, Variant::Basic);
    let challenge = [0, 1, 2, 3, 4, 5, 6, 7, 8];
    rrc.handle(at(0), &mut rng, Path::New, &challenge);
    assert_eq!(rrc.poll(), Some((Path::New, [1, 1, 2, 3, 4, 5, 6, 7, 8])));
    assert_eq!(rrc.poll().map(|(path, message)| (path, message[0])), Some((Path::New, 0)));
    assert_eq!(rrc.poll(), None);
}
