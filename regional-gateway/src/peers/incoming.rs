//! What comes from another region.

use std::sync::Arc;

use rookery_model::gateway::{Event, StreamDeleted, SubscriberId};
use rookery_model::{ApiError, ChannelId, ErrorCode, GuildId, UserId};
use rookery_session::Payload;

use super::PeerIndex;
use super::frame::{
    Between, ControlForm, Frame, SessionRef, ToOwner, ToSessions, UserSessionForm, read_event, write_event,
};
use super::marks::Mark;
use super::task::PeerTask;
use crate::gateway::input::{AskedAt, Control, Input};
use crate::gateway::registry::{SessionHandle, SessionId};
use crate::gateway::worker::{WORKERS_MAX, worker_of};
use crate::owners::guild::command::MembersCommand;
use crate::owners::{GuildNews, OwnerKey, VoiceRequest};

impl PeerTask {
    /// Takes one frame.
    pub(super) fn take_frame(&mut self, frame: Frame) {
        match frame {
            Frame::Open { epoch } => self.begin_anew_for(epoch),
            Frame::Opened { epoch } => self.opened(epoch),
            Frame::Closed { epoch } => self.closed(epoch),
            Frame::Leaving => self.break_off("its process ends"),
            Frame::Park { epoch, token } => self.park_theirs(epoch, token),
            Frame::Parked { token } => self.parking.granted(token),
            Frame::Return { epoch, token, sessions, is_last } => self.take_return(epoch, token, sessions, is_last),
            Frame::Returned { epoch } => self.returned(epoch),
            Frame::Forgotten { token } => self.forgotten(token),
            // A region that does not follow its own opening is told nothing, and nothing of it is believed.
            Frame::ToOwner(to_owner) if self.serves() => self.for_owner(to_owner),
            Frame::ToSessions(to_sessions) if self.is_followed() => self.for_sessions(to_sessions),
            Frame::Between(between) => self.between(between),
            Frame::ToOwner(_) | Frame::ToSessions(_) => {
                metrics::counter!("rookery_peer_frames_ignored_total").increment(1);
            }
        }
    }

    /// Whether an owner lives here. If not, the two regions do not agree about it, and nobody sends anything on.
    fn is_here(&self, raw: u64) -> bool {
        self.region.peers.elsewhere(raw).is_none()
    }

