//! The bot of the acceptance tests with unmodified twilight.

use anyhow::Context as _;
use rookery_test_bots::{Start, api_authority, say, variable};
use serde_json::json;
use twilight_gateway::{ConfigBuilder, Event, EventTypeFlags, Intents, Shard, ShardId, StreamExt as _};
use twilight_http::Client;
use twilight_http::request::channel::reaction::RequestReactionType;
use twilight_model::channel::Message;
use twilight_model::channel::message::Embed;
use twilight_model::id::Id;
use twilight_model::id::marker::{ChannelMarker, MessageMarker, UserMarker};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let token = variable("ROOKERY_TOKEN")?;
    let http = Client::builder().token(token.clone()).proxy(api_authority()?, true).ratelimiter(None).build();
    let intents = Intents::GUILDS | Intents::GUILD_MESSAGES | Intents::MESSAGE_CONTENT;
    let config = ConfigBuilder::new(token, intents).proxy_url(variable("ROOKERY_GATEWAY")?).build();
    let mut shard = Shard::with_config(ShardId::ONE, config);
    let mut bot = Bot { http, start: Start::default(), me: None, reply: None };
    while let Some(event) = shard.next_event(EventTypeFlags::all()).await {
        match event {
            Ok(event) => {
                if let Err(error) = bot.on(event).await {
                    say(json!({ "error": format!("{error:#}") }));
                }
            }
            Err(error) => say(json!({ "note": error.to_string() })),
        }
    }
    Ok(())
}

struct Bot {
    http: Client,
    start: Start,
    me: Option<Id<UserMarker>>,
    reply: Option<Id<MessageMarker>>,
}

impl Bot {
    async fn on(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Ready(ready) => {
                self.me = Some(ready.user.id);
                self.start.ready(&ready.user.id.to_string(), ready.guilds.len());
            }
            Event::GuildCreate(_) => self.start.guild(),
            Event::Resumed => say(json!({ "resumed": true })),
            Event::MessageCreate(message) if Some(message.author.id) != self.me => {
                say(json!({ "message": message.id.to_string(), "content": message.content }));
                self.obey(&message).await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn obey(&mut self, message: &Message) -> anyhow::Result<()> {
        let channel = message.channel_id;
        match message.content.as_str() {
            "ping" => {
                let embed = pong(&message.author.name);
                let created = self.http.create_message(channel).reply(message.id).embeds(&[embed]).await?;
                let id = created.model().await?.id;
                let tick = RequestReactionType::Unicode { name: "✅" };
                self.http.create_reaction(channel, message.id, &tick).await?;
                self.reply = Some(id);
                say(json!({ "done": "ping", "id": id.to_string() }));
            }
            "edit" => {
                let id = self.reply.context("nothing to edit")?;
                self.http.update_message(channel, id).content(Some("edited")).await?;
                say(json!({ "done": "edit", "id": id.to_string() }));
            }
            "delete" => {
                let id = self.reply.context("nothing to delete")?;
                self.http.delete_message(channel, id).await?;
                say(json!({ "done": "delete", "id": id.to_string() }));
            }
            "history" => {
                let ids = self.history(channel).await?;
                say(json!({ "done": "history", "ids": ids }));
            }
            _ => {}
        }
        Ok(())
    }

    async fn history(&self, channel: Id<ChannelMarker>) -> anyhow::Result<Vec<String>> {
        let mut ids = Vec::new();
        let mut page = self.http.channel_messages(channel).limit(5).await?.models().await?;
        while let Some(last) = page.last().map(|message| message.id) {
            ids.extend(page.iter().map(|message| message.id.to_string()));
            page = self.http.channel_messages(channel).before(last).limit(5).await?.models().await?;
        }
        Ok(ids)
    }
}

fn pong(to: &str) -> Embed {
    Embed {
        author: None,
        color: Some(0x58_65f2),
        description: Some(format!("to {to}")),
        fields: Vec::new(),
        flags: None,
        footer: None,
        image: None,
        kind: "rich".into(),
        provider: None,
        thumbnail: None,
        timestamp: None,
        title: Some("pong".into()),
        url: None,
        video: None,
    }
}
