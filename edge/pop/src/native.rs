//! The API run natively instead of in its sandbox, for benchmarks: what does the component cost?

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use rookery_edge_api::{CallFailure, Config, Env, Request, Response};

use crate::admission::Admission;
use crate::api_config::ApiConfig;
use crate::config::{PopConfig, ms};
use crate::handler::{ApiRequest, ApiResponse, HandleError, Handler};
use crate::{CallContext, RegionCallError, RegionClient};

/// Runs the API natively.
pub(crate) struct NativeHandler {
    admission: Admission,
    api_config: Arc<ApiConfig>,
    region: Arc<dyn RegionClient>,
    max_calls: u32,
}

impl NativeHandler {
    pub fn new(config: &PopConfig, api_config: Arc<ApiConfig>, region: Arc<dyn RegionClient>) -> Self {
        let requests = &config.requests;
        Self {
            admission: Admission::new(requests.max_concurrent, requests.max_queued, ms(requests.queue_timeout_ms)),
            api_config,
            region,
            max_calls: config.component.max_calls_per_request,
        }
    }

    async fn answer(&self, request: ApiRequest, context: Arc<CallContext>) -> Result<ApiResponse, HandleError> {
        let _place = self.admission.enter().await?;
        let config = self.api_config.current().config;
        let deadline = context.deadline();
        let env = NativeEnv { config, context, region: &*self.region, max_calls: self.max_calls };
        let answered = tokio::time::timeout_at(deadline, rookery_edge_api::handle(into_api(request), &env)).await;
        from_api(answered.map_err(|_| HandleError::DeadlineExceeded)?)
    }
}

impl Handler for NativeHandler {
    fn handle(
        &self,
        request: ApiRequest,
        context: Arc<CallContext>,
    ) -> BoxFuture<'_, Result<ApiResponse, HandleError>> {
        Box::pin(self.answer(request, context))
    }
}

struct NativeEnv<'a> {
    config: Arc<Config>,
    context: Arc<CallContext>,
    region: &'a dyn RegionClient,
    max_calls: u32,
}

impl Env for NativeEnv<'_> {
    fn config(&self) -> &Config {
        &self.config
    }

    async fn call(&self, payload: Vec<u8>) -> Result<Vec<u8>, CallFailure> {
        let header = self.context.next_call(self.max_calls).map_err(failure)?;
        self.region.call(header, payload).await.map_err(failure)
    }

    fn now_ms(&self) -> u64 {
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
    }
}

fn failure(error: RegionCallError) -> CallFailure {
    match error {
        RegionCallError::Busy => CallFailure::Busy,
        RegionCallError::Unavailable => CallFailure::Unavailable,
        RegionCallError::DeadlineExceeded => CallFailure::DeadlineExceeded,
        RegionCallError::TooLarge => CallFailure::TooLarge,
    }
}

fn into_api(request: ApiRequest) -> Request {
    Request {
        method: request.method.as_str().to_owned(),
        path: request.uri.path().to_owned(),
        query: request.uri.query().map(str::to_owned),
        headers: request
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect(),
        body: request.body.to_vec(),
    }
}

fn from_api(response: Response) -> Result<ApiResponse, HandleError> {
    let invalid = |what: &str| HandleError::Failed(format!("the API answered with an invalid {what}"));
    let status = StatusCode::from_u16(response.status).map_err(|_| invalid("status"))?;
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for (name, value) in response.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("header name"))?;
        headers.append(name, HeaderValue::from_str(&value).map_err(|_| invalid("header value"))?);
    }
    Ok(ApiResponse { status, headers, body: Bytes::from(response.body) })
}
