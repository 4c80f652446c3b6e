//! The commands of all devices in memory, and their file.
//!
//! CBOR: `["lightship-commands", 2, [[writer, number, endpoint, state, order, created, changed, not after, attempts,
//! reason or null, answer or null, priority, attempts at most, pause, not before], …]]`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use lightship_lwm2m::Endpoint;
use minicbor::{Decoder, Encoder};

use crate::command::{CommandId, CommandRecord, CommandState};
use crate::file::length;
use crate::{StoreError, file};

/// The commands of all devices, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commands {
    by_number: BTreeMap<u64, Arc<CommandRecord>>,
    by_endpoint: HashMap<Endpoint, BTreeSet<u64>>,
    live: BTreeSet<u64>,
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
        }
        self.by_endpoint.entry(record.endpoint.clone()).or_default().insert(number);
        self.by_number.insert(number, record);
    }

    fn remove(&mut self, number: u64) {
        let Some(record) = self.by_number.remove(&number) else { return };
        self.bytes -= bytes(&record);
        if self.live.remove(&number) {
            self.live_bytes -= bytes(&record);
        }
        if let Some(numbers) = self.by_endpoint.get_mut(&record.endpoint) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_endpoint.remove(&record.endpoint);
            }
        }
    }

    /// Forgets the oldest of those that have ended until no more than so many are left of them, and all together take no
    /// more than so many bytes.
    pub(crate) fn forget_ended(&mut self, kept: usize, bytes_max: usize) {
        let ended = self.by_number.keys().copied().filter(|number| !self.live.contains(number));
        let ended: Vec<u64> = ended.collect();
        for (gone, number) in ended.iter().enumerate() {
            if ended.len() - gone <= kept && self.bytes <= bytes_max {
                return;
            }
            self.remove(*number);
        }
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

/// Reads the file of a folder; no file = no commands.
pub(crate) fn read(folder: &Path) -> Result<Commands, StoreError> {
    file::read(folder, FILE, decode)
}

/// Replaces the file of a folder.
pub(crate) fn write(folder: &Path, commands: &Commands) -> Result<(), StoreError> {
    file::write(folder, FILE, &encode(commands))
}

fn encode(commands: &Commands) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing into a Vec cannot fail.
    let _ = encode_into(&mut Encoder::new(&mut out), commands);
    out
}

fn encode_into(
    out: &mut Encoder<&mut Vec<u8>>,
    commands: &Commands,
) -> Result<(), minicbor::encode::Error<Infallible>> {
    let count = u64::try_from(commands.by_number.len()).unwrap_or(u64::MAX);
    out.array(3)?.str(NAME)?.u8(VERSION)?.array(count)?;
    for record in commands.by_number.values() {
        let state = CommandState::ALL.iter().position(|state| *state == record.state);
        let state = state.and_then(|place| u8::try_from(place).ok()).unwrap_or(0);
        out.array(15)?
            .u32(record.id.writer)?
            .u64(record.id.number)?
            .str(record.endpoint.as_str())?
            .u8(state)?;
        out.str(&record.order)?.i64(record.created_ms)?.i64(record.changed_ms)?.i64(record.not_after_ms)?;
        out.u32(record.attempts)?;
        for text in [&record.reason, &record.answer] {
            match text {
                Some(text) => out.str(text)?,
                None => out.null()?,
            };
        }
        out.i8(record.priority)?.u32(record.attempts_max)?.u64(record.pause_ms)?.i64(record.next_ms)?;
    }
    Ok(())
}

fn decode(bytes: &[u8]) -> Result<Commands, String> {
    let mut input = Decoder::new(bytes);
    let commands = decode_from(&mut input)?;
    if input.position() == bytes.len() { Ok(commands) } else { Err("bytes behind the end".to_owned()) }
}

fn decode_from(input: &mut Decoder<'_>) -> Result<Commands, String> {
    let text = |error: minicbor::decode::Error| error.to_string();
    if length(input)? != 3 || input.str().map_err(text)? != NAME {
        return Err("not a file of commands".to_owned());
    }
    let version = input.u8().map_err(text)?;
    if version != VERSION {
        return Err(format!("version {version}, this program knows {VERSION}"));
    }
    let mut commands = Commands::default();
    for _ in 0..length(input)? {
        if length(input)? != 15 {
            return Err("a command is wrong".to_owned());
        }
        let id = CommandId { writer: input.u32().map_err(text)?, number: input.u64().map_err(text)? };
        let endpoint = Endpoint::new(input.str().map_err(text)?).map_err(|error| error.to_string())?;
        let state = CommandState::ALL.get(usize::from(input.u8().map_err(text)?)).copied();
        let record = CommandRecord {
            id,
            endpoint,
            state: state.ok_or_else(|| "a state is wrong".to_owned())?,
            order: input.str().map_err(text)?.into(),
            created_ms: input.i64().map_err(text)?,
            changed_ms: input.i64().map_err(text)?,
            not_after_ms: input.i64().map_err(text)?,
            attempts: input.u32().map_err(text)?,
            reason: optional(input)?,
            answer: optional(input)?,
            priority: input.i8().map_err(text)?,
            attempts_max: input.u32().map_err(text)?,
            pause_ms: input.u64().map_err(text)?,
            next_ms: input.i64().map_err(text)?,
        };
        commands.put(Arc::new(record));
    }
    Ok(commands)
}

fn optional(input: &mut Decoder<'_>) -> Result<Option<Arc<str>>, String> {
    let text: Option<&str> = input.decode().map_err(|error| error.to_string())?;
    Ok(text.map(Arc::from))
}

const FILE: &str = "commands.cbor";
const NAME: &str = "lightship-commands";
const VERSION: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(all(&read(folder.path()).unwrap()).is_empty());
        write(folder.path(), &example()).unwrap();
        let back = read(folder.path()).unwrap();
        assert_eq!(all(&back), all(&example()));
        assert_eq!(
            (back.live_len(), back.last_number(), back.of(&Endpoint::new("a").unwrap()).len()),
            (2, 7, 3)
        );
    }

    #[test]
    fn every_damage_is_noticed_or_harmless() {
        let bytes = encode(&example());
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err(), "cut at {end}");
        }
        assert!(decode(&[bytes.as_slice(), &[0]].concat()).is_err());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bent = bytes.clone();
                bent[at] ^= 1 << bit;
                let _ = decode(&bent); // must not panic or allocate without bound
            }
        }
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
