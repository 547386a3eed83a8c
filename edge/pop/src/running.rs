//! A point of presence from its start to its end.

use std::net::SocketAddr;
use std::sync::Arc;

use rookery_edge_api::ConfigError;
use rustls::ServerConfig;
use tokio::net::TcpListener;

use crate::RegionClient;
use crate::api_config::ApiConfig;
use crate::component::{self, ComponentError, ComponentHandler};
use crate::config::{EngineKind, PopConfig};
use crate::handler::Handler;
use crate::native::NativeHandler;
use crate::server::Server;
use crate::service::Service;
use crate::status_page::StatusEntry;
use crate::tls::{self, TlsError};

/// Why a point of presence does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings are wrong; every mistake is named.
    #[error("the configuration cannot be used:\n{}", .0.join("\n"))]
    Config(Vec<String>),
    /// An address cannot be listened on.
    #[error("{name} cannot listen on {address}")]
    Bind {
        /// `http` or `https`.
        name: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// HTTPS cannot be offered.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The component cannot be run.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// The API's settings cannot be handed over.
    #[error(transparent)]
    ApiConfig(#[from] ConfigError),
}

/// What a point of presence needs besides its configuration.
pub struct PopDeps {
    /// The way to the region.
    pub region: Arc<dyn RegionClient>,
    /// The API's settings.
    pub api_config: rookery_edge_api::Config,
    /// What the page at `/` says.
    pub status: Vec<StatusEntry>,
    /// The certificate for HTTPS if the configuration names no files; the program's own on `rookery dev`.
    pub tls: Option<Arc<ServerConfig>>,
    /// The precompiled component if not the one inside the binary; for tests.
    pub component: Option<Vec<u8>>,
}

impl PopDeps {
    /// A region and settings; no status lines, no certificate, the component inside the binary.
    pub fn new(region: Arc<dyn RegionClient>, api_config: rookery_edge_api::Config) -> Self {
        Self { region, api_config, status: Vec::new(), tls: None, component: None }
    }
}

/// A point of presence.
pub struct Pop;

impl Pop {
    /// Checks the configuration and takes the addresses.
    ///
    /// Apart from [`BoundPop::start`], because the API's settings may have to name an address whose port was 0.
    pub async fn bind(config: PopConfig) -> Result<BoundPop, StartError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(StartError::Config(problems));
        }
        let http = listen("http", config.http).await?;
        let https = match config.https {
            Some(address) => Some(listen("https", address).await?),
            None => None,
        };
        Ok(BoundPop { config, http, https })
    }

    /// [`Pop::bind`] and [`BoundPop::start`] in one.
    pub async fn start(config: PopConfig, deps: PopDeps) -> Result<RunningPop, StartError> {
        Self::bind(config).await?.start(deps)
    }
}

/// A point of presence that has its addresses and does not answer yet.
pub struct BoundPop {
    config: PopConfig,
    http: (TcpListener, SocketAddr),
    https: Option<(TcpListener, SocketAddr)>,
}

impl BoundPop {
    /// Where HTTP will answer.
    pub fn http_addr(&self) -> SocketAddr {
        self.http.1
    }

    /// Where HTTPS will answer, if it is offered.
    pub fn https_addr(&self) -> Option<SocketAddr> {
        self.https.as_ref().map(|(_, address)| *address)
    }

    /// Loads the API and starts to answer. Needs a tokio runtime around it.
    pub fn start(self, deps: PopDeps) -> Result<RunningPop, StartError> {
        let (http_addr, https_addr) = (self.http_addr(), self.https_addr());
        let acceptor = match (&self.https, &self.config.tls, &deps.tls) {
            (None, _, _) => None,
            (Some(_), Some(files), _) => Some(tls::acceptor(&tls::from_files(files)?)),
            (Some(_), None, Some(config)) => Some(tls::acceptor(config)),
            (Some(_), None, None) => return Err(TlsError::NoCertificate.into()),
        };
        let api_config = Arc::new(ApiConfig::new(deps.api_config)?);
        let handler: Arc<dyn Handler> = match self.config.engine {
            EngineKind::Component => {
                let precompiled = deps.component.as_deref().unwrap_or(component::EMBEDDED);
                let api_config = Arc::clone(&api_config);
                Arc::new(ComponentHandler::start(precompiled, &self.config, api_config, deps.region)?)
            }
            EngineKind::Native => {
                tracing::warn!("the API runs natively, outside of its sandbox; this is for benchmarks only");
                Arc::new(NativeHandler::new(&self.config, Arc::clone(&api_config), deps.region))
            }
        };
        let service = Arc::new(Service::new(handler, &self.config, &deps.status));
        let server = Arc::new(Server::new(Arc::clone(&service), &self.config.connections));
        server.listen(self.http.0, None);
        if let Some((listener, _)) = self.https {
            server.listen(listener, acceptor);
        }
        Ok(RunningPop { http_addr, https_addr, api_config, service, server })
    }
}

/// A point of presence that answers.
pub struct RunningPop {
    /// Where HTTP answers.
    pub http_addr: SocketAddr,
    /// Where HTTPS answers, if it is offered.
    pub https_addr: Option<SocketAddr>,
    api_config: Arc<ApiConfig>,
    service: Arc<Service>,
    server: Arc<Server>,
}

impl RunningPop {
    /// Replaces the API's settings for all requests that begin from now on.
    pub fn set_api_config(&self, config: rookery_edge_api::Config) -> Result<(), ConfigError> {
        self.api_config.replace(config)
    }

    /// Replaces what the page at `/` says.
    pub fn set_status(&self, entries: &[StatusEntry]) {
        self.service.status_page().replace(entries);
    }

    /// Takes no more connections, lets requests under way end (within `connections.drain_timeout_ms`), closes the rest.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

async fn listen(name: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Bind { name, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}
