//! The task that carries out what controllers want, and tells them what becomes of it.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use rookery_bus::{Bus, Received, Subject, SubjectError, SubscribeError, Subscription};
use rookery_model::voice::node::{
    PrepareMember, ROOM_MEMBERS_MAX, VoiceMember, VoiceMemberFlags, VoiceMemberKey, VoiceNodeEvent, VoiceNodeRefusal,
    VoiceRoomKey, VoiceRoomSettings,
};
use rookery_model::voice::{
    FromVoiceNode, RoomAdmission, RoomEvent, ToVoiceNode, VoiceBeacon, VoiceRights, VoiceRoomKind,
};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::seats::{Act, Answer, Seats};
use crate::VoiceNode;

/// How often the node says that it is there: controllers give its rooms away when they miss seven.
const BEACON_INTERVAL: Duration = Duration::from_millis(100);

/// Where a node is in its deployment.
pub struct ControlInit {
    pub bus: Bus,
    pub deployment: Box<str>,
    pub region: Box<str>,
    /// The node's name.
    pub name: Box<str>,
    /// Another number after each start.
    pub boot: u64,
}

/// Why nobody can rule a node.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(transparent)]
    Name(#[from] SubjectError),
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
}

/// The task.
pub struct Control {
    init: ControlInit,
    node: VoiceNode,
    events: mpsc::Receiver<VoiceNodeEvent>,
    commands: Subscription,
    beacons: Subject,
    seats: Seats,
    controllers: HashMap<Box<str>, Subject>,
    is_draining: bool,
}

impl Control {
    /// Listens for what is wanted of a node; `events` are the node's own.
    ///
    /// # Errors
    /// A name does not fit, or the bus does not take a subscription.
    pub async fn open(
        init: ControlInit,
        node: VoiceNode,
        events: mpsc::Receiver<VoiceNodeEvent>,
    ) -> Result<Self, ControlError> {
        let own = Subject::voice_node(&init.deployment, &init.region, &init.name)?;
        let beacons = Subject::voice_beacons(&init.deployment, &init.region)?;
        let commands = init.bus.subscribe(&own).await?;
        let (seats, controllers) = (Seats::default(), HashMap::new());
        Ok(Self { init, node, events, commands, beacons, seats, controllers, is_draining: false })
    }

