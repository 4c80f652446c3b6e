//! One shard in memory: what one message costs, with many devices registered.
//!
//! `cargo bench -p lightship-bench --bench shard`

use core::time::Duration;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lightship_bench::memory_shard::MemoryShard;
use lightship_bench::traffic::{address, location, register, renumber, update};

const DEVICES: u32 = 100_000;

/// Registered devices and an Update for each.
fn fleet() -> (MemoryShard, Vec<Vec<u8>>) {
    let mut world = MemoryShard::default();
    let updates = (0..DEVICES)
        .map(|number| {
            world.input(address(number), &mut register(number, 1));
            update(&location(&world.out).expect("registered"), 2)
        })
        .collect();
    (world, updates)
}

fn updates(criterion: &mut Criterion) {
    let (mut world, mut updates) = fleet();
    let mut group = criterion.benchmark_group("shard of 100000 devices");
    group.throughput(Throughput::Elements(1)).sample_size(50);
    let (mut number, mut id) = (0, 2_u16);
    group.bench_function("Update that changes nothing", |bencher| {
        bencher.iter(|| {
            number = (number + 1) % DEVICES;
            if number == 0 {
                id = id.wrapping_add(1);
                // Real devices wait between two Updates.
                let now = world.now + Duration::from_secs(200);
                world.pass(now);
            }
            let datagram = &mut updates[number as usize];
            renumber(datagram, id);
            world.input(address(number), datagram);
            black_box(&world.out);
        });
    });
    group.finish();
}

fn registers(criterion: &mut Criterion) {
    let (mut world, _) = fleet();
    let mut datagrams: Vec<_> = (0..DEVICES).map(|number| register(number, 1)).collect();
    let mut group = criterion.benchmark_group("shard of 100000 devices");
    group.throughput(Throughput::Elements(1)).sample_size(50);
    let (mut number, mut id) = (0, 100_u16);
    group.bench_function("Register that displaces the last one", |bencher| {
        bencher.iter(|| {
            number = (number + 1) % DEVICES;
            if number == 0 {
                id = id.wrapping_add(1);
                let now = world.now + Duration::from_secs(250);
                world.pass(now);
            }
            let datagram = &mut datagrams[number as usize];
            renumber(datagram, id);
            world.input(address(number), datagram);
            black_box(&world.out);
        });
    });
    group.finish();
}

criterion_group!(benches, updates, registers);
criterion_main!(benches);
