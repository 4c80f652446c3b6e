//! Two peers against each other over links that lose, repeat and reorder.

#![cfg(feature = "alloc")]
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test may fail anywhere")]

mod world;

use lightship_coap::peer::{Buffer, Config, FixedBuffer, HeapBuffer};
use lightship_coap::{BlockSize, Code};
use lightship_platform::{Duration, SeededRng};
use proptest::prelude::*;
use world::{Job, Link, Outcome, Side, World};

fn jobs(count: usize, body_len_max: usize) -> impl Strategy<Value = Vec<Job>> {
    let method = prop_oneof![
        Just(Code::GET),
        Just(Code::POST),
        Just(Code::PUT),
        Just(Code::DELETE),
        Just(Code::FETCH),
        Just(Code::PATCH),
        Just(Code::IPATCH)
    ];
    let len =
        move || prop_oneof![0..40_usize, 0..=body_len_max, (0..=body_len_max / 16).prop_map(|n| n * 16)];
    // Mostly at once, sometimes too late for the acknowledgement, once in a while very late.
    let think = prop_oneof![4 => Just(0_u32), 2 => 0..1500_u32, 1 => 0..20_000_u32];
    let job = (method, any::<bool>(), len(), len(), think, 0..30_000_u32).prop_map(
        |(method, confirmable, body_len, answer_len, think_ms, begin_at_ms)| {
            let body_len = if matches!(method, Code::GET | Code::DELETE) { 0 } else { body_len };
            Job { method, confirmable, body_len, answer_len, think_ms, begin_at_ms }
        },
    );
    prop::collection::vec(job, 0..count)
}

fn config(szx: u8, nstart: u8) -> Config {
    let block_size = BlockSize::from_szx(szx).unwrap();
    Config { block_size, nstart, seen_max: 64, early_block2: nstart == 2, ..Config::new() }
}

fn check<A: Buffer, B: Buffer>(world: &mut World<A, B>, lossless: bool) {
    world.run();
    for (mine, others) in
        [(&world.left.outcomes, &world.right.delivered), (&world.right.outcomes, &world.left.delivered)]
    {
        for (job, outcome) in mine.iter().enumerate() {
            let outcome = outcome.as_ref().expect("every request ends");
            let deliveries = others.get(&job).copied().unwrap_or(0);
            assert!(deliveries <= 1, "job {job} was delivered {deliveries} times");
            if *outcome == Outcome::Answered {
                assert_eq!(deliveries, 1);
            }
            if lossless {
                assert_eq!(*outcome, Outcome::Answered, "job {job}");
            }
        }
    }
    // What was kept for the other side goes in time, and with it all memory.
    let much_later = world.now + Duration::from_secs(300);
    world.left.peer.handle_timeout(much_later, &world.left.config);
    world.right.peer.handle_timeout(much_later, &world.right.config);
    assert!(world.left.peer.is_idle() && world.right.peer.is_idle());
    assert_eq!((world.left.peer.buffered_len(), world.right.peer.buffered_len()), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    // Proves: COA-03, COA-08, COA-12
    #[test]
    fn every_exchange_ends_once_and_bodies_arrive_intact(
        seed: u64,
        left in jobs(8, 3_000),
        right in jobs(8, 3_000),
        (left_szx, right_szx) in (0..=6_u8, 0..=6_u8),
        (left_nstart, right_nstart) in (1..=2_u8, 1..=2_u8),
        loss_percent in 0..30_u32,
        repeat_percent in 0..30_u32,
        delay_max_ms in 1..3_000_u32,
    ) {
        let mut rng = SeededRng::from_number(seed);
        let link = Link { loss_percent, repeat_percent, delay_min_ms: 1, delay_max_ms };
        let left = Side::<HeapBuffer>::new(&mut rng, config(left_szx, left_nstart), left);
        let right = Side::<HeapBuffer>::new(&mut rng, config(right_szx, right_nstart), right);
        let mut world = World::new(rng, link, left, right);
        check(&mut world, false);
    }

    #[test]
    fn repeating_and_reordering_alone_fail_nothing(
        seed: u64,
        left in jobs(8, 2_000),
        right in jobs(8, 2_000),
        (left_szx, right_szx) in (0..=6_u8, 0..=6_u8),
        repeat_percent in 0..50_u32,
        delay_max_ms in 1..1_000_u32,
    ) {
        let mut rng = SeededRng::from_number(seed);
        let link = Link { loss_percent: 0, repeat_percent, delay_min_ms: 1, delay_max_ms };
        let left = Side::<HeapBuffer>::new(&mut rng, config(left_szx, 1), left);
        let right = Side::<HeapBuffer>::new(&mut rng, config(right_szx, 2), right);
        let mut world = World::new(rng, link, left, right);
        check(&mut world, true);
    }

    #[test]
    fn a_peer_without_an_allocator_does_the_same(
        seed: u64,
        left in jobs(4, 500),
        right in jobs(4, 500),
        szx in 0..=5_u8,
        loss_percent in 0..20_u32,
        repeat_percent in 0..20_u32,
    ) {
        let mut rng = SeededRng::from_number(seed);
        let link = Link { loss_percent, repeat_percent, delay_min_ms: 10, delay_max_ms: 200 };
        let left = Side::<FixedBuffer<6000>>::new(&mut rng, config(szx, 1), left);
        let right = Side::<HeapBuffer>::new(&mut rng, config(szx, 1), right);
        let mut world = World::new(rng, link, left, right);
        check(&mut world, false);
    }
}

/// Once the answer to a FETCH was not there any more, though all that had pushed it out was fetched whole.
#[test]
fn a_body_whose_last_block_is_lost_for_long_arrives() {
    let job = |method, confirmable, body_len, answer_len, think_ms, begin_at_ms| Job {
        method,
        confirmable,
        body_len,
        answer_len,
        think_ms,
        begin_at_ms,
    };
    let left = vec![
        job(Code::DELETE, false, 0, 17, 18_061, 10_940),
        job(Code::GET, true, 0, 2337, 0, 0),
        job(Code::FETCH, true, 961, 289, 7158, 0),
    ];
    let right = vec![
        job(Code::DELETE, true, 0, 1617, 0, 8305),
        job(Code::GET, true, 0, 2593, 291, 15_652),
        job(Code::FETCH, true, 2448, 2305, 0, 0),
        job(Code::FETCH, true, 1969, 945, 1068, 0),
        job(Code::GET, false, 0, 17, 866, 0),
        job(Code::DELETE, false, 0, 17, 0, 0),
        job(Code::GET, false, 0, 17, 0, 0),
    ];
    let mut rng = SeededRng::from_number(10_877_762_472_139_732_868);
    let link = Link { loss_percent: 10, repeat_percent: 14, delay_min_ms: 1, delay_max_ms: 981 };
    let left = Side::<HeapBuffer>::new(&mut rng, config(2, 1), left);
    let right = Side::<HeapBuffer>::new(&mut rng, config(0, 2), right);
    check(&mut World::new(rng, link, left, right), false);
}
