//! `forethought worker`.

use clap::Args;

use crate::arguments::ConfigArguments;

/// Play episodes for runs on other machines.
///
/// A worker has a configuration of its own, with `[run.restate]`, and plays only episodes that are the same by it: what
/// comes over the network cannot make it build anything else. It registers at the Restate server, which calls it for
/// each episode of a run with `[run] engine = "restate"`. Several workers may listen on one address of one machine; on
/// several machines they stand behind a balancer for TCP. One that is stopped or killed loses nothing: its episodes go
/// on at another.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought worker my.toml
  forethought worker my.toml --listen 10.0.0.7:9080 --url http://workers.internal:9080")]
#[cfg_attr(
    not(feature = "restate"),
    allow(dead_code, reason = "the command is known, but cannot be executed")
)]
pub(crate) struct Worker {
    #[command(flatten)]
    config: ConfigArguments,
    /// The address and port to listen on. Anyone who reaches it can have episodes of the configuration played.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9080")]
    listen: String,
    /// The address at which the Restate server reaches the workers; by default the one they listen on.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

#[cfg(not(feature = "restate"))]
impl Worker {
    pub(crate) async fn execute(
        self,
        _: &crate::session::Session,
    ) -> forethought_api::Result<crate::exit::Exit> {
        Err(crate::builtin::built_without("`forethought worker`", "restate"))
    }
}

#[cfg(feature = "restate")]
mod execute {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use forethought_api::{Error, Result, error::Context};
    use forethought_restate::{Client, serve};
    use forethought_runtime::host::worker;
    use serde::Serialize;
    use tokio::net::{TcpListener, TcpSocket};

    use super::Worker;
    use crate::{
        arguments::set,
        exit::Exit,
        session::Session,
        streams::{json_line, print},
    };

    /// What `--json` prints once the worker is ready.
    #[derive(Serialize)]
    struct Registered {
        address: SocketAddr,
        url: String,
    }

    impl Worker {
        pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
            // Which episodes there are is the run's to say.
            let values = vec![set(["run", "episodes"], 1), set(["run", "first_task"], 0)];
            let host = session.host(&self.config, values).await?;
            let client = Client::new(&host.config().run.restate)?;
            let worker = Arc::new(worker::Worker::new(host, Arc::new(client.clone())));
            session.or_interrupted(worker.check()).await?;
            let listener = listen(&self.listen).context(format!("--listen {}", self.listen))?;
            let address = listener.local_addr()?;
            let url = self.url.unwrap_or_else(|| format!("http://{address}"));
            let ready = async {
                client.register(&url).await?;
                let registered = Registered { address, url };
                match session.json {
                    true => print(&json_line(&registered)?)?,
                    false => print(&format!("listening on {address}, registered as {}\n", registered.url))?,
                }
                std::future::pending().await
            };
            tokio::select! {
                served = serve(worker, listener) => served.map(|()| Exit::Done),
                failed = ready => failed,
                () = session.cancel.cancelled() => Ok(Exit::Done),
            }
        }
    }

    /// Listens where other workers may listen, too.
    fn listen(address: &str) -> Result<TcpListener> {
        let address: SocketAddr =
            address.parse().map_err(|_| Error::input("an address looks like 127.0.0.1:9080"))?;
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        Ok(socket.listen(1024)?)
    }
}
