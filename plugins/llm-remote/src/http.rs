//! Sends requests and reads answers: one client per model, and one classification of everything that can go wrong.

use std::{env, error, fmt, io, time::Duration};

use forethought_sdk::{
    api::text::unmarked,
    prelude::*,
    serde_json::{self, Value},
};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{
    Body, Client, Response, StatusCode, Url,
    header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT},
    redirect, retry,
};
use rustls::CertificateError;

use crate::{
    config::RemoteConfig,
    events::Framing,
    key::{Key, looks_like_a_key},
    redact::Redactor,
    tls,
};

/// An answer's longest body in bytes: far above any answer, and small enough to hold in memory.
const MAX_BODY: usize = 64 << 20;

/// Characters of a provider's message that an error repeats.
const MAX_QUOTED: usize = 500;

/// A provider's API at its address.
pub(crate) struct Http {
    client: Client,
    name: &'static str,
    /// How a base URL ends.
    path: String,
    base: String,
    key: Option<Key>,
    redactor: Redactor,
    /// The proxy's address and the variable that sets it.
    proxy: Option<String>,
}

/// An API that is not one of a provider's own.
pub(crate) struct Place {
    /// As errors call it.
    pub(crate) name: &'static str,
    /// How a base URL ends.
    pub(crate) path: &'static str,
}

impl Http {
    pub(crate) fn new(config: &RemoteConfig) -> Result<Self> {
        Self::at(config, None)
    }

    /// The same for an API that `place` describes instead of the provider.
    pub(crate) fn at(config: &RemoteConfig, place: Option<Place>) -> Result<Self> {
        let traits = config.provider.traits();
        let (name, path) = match place {
            Some(place) => (place.name, place.path.to_owned()),
            None => {
                let usual = traits.base_url.and_then(|url| Url::parse(url).ok());
                (traits.name, usual.as_ref().map_or("/v1", Url::path).to_owned())
            }
        };
        let key = Key::load(config)?;
        let base = match (&config.base_url, traits.base_url) {
            (Some(base), _) => base,
            (None, None) => {
                return Err(Error::config(format!("provider = {name:?} needs a base_url")));
            }
            (None, Some(base)) => match traits.usual_key {
                Some(usual) if key.is_none() => {
                    return Err(Error::config(format!(
                        "provider = {name:?} needs a key: set the environment variable {usual} and api_key_env = \
                         {usual:?}, or name a file with api_key_file"
                    )));
                }
                _ => base,
            },
        };
        let url = address(base)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers
            .insert(USER_AGENT, HeaderValue::from_static(concat!("forethought/", env!("CARGO_PKG_VERSION"))));
        for (name, value) in traits.format.headers() {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        for (name, value) in &config.headers {
            let (name, value) = allowed(name, value)?;
            headers.insert(name, value);
        }
        let mut secrets: Vec<String> = key.iter().map(|key| key.text().to_owned()).collect();
        for (name, variable) in &config.headers_env {
            let setting = format!("headers_env.{name}");
            let secret = Key::of_variable(variable, &setting)?;
            let name = HeaderName::try_from(name)
                .map_err(|_| Error::config(format!("{setting}: not a valid header name")))?;
            secrets.push(secret.text().to_owned());
            headers.insert(name, secret.header("")?);
        }
        if let Some(key) = &key {
            let (name, prefix) = traits.format.key_header();
            headers.insert(name, key.header(prefix)?);
        }
        let mut client = Client::builder()
            .default_headers(headers)
            .tls_backend_preconfigured(tls::config(&url)?)
            // The redirect may lead anywhere, and the key would be sent along.
            .redirect(redirect::Policy::none())
            // One request is one attempt; the layers that count calls and money decide on retries.
            .retry(retry::never())
            // Keep as many idle connections as there were calls in flight, to reuse them.
            .pool_max_idle_per_host(usize::MAX)
            .connect_timeout(Duration::from_secs_f64(config.connect_timeout_s))
            .read_timeout(Duration::from_secs_f64(config.read_timeout_s))
            .timeout(Duration::from_secs_f64(config.timeout_s));
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let proxy = if local { None } else { proxy(&url) };
        if !local {
            secrets.extend(logins(&url));
        }
        let redactor = Redactor::new(secrets.iter().map(String::as_str));
        if local {
            client = client.no_proxy();
        } else if key.is_some() && url.scheme() == "http" {
            tracing::warn!(base = %url, "the key is sent unencrypted");
        }
        let client = client.build().context("cannot create an HTTP client")?;
        Ok(Self { client, name, path, base: base.trim_end_matches('/').into(), key, redactor, proxy })
    }

    /// Sends `body` and waits for the head of the answer.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Result<Response> {
        let request = self.client.post(format!("{}{path}", self.base)).body(body);
        let response = request.send().await.map_err(|error| self.lost(error))?;
        let status = response.status().as_u16();
        tracing::debug!(provider = self.name, base = self.base, status, "answered");
        Ok(response)
    }

