//! A connection to an MCP server. A server that hangs, dies or floods is an error that names it, and its process ends.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use forethought_sdk::{
    api::llm::{Tool, ToolCall},
    child::{Bound, LastWords, Program},
    prelude::*,
    serde_json::Value,
};
use reqwest::{Client, Url, redirect, retry};
use rmcp::{
    RoleClient, ServiceError, ServiceExt as _,
    model::{CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation},
    service::RunningService,
    transport::{
        StreamableHttpClientTransport, async_rw::AsyncRwTransport,
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use rustls::{ClientConfig as TlsConfig, RootCertStore, crypto::ring};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::timeout;

use crate::{config::McpConfig, content};

/// How long a server may take to end after its input was closed, before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// How long the end of a process, and its last words, may arrive after its output has ended.
const LATE: Duration = Duration::from_millis(250);
/// Tokens that are shorter are too likely to be part of something else to be replaced in what a server says.
const SHORTEST: usize = 8;

/// Where a server is, and what is allowed to it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// As errors name it: ``the MCP server `python3 server.py` ``.
    name: String,
    at: At,
    timeout: Duration,
    limit: u64,
}

#[derive(Debug, Clone)]
enum At {
    Command(Program),
    Url { url: Url, token: Option<Arc<str>>, secrets: Vec<String> },
}

impl Place {
    /// The configured place. Nothing is started.
    ///
    /// # Errors
    /// Keys that contradict each other, an address that is not one, or a token that is not there.
    pub(crate) fn of(config: &McpConfig) -> Result<Self> {
        let (name, at) = match (&config.command.0[..], &config.url) {
            ([], None) => {
                return Err(Error::config(
                    "name the server by `command` (a program that speaks MCP over its standard input and output, as in \
                     [\"python3\", \"server.py\"]) or by `url`",
                ));
            }
            ([_, ..], Some(_)) => {
                return Err(Error::config("name the server by `command` or by `url`, not by both"));
            }
            (command, None) => {
                if config.token_env.is_some() {
                    return Err(Error::config("`token_env` belongs to `url`; a command gets `variables`"));
                }
                let program = Program {
                    command: command.to_vec(),
                    folder: config.folder.as_ref().map(|folder| folder.to_path_buf()),
                    variables: config.variables.clone(),
                };
                (command.join(" "), At::Command(program))
            }
            ([], Some(given)) => {
                let wrong = |why: &str| Error::config(format!("`url` {why}"));
                // It is not shown: it may hold a password.
                let url = Url::parse(given).map_err(|error| wrong(&format!("is not an address: {error}")))?;
                if !["http", "https"].contains(&url.scheme()) {
                    return Err(wrong("must begin with http:// or https://"));
                }
                if url.password().is_some() || !url.username().is_empty() {
                    return Err(wrong(
                        "holds a password, which would be copied into every run; name the variable \
                                      that holds it by `token_env`",
                    ));
                }
                let token = config.token_env.as_ref().map(|name| token(name)).transpose()?;
                if token.is_some() && url.scheme() == "http" && !is_local(&url) {
                    return Err(wrong(
                        "begins with http:, so the token would be sent unencrypted; use https:",
                    ));
                }
                // Some servers take their key as a part of the address.
                let mut shown = url.clone();
                shown.set_query(None);
                let secrets = token.iter().map(|token| token.to_string());
                let secrets = secrets.chain(url.query().map(String::from));
                let secrets = secrets.filter(|secret| secret.len() >= SHORTEST).collect();
                (shown.to_string(), At::Url { url, token, secrets })
            }
        };
        let name = format!("the MCP server `{name}`");
        Ok(Self {
            name,
            at,
            timeout: Duration::from_secs_f64(config.timeout_s),
            limit: config.max_answer_bytes,
        })
    }

    /// Text of the server without the token and the query that it was given.
    fn clean(&self, text: String) -> String {
        match &self.at {
            At::Url { secrets, .. } => {
                secrets.iter().fold(text, |text, secret| text.replace(secret.as_str(), "[hidden]"))
            }
            At::Command(_) => text,
        }
    }
}

fn token(name: &str) -> Result<Arc<str>> {
    let token = std::env::var(name).unwrap_or_default();
    let token = token.trim();
    if token.is_empty() {
        return Err(Error::config(format!("the variable {name}, which `token_env` names, is not set")));
    }
    Ok(token.into())
}

fn is_local(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

/// A connected server. Dropped, its process ends: at first by itself, because its input is closed, else by force.
pub(crate) struct Server {
    place: Place,
    client: Option<RunningService<RoleClient, ClientConfig>>,
    process: Mutex<Option<Process>>,
    flow: Arc<Flow>,
    /// What went wrong before; nothing is asked after it.
    broken: Mutex<Option<Error>>,
    /// What it says of itself.
    pub(crate) instructions: String,
    /// Its tools.
    pub(crate) tools: Vec<Tool>,
}

/// A server's process.
struct Process {
    bound: Bound,
    words: LastWords,
    listener: tokio::task::JoinHandle<()>,
}

/// What a tool returned.
pub(crate) struct Returned {
    /// As an agent sees it.
    pub(crate) text: String,
    /// Whether the server says that the call failed.
    pub(crate) failed: bool,
}

impl Server {
    /// Starts the server or connects to it, and asks for its tools.
    ///
    /// # Errors
    /// All name the server.
    pub(crate) async fn start(place: &Place) -> Result<Self> {
        let flow = Arc::new(Flow { limit: place.limit, ..Flow::default() });
        let mut server = Self {
            place: place.clone(),
            client: None,
            process: Mutex::default(),
            flow: flow.clone(),
            broken: Mutex::default(),
            instructions: String::new(),
            tools: Vec::new(),
        };
        let me = Implementation::new("forethought", env!("CARGO_PKG_VERSION"));
        let me = ClientConfig::new(ClientCapabilities::default(), me);
        let connected = match &place.at {
            At::Command(program) => {
                let mut bound = program.start().map_err(|error| error.context(place.name.clone()))?;
                let pipes = (bound.child.stdout.take(), bound.child.stdin.take(), bound.child.stderr.take());
                let (Some(output), Some(input), Some(errors)) = pipes else {
                    unreachable!("all three are piped")
                };
                let words = LastWords::default();
                let listener = tokio::spawn(words.clone().listen(program.command.join(" "), errors));
                *server.process() = Some(Process { bound, words, listener });
                // The flow has a limit of its own, which ends the connection instead of dropping a line.
                let transport = AsyncRwTransport::new_client(Measured { flow, output }, input)
                    .with_max_line_length(usize::MAX);
                timeout(place.timeout, me.serve(transport)).await
            }
            At::Url { url, token, .. } => {
                let limit = usize::try_from(place.limit).unwrap_or(usize::MAX);
                let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
                    .max_sse_event_size(limit)
                    .max_json_response_size(limit);
                if let Some(token) = token {
                    config = config.auth_header(&**token);
                }
                let client = client(url, place.timeout)?;
                let transport = StreamableHttpClientTransport::with_client(client, config);
                timeout(place.timeout, me.serve(transport)).await
            }
        };
        const HELLO: &str = "its `initialize`";
        server.client = Some(match connected {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(server.lost(HELLO, &causes(&error)).await),
            Err(_) => return Err(server.hung(HELLO).await),
        });
        let info = server.client().peer_info();
        server.instructions = info.and_then(|info| info.instructions.clone()).unwrap_or_default();
        server.instructions = server.place.clean(server.instructions.trim().to_owned());
        let listed = server.asked("`tools/list`", server.client().list_all_tools()).await?;
        let listed = listed.map_err(|refused| {
            Error::new(Code::Provider, format!("{} refused `tools/list`: {refused}", server.place.name))
        })?;
        let tool = |tool: rmcp::model::Tool| Tool {
            name: tool.name.into_owned(),
            description: tool.description.unwrap_or_default().into_owned(),
            parameters: Value::Object((*tool.input_schema).clone()),
        };
        server.tools = listed.into_iter().map(tool).collect();
        Ok(server)
    }

    /// Calls a tool. A refusal is an answer, too.
    ///
    /// # Errors
    /// All name the server: it hangs, died, sent too much, or did before.
    pub(crate) async fn call(&self, call: &ToolCall) -> Result<Returned> {
        let mut request = CallToolRequestParams::new(call.name.clone());
        request.arguments = call.arguments.as_object().cloned();
        let what = format!("the call of `{}`", call.name);
        Ok(match self.asked(&what, self.client().call_tool(request)).await? {
            Ok(result) => Returned {
                text: self.place.clean(content::text(&result)),
                failed: result.is_error.unwrap_or_default(),
            },
            Err(refused) => Returned { text: refused, failed: true },
        })
    }

    /// Whether something went wrong with it.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken().is_some()
    }

    fn client(&self) -> &RunningService<RoleClient, ClientConfig> {
        self.client.as_ref().expect("it is set before anything is asked")
    }

    /// The answer to a request, or the server's refusal.
    async fn asked<T>(
        &self,
        what: &str,
        request: impl Future<Output = Result<T, ServiceError>>,
    ) -> Result<Result<T, String>> {
        if let Some(error) = self.broken().clone() {
            return Err(error);
        }
        self.flow.restart();
        match timeout(self.place.timeout, request).await {
            Ok(Ok(answer)) => Ok(Ok(answer)),
            Ok(Err(ServiceError::McpError(refused))) => {
                Ok(Err(self.place.clean(format!("{} (code {})", refused.message, refused.code.0))))
            }
            Ok(Err(error)) => Err(self.lost(what, &causes(&error)).await),
            Err(_) => Err(self.hung(what).await),
        }
    }

    /// It did not answer in time.
    async fn hung(&self, what: &str) -> Error {
        // It may still be sending, only not an answer.
        if self.flow.is_too_much() {
            return self.lost(what, "").await;
        }
        let seconds = self.place.timeout.as_secs_f64();
        let failed = format!("did not answer {what} within {seconds} s (`environment.timeout_s`)");
        self.end(failed, None).await
    }

    /// The connection ended.
    async fn lost(&self, what: &str, why: &str) -> Error {
        if self.flow.is_too_much() {
            let limit = self.place.limit;
            let failed = format!(
                "sent more than {limit} bytes instead of an answer to {what}; if that is right, raise \
                         `environment.max_answer_bytes`"
            );
            return self.end(failed, None).await;
        }
        self.end(format!("gave no answer to {what}"), Some(why)).await
    }

    /// Notes what went wrong, and ends the process.
    async fn end(&self, failed: String, why: Option<&str>) -> Error {
        let mut error = Error::new(Code::Provider, format!("{} {failed}", self.place.name));
        let process = self.process().take();
        if let Some(mut process) = process {
            let status = match why {
                Some(_) => timeout(LATE, process.bound.child.wait()).await.ok().and_then(Result::ok),
                None => None,
            };
            process.bound.kill();
            match status {
                Some(status) => error.chain.push(format!("its process ended: {status}")),
                None => error.chain.extend(why.map(|why| self.place.clean(why.to_owned()))),
            }
            let _ = timeout(LATE, process.listener).await;
            error = process.words.tell(error);
        } else {
            error.chain.extend(why.map(|why| self.place.clean(why.to_owned())));
        }
        *self.broken() = Some(error.clone());
        error
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broken(&self) -> MutexGuard<'_, Option<Error>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // This closes its input.
        drop(self.client.take());
        let Some(mut process) = self.process().take() else { return };
        // Without a runtime nothing can wait, and the process is killed here.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = timeout(GRACE, process.bound.child.wait()).await;
                process.bound.kill();
            });
        }
    }
}

