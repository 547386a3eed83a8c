//! People and what they do over REST.

use anyhow::{Context as _, bail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Somebody with a token.
#[derive(Clone)]
pub struct Person {
    http: reqwest::Client,
    api: String,
    authorization: Option<String>,
    pub id: String,
    pub token: String,
}

impl Person {
    /// A person with their token.
    pub fn new(api: &str, id: &str, token: &str) -> Self {
        Self {
            http: reqwest::Client::new(),
            api: format!("{api}/v10"),
            authorization: Some(token.to_owned()),
            id: id.into(),
            token: token.into(),
        }
    }

    /// A bot with its token.
    pub fn bot(api: &str, id: &str, token: &str) -> Self {
        Self { authorization: Some(format!("Bot {token}")), ..Self::new(api, id, token) }
    }

    /// Somebody who has not signed in.
    pub fn stranger(api: &str) -> Self {
        Self { authorization: None, ..Self::new(api, "", "") }
    }

    /// Signs somebody up.
    pub async fn register(api: &str, name: &str) -> anyhow::Result<Self> {
        let body = json!({ "email": format!("{name}@example.org"), "username": name, "password": "correct horse battery" });
        let answer = Self::stranger(api).post("/auth/register", &body).await?;
        let token = answer["token"].as_str().context("no token")?;
        let mut person = Self::new(api, "", token);
        person.id = person.get("/users/@me").await?["id"].as_str().context("no id")?.to_owned();
        Ok(person)
    }

    /// Sends a request and returns status and body, whatever they are.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<(StatusCode, Value)> {
        let mut request = self.http.request(method, format!("{}{path}", self.api));
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let bytes = response.bytes().await?;
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes)? };
        Ok((status, body))
    }

    async fn wanted(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let (status, answer) = self.send(method.clone(), path, body).await?;
        if !status.is_success() {
            bail!("{method} {path}: {status} {answer}");
        }
        Ok(answer)
    }

    /// GET, which must succeed.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.wanted(Method::GET, path, None).await
    }
    /// POST, which must succeed.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.wanted(Method::POST, path, Some(body)).await
    }
    /// PATCH, which must succeed.
    pub async fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.wanted(Method::PATCH, path, Some(body)).await
    }
    /// PUT, which must succeed.
    pub async fn put(&self, path: &str) -> anyhow::Result<Value> {
        self.wanted(Method::PUT, path, Some(&json!({}))).await
    }
    /// DELETE, which must succeed.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.wanted(Method::DELETE, path, None).await
    }

    /// Says something in a channel; the message's id.
    pub async fn say(&self, channel_id: &str, content: &str) -> anyhow::Result<String> {
        let message = self.post(&format!("/channels/{channel_id}/messages"), &json!({ "content": content })).await?;
        Ok(message["id"].as_str().context("a message has an id")?.to_owned())
    }
}

/// What `rookery admin seed` made.
pub struct Seed {
    pub guild_id: String,
    pub channel_id: String,
    pub voice_channel_id: String,
    pub owner: (String, String),
    pub bot: (String, String),
    pub users: Vec<(String, String)>,
}

impl Seed {
    /// Reads what the command printed.
    pub fn from_json(value: &Value) -> anyhow::Result<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned).context("not a string");
        let user = |value: &Value| Ok::<_, anyhow::Error>((text(&value["id"])?, text(&value["token"])?));
        Ok(Self {
            guild_id: text(&value["guild_id"])?,
            channel_id: text(&value["channel_id"])?,
            voice_channel_id: text(&value["voice_channel_id"])?,
            owner: user(&value["owner"])?,
            bot: user(&value["bot"])?,
            users: value["users"].as_array().context("no users")?.iter().map(user).collect::<Result<_, _>>()?,
        })
    }
}
