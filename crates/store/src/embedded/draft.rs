//! Draft: what the batches of one group make of the trees, in order, before anything is written. A batch that is refused
//! leaves no trace in it.

use std::collections::HashMap;
use std::sync::Arc;

use fjall::Slice;
use hashbrown::DefaultHashBuilder;
use lightship_lwm2m::Endpoint;

use super::bundle::{self, Bundle, EVENTS_MIN, bundles};
use super::records;
use super::trees::{Row, Tree, Trees, corrupt, failed};
use crate::StoreError;
use crate::access::AuditRecord;
use crate::batch::{Cursor, Fact, NewEvent, RegistrationRecord};
use crate::command::CommandRecord;
use crate::commands::Commands;
use crate::credential::{CredentialKey, CredentialRecord, CredentialSet};
use crate::options::Limits;

/// How many there are of what is limited by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) wanted: u64,
    pub(crate) documents: u64,
    pub(crate) credentials: u64,
}

/// What the writer knows without reading: the state after everything it has taken.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) newest: Cursor,
    pub(crate) counts: Counts,
    pub(crate) commands: Commands,
    pub(crate) access: Access,
}

/// What the writer knows of tokens and entries about who did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) tokens: usize,
    pub(crate) entries: usize,
    /// Before this place there is no entry.
    pub(crate) entries_from: u64,
}

/// What a batch does, made ready by whoever commits it, so that the writer need not.
#[derive(Debug)]
pub(crate) enum Step {
    /// A fact and its row.
    Fact {
        /// The fact.
        fact: Fact,
        /// The row, if it has one.
        value: Slice,
    },
    /// Many events.
    Bundle(Bundle),
}

/// Makes a batch ready: events that are many are bundled, in their order. Where they stand between other facts is no matter.
pub(crate) fn steps(facts: Vec<Fact>) -> Vec<Step> {
    let events = facts.iter().filter(|fact| matches!(fact, Fact::Happened(_))).count();
    if events < EVENTS_MIN {
        return facts.into_iter().map(Step::from).collect();
    }
    let mut steps = Vec::with_capacity(facts.len() - events + 1);
    let mut happened = Vec::with_capacity(events);
    for fact in facts {
        if let Fact::Happened(event) = fact {
            happened.push(event);
        } else {
            steps.push(Step::from(fact));
        }
    }
    steps.extend(bundles(happened).into_iter().map(Step::Bundle));
    steps
}

impl Step {
    /// How much there is in it.
    pub(crate) fn len(&self) -> usize {
        match self {
            Step::Fact { .. } => 1,
            Step::Bundle(bundle) => bundle.events.len(),
        }
    }
}

impl From<Fact> for Step {
    fn from(fact: Fact) -> Step {
        let value = match &fact {
            Fact::Happened(event) => records::event(event),
            Fact::Registered(record) => records::registration(record),
            Fact::Wanted { observation, .. } => records::wanted(observation),
            Fact::Commanded(record) => records::command(record),
            Fact::Document { body, .. } => records::document(body),
            Fact::Credential(record) => records::credential(record),
            Fact::Value { value: Some(value), .. } => records::last_value(value),
            Fact::Note { body: Some(body), .. } => records::note(body),
            Fact::Token(record) => records::token(record),
            Fact::Audited(record) => records::audit(record),
            Fact::Value { value: None, .. }
            | Fact::Note { body: None, .. }
            | Fact::Leased { .. }
            | Fact::Deregistered { .. }
            | Fact::Unwanted { .. }
            | Fact::NoDocument { .. }
            | Fact::NoCredential { .. }
            | Fact::NoToken { .. } => Vec::new(),
        };
        Step::Fact { fact, value: value.into() }
    }
}

/// Where a row is.
type Place = (Tree, Slice);