    fn for_owner(&mut self, to_owner: ToOwner) {
        match to_owner {
            ToOwner::SubscribeGuild { guild_id, session, .. } if !self.is_here(guild_id.get()) => {
                self.refuse_guild(session.id, guild_id, ErrorCode::Unavailable.into());
            }
            ToOwner::StartUser { session, .. } if !self.is_here(session.user_id.get()) => {
                self.refuse_user(session, ErrorCode::Unavailable.into());
            }
            ToOwner::UnsubscribeGuild { guild_id, .. }
            | ToOwner::Looks { guild_id, .. }
            | ToOwner::Voice { guild_id, .. }
                if !self.is_here(guild_id.get()) => {}
            ToOwner::ChannelInfo { request, .. } if !self.is_here(request.guild_id.get()) => {}
            ToOwner::Stream { key, .. } if !self.is_here(OwnerKey::of_stream(key).raw()) => {}
            ToOwner::Call { channel_id, .. } | ToOwner::CallConnect { channel_id, .. }
                if !self.is_here(channel_id.get()) => {}
            ToOwner::UnsubscribeUser { user_id, .. } | ToOwner::News { user_id, .. }
                if !self.is_here(user_id.get()) => {}
            ToOwner::TakeUpGuild { guild_id, sessions } => self.take_up_guild(guild_id, sessions),
            ToOwner::TakeUpUser { session, user_session, is_attached } => {
                self.take_up_user(session, *user_session, is_attached);
            }
            ToOwner::Resumed { batch } => self.marks.resumed(batch),
            ToOwner::SessionOver { session } => {
                if let Some(closed) = self.proxies.close(&self.region.sessions, session) {
                    self.leave(closed);
                }
            }
            ToOwner::SubscribeGuild { guild_id, session, subscriber } => {
                let Some(handle) = self.proxy(session) else {
                    return self.refuse_guild(session.id, guild_id, ErrorCode::Unavailable.into());
                };
                self.proxies.note_guild(session.id, guild_id);
                let subscriber = subscriber.read(handle.subscriber, handle.user_id);
                if let Err(error) = self.region.owners.subscribe_guild(guild_id, handle, subscriber) {
                    self.proxies.leave_guild(&self.region.sessions, session.id, guild_id);
                    self.refuse_guild(session.id, guild_id, error);
                }
            }
            ToOwner::UnsubscribeGuild { guild_id, sessions } => {
                for session in sessions {
                    if let Some(id) = self.proxies.leave_guild(&self.region.sessions, session, guild_id) {
                        self.leaving.add_guild(guild_id, id);
                    }
                }
            }
            ToOwner::StartUser { session, user_session, ready, is_bot } => {
                self.start_user(session, *user_session, ready, is_bot);
            }
            ToOwner::UnsubscribeUser { user_id, session } => {
                if let Some(id) = self.proxies.leave_user(&self.region.sessions, session) {
                    self.leaving.add_user(user_id, id);
                }
            }
            ToOwner::Members { guild_id, session, request, cursor } => {
                let asked = match self.proxies.get(session.id) {
                    Some(handle) if self.is_here(guild_id.get()) => {
                        let (session, request) = (Arc::clone(handle), Arc::new(request.read()));
                        self.region.owners.request_members(MembersCommand { guild_id, session, request, cursor })
                    }
                    // It is not subscribed.
                    _ => Err(ErrorCode::UnknownGuild.into()),
                };
                if let Err(error) = asked {
                    let control = ControlForm::NoMembers(guild_id, Box::new(error));
                    self.send(&Frame::ToSessions(ToSessions::Control { session: session.id, control }));
                }
            }
            ToOwner::Looks { guild_id, session, subscription } => {
                if let Some(handle) = self.proxies.get(session) {
                    self.region.owners.set_subscriptions(guild_id, handle.subscriber, *subscription);
                }
            }
            ToOwner::ChannelInfo { session, request } => {
                if let Some(handle) = self.proxies.get(session) {
                    self.region.owners.request_channel_info(handle.subscriber, *request);
                }
            }
            ToOwner::News { session, presence, link, .. } => {
                let Some(handle) = self.proxies.get(session) else { return };
                if let Some(presence) = presence {
                    self.region.owners.session_says(handle, *presence);
                }
                if let Some(link) = link {
                    self.region.owners.session_is(handle, link);
                }
            }
            ToOwner::Stream { session, key, action } => {
                let asked = match self.proxies.get(session) {
                    Some(handle) => self.region.owners.stream(handle, key, action),
                    // It is neither subscribed nor in a call.
                    None => Err(OwnerKey::of_stream(key).unknown()),
                };
                if let Err(error) = asked {
                    let event = write_event(&Event::StreamDelete(StreamDeleted::unheard(key, &error)));
                    self.send(&Frame::ToSessions(ToSessions::Dispatch { event, sessions: vec![session] }));
                }
            }
            ToOwner::Voice { guild_id, session, session_id, update } => {
                if let Some(handle) = self.proxies.get(session) {
                    let request = VoiceRequest { user_id: handle.user_id, session: handle.id, session_id, update };
                    self.region.owners.update_voice(guild_id, handle.subscriber, request);
                }
            }
            ToOwner::Call { channel_id, session, session_id, update } => {
                let request = VoiceRequest { user_id: session.user_id, session: session.name(), session_id, update };
                self.update_call(channel_id, *session, request);
            }
            ToOwner::CallConnect { channel_id, user_id } => self.region.owners.connect_call(channel_id, user_id),
        }
    }