    /// Sends `body` and waits for the head of a successful answer.
    pub(crate) async fn send(&self, path: &str, body: &Value) -> Result<Response> {
        let response = self.post(path, body.to_string()).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_success() {
            return Ok(response);
        }
        // The status alone is enough for an error.
        let text = self.text(response).await.unwrap_or_default();
        let answer = serde_json::from_str(unmarked(&text)).unwrap_or(Value::String(text));
        Err(self.refused(status, &headers, &answer, body))
    }

    /// What an answer with a status other than success to `sent` means, and its body: as it came, but for keys.
    pub(crate) async fn refusal(&self, response: Response, sent: &[u8]) -> (Error, Vec<u8>) {
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = self.bytes(response).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let clean = self.redact(text.clone());
        let answer = serde_json::from_str(unmarked(&clean)).unwrap_or_else(|_| clean.as_str().into());
        let error =
            self.refused(status, &headers, &answer, &serde_json::from_slice(sent).unwrap_or_default());
        (error, if clean == text { bytes } else { clean.into() })
    }

    /// Sends `body` and waits for the whole answer, which may be a stream split by `framing`.
    pub(crate) async fn ask(&self, path: &str, body: &Value, framing: Framing) -> Result<String> {
        let response = self.send(path, body).await?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let plain = kind.is_some_and(|kind| kind.starts_with("text/plain"));
        let text = self.text(response).await?;
        // Words such as "404 page not found". Some servers write JSON as plain text, though.
        let body = unmarked(&text).trim();
        if plain && !body.is_empty() && !body.starts_with(['{', '[']) && !framing.fits(body) {
            return Err(self.elsewhere(body));
        }
        Ok(text)
    }

    /// Reads an answer, or an event of one.
    pub(crate) fn json(&self, text: &str) -> Result<Value> {
        if text.trim_start().starts_with('<') {
            return Err(self.elsewhere(text));
        }
        let answer: Value = serde_json::from_str(text).map_err(|error| {
            let quoted = quote(text);
            self.fault(format_args!("the answer is not JSON ({error}): {quoted:?}")).retryable()
        })?;
        // Some report errors with a success status, and any may in the middle of a stream.
        match failure(&answer) {
            None => Ok(answer),
            Some(error) => Err(self.error_in_body(error)),
        }
    }

    /// Refuses JSON that is from another API.
    pub(crate) fn recognise(&self, answer: &Value, marks: &[&str]) -> Result<()> {
        match answer.as_object() {
            Some(fields) if !fields.is_empty() && !marks.iter().any(|mark| fields.contains_key(*mark)) => {
                Err(self.elsewhere(&words(answer)))
            }
            _ => Ok(()),
        }
    }

    /// An answer of something that is not the API.
    fn elsewhere(&self, text: &str) -> Error {
        self.fault(format_args!(
            "the answer is not from this API; check {}: {:?}",
            self.path(),
            quote(text.trim())
        ))
    }

    async fn text(&self, response: Response) -> Result<String> {
        let bytes = self.bytes(response).await?;
        Ok(self.redact(String::from_utf8_lossy(&bytes).into_owned()))
    }

