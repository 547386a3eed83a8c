//! The bot of the acceptance tests with unmodified serenity.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rookery_test_bots::{Start, api_authority, say, variable};
use serde_json::json;
use serenity::all::{
    ChannelId, Context, CreateEmbed, CreateMessage, EditMessage, EventHandler, GatewayIntents, GetMessages, Guild,
    GuildId, HttpBuilder, Message, ReactionType, Ready, ResumedEvent,
};
use serenity::async_trait;

#[derive(Default)]
struct Bot {
    start: Mutex<Start>,
    reply: Mutex<Option<Message>>,
}

impl Bot {
    fn start(&self) -> MutexGuard<'_, Start> {
        self.start.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reply(&self) -> Option<Message> {
        self.reply.lock().ok().and_then(|reply| reply.clone())
    }

    async fn obey(&self, cx: &Context, message: &Message) -> serenity::Result<()> {
        match message.content.as_str() {
            "ping" => {
                let embed = CreateEmbed::new()
                    .title("pong")
                    .description(format!("to {}", message.author.name))
                    .color(0x58_65f2);
                let create = CreateMessage::new().reference_message(message).embed(embed);
                let reply = message.channel_id.send_message(cx, create).await?;
                message.react(cx, ReactionType::Unicode("✅".into())).await?;
                say(json!({ "done": "ping", "id": reply.id.to_string() }));
                if let Ok(mut place) = self.reply.lock() {
                    *place = Some(reply);
                }
            }
            "edit" => {
                if let Some(mut reply) = self.reply() {
                    reply.edit(cx, EditMessage::new().content("edited")).await?;
                    say(json!({ "done": "edit", "id": reply.id.to_string() }));
                }
            }
            "delete" => {
                if let Some(reply) = self.reply() {
                    reply.delete(cx).await?;
                    say(json!({ "done": "delete", "id": reply.id.to_string() }));
                }
            }
            "history" => {
                let ids = history(cx, message.channel_id).await?;
                say(json!({ "done": "history", "ids": ids }));
            }
            _ => {}
        }
        Ok(())
    }
}

async fn history(cx: &Context, channel: ChannelId) -> serenity::Result<Vec<String>> {
    let mut ids = Vec::new();
    let mut page = channel.messages(cx, GetMessages::new().limit(5)).await?;
    while let Some(last) = page.last().map(|message| message.id) {
        ids.extend(page.iter().map(|message| message.id.to_string()));
        page = channel.messages(cx, GetMessages::new().limit(5).before(last)).await?;
    }
    Ok(ids)
}

#[async_trait]
impl EventHandler for Bot {
    async fn ready(&self, _: Context, ready: Ready) {
        self.start().ready(&ready.user.id.to_string(), ready.guilds.len());
    }

    async fn resume(&self, _: Context, _: ResumedEvent) {
        say(json!({ "resumed": true }));
    }

    async fn guild_create(&self, _: Context, _: Guild, _: Option<bool>) {
        self.start().guild();
    }

    async fn voice_channel_status_update(
        &self,
        _: Context,
        _: Option<String>,
        status: Option<String>,
        id: ChannelId,
        guild_id: GuildId,
    ) {
        say(json!({ "status": status, "channel": id.to_string(), "guild": guild_id.to_string() }));
    }

    async fn message(&self, cx: Context, message: Message) {
        if message.author.bot {
            return;
        }
        say(json!({ "message": message.id.to_string(), "content": message.content }));
        if let Err(error) = self.obey(&cx, &message).await {
            say(json!({ "error": error.to_string() }));
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let token = variable("ROOKERY_TOKEN")?;
    let http =
        HttpBuilder::new(&token).proxy(format!("http://{}", api_authority()?)).ratelimiter_disabled(true).build();
    let intents = GatewayIntents::GUILDS | GatewayIntents::GUILD_MESSAGES | GatewayIntents::MESSAGE_CONTENT;
    let mut client =
        serenity::client::ClientBuilder::new_with_http(http, intents).event_handler(Bot::default()).await?;
    client.start().await?;
    Ok(())
}
