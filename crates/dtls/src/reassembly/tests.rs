use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

const LEN_MAX: usize = 8192;

fn fragment(sequence: u16, len: usize, offset: usize, body: &[u8]) -> Fragment<'_> {
    Fragment { kind: 11, len, sequence, offset, body, raw: &[] }
}

fn message(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at * 7 % 251).expect("a byte")).collect()
}

/// What a whole message of kind 11 looks like.
fn whole(sequence: u16, body: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    crate::message::write::message(&mut all, crate::message::Kind::Certificate, sequence, |out| {
        out.extend_from_slice(body);
    });
    all
}

proptest! {
    // Proves: DTL-13
    #[test]
    fn pieces_in_any_order_and_overlap_become_the_message(
        len in 1..2000_usize,
        cuts in prop::collection::vec((0..2000_usize, 1..400_usize), 1..40),
    ) {
        let body = message(len);
        let mut reassembly = Reassembly::default();
        reassembly.expect(3);
        for (offset, part_len) in cuts {
            let start = offset % len;
            let end = (start + part_len).min(len);
            let part = fragment(3, len, start, &body[start..end]);
            prop_assert_eq!(reassembly.take(&part, false, LEN_MAX), Took::Kept);
        }
        // What was missing, in small pieces from the back.
        for start in (0..len).step_by(100).rev() {
            let end = (start + 100).min(len);
            reassembly.take(&fragment(3, len, start, &body[start..end]), false, LEN_MAX);
        }
        let done = reassembly.pop().expect("all of it");
        prop_assert_eq!(done.bytes, whole(3, &body));
    }
}

// Proves: DTL-13
#[test]
fn messages_ahead_of_their_turn_wait_for_it() {
    let mut reassembly = Reassembly::default();
    for sequence in [2, 1, 0] {
        assert!(reassembly.pop().is_none());
        let body = message(usize::from(sequence) + 5);
        assert_eq!(reassembly.take(&fragment(sequence, body.len(), 0, &body), false, LEN_MAX), Took::Kept);
    }
    for sequence in 0..3 {
        let done = reassembly.pop().expect("its turn");
        assert_eq!(done.bytes, whole(sequence, &message(usize::from(sequence) + 5)));
        reassembly.advance();
    }
    assert_eq!(reassembly.take(&fragment(2, 5, 0, &[0; 5]), false, LEN_MAX), Took::Old);
}

#[test]
fn what_contradicts_or_exceeds_is_refused() {
    let mut reassembly = Reassembly::default();
    let refused = |reassembly: &mut Reassembly, part: &Fragment<'_>, protected| {
        assert_eq!(reassembly.take(part, protected, LEN_MAX), Took::Refused);
    };
    assert_eq!(reassembly.take(&fragment(0, 20, 0, &[1; 10]), false, LEN_MAX), Took::Kept);
    // Other bytes in the same place, another length, another kind, another epoch.
    refused(&mut reassembly, &fragment(0, 20, 5, &[2; 10]), false);
    refused(&mut reassembly, &fragment(0, 21, 10, &[1; 11]), false);
    refused(&mut reassembly, &Fragment { kind: 12, ..fragment(0, 20, 10, &[1; 10]) }, false);
    refused(&mut reassembly, &fragment(0, 20, 10, &[1; 10]), true);
    // Too far ahead, too long, and too much together.
    refused(&mut reassembly, &fragment(1000, 20, 0, &[1; 10]), false);
    refused(&mut reassembly, &fragment(0, (1 << 24) - 1, 0, &[0; 20]), false);
    refused(&mut reassembly, &fragment(1, LEN_MAX, 0, &[0; 20]), false);
    assert_eq!(reassembly.take(&fragment(0, 20, 10, &[1; 10]), false, LEN_MAX), Took::Kept);
    assert_eq!(reassembly.pop().expect("all of it").bytes, whole(0, &[1; 20]));
}

#[test]
fn a_message_whose_turn_it_is_displaces_later_ones() {
    let mut reassembly = Reassembly::default();
    for sequence in [1, 2, 3] {
        let part = vec![7; 1000];
        assert_eq!(reassembly.take(&fragment(sequence, 2500, 0, &part), false, LEN_MAX), Took::Kept);
    }
    let body = message(5000);
    for start in (0..5000).step_by(1000) {
        let part = fragment(0, 5000, start, &body[start..start + 1000]);
        assert_eq!(reassembly.take(&part, false, LEN_MAX), Took::Kept);
    }
    assert_eq!(reassembly.pop().expect("all of it").bytes, whole(0, &body));
    let kept: usize = reassembly.parts.iter().map(|partial| partial.len).sum();
    assert_eq!(kept, 2500);
}

#[test]
fn holes_are_bounded() {
    let mut reassembly = Reassembly::default();
    let mut kept = 0;
    for offset in (0..8000).step_by(2) {
        kept += usize::from(reassembly.take(&fragment(0, 8000, offset, &[1]), false, LEN_MAX) == Took::Kept);
    }
    assert_eq!(kept, PIECES_MAX);
}