    fn update_call(&mut self, channel_id: ChannelId, session: SessionRef, request: VoiceRequest) {
        if request.update.channel_id.is_some() {
            // Without a place for it the session is not let in.
            let Some(handle) = self.proxy(session) else { return };
            self.proxies.note_call(session.id, channel_id);
            self.region.owners.update_call(channel_id, &handle, request);
        } else if let Some(id) = self.proxies.leave_call(&self.region.sessions, session.id, channel_id) {
            let tell = |news: &mut GuildNews| drop(news.voice.insert(id, request));
            self.region.owners.shared().tell_dm(channel_id, false, tell);
        }
    }

    fn proxy(&mut self, session: SessionRef) -> Option<Arc<SessionHandle>> {
        self.proxies.open(&self.region.sessions, &self.worker, session)
    }

    pub(super) fn refuse_guild(&mut self, session: u64, guild_id: GuildId, error: ApiError) {
        let control = ControlForm::NotSubscribed(guild_id, Box::new(error));
        self.send(&Frame::ToSessions(ToSessions::Control { session, control }));
    }

    fn start_user(
        &mut self,
        session: SessionRef,
        user_session: UserSessionForm,
        ready: Box<rookery_model::gateway::event::Ready>,
        is_bot: bool,
    ) {
        let place = Arc::clone(&self.starts).try_acquire_owned();
        let (Ok(place), Some(handle)) = (place, self.proxy(session)) else {
            return self.refuse_user(session, ErrorCode::Unavailable.into());
        };
        self.proxies.note_user(session.id);
        let user_session = user_session.read(handle.subscriber, session.device);
        let region = Arc::clone(&self.region);
        // Its token may have been revoked here while it was on its way; what revokes later finds it.
        self.region.tasks.spawn(async move {
            let started = async {
                let account = region.accounts.get(session.user_id).await?.ok_or(ErrorCode::Unauthorized)?;
                let revoked = account.revoked_devices.contains(&session.device);
                if account.token_epoch != user_session.epoch || revoked {
                    return Err(ErrorCode::Unauthorized.into());
                }
                let owner = region.owners.user(session.user_id).await?;
                owner.subscribe(&handle, &user_session, ready, is_bot).await
            };
            if let Err(error) = started.await {
                handle.send(Input::Control(Control::NotReady(AskedAt::Here, Box::new(error)))).await;
            }
            drop(place);
        });
    }

    fn refuse_user(&mut self, session: SessionRef, error: ApiError) {
        let control = ControlForm::NotReady(Box::new(error));
        self.send(&Frame::ToSessions(ToSessions::Control { session: session.id, control }));
    }

    fn for_sessions(&mut self, to_sessions: ToSessions) {
        match to_sessions {
            ToSessions::Audience { number, sessions } => {
                if !self.told.insert(number, own(sessions)) {
                    self.break_off("it tells more audiences than it may");
                }
            }
            ToSessions::ForgetAudience { number } => self.told.forget(number),
            ToSessions::FanOut { event, audience } => {
                let Some(audience) = self.told.get(audience).cloned() else {
                    return self.break_off("it names an audience that it did not tell");
                };
                if let Some(event) = self.event(&event) {
                    self.outbox.fan_out(&Payload::new(event), &audience);
                }
            }
            ToSessions::Dispatch { event, sessions } => {
                if let Some(event) = self.event(&event) {
                    self.outbox.fan_out(&Payload::new(event), &own(sessions));
                }
            }
            ToSessions::Own { event, session } => {
                if let Some(event) = self.event(&event)
                    && let Some(id) = own_id(session)
                {
                    self.outbox.send(id, Input::Own(Box::new(event)));
                }
            }
            ToSessions::Control { session, control } => {
                if let Some(id) = own_id(session) {
                    self.outbox.send(id, Input::Control(control.read(self.peer.index)));
                }
            }
            ToSessions::Began { batch, shards } => self.marks.heard.push_back(Mark::Began { batch, shards }),
            ToSessions::Ended { shards } => self.marks.heard.push_back(Mark::Ended { shards }),
            ToSessions::Signals { session_id, bits } => {
                if let Some(session) = self.region.sessions.get(SessionId::from_raw(session_id)) {
                    session.signal_bits(bits);
                }
            }
        }
    }

