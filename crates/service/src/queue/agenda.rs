//! Agenda: which commands wait, in which order, and when something is due for one of them. It holds what decides, in
//! memory: a command that waits costs neither a task nor a look.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use lightship_lwm2m::Endpoint;
use lightship_store::{CommandId, CommandRecord, CommandState};
use tokio::sync::Notify;

use super::line::Spot;

/// The commands of all devices that have not ended.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    lanes: HashMap<Endpoint, Lane>,
    /// When to look at which command: one alarm for each.
    alarms: BTreeMap<(i64, u64), Endpoint>,
    live: usize,
    /// Lanes that are being served.
    busy: usize,
}

/// What is known of one device.
#[derive(Debug, Default)]
struct Lane {
    /// In the order in which they are sent.
    places: Vec<Place>,
    service: Service,
    /// Hears when a command ends, or waits behind others from now on; there while somebody listens.
    moved: Option<Arc<Notify>>,
}

/// Whether somebody is at a device's commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Service {
    #[default]
    Idle,
    Busy,
    /// Something has happened since it looked last.
    Again,
}

#[derive(Debug)]
struct Place {
    id: CommandId,
    state: CommandState,
    priority: i8,
    /// Among those of its priority.
    place: i64,
    not_after_ms: i64,
    /// Not to be tried before; the end of a pause.
    next_ms: i64,
    alarm_ms: i64,
    /// The device has come anew while it was on its way.
    came: bool,
    /// What it has become and the store did not take.
    unstored: Option<Arc<CommandRecord>>,
}

/// What is next for a device.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This command.
    Try(CommandId),
    /// Nothing now: the first one is on its way, or pauses. What is behind it keeps its turn.
    Later,
    /// There is none.
    Nothing,
}

/// Something that is due for a command.
#[derive(Debug)]
pub(super) enum Due {
    /// Its time is over.
    Expire(Endpoint, CommandId),
    /// Its pause is over.
    Try(Endpoint),
    /// What it has become is to be stored once more.
    Store(Arc<CommandRecord>),
    /// It is marked as sent, and whoever sent it is gone.
    Settle(Endpoint, CommandId),
}

impl Agenda {
    /// Takes a command as it stands in the store now; one that has ended leaves.
    pub(super) fn put(&mut self, record: &CommandRecord) {
        let came = self.remove(&record.endpoint, record.id).is_some_and(|old| old.came);
        if !record.state.is_live() {
            self.tidy(&record.endpoint);
            return;
        }
        let paused = record.state == CommandState::Waiting && !came;
        let place = Place {
            id: record.id,
            state: record.state,
            priority: record.priority,
            place: record.place,
            not_after_ms: record.not_after_ms,
            next_ms: if paused { record.next_ms } else { 0 },
            alarm_ms: NEVER,
            came: false,
            unstored: None,
        };
        let lane = self.lanes.entry(record.endpoint.clone()).or_default();
        let at = lane.places.partition_point(|other| other.rank() < place.rank());
        lane.places.insert(at, place);
        self.live += 1;
        let waits = record.state == CommandState::Waiting;
        self.arm(&record.endpoint, record.id, |place| waits.then(|| place.due_ms()));
    }

    fn remove(&mut self, endpoint: &Endpoint, id: CommandId) -> Option<Place> {
        let lane = self.lanes.get_mut(endpoint)?;
        let at = lane.places.iter().position(|place| place.id == id)?;
        let gone = lane.places.remove(at);
        self.live -= 1;
        self.alarms.remove(&(gone.alarm_ms, id.number));
        if let Some(moved) = &lane.moved {
            moved.notify_waiters();
        }
        Some(gone)
    }

    /// Forgets a lane that holds nothing.
    fn tidy(&mut self, endpoint: &Endpoint) {
        if self
            .lanes
            .get(endpoint)
            .is_some_and(|lane| lane.places.is_empty() && lane.service == Service::Idle)
        {
            self.lanes.remove(endpoint);
        }
    }

