//! The worker: serves episodes and the ledger of budgets to a Restate server.

use std::sync::Arc;
use std::time::Duration;

use forethought_api::{Error, Result, error::Context as _};
use forethought_runtime::budget::ledger::{Account, Demand};
use forethought_runtime::host::worker::Worker;
use forethought_runtime::run::elsewhere::Assignment;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use restate_sdk::endpoint::{Endpoint, ServiceOptions};
use restate_sdk::hyper::HyperEndpoint;
use restate_sdk::prelude::{
    Context, ContextReadState as _, ContextSideEffects as _, ContextWriteState as _, HandlerError,
    ObjectContext, RunFuture as _, TerminalError,
};
use restate_sdk::service::IntoServiceDefinition as _;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::steps::{Item, Steps};
use crate::{pack, unpack};

/// The status of an error that concerns all episodes. Its text is the error as JSON.
pub(crate) const REFUSED: u16 = 422;

/// Episodes in flight on one connection. The server opens as many connections as it needs, and they are what is shared
/// out among workers at one address.
const STREAMS: u32 = 4;

/// A step waits for the slowest model, and an episode that is put to sleep would lose its calls in flight.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Plays episodes.
struct Episodes {
    worker: Arc<Worker>,
}

#[restate_sdk::service(name = "ForethoughtEpisodes")]
impl Episodes {
    #[handler]
    async fn play(
        &self,
        ctx: Context<'_>,
        assignment: Vec<u8>,
    ) -> std::result::Result<Vec<u8>, HandlerError> {
        let assignment: Assignment = unpack(&assignment).map_err(|error| refused(&error))?;
        let ready = self.worker.ready(&assignment).await.map_err(|error| refused(&error))?;
        let steps = Arc::new(Mutex::new(Steps::new(assignment, ready)));
        loop {
            let next = steps.clone();
            let step = ctx
                .run(move || async move { pack(&next.lock().await.next().await).map_err(again) })
                .name("step");
            let kept: std::result::Result<Vec<u8>, TerminalError> = step.await;
            let mut steps = steps.lock().await;
            let end = match kept {
                Ok(step) => {
                    steps.kept(unpack::<Vec<Item>>(&step).map_err(again)?);
                    steps.end()
                }
                // The invocation is cancelled.
                Err(_) => Some(steps.interrupt().await),
            };
            match end {
                None => {}
                Some(Ok(end)) => return pack(&end).map_err(again),
                Some(Err(error)) => return Err(refused(&error)),
            }
        }
    }
}

fn refused(error: &Error) -> HandlerError {
    let text = serde_json::to_string(error).unwrap_or_else(|_| error.to_string());
    TerminalError::new_with_code(REFUSED, text).into()
}

/// An error of this worker: the server tries again.
fn again(error: Error) -> HandlerError {
    error.to_string().into()
}

/// Keeps the accounts of budgets that several workers share, one object for each.
struct Accounts;

const ACCOUNT: &str = "account";

#[restate_sdk::object(name = "ForethoughtLedger")]
impl Accounts {
    #[handler]
    async fn ask(
        &self,
        ctx: ObjectContext<'_>,
        demand: Vec<u8>,
    ) -> std::result::Result<Vec<u8>, HandlerError> {
        let demand: Demand = unpack(&demand).map_err(|error| refused(&error))?;
        let account = ctx.get::<Vec<u8>>(ACCOUNT).await?;
        let mut account: Account =
            account.as_deref().map(unpack).transpose().map_err(again)?.unwrap_or_default();
        let answer = account.ask(demand);
        ctx.set(ACCOUNT, pack(&account).map_err(again)?);
        pack(&answer).map_err(again)
    }
}

/// Serves on `listener` until the future is dropped. Several workers may listen on one address.
///
/// # Errors
/// If connections cannot be accepted.
pub async fn serve(worker: Arc<Worker>, listener: TcpListener) -> Result<()> {
    let options = ServiceOptions::new()
        .inactivity_timeout(PATIENCE)
        .abort_timeout(PATIENCE)
        .retry_policy_initial_interval(Duration::from_millis(100))
        .retry_policy_max_interval(Duration::from_secs(5))
        .retry_policy_max_attempts(1_000_000_000);
    let endpoint = Endpoint::builder()
        .bind(Episodes { worker }.into_service_definition().options(options))
        .bind(Accounts)
        .build();
    let endpoint = HyperEndpoint::new(endpoint);
    loop {
        let (stream, remote) = listener.accept().await.context("a connection could not be accepted")?;
        let endpoint = endpoint.clone();
        tokio::spawn(async move {
            let mut http = http2::Builder::new(TokioExecutor::new());
            let served =
                http.max_concurrent_streams(STREAMS).serve_connection(TokioIo::new(stream), endpoint);
            if let Err(error) = served.await {
                tracing::debug!("{remote}: {error}");
            }
        });
    }
}
