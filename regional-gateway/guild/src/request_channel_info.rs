//! REQUEST_CHANNEL_INFO: what of voice channels is not in their objects.

use rookery_model::Patch;
use rookery_model::channel::ChannelType;
use rookery_model::gateway::{ChannelInfo, ChannelInfoChannel, Event, SubscriberId};

use crate::Outcome;
use crate::state::GuildCore;

impl GuildCore {
    /// Answers REQUEST_CHANNEL_INFO with the voice channels that the session sees, and of each what the fields name; sessions
    /// that are not subscribed get nothing.
    pub fn request_channel_info(&self, id: SubscriberId, fields: &[String]) -> Outcome {
        let mut out = Outcome::default();
        let (Ok(guild), Some(subscriber)) = (self.guild(), self.subscribers.get(id)) else { return out };
        let asks_status = fields.iter().any(|field| field == ChannelInfoChannel::STATUS);
        let channels = guild
            .channels()
            .values()
            .filter(|channel| channel.kind == ChannelType::GuildVoice && guild.can_view(subscriber.user_id, channel))
            .map(|channel| ChannelInfoChannel {
                id: channel.id,
                status: match self.voice.status(channel.id) {
                    _ if !asks_status => Patch::Keep,
                    Some(status) => Patch::Set(status.to_owned()),
                    None => Patch::Clear,
                },
            })
            .collect();
        out.send(Event::ChannelInfo(ChannelInfo { guild_id: guild.id(), channels }), vec![id]);
        out
    }
}
