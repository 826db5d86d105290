//! Where the HTTP API listens: TLS 1.3, a bounded number of connections, headers within a time.

use axum::Router;
use axum_server::accept::{Accept, DefaultAcceptor};
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;
use rustls::ServerConfig;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Open connections; more are closed at once.
const MAX_CONNECTIONS: usize = 2_048;
/// A client that has not sent its headers by then is cut off.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until `handle` says otherwise.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: ServerConfig,
    router: Router,
    handle: Handle<SocketAddr>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let bounded = Bounded { inner: DefaultAcceptor::new(), free: Arc::new(Semaphore::new(MAX_CONNECTIONS)) };
    let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(Arc::new(tls))).acceptor(bounded);
    let mut server =
        Server::from_listener(tokio::net::TcpListener::from_std(listener)?).acceptor(acceptor).handle(handle);
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_TIMEOUT);
    server.http1_only().serve(router.into_make_service_with_connect_info::<SocketAddr>()).await
}

/// Takes connections while there is room.
#[derive(Debug, Clone)]
struct Bounded {
    inner: DefaultAcceptor,
    free: Arc<Semaphore>,
}

impl<S: Send + 'static> Accept<TcpStream, S> for Bounded {
    type Stream = Counted;
    type Service = S;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Counted, S)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let (inner, permit) = (self.inner, self.free.clone().try_acquire_owned());
        Box::pin(async move {
            let permit = permit.map_err(|_| io::Error::from(io::ErrorKind::QuotaExceeded))?;
            let (stream, service) = inner.accept(stream, service).await?;
            Ok((Counted { stream, _permit: permit }, service))
        })
    }
}

/// A connection that counts until it is dropped.
#[derive(Debug)]
struct Counted {
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