    async fn bytes(&self, mut response: Response) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.lost(error))? {
            self.limit(bytes.len() + part.len())?;
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }

    /// Text from the provider, without keys.
    pub(crate) fn redact(&self, text: String) -> String {
        self.redactor.redact(text)
    }

    /// Length of the end of a text that may be the beginning of a key.
    pub(crate) fn open(&self, text: &str) -> usize {
        self.redactor.open(text)
    }

    /// Refuses an answer that is too long.
    pub(crate) fn limit(&self, length: usize) -> Result<()> {
        match length {
            0..=MAX_BODY => Ok(()),
            _ => Err(self.fault(format_args!("the answer is longer than {MAX_BODY} bytes"))),
        }
    }

    /// `error` with the provider and its address in front.
    pub(crate) fn place(&self, mut error: Error) -> Error {
        error.message = format!("{} at {}: {}", self.name, self.base, error.message);
        error.chain = error.chain.into_iter().map(|cause| self.redact(cause)).collect();
        error
    }

    fn fault(&self, what: fmt::Arguments<'_>) -> Error {
        self.place(Error::new(Code::Provider, self.redactor.redact_all(what.to_string())))
    }

    /// A missing or incomplete answer.
    pub(crate) fn lost(&self, error: reqwest::Error) -> Error {
        if let Some(tls) = cause(&error) {
            return self.untrusted(tls);
        }
        if let Some(proxy) = self.proxy.as_ref().filter(|_| error.is_connect()) {
            // A proxy that answers may reach the provider later; one that is not there stays away.
            let answers = chain(&error).any(|cause| cause.to_string().contains("tunnel"));
            let what = self.fault(format_args!(
                "no connection through the proxy {proxy}; correct that variable, or list the provider's host in \
                 NO_PROXY"
            ));
            let mut what = what.because(error.without_url()).refused();
            what.retryable = answers;
            return what;
        }
        let what = if error.is_connect() {
            "no connection"
        } else if error.is_timeout() {
            "no answer in time (timeout_s, read_timeout_s)"
        } else if error.is_builder() {
            // The address itself is wrong; a retry would not help.
            return self.fault(format_args!("cannot build a request: {error}"));
        } else {
            "the connection broke"
        };
        let unreached = error.is_connect();
        let error = self.fault(format_args!("{what}")).because(error.without_url()).retryable();
        if unreached { error.refused() } else { error }
    }

    /// A connection without a trusted encryption, which no retry changes.
    fn untrusted(&self, error: &rustls::Error) -> Error {
        use CertificateError::{
            Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
        };
        let way_out = match error {
            rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
                "the server's certificate is for another name: base_url must have a name that it lists"
            }
            rustls::Error::InvalidCertificate(
                Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
            ) => "the server's certificate is not valid today: renew it, or set this machine's clock",
            rustls::Error::InvalidCertificate(_) => {
                "the server's certificate is not trusted: set the environment variable SSL_CERT_FILE to a PEM file that \
                 contains it or its issuer's certificate"
            }
            rustls::Error::InvalidMessage(_) => {
                "the server does not answer in TLS: is base_url = \"http://...\" meant?"
            }
            _ => "no encrypted connection",
        };
        let known = matches!(error, rustls::Error::InvalidCertificate(_) | rustls::Error::InvalidMessage(_));
        let mut fault = self.fault(format_args!("{way_out} ({error})"));
        // Only these certainly come before the request was sent.
        (fault.retryable, fault.refused) = (!known, known);
        fault
    }

    /// A stream that ended early.
    pub(crate) fn truncated(&self) -> Error {
        self.fault(format_args!("the stream ended early; the answer is incomplete")).retryable()
    }

    /// A status other than success.
    fn refused(&self, status: StatusCode, headers: &HeaderMap, body: &Value, sent: &Value) -> Error {
        let (body, code) = (failure(body).unwrap_or(body), status.as_u16());
        let wait =
            wait(headers).or_else(|| wait_in_body(body)).filter(|_| repeatable(code) && !exhausted(body));
        let (words, hint) = (words(body), self.hint(code));
        let hint = match wait {
            Some(wait) => format!(
                " (asks for a pause of {} s; one above calls.longest_pause_s is not waited for)",
                wait as f64 / 1000.0
            ),
            None if matches!(code, 400 | 422) => omittable(sent, &words).unwrap_or_default(),
            None => hint,
        };
        let mut error = self.fault(format_args!("status {status}: {words}{hint}"));
        error.retryable = repeatable(code) && !exhausted(body);
        error.overloaded = error.retryable && overload(code);
        // Overload is reported before work begins; other server errors may come after it.
        error.refused = !status.is_server_error() || matches!(code, 503 | 529);
        error.retry_after_ms = wait;
        error
    }

    /// What to check after a status.
    fn hint(&self, status: u16) -> String {
        match status {
            401 | 403 => match &self.key {
                Some(_) => " (the key was refused: check api_key_env or api_key_file)".into(),
                None => " (no key was sent: set api_key_env or api_key_file)".into(),
            },
            404 | 405 => format!(" (check model and {})", self.path()),
            300..=399 => " (set base_url to the address that it redirects to)".into(),
            _ => String::new(),
        }
    }

    /// What to check about the base URL.
    fn path(&self) -> String {
        match self.path.as_str() {
            "" => "base_url".into(),
            path => format!("base_url, which must include the API's path, such as {path}"),
        }
    }

    /// An error in place of an answer or a piece of one, under a status of success.
    fn error_in_body(&self, error: &Value) -> Error {
        let words = words(error);
        let status = status(error).or_else(|| meaning(error, &words));
        let hint = status.map_or_else(String::new, |status| self.hint(status));
        let mut fault = self.fault(format_args!("{words}{hint}"));
        fault.retryable = status.is_none_or(repeatable) && !exhausted(error);
        fault.overloaded = fault.retryable && status.is_some_and(overload);
        fault.retry_after_ms = wait_in_body(error).filter(|_| fault.retryable);
        fault
    }
}