/// What a group does.
pub(crate) struct Draft<'a> {
    trees: &'a Trees,
    limits: &'a Limits,
    ledger: &'a mut Ledger,
    /// Rows of the log, in order.
    log: Vec<Row>,
    /// Rows of facts as they will be. Each is written once: of two with one key the library would not know which is later.
    facts: HashMap<Place, Option<Slice>, DefaultHashBuilder>,
    /// Into the log, in order.
    events: Vec<NewEvent>,
    /// Commands as they are by now, or that are forgotten.
    commands: Vec<CommandChange>,
    /// How to undo the batch that is looked at.
    before: Vec<(Place, Option<Option<Slice>>)>,
    commands_before: Vec<CommandChange>,
}

/// A command as it is by now.
#[derive(Clone, Debug)]
pub(crate) enum CommandChange {
    Put(Arc<CommandRecord>),
    Gone(u64),
}

/// Does it to the commands in memory.
pub(crate) fn apply(commands: &mut Commands, change: &CommandChange) {
    match change {
        CommandChange::Put(record) => commands.put(record.clone()),
        CommandChange::Gone(number) => {
            commands.remove(*number);
        }
    }
}

impl<'a> Draft<'a> {
    pub(crate) fn new(trees: &'a Trees, limits: &'a Limits, ledger: &'a mut Ledger) -> Draft<'a> {
        Draft {
            trees,
            limits,
            ledger,
            log: Vec::new(),
            facts: HashMap::default(),
            events: Vec::new(),
            commands: Vec::new(),
            before: Vec::new(),
            commands_before: Vec::new(),
        }
    }

    /// Takes a batch, or nothing of it; gives the newest event then.
    pub(crate) fn take(&mut self, steps: Vec<Step>) -> Result<Cursor, StoreError> {
        let marks = (self.log.len(), self.events.len(), self.commands.len());
        let (newest, counts, access) = (self.ledger.newest, self.ledger.counts, self.ledger.access);
        let lives = (self.ledger.commands.live_len(), self.ledger.commands.live_bytes());
        let taken = steps.into_iter().try_for_each(|step| self.step(step));
        let taken = taken.and_then(|()| self.within(counts, lives, access.tokens));
        if taken.is_err() {
            self.log.truncate(marks.0);
            self.events.truncate(marks.1);
            self.commands.truncate(marks.2);
            (self.ledger.newest, self.ledger.counts, self.ledger.access) = (newest, counts, access);
            for (key, before) in self.before.drain(..).rev() {
                match before {
                    Some(value) => self.facts.insert(key, value),
                    None => self.facts.remove(&key),
                };
            }
            for change in self.commands_before.drain(..).rev() {
                apply(&mut self.ledger.commands, &change);
            }
        } else if self.ledger.counts != counts {
            self.put(Tree::Meta, COUNTS.into(), counts_value(self.ledger.counts).into());
        }
        self.before.clear();
        self.commands_before.clear();
        taken.map(|()| self.ledger.newest)
    }

    fn step(&mut self, step: Step) -> Result<(), StoreError> {
        let (fact, value) = match step {
            Step::Fact { fact, value } => (fact, value),
            Step::Bundle(bundle) => {
                self.bundle(bundle);
                return Ok(());
            }
        };
        match fact {
            Fact::Happened(event) => self.happened(event, value),
            Fact::Registered(record) => {
                let key = records::registration_key(&record.endpoint).into();
                self.put(Tree::Registrations, key, value);
            }
            Fact::Leased { endpoint, id, expires_ms } => self.leased(&endpoint, id, Some(expires_ms))?,
            Fact::Deregistered { endpoint, id } => self.leased(&endpoint, id, None)?,
            Fact::Wanted { endpoint, observation } => {
                let key: Slice = records::wanted_key(&endpoint, &observation.key).into();
                self.ledger.counts.wanted += u64::from(self.get(Tree::Wanted, &key)?.is_none());
                self.put(Tree::Wanted, key, value);
            }
            Fact::Unwanted { endpoint, key } => {
                let gone = self.remove(Tree::Wanted, records::wanted_key(&endpoint, &key).into())?;
                self.ledger.counts.wanted -= u64::from(gone);
            }
            Fact::Commanded(record) => self.commanded(record, value),
            Fact::Document { key, .. } => {
                let key: Slice = records::document_key(&key).into();
                self.ledger.counts.documents += u64::from(self.get(Tree::Documents, &key)?.is_none());
                self.put(Tree::Documents, key, value);
            }
            Fact::NoDocument { key } => {
                let gone = self.remove(Tree::Documents, records::document_key(&key).into())?;
                self.ledger.counts.documents -= u64::from(gone);
            }
            Fact::Credential(record) => self.credential(&record, value)?,
            Fact::Value { endpoint, path, value: kept } => {
                let key = records::value_key(&endpoint, path).into();
                self.set(Tree::Values, key, kept.map(|_| value));
            }
            Fact::Note { name, body } => {
                self.set(Tree::Notes, name.as_bytes().into(), body.map(|_| value));
            }
            Fact::NoCredential { key } => {
                self.no_principal(&key)?;
                let gone = self.remove(Tree::Credentials, records::credential_key(&key).into())?;
                self.ledger.counts.credentials -= u64::from(gone);
            }
            Fact::Token(record) => {
                let key: Slice = record.id.as_bytes().into();
                self.ledger.access.tokens += usize::from(self.get(Tree::Tokens, &key)?.is_none());
                self.put(Tree::Tokens, key, value);
            }
            Fact::NoToken { id } => {
                let gone = self.remove(Tree::Tokens, id.as_bytes().into())?;
                self.ledger.access.tokens -= usize::from(gone);
            }
            Fact::Audited(record) => self.audited(&record, value)?,
        }
        Ok(())
    }

    fn audited(&mut self, record: &AuditRecord, value: Slice) -> Result<(), StoreError> {
        let key: Slice = records::number_key(record.id).into();
        if self.get(Tree::Audit, &key)?.is_none() {
            self.ledger.access.entries += 1;
        }
        self.put(Tree::Audit, key, value);
        if let Some(endpoint) = &record.endpoint {
            self.put(Tree::Audited, records::index_key(endpoint, record.id).into(), Slice::from([]));
        }
        let old_ms = record.at_ms().saturating_sub(self.limits.audit_age_ms);
        for _ in 0..ENTRIES_GONE_MAX {
            let tree = self.trees.tree(Tree::Audit)?;
            let from = records::number_key(self.ledger.access.entries_from);
            let Some(oldest) = tree.range(from..).next() else { break };
            let (key, value) = oldest.into_inner().map_err(|error| failed(self.trees.path(), error))?;
            let oldest = records::read_audit(&key, &value).map_err(|e| self.corrupt(Tree::Audit, &e))?;
            if oldest.at_ms() >= old_ms && self.ledger.access.entries <= self.limits.audit_max {
                break;
            }
            self.remove(Tree::Audit, key)?;
            if let Some(endpoint) = &oldest.endpoint {
                self.remove(Tree::Audited, records::index_key(endpoint, oldest.id).into())?;
            }
            self.ledger.access.entries -= 1;
            self.ledger.access.entries_from = oldest.id.saturating_add(1);
        }
        Ok(())
    }

    fn bundle(&mut self, bundle: Bundle) {
        let first = self.ledger.newest.number + 1;
        self.ledger.newest.number += u64::try_from(bundle.events.len()).unwrap_or(0);
        let row = |tree, key, value| Row { tree, key, value: Some(value) };
        self.log.push(row(Tree::Events, records::number_key(first).into(), bundle.value));
        if let Some(found) = bundle.found {
            self.log.push(row(Tree::Found, bundle::index_key(first).into(), found));
        }
        self.events.extend(bundle.events);
    }

    fn happened(&mut self, event: NewEvent, value: Slice) {
        self.ledger.newest.number += 1;
        let number = self.ledger.newest.number;
        let row = |tree, key, value| Row { tree, key, value: Some(value) };
        self.log.push(row(Tree::Events, records::number_key(number).into(), value));
        if event.indexed {
            let key = records::index_key(&event.endpoint, number);
            self.log.push(row(Tree::Found, key.into(), event.at_ms.to_be_bytes().into()));
        }
        self.events.push(event);
    }

    /// A registration that lives longer, or ends; nothing when it is another one by now.
    fn leased(&mut self, endpoint: &Endpoint, id: u64, until: Option<i64>) -> Result<(), StoreError> {
        let key: Slice = records::registration_key(endpoint).into();
        let Some(value) = self.get(Tree::Registrations, &key)? else { return Ok(()) };
        match (records::read_registration(&key, &value), until) {
            (Ok(record), _) if record.id != id => {}
            (Ok(record), Some(_)) => {
                let record = RegistrationRecord { expires_ms: until, ..record };
                self.put(Tree::Registrations, key, records::registration(&record).into());
            }
            (Ok(_), None) => drop(self.remove(Tree::Registrations, key)?),
            // One that nobody can read shall not keep what is owed, and all behind it, from being written.
            (Err(message), None) => {
                tracing::error!(endpoint = %endpoint.readable(), message, "a damaged registration is removed");
                self.remove(Tree::Registrations, key)?;
            }
            (Err(_), Some(_)) => {}
        }
        Ok(())
    }

    fn commanded(&mut self, record: Arc<CommandRecord>, value: Slice) {
        let number = record.id.number;
        self.commands_before.push(match self.ledger.commands.at(number) {
            Some(before) => CommandChange::Put(before),
            None => CommandChange::Gone(number),
        });
        self.put(Tree::Commands, records::number_key(number).into(), value);
        self.ledger.commands.put(record.clone());
        self.commands.push(CommandChange::Put(record));
    }

    fn credential(&mut self, record: &CredentialRecord, value: Slice) -> Result<(), StoreError> {
        let CredentialKey { set, endpoint } = &record.key;
        self.no_principal(&record.key)?;
        if let Some(principal) = &record.principal {
            let key: Slice = records::principal_key(*set, principal).into();
            if let Some(holder) = self.get(Tree::Principals, &key)? {
                let by = records::read_principal(&holder);
                return Err(StoreError::Taken { by: by.map_err(|e| self.corrupt(Tree::Principals, &e))? });
            }
            self.put(Tree::Principals, key, endpoint.as_str().as_bytes().into());
        }
        let key: Slice = records::credential_key(&record.key).into();
        self.ledger.counts.credentials += u64::from(self.get(Tree::Credentials, &key)?.is_none());
        self.put(Tree::Credentials, key, value);
        Ok(())
    }

    /// Nobody presents any longer what this device does.
    fn no_principal(&mut self, key: &CredentialKey) -> Result<(), StoreError> {
        let row: Slice = records::credential_key(key).into();
        let Some(value) = self.get(Tree::Credentials, &row)? else { return Ok(()) };
        let before = records::read_credential(&row, &value);
        let before = before.map_err(|message| self.corrupt(Tree::Credentials, &message))?;
        if let Some(principal) = before.principal {
            self.remove(Tree::Principals, records::principal_key(key.set, &principal).into())?;
        }
        Ok(())
    }

    /// Whether the batch stays within the limits. What makes nothing more is always taken.
    fn within(
        &mut self,
        before: Counts,
        lives: (usize, usize),
        tokens_before: usize,
    ) -> Result<(), StoreError> {
        let (tokens, max) = (self.ledger.access.tokens, self.limits.tokens_max);
        if tokens > tokens_before.max(max) {
            return Err(StoreError::Full { what: "tokens", max });
        }
        let Counts { wanted, documents, credentials } = self.ledger.counts;
        for (now, before, max, what) in [
            (wanted, before.wanted, self.limits.wanted_max, "wanted observations"),
            (documents, before.documents, self.limits.documents_max, "bootstrap documents"),
            (credentials, before.credentials, self.limits.credentials_max, "credentials"),
        ] {
            if now > before && usize::try_from(now).unwrap_or(usize::MAX) > max {
                return Err(StoreError::Full { what, max });
            }
        }
        if self.commands_before.is_empty() {
            return Ok(());
        }
        self.ledger.commands.within(self.limits, lives)?;
        for gone in
            self.ledger.commands.forget_ended(self.limits.commands_kept, self.limits.command_bytes_max)
        {
            let number = gone.id.number;
            self.commands_before.push(CommandChange::Put(gone));
            self.commands.push(CommandChange::Gone(number));
            self.set(Tree::Commands, records::number_key(number).into(), None);
        }
        Ok(())
    }

    fn corrupt(&self, tree: Tree, message: &str) -> StoreError {
        corrupt(self.trees.path(), &format!("{tree:?}: {message}"))
    }

    fn get(&self, tree: Tree, key: &Slice) -> Result<Option<Slice>, StoreError> {
        match self.facts.get(&(tree, key.clone())) {
            Some(value) => Ok(value.clone()),
            None => self.trees.get(tree, key),
        }
    }

    fn put(&mut self, tree: Tree, key: Slice, value: Slice) {
        self.set(tree, key, Some(value));
    }

    /// Whether it was there.
    fn remove(&mut self, tree: Tree, key: Slice) -> Result<bool, StoreError> {
        let was = self.get(tree, &key)?.is_some();
        if was {
            self.set(tree, key, None);
        }
        Ok(was)
    }

    fn set(&mut self, tree: Tree, key: Slice, value: Option<Slice>) {
        let before = self.facts.insert((tree, key.clone()), value);
        self.before.push(((tree, key), before));
    }

    /// All that is to be written, and what it means for those who read from memory.
    pub(crate) fn done(self) -> Done {
        let facts = self.facts.into_iter().map(|((tree, key), value)| Row { tree, key, value });
        let mut rows = self.log;
        let log = rows.len();
        rows.extend(facts);
        // Neighbours in a tree lie near one another in memory, and are found in less time one behind the other.
        if let Some(facts) = rows.get_mut(log..) {
            facts.sort_unstable_by(|one, other| (one.tree, &*one.key).cmp(&(other.tree, &*other.key)));
        }
        Done { rows, events: self.events, commands: self.commands }
    }
}

/// What a group does, taken together.
pub(crate) struct Done {
    pub(crate) rows: Vec<Row>,
    /// Into the log, in order.
    pub(crate) events: Vec<NewEvent>,
    pub(crate) commands: Vec<CommandChange>,
}

/// Whose it is that a peer presents.
pub(crate) fn presented(
    trees: &Trees,
    set: CredentialSet,
    principal: &[u8],
) -> Result<Option<CredentialKey>, StoreError> {
    let found = trees.get(Tree::Principals, &records::principal_key(set, principal))?;
    let found = found.map(|value| records::read_principal(&value)).transpose();
    let found = found.map_err(|message| corrupt(trees.path(), &format!("principals: {message}")))?;
    Ok(found.map(|endpoint| CredentialKey { set, endpoint }))
}

pub(crate) fn counts_value(counts: Counts) -> Vec<u8> {
    [counts.wanted, counts.documents, counts.credentials].iter().flat_map(|n| n.to_be_bytes()).collect()
}

/// Reads what was counted; nothing was, before the first fact.
pub(crate) fn read_counts(value: Option<&[u8]>) -> Result<Counts, String> {
    let Some(value) = value else { return Ok(Counts::default()) };
    let (numbers, rest) = value.as_chunks::<8>();
    match (numbers, rest) {
        ([wanted, documents, credentials], []) => Ok(Counts {
            wanted: u64::from_be_bytes(*wanted),
            documents: u64::from_be_bytes(*documents),
            credentials: u64::from_be_bytes(*credentials),
        }),
        _ => Err("the counts are wrong".to_owned()),
    }
}

pub(crate) const COUNTS: &[u8] = b"counts";
/// Old entries about who did what that leave when one comes.
const ENTRIES_GONE_MAX: usize = 4;
