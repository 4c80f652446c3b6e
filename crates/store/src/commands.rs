//! The commands of all devices in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use lightship_lwm2m::Endpoint;

use crate::StoreError;
use crate::command::{CommandId, CommandRecord};
use crate::options::Limits;

/// The commands of all devices, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commands {
    by_number: BTreeMap<u64, Arc<CommandRecord>>,
    by_endpoint: HashMap<Endpoint, BTreeSet<u64>>,
    live: BTreeSet<u64>,
    ended: BTreeSet<u64>,
    /// What the texts of all commands take.
    bytes: usize,
    live_bytes: usize,
}

impl Commands {
    /// Takes a command in, in place of what was kept under its number.
    pub(crate) fn put(&mut self, record: Arc<CommandRecord>) {
        let number = record.id.number;
        self.remove(number);
        self.bytes += bytes(&record);
        if record.state.is_live() {
            self.live_bytes += bytes(&record);
            self.live.insert(number);
        } else {
            self.ended.insert(number);
        }
        self.by_endpoint.entry(record.endpoint.clone()).or_default().insert(number);
        self.by_number.insert(number, record);
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Arc<CommandRecord>> {
        let record = self.by_number.remove(&number)?;
        self.bytes -= bytes(&record);
        self.ended.remove(&number);
        if self.live.remove(&number) {
            self.live_bytes -= bytes(&record);
        }
        if let Some(numbers) = self.by_endpoint.get_mut(&record.endpoint) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_endpoint.remove(&record.endpoint);
            }
        }
        Some(record)
    }

    /// Forgets the oldest of those that have ended until no more than so many are left of them, and all together take no
    /// more than so many bytes; gives those.
    pub(crate) fn forget_ended(&mut self, kept: usize, bytes_max: usize) -> Vec<Arc<CommandRecord>> {
        let mut gone = Vec::new();
        while self.ended.len() > kept || self.bytes > bytes_max {
            let Some(record) = self.ended.first().copied().and_then(|number| self.remove(number)) else {
                break;
            };
            gone.push(record);
        }
        gone
    }

    /// Whether no more of them wait than may, and take no more bytes; what makes nothing more is always taken.
    pub(crate) fn within(
        &self,
        limits: &Limits,
        (len_before, bytes_before): (usize, usize),
    ) -> Result<(), StoreError> {
        let (len, max) = (self.live_len(), limits.commands_max);
        if len > max.max(len_before) {
            return Err(StoreError::Full { what: "commands that wait", max });
        }
        let max = limits.command_bytes_max;
        if len > len_before && self.live_bytes() > max.max(bytes_before) {
            return Err(StoreError::Full { what: "bytes of commands", max });
        }
        Ok(())
    }

    pub(crate) fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    pub(crate) fn live_len(&self) -> usize {
        self.live.len()
    }

    pub(crate) fn get(&self, id: CommandId) -> Option<Arc<CommandRecord>> {
        self.by_number.get(&id.number).filter(|record| record.id == id).cloned()
    }

    /// The one with that number, whoever accepted it.
    pub(crate) fn at(&self, number: u64) -> Option<Arc<CommandRecord>> {
        self.by_number.get(&number).cloned()
    }

    pub(crate) fn of(&self, endpoint: &Endpoint) -> Vec<Arc<CommandRecord>> {
        let numbers = self.by_endpoint.get(endpoint).into_iter().flatten();
        numbers.filter_map(|number| self.by_number.get(number).cloned()).collect()
    }

    pub(crate) fn live(&self) -> Vec<Arc<CommandRecord>> {
        self.live.iter().filter_map(|number| self.by_number.get(number).cloned()).collect()
    }

    /// The highest number in use.
    pub(crate) fn last_number(&self) -> u64 {
        self.by_number.keys().next_back().copied().unwrap_or(0)
    }
}

fn bytes(record: &CommandRecord) -> usize {
    let texts = [Some(&record.order), record.reason.as_ref(), record.answer.as_ref()];
    texts.into_iter().flatten().map(|text| text.len()).sum::<usize>() + RECORD_LEN
}

/// What a command takes besides its texts, roughly.
const RECORD_LEN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CommandState;

    fn record(number: u64, endpoint: &str, state: CommandState) -> Arc<CommandRecord> {
        Arc::new(CommandRecord {
            id: CommandId { number, writer: 0xAB },
            endpoint: Endpoint::new(endpoint).unwrap(),
            state,
            order: "{}".into(),
            created_ms: 1,
            changed_ms: -2,
            not_after_ms: i64::MAX,
            priority: -3,
            place: 11,
            attempts: 3,
            attempts_max: u32::MAX,
            pause_ms: 60_000,
            next_ms: 7,
            reason: number.is_multiple_of(2).then(|| "because".into()),
            answer: number.is_multiple_of(3).then(|| r#"{"code":"2.05"}"#.into()),
        })
    }

    fn example() -> Commands {
        let mut commands = Commands::default();
        for (number, state) in (1..).zip(CommandState::ALL) {
            commands.put(record(number, if number < 4 { "a" } else { "b/%" }, state));
        }
        commands
    }

    fn all(commands: &Commands) -> Vec<&CommandRecord> {
        commands.by_number.values().map(|record| &**record).collect()
    }

    #[test]
    fn what_all_take_is_bounded() {
        let mut commands = example();
        let one = commands.bytes / 7;
        commands.forget_ended(100, commands.bytes);
        assert_eq!(all(&commands).len(), 7);
        commands.forget_ended(100, 4 * one);
        assert!(commands.bytes <= 4 * one && commands.live_len() == 2, "{}", commands.bytes);
        assert_eq!(commands.bytes, all(&commands).iter().map(|record| bytes(record)).sum::<usize>());
        assert_eq!(commands.live_bytes(), commands.live().iter().map(|record| bytes(record)).sum::<usize>());
    }

    #[test]
    fn the_oldest_that_ended_are_forgotten_and_those_that_wait_are_not() {
        let mut commands = example();
        commands.forget_ended(2, usize::MAX);
        assert_eq!(all(&commands).iter().map(|record| record.id.number).collect::<Vec<_>>(), [1, 2, 6, 7]);
        assert_eq!(commands.get(CommandId { number: 3, writer: 0xAB }), None);
        assert_eq!(commands.get(CommandId { number: 1, writer: 0xAC }), None);
        commands.forget_ended(0, usize::MAX);
        assert_eq!((commands.of(&Endpoint::new("b/%").unwrap()).len(), commands.live().len()), (0, 2));
    }
}
