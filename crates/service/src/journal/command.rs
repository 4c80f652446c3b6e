//! Durable commands in the journal: each change is stored together with its event.

use lightship_api::EventType;
use lightship_lwm2m::Endpoint;
use lightship_store::{CommandState, Fact, Store, StoreError};

use super::Journal;
use crate::queue::{self, Note};

impl Journal {
    /// Stores changes of commands, all at once if they fit: one write costs as much as many.
    pub(super) async fn commands(&mut self, notes: &mut Vec<Note>) {
        for note in notes.iter() {
            self.add(note);
        }
        if self.write_commands().await {
            for note in notes.drain(..) {
                self.told(note, true).await;
            }
            return;
        }
        // One of them may be too much for the store; the others need not suffer.
        for note in notes.drain(..) {
            self.add(&note);
            let stored = self.write_commands().await;
            self.told(note, stored).await;
        }
    }

    fn add(&mut self, note: &Note) {
        self.batch.facts.push(Fact::Commanded(note.record.clone()));
        if let Some(kind) = note.event {
            let shape = Box::new(queue::shape(&note.record));
            self.log(kind, &note.record.endpoint, |event| event.command = Some(shape));
        }
    }

    async fn write_commands(&mut self) -> bool {
        let result = self.write().await;
        match &result {
            // Who wanted one more is told; nothing is wrong with the store.
            Ok(()) | Err(StoreError::Full { .. }) => {}
            Err(error) => tracing::error!(%error, "the store does not take commands"),
        }
        result.is_ok()
    }

    async fn told(&self, note: Note, stored: bool) {
        if stored {
            let is_new = note.event == Some(EventType::CommandQueued);
            self.core.counters.commands.count(note.record.state, is_new);
        }
        self.count_commands(&note.record.endpoint).await;
        // Whoever asked may have gone.
        let _ = note.stored.send(stored);
    }

    /// Says in the directory how many commands wait for a device; gives that number.
    async fn count_commands(&self, endpoint: &Endpoint) -> usize {
        let commands = self.core.store.commands(endpoint).await.unwrap_or_default();
        let waiting = commands.iter().filter(|command| command.state == CommandState::Waiting).count();
        self.core.directory.change(endpoint, None, |device| {
            device.commands_waiting = u64::try_from(waiting).unwrap_or(u64::MAX);
        });
        waiting
    }

    /// The device shows itself: its commands may go.
    pub(super) async fn shown(&self, endpoint: &Endpoint) {
        if self.count_commands(endpoint).await > 0 {
            queue::kick(&self.core, endpoint);
        }
    }
}
