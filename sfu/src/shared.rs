//! What all tasks of a node have in common.

use rookery_model::voice::VoiceCloseCode;
use rookery_voice_session::{Transmit, VoiceConfig};
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::SfuConfig;
use crate::directory::Directory;
use crate::gateway::{Admission, Socket};
use crate::media::{Command, Cores};
use crate::outlet::EventOutlet;

/// See the head of the file.
pub(crate) struct Shared {
    pub(crate) config: SfuConfig,
    pub(crate) session_config: Arc<VoiceConfig>,
    /// What VOICE_SERVER_UPDATE tells.
    pub(crate) endpoint: String,
    pub(crate) clock: Clock,
    pub(crate) directory: Directory,
    pub(crate) admission: Arc<Admission>,
    pub(crate) cores: Cores,
    /// How busy each core is, in thousandths of its time.
    pub(crate) utilisation: Box<[Arc<AtomicU16>]>,
    pub(crate) events: EventOutlet,
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
}

impl Shared {
    /// Asks a core for something. A core that stopped does nothing; whoever waits for its answer sees that.
    pub(crate) async fn command(&self, core: usize, command: Command) {
        let _ = self.cores[core].1.send(command).await;
    }

    /// Waits until a core has done what it was asked before.
    pub(crate) async fn settled(&self, core: usize) {
        let (reply, answer) = oneshot::channel();
        self.command(core, Command::Barrier { reply }).await;
        // A core that stopped has done everything that it will.
        let _ = answer.await;
    }

    /// Closes a socket in a task of its own.
    pub(crate) fn close(&self, socket: Socket, left: Vec<Transmit>, code: Option<VoiceCloseCode>) {
        let within = Duration::from_millis(self.config.close_timeout_ms);
        self.tasks.spawn(socket.close(left, code, within));
    }
}
