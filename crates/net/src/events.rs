//! What happens in the shards on its way to the host: one message a round, whatever the number of events.
//!
//! The bound counts events, not messages: a shard takes a permit for each event before it leaves, and the host's side gives
//! them back as it takes the events out.

use std::sync::Arc;

use lightship_server::Event;
use tokio::sync::{Semaphore, mpsc};

/// An event and the shard it happened in.
#[derive(Debug)]
pub struct ShardEvent {
    /// The shard's number.
    pub shard: u8,
    /// What happened.
    pub event: Event,
}

/// What happened in one round of one shard, in order.
#[derive(Debug)]
pub struct ShardEvents {
    /// The shard's number.
    pub shard: u8,
    /// What happened; never empty.
    pub events: Vec<Event>,
}

/// The host's side: reads what happens in all shards, in the order of each.
#[derive(Debug)]
pub struct Events {
    rounds: mpsc::Receiver<ShardEvents>,
    room: Arc<Semaphore>,
    /// What is left of the round taken last.
    begun: Option<(u8, std::vec::IntoIter<Event>)>,
}

/// A shard's side.
#[derive(Clone, Debug)]
pub(crate) struct EventSender {
    rounds: mpsc::Sender<ShardEvents>,
    room: Arc<Semaphore>,
    len_max: usize,
}

/// Whether the host can be told more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Delivery {
    /// All has left.
    Done,
    /// The rest waits for room.
    Full,
    /// Nobody reads any more.
    Closed,
}

/// The two ends of a way with room for so many events.
pub(crate) fn channel(len: usize) -> (EventSender, Events) {
    let len_max = len.clamp(1, EVENTS_MAX);
    // A message has an event at least, so that the permits bound the messages, too.
    let (sender, receiver) = mpsc::channel(len_max);
    let room = Arc::new(Semaphore::new(len_max));
    let events = Events { rounds: receiver, room: room.clone(), begun: None };
    (EventSender { rounds: sender, room, len_max }, events)
}

impl EventSender {
    /// Hands over what waits, as far as there is room.
    pub(crate) fn deliver(&self, shard: u8, waiting: &mut Vec<Event>) -> Delivery {
        while !waiting.is_empty() {
            let count = waiting.len().min(self.len_max).min(self.room.available_permits().max(1));
            let Ok(permits) = u32::try_from(count)
                .map_or(Err(()), |count| self.room.try_acquire_many(count).map_err(|_| ()))
            else {
                return if self.room.is_closed() { Delivery::Closed } else { Delivery::Full };
            };
            // The host gives them back.
            permits.forget();
            // As much room again: the next round is like this one.
            let rest =
                if count == waiting.len() { Vec::with_capacity(count) } else { waiting.split_off(count) };
            let events = std::mem::replace(waiting, rest);
            if self.rounds.try_send(ShardEvents { shard, events }).is_err() {
                return Delivery::Closed;
            }
        }
        Delivery::Done
    }

    /// Returns when there may be room, or nobody reads any more.
    pub(crate) async fn room(&self) {
        // Taken only to see that it is there.
        drop(self.room.acquire().await);
    }
}

impl Events {
    /// The next event; `None` once all shards have stopped.
    pub async fn recv(&mut self) -> Option<ShardEvent> {
        loop {
            if let Some(event) = self.next_begun() {
                return Some(event);
            }
            let round = self.recv_round().await?;
            self.begun = Some((round.shard, round.events.into_iter()));
        }
    }

    /// The same for threads without an async runtime.
    pub fn blocking_recv(&mut self) -> Option<ShardEvent> {
        loop {
            if let Some(event) = self.next_begun() {
                return Some(event);
            }
            let round = self.rounds.blocking_recv()?;
            self.room.add_permits(round.events.len());
            self.begun = Some((round.shard, round.events.into_iter()));
        }
    }