/// An error with its causes, in one line.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut all = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !all.contains(&cause_text) {
            all += &format!(": {cause_text}");
        }
        next = cause.source();
    }
    // The name of a Rust type helps nobody.
    const END: &str = "] error: ";
    if let (Some(start), Some(end)) = (all.find("Transport ["), all.find(END)) {
        all.replace_range(start..end + END.len(), "");
    }
    all
}

/// An HTTP client for one server: the system's certificates, no redirects, no retries.
fn client(url: &Url, connect: Duration) -> Result<Client> {
    let provider = Arc::new(ring::default_provider());
    let tls = TlsConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .context("cannot set up TLS")?;
    let tls = match url.scheme() {
        // Plain HTTP needs no certificates, so it works on a machine without any.
        "http" => tls.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
        _ => {
            let verifier = Verifier::new(provider).context("cannot read the machine's certificates")?;
            tls.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
    };
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        // The redirect may lead anywhere, and the token would be sent along.
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .connect_timeout(connect);
    let client = if is_local(url) { client.no_proxy() } else { client };
    client.build().context("cannot create an HTTP client")
}

/// How much a server sent since the last request.
#[derive(Debug, Default)]
struct Flow {
    sent: AtomicU64,
    limit: u64,
    too_much: AtomicBool,
}

impl Flow {
    fn restart(&self) {
        self.sent.store(0, Relaxed);
    }
    fn is_too_much(&self) -> bool {
        self.too_much.load(Relaxed)
    }
}

/// The output of a server, which fails when it is too much.
struct Measured<R> {
    flow: Arc<Flow>,
    output: R,
}

impl<R: AsyncRead + Unpin> AsyncRead for Measured<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.output).poll_read(context, buffer))?;
        let read = (buffer.filled().len() - before) as u64;
        if self.flow.sent.fetch_add(read, Relaxed) + read > self.flow.limit {
            self.flow.too_much.store(true, Relaxed);
            return Poll::Ready(Err(std::io::Error::other("the server sends too much")));
        }
        Poll::Ready(Ok(()))
    }
}