    /// Runs until `stop`; from `drain` on others are to take the rooms.
    pub async fn run(mut self, drain: CancellationToken, stop: CancellationToken) {
        let mut beacon = tokio::time::interval(BEACON_INTERVAL);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = drain.cancelled(), if !self.is_draining => {
                    self.is_draining = true;
                    beacon.reset_immediately();
                }
                Some(received) = self.commands.recv() => self.heard(received).await,
                Some(event) = self.events.recv() => self.happened(event).await,
                _ = beacon.tick() => self.beacon().await,
            }
        }
    }

    async fn beacon(&mut self) {
        for act in self.seats.handle_timeout(self.node.now_ms()) {
            self.act(&act).await;
        }
        let beacon = VoiceBeacon {
            node: self.init.name.clone(),
            number: self.node.number(),
            boot: self.init.boot,
            endpoint: self.node.endpoint().into(),
            members: u32::try_from(self.seats.count()).unwrap_or(u32::MAX),
            is_draining: self.is_draining,
            is_full: self.node.is_full(),
        };
        self.publish(&self.beacons, &beacon);
    }

    async fn heard(&mut self, received: Received) {
        let Received::Message(bytes) = received else { return };
        let message = match ciborium::from_reader::<ToVoiceNode, _>(&*bytes) {
            Ok(message) if message.boot == self.init.boot => message,
            // For the process before this one.
            Ok(_) => return,
            Err(error) => {
                tracing::debug!(%error, "a message to the voice node is passed over");
                metrics::counter!("rookery_voice_messages_unreadable_total").increment(1);
                return;
            }
        };
        let now_ms = self.node.now_ms();
        let Some(command) = message.command else {
            return self.seats.handle_still_there(now_ms, &message.controller);
        };
        let (acts, answer) = self.seats.handle_command(now_ms, &message.controller, command);
        for act in acts {
            if !self.act(&act).await {
                // Said again until there is room, or it is said to another node.
                return self.seats.handle_refused(&act);
            }
        }
        let event = match answer {
            Answer::Event(event) => event,
            Answer::Linked { room, revision } => self.linked(room, revision),
        };
        self.tell(&message.controller, event);
    }

    /// Where the media of a room is received; of one that is no more it does not matter.
    fn linked(&self, room: VoiceRoomKey, revision: u64) -> RoomEvent {
        let VoiceRoomKey { server_id, channel_id } = room;
        let address = self.node.room_address(room);
        RoomEvent::Linked { server_id, channel_id, revision, address }
    }

    async fn happened(&mut self, event: VoiceNodeEvent) {
        match event {
            VoiceNodeEvent::NeverCame(VoiceMember { room, user_id, session_id }) => {
                self.gone(VoiceMemberKey { server_id: room.server_id, user_id }, session_id.into());
            }
            // Of those the end of some may not have been heard.
            VoiceNodeEvent::Lost { .. } => {
                for (place, session_id) in self.seats.all() {
                    if !self.node.knows(place) {
                        self.gone(place, session_id);
                    }
                }
            }
            VoiceNodeEvent::Connected(_)
            | VoiceNodeEvent::Detached(_)
            | VoiceNodeEvent::Resumed(_)
            | VoiceNodeEvent::Left { .. } => {}
        }
    }

    /// A member did not come, or not back: whoever wanted them here is to know.
    fn gone(&mut self, place: VoiceMemberKey, session_id: Box<str>) {
        let VoiceMemberKey { server_id, user_id } = place;
        if let Some(controller) = self.seats.handle_gone(place, &session_id).map(Box::<str>::from) {
            self.tell(&controller, RoomEvent::Gone { server_id, user_id, session_id });
        }
    }

    /// Does something at the node; false if it could not be done.
    async fn act(&self, act: &Act) -> bool {
        let done = match act {
            Act::Link { room, links } => {
                self.node.link_room(*room, links.clone()).await;
                Ok(())
            }
            Act::Remove(place) => match self.node.remove_member(*place).await {
                // They left by themselves.
                Err(VoiceNodeRefusal::UnknownMember) => Ok(()),
                done => done,
            },
            Act::Admit { admission, is_elsewhere: true } => {
                self.node.move_member(prepare((**admission).clone())).await.map(drop)
            }
            Act::Admit { admission, is_elsewhere: false } => {
                let member = VoiceMemberKey { server_id: admission.server_id, user_id: admission.user_id };
                match self.node.update_member(member, flags(admission.rights)).await {
                    // They left, and may come again with the token that they have.
                    Err(VoiceNodeRefusal::UnknownMember) => {
                        self.node.prepare_member(prepare((**admission).clone())).map(drop)
                    }
                    done => done,
                }
            }
        };
        if let Err(refusal) = &done {
            tracing::warn!(%refusal, "the voice node does not do what it was asked");
            metrics::counter!("rookery_voice_commands_refused_total").increment(1);
        }
        done.is_ok()
    }

    fn tell(&mut self, controller: &str, event: RoomEvent) {
        if !self.controllers.contains_key(controller) {
            let subject = Subject::voice_controller(&self.init.deployment, &self.init.region, controller);
            let Ok(subject) = subject else { return };
            self.controllers.insert(controller.into(), subject);
        }
        let message = FromVoiceNode { node: self.init.name.clone(), boot: self.init.boot, event };
        if let Some(subject) = self.controllers.get(controller) {
            self.publish(subject, &message);
        }
    }

    /// What is lost on the way is asked for again.
    fn publish(&self, subject: &Subject, message: &impl Serialize) {
        let mut bytes = Vec::new();
        if let Err(error) = ciborium::into_writer(message, &mut bytes) {
            tracing::error!(%error, "a message of the voice node cannot be written");
            return;
        }
        if let Err(error) = self.init.bus.publish(subject, Bytes::from(bytes)) {
            tracing::debug!(%error, "a message of the voice node is not sent");
        }
    }
}

fn prepare(admission: RoomAdmission) -> PrepareMember {
    let RoomAdmission { revision: _, server_id, channel_id, kind, user_id, session_id, rights, token } = admission;
    PrepareMember {
        room: VoiceRoomKey { server_id, channel_id },
        user_id,
        session_id: session_id.into(),
        flags: flags(rights),
        settings: settings(kind),
        token: Some(token),
    }
}

fn settings(kind: VoiceRoomKind) -> VoiceRoomSettings {
    let members_max = match kind {
        VoiceRoomKind::Voice | VoiceRoomKind::Stage => ROOM_MEMBERS_MAX,
        VoiceRoomKind::Stream(stream) => stream.viewers_max.saturating_add(1),
    };
    VoiceRoomSettings { members_max, kind, ..VoiceRoomSettings::default() }
}

fn flags(rights: VoiceRights) -> VoiceMemberFlags {
    VoiceMemberFlags {
        may_speak: rights.contains(VoiceRights::SPEAK),
        may_stream: rights.contains(VoiceRights::SHOW),
        priority: rights.contains(VoiceRights::PRIORITY),
        server_deafened: !rights.contains(VoiceRights::HEAR),
        ..VoiceMemberFlags::default()
    }
}