/// The causes of an error, with itself.
fn chain<'a>(
    error: &'a (dyn error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn error::Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        // An error within an I/O error is not among its sources.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.map(|inner| inner as _).or_else(|| error.source())
    })
}

/// The cause of this type.
fn cause(error: &reqwest::Error) -> Option<&rustls::Error> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

/// The proxy that the environment sets for `url`, without its password, and the variable.
fn proxy(url: &Url) -> Option<String> {
    let proxy = Matcher::from_env().intercept(&url.as_str().parse().ok()?)?;
    let host = proxy.uri().host()?;
    let port = proxy.uri().port().map(|port| format!(":{port}")).unwrap_or_default();
    let of_scheme = format!("{}_proxy", url.scheme());
    let names = [of_scheme.to_uppercase(), of_scheme, "ALL_PROXY".into(), "all_proxy".into()];
    let name = names.into_iter().find(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))?;
    Some(format!("{host}{port} ({name})"))
}

/// The secrets of the proxy that the environment sets for `url`: its password, and the login with it.
fn logins(url: &Url) -> Vec<String> {
    let proxy = url.as_str().parse().ok().and_then(|url| Matcher::from_env().intercept(&url));
    let login = proxy.as_ref().and_then(|proxy| proxy.basic_auth()?.to_str().ok()).map(String::from);
    let names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let urls = names.iter().filter_map(|name| Url::parse(&env::var(name).ok()?).ok());
    let passwords = urls.filter_map(|url| Some(format!("{}:{}", url.username(), url.password()?)));
    let each = passwords.flat_map(|login| {
        let password = login.split_once(':').map(|(_, password)| password.to_owned());
        password.into_iter().chain([login])
    });
    // The header itself is base64 of a login whose characters may be escaped in the address.
    each.chain(login.and_then(|login| Some(login.strip_prefix("Basic ")?.to_owned()))).collect()
}

/// The error that an answer or an event of one contains, or is.
fn failure(answer: &Value) -> Option<&Value> {
    /// Whether nothing is said: some servers write an empty error beside every answer.
    fn blank(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Bool(is) => !is,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.trim().is_empty(),
            Value::Array(list) => list.iter().all(blank),
            Value::Object(fields) => fields.values().all(blank),
        }
    }
    if let Value::Array(list) = answer {
        return list.iter().find_map(failure);
    }
    match &answer["error"] {
        error if blank(error) => {}
        Value::Bool(_) => return Some(answer),
        Value::Array(list) => return list.first(),
        error => return Some(error),
    }
    if answer["object"] == "error" || answer["type"] == "error" {
        return Some(answer);
    }
    if answer["success"] == false {
        return Some(answer["errors"].get(0).unwrap_or(answer));
    }
    answer["choices"].as_array()?.iter().find_map(|choice| match &choice["error"] {
        error if !blank(error) => Some(error),
        _ => (choice["finish_reason"] == "error").then_some(choice),
    })
}

/// The status that an error contains, as a number or as text.
fn status(error: &Value) -> Option<u16> {
    ["code", "status", "status_code"].iter().find_map(|key| {
        let status = match &error[*key] {
            Value::Number(status) => status.as_u64(),
            Value::String(status) => status.trim().parse().ok(),
            _ => None,
        };
        status.filter(|status| (300..600).contains(status)).map(|status| status as u16)
    })
}

