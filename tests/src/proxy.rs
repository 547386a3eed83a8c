//! A TCP proxy whose connections can be cut in the middle.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections to a server until they are cut.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    cuts: watch::Sender<u64>,
    accepted: Arc<AtomicUsize>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port; where it forwards to may be said later, since ports are known late.
    pub async fn start() -> anyhow::Result<(Self, watch::Sender<Option<SocketAddr>>)> {
        Self::start_at("127.0.0.1:0".parse()?).await
    }

    /// Likewise, at an address that is given.
    pub async fn start_at(address: SocketAddr) -> anyhow::Result<(Self, watch::Sender<Option<SocketAddr>>)> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (target, mut known_target) = watch::channel(None::<SocketAddr>);
        let (cuts, _) = watch::channel(0);
        let accepted = Arc::new(AtomicUsize::new(0));
        let accepting = tokio::spawn({
            let (cuts, accepted) = (cuts.clone(), accepted.clone());
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    accepted.fetch_add(1, Ordering::SeqCst);
                    let Ok(target) = known_target.wait_for(Option::is_some).await.map(|target| *target) else { return };
                    let mut cut = cuts.subscribe();
                    cut.mark_unchanged();
                    tokio::spawn(async move {
                        let Some(target) = target else { return };
                        tokio::select! {
                            // Dropping both sockets with unread bytes resets them: the peer sees a cut, not a goodbye.
                            _ = cut.changed() => {}
                            _ = forward(client, target) => {}
                        }
                    });
                }
            }
        });
        Ok((Self { address, cuts, accepted, accepting }, target))
    }

    /// Cuts every connection that is open now.
    pub fn cut(&self) {
        self.cuts.send_modify(|n| *n += 1);
    }

    /// How many connections came so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn forward(mut client: TcpStream, target: SocketAddr) -> std::io::Result<()> {
    let mut server = TcpStream::connect(target).await?;
    // Zero linger: closing sends a reset.
    client.set_zero_linger()?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
