//! Many pairs in step, so that the clock is read once for all their servers.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A client and a server of one implementation.
pub(crate) trait Pair {
    /// The client takes what it was sent and says what it has to say.
    fn client_turn(&mut self);
    /// The same for the server, which is made in its first turn.
    fn server_turn(&mut self);
    /// Whether both are done.
    fn is_done(&self) -> bool;
    /// The client sends data.
    fn ask(&mut self);
    /// The server takes it and sends as much.
    fn serve(&mut self);
    /// The client takes that.
    fn take(&mut self);
    /// Drops the client and what lies on the wire.
    fn drop_client(&mut self);
}

/// The CPU time of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// Lets all pairs shake hands; the servers' microseconds for one.
pub(crate) fn handshakes(pairs: &mut [impl Pair]) -> f64 {
    let mut spent = Duration::ZERO;
    for _ in 0..8 {
        pairs.iter_mut().for_each(Pair::client_turn);
        let start = cpu();
        pairs.iter_mut().for_each(Pair::server_turn);
        spent += cpu() - start;
    }
    assert!(pairs.iter().all(Pair::is_done), "a handshake did not end");
    micros(spent, pairs.len())
}

/// Lets all clients ask `rounds` times; the servers' microseconds for one record opened and one sealed.
pub(crate) fn records(pairs: &mut [impl Pair], rounds: usize) -> f64 {
    let mut spent = Duration::ZERO;
    for _ in 0..rounds {
        pairs.iter_mut().for_each(Pair::ask);
        let start = cpu();
        pairs.iter_mut().for_each(Pair::serve);
        spent += cpu() - start;
        pairs.iter_mut().for_each(Pair::take);
    }
    micros(spent, pairs.len() * rounds)
}

/// Microseconds of CPU of one of `count` pieces of work.
pub(crate) fn each(count: usize, work: &mut impl FnMut()) -> f64 {
    let run = |work: &mut dyn FnMut()| {
        let start = cpu();
        (0..count).for_each(|_| work());
        micros(cpu() - start, count)
    };
    run(work);
    median((0..9).map(|_| run(work)).collect())
}

fn micros(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Resident memory of this process, in bytes.
pub(crate) fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    pages * 4096
}
