//! People and what they do over REST.

use std::sync::Once;

use anyhow::{Context as _, bail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::Answer;

/// The password of everybody who signs up.
pub const PASSWORD: &str = "correct horse battery";

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
            http: http_client(),
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
        let body = json!({ "email": format!("{name}@example.org"), "username": name, "password": PASSWORD });
        let answer = Self::stranger(api).post("/auth/register", &body).await?;
        let token = answer["token"].as_str().context("no token")?;
        let mut person = Self::new(api, "", token);
        person.id = person.get("/users/@me").await?["id"].as_str().context("no id")?.to_owned();
        Ok(person)
    }

    /// The same person under another `Authorization` header.
    pub fn with_authorization(&self, authorization: &str) -> Self {
        Self { authorization: Some(authorization.to_owned()), ..self.clone() }
    }

    /// A bot with its token, at the same place.
    pub fn bot_of(&self, id: &str, token: &str) -> Self {
        let (id, token) = (id.to_owned(), token.to_owned());
        Self { authorization: Some(format!("Bot {token}")), id, token, ..self.clone() }
    }

    /// A person with their token, at the same place, over the same connections.
    pub fn person_of(&self, id: &str, token: &str) -> Self {
        Self { authorization: Some(token.to_owned()), id: id.into(), token: token.into(), ..self.clone() }
    }

    /// The same person at another point of presence.
    pub fn at(&self, api: &str) -> Self {
        Self { api: format!("{api}/v10"), ..self.clone() }
    }

    /// Sends a request and returns the answer, whatever it is.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::read(request.send().await?).await
    }

    /// Sends bytes as they are, under the name of JSON.
    pub async fn ask_raw(&self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Answer> {
        let request = self.request(method, path).header("Content-Type", "application/json").body(body);
        Answer::read(request.send().await?).await
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.api));
        match &self.authorization {
            Some(authorization) => request.header("Authorization", authorization),
            None => request,
        }
    }

    /// Sends a request and returns status and body, whatever they are.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<(StatusCode, Value)> {
        let answer = self.ask(method, path, body).await?;
        Ok((StatusCode::from_u16(answer.status)?, answer.body))
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
    /// PUT with a body, which must succeed.
    pub async fn put_with(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.wanted(Method::PUT, path, Some(body)).await
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

/// An HTTP client of its own: connections belong to the runtime of one test.
pub fn http_client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Fails only if there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    // Everything is plain HTTP on loopback: reading the system's certificates would be for nothing.
    let built = reqwest::Client::builder().no_proxy().tls_built_in_root_certs(false).build();
    built.expect("a client without certificates or proxies has nothing that could fail")
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
