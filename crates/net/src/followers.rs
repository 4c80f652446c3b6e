//! Followers: who wants to hear of messages as they come and go. While nobody does, a look at an empty list is all that it costs.
//!
//! ```text
//!  round ──► newest message moved on? ──► at most once in LOOK_EVERY: each follower's own ──► its channel, if there is room
//!                                                                                     └──► else counted: told with what comes next
//! ```

use std::time::Duration;

use lightship_platform::Instant;
use lightship_server::{TraceAsk, TraceChunk, TraceOf};
use tokio::sync::mpsc;

use crate::inbox::InboxError;

/// Messages of a device as they come and go.
#[derive(Debug)]
pub struct TraceNews {
    /// What the follower was called by whoever asked.
    pub source: usize,
    /// The messages, the newest first.
    pub chunks: Vec<TraceChunk>,
    /// How far the recorder was read.
    pub newest: u64,
    /// Messages before these that were not told, since the channel was full.
    pub lost: u64,
    /// Whether there may be more such, which nobody has counted: they were overwritten.
    pub is_torn: bool,
}

/// Who follows, and whom.
#[derive(Debug)]
pub struct TraceFollow {
    /// Whose messages.
    pub of: TraceOf,
    /// Only those behind this place ([`TraceChunk::newest`]).
    pub after: u64,
    /// Comes back with what is told.
    pub source: usize,
    /// Where to: whoever reads too slowly is told how many were lost. To go away is to drop the receiver.
    pub told: mpsc::Sender<TraceNews>,
}

/// Those who follow at one recorder.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    all: Vec<Follower>,
    /// How far all have been told.
    looked_at: u64,
    /// When they may be told again.
    next_look: Instant,
}

#[derive(Debug)]
struct Follower {
    follow: TraceFollow,
    lost: u64,
    is_torn: bool,
}

impl Followers {
    /// One more.
    ///
    /// # Errors
    /// [`InboxError::Full`] when there are too many.
    pub(crate) fn add(&mut self, follow: TraceFollow) -> Result<(), InboxError> {
        self.all.retain(|one| !one.follow.told.is_closed());
        if self.all.len() >= FOLLOWERS_MAX {
            return Err(InboxError::Full);
        }
        // It may be behind the others.
        let others = if self.all.is_empty() { follow.after } else { self.looked_at };
        self.looked_at = others.min(follow.after);
        self.all.push(Follower { follow, lost: 0, is_torn: false });
        Ok(())
    }

    /// When there is something to tell; `None`: not before a message comes or goes. `newest` is the place of the newest message.
    pub(crate) fn due(&self, newest: u64) -> Option<Instant> {
        let is_waited_for = |one: &Follower| one.lost > 0 || one.is_torn;
        let wants = !self.all.is_empty() && (newest > self.looked_at || self.all.iter().any(is_waited_for));
        wants.then_some(self.next_look)
    }

    /// Tells each of what is new for it, when it is time.
    pub(crate) fn look(&mut self, now: Instant, newest: u64, trace: impl Fn(TraceAsk) -> TraceChunk) {
        if self.due(newest).is_none_or(|due| due > now) {
            return;
        }
        self.next_look = now + LOOK_EVERY;
        self.looked_at = newest;
        self.all.retain_mut(|one| one.look(newest, &trace));
    }
}

impl Follower {
    /// Says whether it is still there.
    fn look(&mut self, newest: u64, trace: &impl Fn(TraceAsk) -> TraceChunk) -> bool {
        let (mut chunks, mut count) = (Vec::new(), 0);
        let mut next = Some(TraceAsk::new(self.follow.of.clone()).after(self.follow.after));
        while let Some(ask) = next.take() {
            let mut chunk = trace(ask);
            count += u64::try_from(chunk.records().count()).unwrap_or(0);
            self.is_torn |= chunk.is_torn;
            next = chunk.more.take();
            chunks.push(chunk);
            if chunks.len() >= CHUNKS_MAX && next.is_some() {
                self.is_torn = true;
                break;
            }
        }
        self.follow.after = newest;
        if count == 0 && self.lost == 0 && !self.is_torn {
            return !self.follow.told.is_closed();
        }
        match self.follow.told.try_reserve() {
            Ok(room) => {
                let (lost, is_torn) = (std::mem::take(&mut self.lost), std::mem::take(&mut self.is_torn));
                room.send(TraceNews { source: self.follow.source, chunks, newest, lost, is_torn });
                true
            }
            Err(mpsc::error::TrySendError::Full(())) => {
                self.lost += count;
                true
            }
            Err(mpsc::error::TrySendError::Closed(())) => false,
        }
    }
}