    /// An event that this version cannot read is missing for whoever should get it: nobody may go on as if it was not.
    fn event(&mut self, bytes: &[u8]) -> Option<Event> {
        match read_event(bytes) {
            Ok(event) => Some(event),
            Err(error) => {
                tracing::error!(%error, peer = &*self.peer.name, "an event cannot be read");
                self.break_off("it sends an event that this version cannot read");
                None
            }
        }
    }

    fn between(&mut self, between: Between) {
        let shared = self.region.owners.shared();
        match between {
            Between::GuildJoined { guild_id, user_ids } => shared.tell_membership_here(guild_id, &user_ids, true),
            Between::GuildLeft { guild_id, user_ids } => shared.tell_membership_here(guild_id, &user_ids, false),
            Between::Lost { user_ids } => user_ids.iter().for_each(|id| shared.sessions.lose(*id)),
            Between::Mentioned { channel_id, message_id, user_ids } => {
                shared.mention_here(channel_id, message_id, user_ids);
            }
            Between::Event { event, user_ids } => match read_event(&event) {
                Ok(event) => shared.deliver_here(&user_ids, Arc::new(event)),
                Err(error) => {
                    tracing::error!(%error, peer = &*self.peer.name, "an event cannot be read");
                    user_ids.iter().for_each(|id| shared.sessions.lose(*id));
                }
            },
            Between::Presence { user_id, presence, guild_ids, friends } => {
                let presence = presence.map(|presence| Arc::new(presence.read()));
                self.seen.show(&shared.registers, user_id, presence, guild_ids, friends);
            }
            Between::UserUpdated { user, places } => {
                let user = Arc::new(*user);
                for place in places {
                    shared.user_updated(OwnerKey::from(place), Arc::clone(&user));
                }
            }
            Between::Account(account) => {
                let user_id: UserId = account.user.id;
                tracing::debug!(%user_id, peer = &*self.peer.name, "an account changed");
                self.region.accounts.changed_elsewhere(*account);
            }
        }
    }
}

impl ControlForm {
    /// As it goes to another region; none for what concerns this one alone.
    pub fn new(control: Control) -> Option<Self> {
        Some(match control {
            Control::GuildJoined(id) => Self::GuildJoined(id),
            Control::GuildLeft(id) => Self::GuildLeft(id),
            Control::NotSubscribed(id, error) => Self::NotSubscribed(id, error),
            Control::Subscribed(id) => Self::Subscribed(id),
            Control::NoMembers(id, error) => Self::NoMembers(id, error),
            // Where it comes from, whoever reads it knows.
            Control::NotReady(_, error) => Self::NotReady(error),
            Control::GuildCut(id) => Self::GuildCut(id),
            Control::Attach(_) => return None,
        })
    }

    fn read(self, from: PeerIndex) -> Control {
        match self {
            Self::GuildJoined(id) => Control::GuildJoined(id),
            Self::GuildLeft(id) => Control::GuildLeft(id),
            Self::NotSubscribed(id, error) => Control::NotSubscribed(id, error),
            Self::Subscribed(id) => Control::Subscribed(id),
            Self::NoMembers(id, error) => Control::NoMembers(id, error),
            Self::NotReady(error) => Control::NotReady(AskedAt::There(from), error),
            Self::GuildCut(id) => Control::GuildCut(id),
        }
    }
}

/// A session of this region by the number that another was given for it.
fn own_id(session: u64) -> Option<SubscriberId> {
    let id = SubscriberId(session);
    (usize::from(worker_of(id)) < WORKERS_MAX).then_some(id)
}

/// Sessions of this region, ascending, as audiences are.
fn own(sessions: Vec<u64>) -> Arc<[SubscriberId]> {
    let mut ids: Vec<SubscriberId> = sessions.into_iter().filter_map(own_id).collect();
    ids.sort_unstable();
    ids.into()
}