    /// Waits for a round and appends the events of all that are there to `taken`, whole rounds, until it holds `enough` or more;
    /// says how many were added, 0 once all shards have stopped.
    pub async fn recv_many(&mut self, taken: &mut Vec<ShardEvent>, enough: usize) -> usize {
        let before = taken.len();
        while let Some(event) = self.next_begun() {
            taken.push(event);
        }
        if taken.len() == before {
            let Some(round) = self.recv_round().await else { return 0 };
            taken.extend(round.into_events());
        }
        while taken.len() < enough
            && let Ok(round) = self.rounds.try_recv()
        {
            self.room.add_permits(round.events.len());
            taken.extend(round.into_events());
        }
        taken.len() - before
    }

    /// The next round as it left the shard; `None` once all shards have stopped.
    pub async fn recv_round(&mut self) -> Option<ShardEvents> {
        if let Some((shard, events)) = self.begun.take()
            && events.len() > 0
        {
            return Some(ShardEvents { shard, events: events.collect() });
        }
        let round = self.rounds.recv().await?;
        self.room.add_permits(round.events.len());
        Some(round)
    }

    fn next_begun(&mut self) -> Option<ShardEvent> {
        let (shard, events) = self.begun.as_mut()?;
        events.next().map(|event| ShardEvent { shard: *shard, event })
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.room.close();
    }
}

impl ShardEvents {
    fn into_events(self) -> impl Iterator<Item = ShardEvent> {
        let shard = self.shard;
        self.events.into_iter().map(move |event| ShardEvent { shard, event })
    }
}

/// More would not be a bound.
const EVENTS_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use lightship_server::Endpoint;

    use super::*;

    fn event(name: usize) -> Event {
        let endpoint = Endpoint::new(&name.to_string()).expect("a name");
        Event::Asleep { endpoint, expected: None }
    }

    fn name(event: &ShardEvent) -> usize {
        let Event::Asleep { endpoint, .. } = &event.event else { panic!("{event:?}") };
        endpoint.parse().expect("a number")
    }

    #[test]
    fn as_many_events_leave_as_there_is_room_and_all_come_in_order() {
        let (sender, mut events) = channel(4);
        let mut waiting: Vec<Event> = (0..10).map(event).collect();
        assert_eq!(sender.deliver(1, &mut waiting), Delivery::Full);
        assert_eq!(waiting.len(), 6);
        let mut seen = Vec::new();
        while seen.len() < 10 {
            seen.push(name(&events.blocking_recv().expect("an event")));
            sender.deliver(1, &mut waiting);
        }
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
        drop(sender);
        assert!(events.blocking_recv().is_none());
    }

    #[test]
    fn many_are_taken_at_once_and_the_next_waits_for_its_turn() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (sender, mut events) = channel(100);
        for round in 0..10 {
            sender.deliver(round, &mut (0..3).map(event).collect());
        }
        let first = runtime.block_on(events.recv()).expect("an event");
        assert_eq!((first.shard, name(&first)), (0, 0));
        let mut taken = Vec::new();
        let count = runtime.block_on(events.recv_many(&mut taken, 10));
        assert_eq!((count, taken.len()), (11, 11), "what was begun, and three whole rounds");
        assert_eq!(
            taken.iter().map(|event| event.shard).collect::<Vec<_>>(),
            [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
        );
        let round = runtime.block_on(events.recv_round()).expect("a round");
        assert_eq!((round.shard, round.events.len()), (4, 3));
        drop(sender);
        taken.clear();
        while runtime.block_on(events.recv_many(&mut taken, 1)) > 0 {}
        assert_eq!(taken.len(), 15);
    }

    #[test]
    fn who_waits_for_room_is_woken_by_the_end_of_the_reader() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (sender, events) = channel(1);
        let mut waiting = vec![event(1), event(2)];
        assert_eq!(sender.deliver(0, &mut waiting), Delivery::Full);
        drop(events);
        runtime.block_on(sender.room());
        assert_eq!(sender.deliver(0, &mut waiting), Delivery::Closed);
    }
}