    /// Sets the one alarm of a command.
    fn arm(&mut self, endpoint: &Endpoint, id: CommandId, at_ms: impl FnOnce(&Place) -> Option<i64>) {
        let Some(lane) = self.lanes.get_mut(endpoint) else { return };
        let Some(place) = lane.places.iter_mut().find(|place| place.id == id) else { return };
        self.alarms.remove(&(place.alarm_ms, id.number));
        place.alarm_ms = NEVER;
        if let Some(at_ms) = at_ms(place) {
            place.alarm_ms = at_ms;
            self.alarms.insert((at_ms, id.number), endpoint.clone());
        }
    }

    /// What is to be sent to a device next.
    pub(super) fn next(&self, endpoint: &Endpoint, now_ms: i64) -> Next {
        let first = self.lanes.get(endpoint).and_then(|lane| {
            // One on its way goes before all, whatever has come since.
            let on_its_way = lane.places.iter().find(|place| place.state == CommandState::Sent);
            on_its_way.or(lane.places.first())
        });
        match first {
            None => Next::Nothing,
            Some(place) if place.state == CommandState::Waiting && place.next_ms <= now_ms => {
                Next::Try(place.id)
            }
            Some(_) => Next::Later,
        }
    }

    /// The device has come anew: whoever paused because it did not answer need not pause any longer. Says whether
    /// there is anything for it.
    pub(super) fn came(&mut self, endpoint: &Endpoint) -> bool {
        let Some(lane) = self.lanes.get_mut(endpoint) else { return false };
        let mut paused = Vec::new();
        for place in &mut lane.places {
            place.came = place.state == CommandState::Sent;
            if std::mem::take(&mut place.next_ms) > 0 {
                paused.push(place.id);
            }
        }
        for id in &paused {
            self.arm(endpoint, *id, |place| Some(place.due_ms()));
        }
        true
    }

    /// All devices that have commands.
    pub(super) fn endpoints(&self) -> Vec<Endpoint> {
        self.lanes.keys().cloned().collect()
    }

    /// Commands of a device that wait.
    pub(super) fn waiting(&self, endpoint: &Endpoint) -> usize {
        let places = self.lanes.get(endpoint).into_iter().flat_map(|lane| &lane.places);
        places.filter(|place| place.state == CommandState::Waiting).count()
    }

    /// Commands of a device that wait, in their order.
    pub(super) fn line(&self, endpoint: &Endpoint) -> Vec<Spot> {
        let places = self.lanes.get(endpoint).into_iter().flat_map(|lane| &lane.places);
        let waiting = places.filter(|place| place.state == CommandState::Waiting);
        let spot = |place: &Place| Spot {
            id: place.id,
            priority: place.priority,
            place: place.place,
            next_ms: place.next_ms,
        };
        waiting.map(spot).collect()
    }

    /// Where the last one of a device stands among those of a priority.
    pub(super) fn last_place(&self, endpoint: &Endpoint, priority: i8) -> Option<i64> {
        let places = self.lanes.get(endpoint).into_iter().flat_map(|lane| &lane.places);
        places.filter(|place| place.priority == priority).map(|place| place.place).max()
    }

    /// Commands of a device that have not ended.
    pub(super) fn live_of(&self, endpoint: &Endpoint) -> usize {
        self.lanes.get(endpoint).map_or(0, |lane| lane.places.len())
    }

    /// Commands of all devices that have not ended.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// Somebody shall see to a device's commands: says whether the caller has to, or whoever is at it already will.
    pub(super) fn enter(&mut self, endpoint: &Endpoint) -> bool {
        let Some(lane) = self.lanes.get_mut(endpoint) else { return false };
        let first = lane.service == Service::Idle;
        self.busy += usize::from(first);
        lane.service = if first { Service::Busy } else { Service::Again };
        first
    }

    /// Whoever sees to a device's commands is through: says whether it has to look once more.
    pub(super) fn leave(&mut self, endpoint: &Endpoint) -> bool {
        let Some(lane) = self.lanes.get_mut(endpoint) else { return false };
        if lane.service == Service::Again {
            lane.service = Service::Busy;
            return true;
        }
        self.busy -= usize::from(lane.service == Service::Busy);
        lane.service = Service::Idle;
        self.tidy(endpoint);
        false
    }

