//! How a face ends: calls that run are answered, and nobody keeps the process by a request that never ends.

use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Callers that are there have so long once the gateway stops. Whoever waits for a member is answered at once then.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until it ends by itself, or until some seconds after `stop`.
pub(crate) async fn serve<E: std::error::Error>(
    name: &str,
    stop: CancellationToken,
    serving: impl Future<Output = Result<(), E>>,
) {
    let over = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = serving => if let Err(error) = served {
            tracing::error!(%error, "{name} ended");
        },
        () = over => tracing::info!("{name} ended before somebody had said all of a request"),
    }
}
