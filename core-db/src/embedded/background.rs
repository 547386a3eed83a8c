//! Work that joins groups when there is room for it: the removal of what nobody sees, asks for or keeps any more.

use tracing::error;

use super::group::Layers;
use super::message_retention::MessageRetention;
use super::operation_retention::OperationRetention;
use super::purge::Purger;
use crate::EmbeddedConfig;
use crate::doomed::Doomed;
use crate::tables::{Change, Sink as _, Table};

/// What a step of the jobs does.
#[derive(Debug, Default)]
pub struct Step {
    pub changes: Vec<Change>,
    /// Whether messages go that readers saw until now. What was deleted or erased is hidden from them before.
    pub is_seen: bool,
}

/// The jobs of a store.
pub struct Background {
    purger: Purger,
    operations: OperationRetention,
    /// None where messages are kept as they are.
    messages: Option<MessageRetention>,
}

impl Background {
    pub fn new(config: &EmbeddedConfig) -> Self {
        Self {
            purger: Purger::default(),
            operations: OperationRetention::new(config.operation_retention_ms),
            messages: config.message_retention.then(MessageRetention::new),
        }
    }

    /// Whether a job has something to do now.
    pub fn is_due(&self, doomed: &Doomed) -> bool {
        let messages = self.messages.as_ref().is_some_and(MessageRetention::is_due);
        messages || self.purger.is_due(doomed) || self.operations.is_due()
    }

    /// A bounded step of each job. A job that meets an error rests; the others go on.
    pub fn step(&mut self, layers: &Layers<'_>, doomed: &Doomed) -> Step {
        let (mut changes, mut is_seen) = (Vec::new(), false);
        match self.purger.step(layers, doomed) {
            Ok(step) => changes.extend(step),
            Err(error) => {
                layers.db.damage().note(&error);
                error!(%error, "cannot remove what was deleted; it stays hidden, the next try is in a minute");
            }
        }
        match self.messages.as_mut().map(|messages| messages.step(layers)).transpose() {
            Ok(step) => {
                let step = step.unwrap_or_default();
                is_seen = !step.is_empty();
                changes.extend(step);
            }
            Err(error) => {
                layers.db.damage().note(&error);
                error!(%error, "cannot remove messages that are older than their guild keeps them");
            }
        }
        match self.operations.step(layers.db) {
            Ok(keys) => keys.into_iter().for_each(|key| changes.delete(Table::Operations, key)),
            Err(error) => error!(%error, "cannot remove old operations"),
        }
        Step { changes, is_seen }
    }

    /// What the last step removed may not have become durable.
    pub fn reset(&mut self) {
        self.purger.reset();
        self.retention_changed();
    }

    /// A guild keeps messages for another time than before.
    pub fn retention_changed(&mut self) {
        if let Some(messages) = &mut self.messages {
            messages.begin_anew();
        }
    }
}