/// The status that an error without one means, by its code or kind, or by its words if it has neither.
fn meaning(error: &Value, words: &str) -> Option<u16> {
    let plain =
        |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let find = |text: &str, table: &[(&str, u16)]| {
        let text = plain(text);
        table.iter().find(|(word, _)| text.contains(word)).map(|(_, status)| *status)
    };
    let kinds: Vec<_> = ["code", "type", "status"].iter().filter_map(|key| error[*key].as_str()).collect();
    kinds
        .iter()
        .find_map(|kind| {
            find(
                kind,
                &[
                    ("ratelimit", 429),
                    ("toomany", 429),
                    ("resourceexhausted", 429),
                    ("throttl", 429),
                    ("overload", 503),
                    ("unavailable", 503),
                    ("apikey", 401),
                    ("authentication", 401),
                    ("unauthenticated", 401),
                    ("unauthorized", 401),
                    ("permission", 403),
                    ("forbidden", 403),
                    ("denied", 403),
                    ("notfound", 404),
                    ("billing", 402),
                    ("credit", 402),
                    ("quota", 402),
                    ("invalid", 400),
                    ("badrequest", 400),
                    ("unsupported", 400),
                    ("contextlength", 400),
                    ("unprocessable", 422),
                    ("contentfilter", 400),
                ],
            )
        })
        .or_else(|| {
            let words = if kinds.is_empty() { words } else { "" };
            find(
                words,
                &[
                    ("ratelimit", 429),
                    ("toomanyrequests", 429),
                    ("overloaded", 503),
                    ("unexpectedendpoint", 404),
                    ("unknownendpoint", 404),
                    ("invalidendpoint", 404),
                    ("unsupportedendpoint", 404),
                    ("notfound", 404),
                    ("noroute", 404),
                    ("cannotpost", 404),
                    ("methodnotallowed", 405),
                    ("unauthorized", 401),
                    ("apikey", 401),
                ],
            )
        })
}

/// Whether a status says that there is too much work.
fn overload(status: u16) -> bool {
    matches!(status, 429 | 503 | 529)
}

/// How to leave out the fields of a request that an error names.
fn omittable(sent: &Value, words: &str) -> Option<String> {
    let objects = [sent, &sent["options"], &sent["generationConfig"]];
    let fields = objects.into_iter().filter_map(Value::as_object).flat_map(|fields| fields.keys());
    let named = |field: &&String| {
        let quoted = ["'", "\"", "`"].iter().any(|quote| words.contains(&format!("{quote}{field}{quote}")));
        // Shorter names are words as well.
        let long = field.len() > 6 || field.as_str() == "seed";
        let mut parts = words.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        quoted || long && parts.any(|part| part == field.as_str())
    };
    let needed = ["model", "messages", "contents", "stream", "options", "generationConfig"];
    let fields: Vec<_> = fields.filter(|field| !needed.contains(&field.as_str())).filter(named).collect();
    (!fields.is_empty()).then(|| format!(" (omit = {fields:?} leaves it out of the requests)"))
}

/// Whether a retry may succeed: after time-outs, conflicts, rate limits and server errors.
fn repeatable(status: u16) -> bool {
    matches!(status, 408 | 409 | 429 | 500..)
}

/// Whether the account is empty, which waiting does not change. OpenAI uses the status of a rate limit for it.
fn exhausted(body: &Value) -> bool {
    body["code"] == "insufficient_quota" || body["type"] == "insufficient_quota"
}

/// The provider's message in an error, from any of the usual places.
fn words(error: &Value) -> String {
    let text =
        [&error["message"], &error["msg"], &error["detail"], error].into_iter().find_map(Value::as_str);
    let text = match text.map(str::trim) {
        Some("") => "(no message)".into(),
        Some(text) => quote(text),
        None => quote(&error.to_string()),
    };
    // What a gateway's provider said.
    match error["metadata"]["raw"].as_str() {
        Some(raw) => format!("{text}: {}", quote(raw)),
        None => text,
    }
}

fn quote(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text.into(),
    }
}

