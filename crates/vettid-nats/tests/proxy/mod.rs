//! Stands between a client and the real server, and can lose what the server says.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Line {
    /// Connections of an older line are cut.
    number: u32,
    /// What the server says is lost.
    swallows: bool,
}

/// A way to the server that can be disturbed.
pub(crate) struct Proxy {
    port: u16,
    line: Arc<watch::Sender<Line>>,
}

impl Proxy {
    pub(crate) async fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let line = Arc::new(watch::Sender::new(Line { number: 0, swallows: false }));
        let lines = line.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A server that has ended is met with a closed connection, as without a proxy.
                let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(carry(from_client, to_server, lines.subscribe(), false));
                tokio::spawn(carry(from_server, to_client, lines.subscribe(), true));
            }
        });
        Self { port, line }
    }

    pub(crate) fn address(&self) -> String {
        format!("tls://127.0.0.1:{}", self.port)
    }

    /// From now on the server is heard no more.
    pub(crate) fn swallow_answers(&self) {
        self.line.send_modify(|line| line.swallows = true);
    }

    /// Cuts the connections; new ones work.
    pub(crate) fn cut_and_mend(&self) {
        self.line.send_modify(|line| *line = Line { number: line.number + 1, swallows: false });
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut lines: watch::Receiver<Line>, is_server: bool) {
    let own = lines.borrow().number;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = tokio::select! {
            biased;
            _ = lines.wait_for(|line| line.number != own) => return,
            read = from.read(&mut buffer) => read.unwrap_or(0),
        };
        let lost = is_server && lines.borrow().swallows;
        if read == 0 || (!lost && to.write_all(&buffer[..read]).await.is_err()) {
            return;
        }
    }
}