/// Followers of one recorder.
const FOLLOWERS_MAX: usize = 64;
/// Between two looks: what came meanwhile is told together.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Searches of one look: more than fits into the time, but for one who has just come and begins far behind.
const CHUNKS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use lightship_server::{Config, Shard};

    use super::*;

    const LAMP: &str = "192.0.2.7:5683";
    const DOOR: &str = "192.0.2.8:5683";

    fn follow(shard: &Shard, who: &str, room: usize) -> (TraceFollow, mpsc::Receiver<TraceNews>) {
        let address: std::net::SocketAddr = who.parse().expect("an address");
        let (told, news) = mpsc::channel(room);
        let of = TraceOf::Address(address.ip(), Some(address.port()));
        (TraceFollow { of, after: shard.trace_newest(), source: 3, told }, news)
    }

    /// So many messages that mean nothing.
    fn say(shard: &mut Shard, now: Instant, who: &str, count: usize) {
        for _ in 0..count {
            shard.handle_input(now, who.parse().expect("an address"), &mut [0xff, 1, 2]);
        }
    }

    fn told(news: &mut mpsc::Receiver<TraceNews>) -> Vec<(usize, u64)> {
        let all = std::iter::from_fn(|| news.try_recv().ok());
        all.map(|one| (one.chunks.iter().map(|chunk| chunk.records().count()).sum(), one.lost)).collect()
    }

    #[test]
    fn each_hears_of_its_own_and_a_slow_one_how_many_it_lost() {
        let mut shard = Shard::new(Config::default(), [7; 32]);
        let mut followers = Followers::default();
        let mut now = Instant::from_secs(1000);
        say(&mut shard, now, LAMP, 5);
        assert_eq!(followers.due(shard.trace_newest()), None, "nobody follows");
        let (follow_lamp, mut lamp) = follow(&shard, LAMP, 2);
        let (follow_door, mut door) = follow(&shard, DOOR, 2);
        followers.add(follow_lamp).expect("room");
        followers.add(follow_door).expect("room");
        assert_eq!(followers.due(shard.trace_newest()), None, "nothing is new");
        let mut round = |shard: &mut Shard, followers: &mut Followers, lamps: usize, doors: usize| {
            say(shard, now, LAMP, lamps);
            say(shard, now, DOOR, doors);
            now += LOOK_EVERY;
            followers.look(now, shard.trace_newest(), |ask| shard.trace(ask));
            // A second look at the same time has nothing to say.
            followers.look(now, shard.trace_newest(), |ask| shard.trace(ask));
        };
        round(&mut shard, &mut followers, 3, 1);
        assert_eq!((told(&mut lamp), told(&mut door)), (vec![(3, 0)], vec![(1, 0)]));
        // The one at the lamp does not read: two pieces fit, the rest is counted.
        for _ in 0..5 {
            round(&mut shard, &mut followers, 4, 2);
            assert_eq!(told(&mut door), [(2, 0)], "the other one is told all the same");
        }
        assert_eq!(told(&mut lamp), [(4, 0), (4, 0)]);
        // There is room again: it hears of what it lost although nothing new came.
        assert!(followers.due(shard.trace_newest()).is_some());
        round(&mut shard, &mut followers, 0, 0);
        assert_eq!(told(&mut lamp), [(0, 12)]);
        round(&mut shard, &mut followers, 1, 0);
        assert_eq!((told(&mut lamp), told(&mut door)), (vec![(1, 0)], vec![]));
        // Who goes away costs nothing any more.
        drop((lamp, door));
        round(&mut shard, &mut followers, 1, 1);
        assert_eq!((followers.all.len(), followers.due(u64::MAX)), (0, None));
    }

    #[test]
    fn what_was_overwritten_is_told_as_a_gap_and_followers_have_an_end() {
        let config = Config { trace_bytes: 32 << 10, ..Config::default() };
        let mut shard = Shard::new(config, [7; 32]);
        let (mut followers, now) = (Followers::default(), Instant::from_secs(1000));
        say(&mut shard, now, LAMP, 1);
        let (lamp, mut news) = follow(&shard, LAMP, 2);
        followers.add(lamp).expect("room");
        say(&mut shard, now, LAMP, 2000);
        followers.look(now, shard.trace_newest(), |ask| shard.trace(ask));
        let first = news.try_recv().expect("news");
        assert!(first.is_torn && first.source == 3 && first.newest == shard.trace_newest());
        let mut kept = Vec::new();
        let mut add = || {
            let (lamp, news) = follow(&shard, LAMP, 2);
            kept.push(news);
            followers.add(lamp)
        };
        for _ in 1..FOLLOWERS_MAX {
            assert_eq!(add(), Ok(()));
        }
        assert_eq!(add(), Err(InboxError::Full));
        kept.truncate(10);
        let (lamp, _news) = follow(&shard, LAMP, 2);
        assert_eq!(followers.add(lamp), Ok(()), "others have gone");
    }
}
