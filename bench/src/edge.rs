//! An authenticated GET through the component, beside the same code native: both over HTTP, both with the region's call.

use std::time::Instant;

use serde_json::{Value, json};

use crate::client;
use crate::server::Server;
use crate::statistics::{median, ratio, round, us};

const CONCURRENCY: usize = 16;

/// One of the two servers under the same load.
struct Side {
    server: Server,
    url: String,
    tokens: Vec<String>,
    http: reqwest::Client,
    cpu_us: Vec<f64>,
    per_second: Vec<f64>,
}

impl Side {
    async fn start(engine: &str) -> anyhow::Result<Self> {
        let server = Server::start(&[&format!("pop.engine={engine}")]).await?;
        let seed = server.seed(CONCURRENCY).await?;
        let url = format!("{}/v10/users/@me", server.api);
        let http = reqwest::Client::new();
        Ok(Self { server, url, tokens: seed.user_tokens, http, cpu_us: vec![], per_second: vec![] })
    }

    async fn round(&mut self, requests: usize, keep: bool) -> anyhow::Result<()> {
        let (http, url, tokens) = (self.http.clone(), self.url.clone(), self.tokens.clone());
        let get = move |n: usize| http.get(&url).header("Authorization", &tokens[n % tokens.len()]);
        let (before, begun) = (self.server.cpu()?, Instant::now());
        client::requests(requests, CONCURRENCY, get).await?;
        if keep {
            self.per_second.push(requests as f64 / begun.elapsed().as_secs_f64());
            self.cpu_us.push(us((self.server.cpu()? - before) / requests as u32));
        }
        Ok(())
    }
}

/// `requests` in each round of each side.
pub async fn run(rounds: usize, requests: usize) -> anyhow::Result<Value> {
    let mut component = Side::start("component").await?;
    let mut native = Side::start("native").await?;
    component.round(requests / 4, false).await?;
    native.round(requests / 4, false).await?;
    for _ in 0..rounds {
        component.round(requests, true).await?;
        native.round(requests, true).await?;
    }
    let (component_cpu, native_cpu) = (median(component.cpu_us), median(native.cpu_us));
    let (component_rate, native_rate) = (median(component.per_second), median(native.per_second));
    Ok(json!({
        "bench": "edge",
        "concurrency": CONCURRENCY,
        "requests_per_round": requests,
        "rounds": rounds,
        "component_cpu_us_per_request": component_cpu,
        "floor_native_cpu_us_per_request": native_cpu,
        "component_requests_per_second": round(component_rate),
        "floor_native_requests_per_second": round(native_rate),
        "throughput_of_native": ratio(component_rate, native_rate),
        "cpu_of_native": ratio(component_cpu, native_cpu),
    }))
}