/// Milliseconds to wait, from the headers: `retry-after-ms`, or `Retry-After` in seconds or as a date (RFC 9110,
/// section 10.2.3), taken relative to the server's clock.
fn wait(headers: &HeaderMap) -> Option<u64> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let milliseconds = |number: f64| (number >= 0.0).then_some(number.ceil() as u64);
    let exact = || milliseconds(text("retry-after-ms")?.parse().ok()?);
    let seconds = || milliseconds(text(RETRY_AFTER.as_str())?.parse::<f64>().ok()? * 1000.0);
    let date = || {
        let then = httpdate::parse_http_date(text(RETRY_AFTER.as_str())?).ok()?;
        let now = httpdate::parse_http_date(text(DATE.as_str())?).ok()?;
        Some(then.duration_since(now).unwrap_or_default().as_millis() as u64)
    };
    exact().or_else(seconds).or_else(date)
}

/// Milliseconds to wait, from the body, as Gemini says it: `google.rpc.RetryInfo` among the error's details, in seconds
/// (`"34.5s"`).
fn wait_in_body(error: &Value) -> Option<u64> {
    let delay = error["details"].as_array()?.iter().find_map(|detail| detail["retryDelay"].as_str())?;
    let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
    (seconds >= 0.0).then_some((seconds * 1000.0).ceil() as u64)
}

/// The base URL, which must be a plain address.
fn address(base: &str) -> Result<Url> {
    let url = Url::parse(base)
        .map_err(|error| Error::config(format!("base_url is not a valid address: {error}")))?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !plain {
        // Not repeated in the error: it may be a secret.
        return Err(Error::config(
            "base_url contains a user, a password, a query or a fragment; use api_key_env for keys",
        ));
    }
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(Error::config(format!("base_url = {base:?}: must be http:// or https:// and a host")));
    }
    Ok(url)
}

/// A header from the config; those that carry keys are refused.
fn allowed(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    if looks_like_a_key(name, value) {
        return Err(Error::config(format!(
            "headers.{name}: keys are never written in a config; use api_key_env, or headers_env = {{ {name} = \
             \"NAME_OF_A_VARIABLE\" }}"
        )));
    }
    match (HeaderName::try_from(name), HeaderValue::from_str(value)) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err(Error::config(format!("headers.{name}: not a valid header name or value"))),
    }
}

#[cfg(test)]
mod tests {
    use forethought_sdk::serde_json::json;

    use super::*;
    use crate::provider::Provider;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn how_long_to_wait_is_read_in_every_form() {
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        let later = "Wed, 21 Oct 2015 07:28:03 GMT";
        for (pairs, expected) in [
            (&[("retry-after", "2")][..], Some(2000)),
            (&[("retry-after", "0.25")], Some(250)),
            (&[("retry-after", "2"), ("retry-after-ms", "1500")], Some(1500)),
            (&[("retry-after", later), ("date", date)], Some(3000)),
            (&[("retry-after", date), ("date", later)], Some(0)),
            (&[("retry-after", later)], None),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "soon")], None),
            (&[], None),
        ] {
            assert_eq!(wait(&headers(pairs)), expected, "{pairs:?}");
        }
        let delay = |delay: &str| {
            wait_in_body(&json!({ "details": [{ "@type": "google.rpc.Help" }, { "retryDelay": delay }] }))
        };
        assert_eq!((delay("34.0742s"), delay("7"), delay("-1s")), (Some(34075), None, None));
    }

    #[test]
    fn statuses_are_worth_repeating_as_documented() {
        let yes = [408, 409, 429, 500, 502, 503, 504, 529];
        let no = [400, 401, 402, 403, 404, 413, 422];
        assert!(yes.iter().all(|status| repeatable(*status)));
        assert!(!no.iter().any(|status| repeatable(*status)));
    }

    #[test]
    fn base_urls_are_addresses_and_nothing_else() {
        for base in ["http://127.0.0.1:8000/v1", "https://api.openai.com/v1/", "http://[::1]:1"] {
            assert!(address(base).is_ok(), "{base}");
        }
        for base in
            ["", "v1", "ftp://x/", "https://u:sesame@x/", "https://x/?key=sesame", "https://x/#sesame"]
        {
            let error = address(base).unwrap_err();
            assert!(error.code == Code::Config && !error.to_string().contains("sesame"), "{error}");
        }
    }
    #[test]
    fn an_answer_has_a_limit() {
        let http = Http::new(&RemoteConfig::new(Provider::Ollama, "m")).unwrap();
        assert!(http.limit(MAX_BODY).is_ok());
        assert!(http.limit(MAX_BODY + 1).unwrap_err().message.contains("longer than 67108864 bytes"));
    }
}