    /// Whether nobody sees to any device's commands.
    pub(super) fn is_idle(&self) -> bool {
        self.busy == 0
    }

    /// Hears when something moves in a device's lane; `None` once nothing is left there of what came up to that number.
    pub(super) fn listen(&mut self, endpoint: &Endpoint, up_to: u64) -> Option<Arc<Notify>> {
        let lane = self.lanes.get_mut(endpoint)?;
        let is_before = lane.places.iter().any(|place| place.id.number <= up_to);
        is_before.then(|| lane.moved.get_or_insert_default().clone())
    }

    /// Nobody may hear any longer.
    pub(super) fn unlisten(&mut self, endpoint: &Endpoint) {
        if let Entry::Occupied(mut lane) = self.lanes.entry(endpoint.clone()) {
            let lane = lane.get_mut();
            // Ours is the one that is kept; others are held by those who still listen.
            if lane.moved.as_ref().is_some_and(|moved| Arc::strong_count(moved) == 1) {
                lane.moved = None;
            }
        }
    }

    /// The store does not take what a command has become: to be tried again then. Until that its device gets nothing else.
    pub(super) fn keep(&mut self, record: Arc<CommandRecord>, at_ms: i64) {
        let (endpoint, id) = (record.endpoint.clone(), record.id);
        if let Some(lane) = self.lanes.get_mut(&endpoint)
            && let Some(place) = lane.places.iter_mut().find(|place| place.id == id)
        {
            place.unstored = Some(record);
        }
        self.arm(&endpoint, id, |_| Some(at_ms));
    }

    /// To be looked at again then.
    pub(super) fn snooze(&mut self, endpoint: &Endpoint, id: CommandId, at_ms: i64) {
        self.arm(endpoint, id, |_| Some(at_ms));
    }

    /// The moment of the first alarm.
    pub(super) fn first_alarm_ms(&self) -> Option<i64> {
        self.alarms.first_key_value().map(|((at_ms, _), _)| *at_ms)
    }

    /// Takes what is due, at most so much.
    pub(super) fn due(&mut self, now_ms: i64, max: usize) -> Vec<Due> {
        let mut due = Vec::new();
        while due.len() < max
            && let Some(alarm) = self.alarms.first_entry()
            && alarm.key().0 <= now_ms
        {
            let ((_, number), endpoint) = alarm.remove_entry();
            due.extend(self.rang(endpoint, number, now_ms));
        }
        due
    }

    fn rang(&mut self, endpoint: Endpoint, number: u64, now_ms: i64) -> Option<Due> {
        let places = &mut self.lanes.get_mut(&endpoint)?.places;
        let place = places.iter_mut().find(|place| place.id.number == number)?;
        place.alarm_ms = NEVER;
        if let Some(record) = place.unstored.take() {
            return Some(Due::Store(record));
        }
        let id = place.id;
        if place.state == CommandState::Sent {
            return Some(Due::Settle(endpoint, id));
        }
        if place.not_after_ms <= now_ms {
            return Some(Due::Expire(endpoint, id));
        }
        place.next_ms = 0;
        self.arm(&endpoint, id, |place| Some(place.due_ms()));
        Some(Due::Try(endpoint))
    }
}

impl Place {
    /// Orders the commands of a device: the urgent ones first, then as they stand, which is as they came unless moved.
    fn rank(&self) -> (std::cmp::Reverse<i8>, i64, u64) {
        (std::cmp::Reverse(self.priority), self.place, self.id.number)
    }

    /// When one that waits has to be looked at.
    fn due_ms(&self) -> i64 {
        if self.next_ms > 0 { self.next_ms.min(self.not_after_ms) } else { self.not_after_ms }
    }
}

