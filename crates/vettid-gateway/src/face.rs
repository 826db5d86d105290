//! How callers are taken: headers within a time, and at the end the calls that run are answered, while nobody keeps the process by
//! a request that never ends.

use axum::Router;
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A caller that has not sent the headers of its next request by then is cut off.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(60);
/// Callers that are there have so long once the gateway stops. Whoever waits for a member is answered at once then.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until it ends by itself, or until some seconds after `stop`.
pub(crate) async fn serve(name: &str, listener: TcpListener, router: Router, stop: CancellationToken) {
    let handle: Handle<SocketAddr> = Handle::new();
    let mut server = Server::from_listener(listener).handle(handle.clone());
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_TIMEOUT);
    let serving = server.http1_only().serve(router.into_make_service_with_connect_info::<SocketAddr>());
    tokio::pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        () = stop.cancelled() => {
            handle.graceful_shutdown(Some(GRACE));
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::error!(%error, "{name} ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    /// A caller that said so much of its request; what it is told until the connection ends.
    async fn told(said: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
        let face = tokio::spawn(async move { serve("a face", listener, router, CancellationToken::new()).await });
        let mut caller = TcpStream::connect(address).await.unwrap();
        caller.write_all(said.as_bytes()).await.unwrap();
        let mut answer = String::new();
        caller.read_to_string(&mut answer).await.unwrap();
        face.abort();
        answer
    }

    /// The clock stands still while anything moves, and runs on to the next end of a time when nothing does.
    #[tokio::test(start_paused = true)]
    async fn who_never_says_all_of_its_headers_is_cut_off() {
        assert!(!told("GET / HTTP/1.1\r\nhost: here\r\n").await.contains("200"));
    }

    #[tokio::test]
    async fn who_does_is_answered() {
        let answer = told("GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"), "{answer}");
    }
}
