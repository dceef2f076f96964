//! Commands as records.

use std::collections::HashMap;

use bus::BusSettings;
use contracts::ids;
use contracts::topics::{self, groups};
use contracts::wire::{Wire as _, encode_with};
use domain::ErpCommand;
use pipeline::OutRecord;
use pipeline::outgoing::Event;
use uuid::Uuid;

use crate::core::Command;

/// In the order of the commands, which is the order in which the target must see them. Call it inside the deciding record's span.
pub(super) fn records(commands: &[Command], bus: &BusSettings) -> Vec<OutRecord> {
    // Ids count the commands of each event, not of each decision: they must not hang on what else was released with it.
    let mut ordinals: HashMap<Uuid, usize> = HashMap::new();
    let mut records = Vec::with_capacity(commands.len());
    for it in commands {
        let ordinal = ordinals.entry(it.event).or_default();
        let command = &it.command;
        let event = Event {
            topic: &bus.topic(&topics::commands(&command.target)),
            id: ids::derived(it.event, groups::ROUTER, *ordinal),
            key: command.aggregate.as_str(),
            type_name: ErpCommand::NAME,
            source: groups::ROUTER,
            subject: &it.subject.to_string(),
            sequence: Some(command.sequence),
            idempotency_key: Some(command.operation_key.as_str()),
            value: encode_with(command, &it.originals),
        };
        records.push(event.into_record());
        *ordinal += 1;
    }
    records
}