const NEVER: i64 = i64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(name: &str) -> Endpoint {
        Endpoint::new(name).unwrap()
    }

    fn id(number: u64) -> CommandId {
        CommandId { number, writer: 1 }
    }

    fn waiting(number: u64, priority: i8) -> CommandRecord {
        CommandRecord {
            id: id(number),
            endpoint: endpoint("a"),
            state: CommandState::Waiting,
            order: "{}".into(),
            created_ms: 0,
            changed_ms: 0,
            not_after_ms: 10_000,
            priority,
            place: id(number).place(),
            attempts: 0,
            attempts_max: u32::MAX,
            pause_ms: 1000,
            next_ms: 0,
            reason: None,
            answer: None,
        }
    }

    fn in_state(state: CommandState, record: &CommandRecord) -> CommandRecord {
        CommandRecord { state, ..record.clone() }
    }

    fn agenda(records: &[CommandRecord]) -> Agenda {
        let mut agenda = Agenda::default();
        records.iter().for_each(|record| agenda.put(record));
        agenda
    }

    #[test]
    fn urgent_commands_go_first_and_equals_in_the_order_they_came() {
        let mut agenda =
            agenda(&[waiting(1, 0), waiting(2, 5), waiting(3, 0), waiting(4, 5), waiting(5, -1)]);
        let mut order = Vec::new();
        while let Next::Try(next) = agenda.next(&endpoint("a"), 0) {
            order.push(next.number);
            let record = waiting(next.number, 0);
            agenda.put(&in_state(CommandState::Done, &record));
        }
        assert_eq!(order, [2, 4, 1, 3, 5]);
        assert_eq!(
            (agenda.next(&endpoint("a"), 0), agenda.live(), agenda.lanes.len()),
            (Next::Nothing, 0, 0)
        );
        assert_eq!(agenda.first_alarm_ms(), None);
    }

    #[test]
    fn what_was_moved_goes_where_it_stands_now() {
        let mut agenda = agenda(&[waiting(1, 0), waiting(2, 0), waiting(3, 0)]);
        let first = CommandRecord { place: waiting(1, 0).place - 1, ..waiting(3, 0) };
        agenda.put(&first);
        let order: Vec<u64> = agenda.line(&endpoint("a")).iter().map(|spot| spot.id.number).collect();
        assert_eq!((order, agenda.live()), (vec![3, 1, 2], 3));
        assert_eq!(agenda.next(&endpoint("a"), 0), Next::Try(id(3)));
        assert_eq!(agenda.last_place(&endpoint("a"), 0), Some(waiting(2, 0).place));
        assert_eq!(
            (agenda.last_place(&endpoint("a"), 1), agenda.last_place(&endpoint("b"), 0)),
            (None, None)
        );
        // One on its way is no longer in the line, and goes before all.
        agenda.put(&in_state(CommandState::Sent, &waiting(2, 0)));
        assert_eq!((agenda.line(&endpoint("a")).len(), agenda.next(&endpoint("a"), 0)), (2, Next::Later));
    }

    #[test]
    fn nothing_overtakes_what_is_on_its_way_or_pauses() {
        let sent = in_state(CommandState::Sent, &waiting(1, 0));
        let mut agenda = agenda(&[sent.clone(), waiting(2, 9)]);
        assert_eq!(agenda.next(&endpoint("a"), 0), Next::Later);
        let paused = CommandRecord { next_ms: 500, ..in_state(CommandState::Waiting, &sent) };
        agenda.put(&paused);
        assert_eq!(agenda.next(&endpoint("a"), 0), Next::Try(id(2)), "what is more urgent may go");
        agenda.put(&in_state(CommandState::Done, &waiting(2, 9)));
        agenda.put(&waiting(3, 0));
        assert_eq!(agenda.next(&endpoint("a"), 499), Next::Later, "it keeps its turn");
        assert_eq!(agenda.next(&endpoint("a"), 500), Next::Try(id(1)));
    }

    #[test]
    fn a_device_that_comes_anew_ends_the_pause() {
        let paused = CommandRecord { next_ms: 5000, ..waiting(1, 0) };
        let mut agenda = agenda(&[paused]);
        assert_eq!((agenda.next(&endpoint("a"), 0), agenda.first_alarm_ms()), (Next::Later, Some(5000)));
        assert!(agenda.came(&endpoint("a")));
        assert_eq!(
            (agenda.next(&endpoint("a"), 0), agenda.first_alarm_ms()),
            (Next::Try(id(1)), Some(10_000))
        );
        assert!(!agenda.came(&endpoint("b")));
        // It may come just before the attempt ends that was lost by that.
        let sent = in_state(CommandState::Sent, &waiting(1, 0));
        agenda.put(&sent);
        agenda.came(&endpoint("a"));
        agenda.put(&CommandRecord { next_ms: 5000, ..waiting(1, 0) });
        assert_eq!(agenda.next(&endpoint("a"), 0), Next::Try(id(1)));
        agenda.put(&sent);
        agenda.put(&CommandRecord { next_ms: 5000, ..waiting(1, 0) });
        assert_eq!(agenda.next(&endpoint("a"), 0), Next::Later, "that was the time before");
    }

    #[test]
    fn each_command_has_one_alarm_at_a_time() {
        let mut agenda = agenda(&[CommandRecord { next_ms: 300, ..waiting(1, 0) }, waiting(2, 0)]);
        assert_eq!(agenda.alarms.len(), 2);
        assert!(agenda.due(299, 10).is_empty());
        assert!(matches!(agenda.due(300, 10)[..], [Due::Try(_)]));
        assert_eq!((agenda.alarms.len(), agenda.first_alarm_ms()), (2, Some(10_000)));
        assert!(
            matches!(agenda.due(10_000, 1)[..], [Due::Expire(_, CommandId { number: 1, .. })]),
            "one at a time"
        );
        assert!(matches!(agenda.due(10_000, 9)[..], [Due::Expire(_, CommandId { number: 2, .. })]));
        assert_eq!(agenda.alarms.len(), 0);
        agenda.snooze(&endpoint("a"), id(2), 11_000);
        assert!(
            matches!(agenda.due(11_000, 9)[..], [Due::Expire(_, CommandId { number: 2, .. })]),
            "not stored: again"
        );
    }

    #[test]
    fn what_the_store_did_not_take_is_offered_again_and_blocks_its_device() {
        let sent = in_state(CommandState::Sent, &waiting(1, 0));
        let mut agenda = agenda(&[sent.clone(), waiting(2, 0)]);
        let done = Arc::new(in_state(CommandState::Done, &sent));
        agenda.keep(done.clone(), 100);
        assert_eq!(agenda.next(&endpoint("a"), 200), Next::Later);
        let due = agenda.due(100, 9);
        assert!(matches!(&due[..], [Due::Store(record)] if *record == done), "{due:?}");
        agenda.put(&done);
        assert_eq!(agenda.next(&endpoint("a"), 200), Next::Try(id(2)));
    }

    #[test]
    fn one_at_a_time_sees_to_a_device_and_hears_of_what_came_meanwhile() {
        let mut agenda = agenda(&[waiting(1, 0)]);
        let name = endpoint("a");
        assert!(agenda.enter(&name) && !agenda.enter(&name) && !agenda.is_idle());
        assert!(agenda.leave(&name), "something came");
        agenda.put(&in_state(CommandState::Done, &waiting(1, 0)));
        assert!(!agenda.leave(&name) && agenda.is_idle());
        assert_eq!(agenda.lanes.len(), 0);
        assert!(!agenda.enter(&name), "nothing waits for it");
    }

    #[test]
    fn who_listens_hears_until_those_before_have_ended() {
        let mut agenda = agenda(&[waiting(1, 0), waiting(2, 0)]);
        let name = endpoint("a");
        let moved = agenda.listen(&name, 1).unwrap();
        let mut told = std::pin::pin!(moved.notified());
        assert!(!told.as_mut().enable());
        agenda.put(&in_state(CommandState::Done, &waiting(1, 0)));
        assert!(told.as_mut().enable(), "it was told");
        assert!(agenda.listen(&name, 1).is_none(), "the second came later");
        assert!(agenda.listen(&endpoint("b"), 9).is_none());
    }
}
