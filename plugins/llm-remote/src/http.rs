//! Sends requests and reads answers: one client per model, and one classification of everything that can go wrong.

use std::{fmt, time::Duration};

use forethought_sdk::{
    prelude::*,
    serde_json::{self, Value},
};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT},
    redirect, retry,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::{config::RemoteConfig, key::Key, provider::Provider};

/// An answer's longest body in bytes: far above any answer, and small enough to hold in memory.
const MAX_BODY: usize = 64 << 20;

/// Characters of a provider's message that an error repeats.
const MAX_QUOTED: usize = 500;

/// A provider's API at its address.
pub(crate) struct Http {
    client: Client,
    provider: Provider,
    base: String,
    key: Option<Key>,
}

impl Http {
    pub(crate) fn new(config: &RemoteConfig) -> Result<Self> {
        let traits = config.provider.traits();
        let key = Key::load(config)?;
        let base = match (&config.base_url, traits.base_url) {
            (Some(base), _) => base,
            (None, None) => {
                return Err(Error::config(format!("provider = {:?} needs a base_url", traits.name)));
            }
            (None, Some(base)) => match traits.usual_key {
                Some(usual) if key.is_none() => {
                    return Err(Error::config(format!(
                        "provider = {:?} needs a key: set the environment variable {usual} and api_key_env = \
                         {usual:?}, or name a file with api_key_file",
                        traits.name
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
        if let Some(key) = &key {
            let (name, prefix) = traits.format.key_header();
            headers.insert(name, key.header(prefix)?);
        }
        let mut client = Client::builder()
            .default_headers(headers)
            .tls_backend_preconfigured(tls(&url)?)
            // The redirect may lead anywhere, and the key would be sent along.
            .redirect(redirect::Policy::none())
            // One request is one attempt; the layers that count calls and money decide on retries.
            .retry(retry::never())
            // Keep as many idle connections as there were calls in flight, to reuse them.
            .pool_max_idle_per_host(usize::MAX)
            .connect_timeout(Duration::from_secs_f64(config.connect_timeout_s))
            .read_timeout(Duration::from_secs_f64(config.read_timeout_s))
            .timeout(Duration::from_secs_f64(config.timeout_s));
        if matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            client = client.no_proxy();
        } else if key.is_some() && url.scheme() == "http" {
            tracing::warn!(base = %url, "the key is sent unencrypted");
        }
        let client = client.build().context("cannot create an HTTP client")?;
        Ok(Self { client, provider: config.provider, base: base.trim_end_matches('/').into(), key })
    }

    /// Sends `body` and waits for the head of a successful answer.
    pub(crate) async fn send(&self, path: &str, body: &Value) -> Result<Response> {
        let request = self.client.post(format!("{}{path}", self.base)).body(body.to_string());
        let response = request.send().await.map_err(|error| self.lost(error))?;
        let status = response.status();
        tracing::debug!(provider = %self.provider, base = self.base, status = status.as_u16(), "answered");
        if status.is_success() {
            return Ok(response);
        }
        let headers = response.headers().clone();
        // The status alone is enough for an error.
        let text = self.text(response).await.unwrap_or_default();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Err(self.refused(status, &headers, &body))
    }

    /// Sends `body` and waits for the whole answer.
    pub(crate) async fn ask(&self, path: &str, body: &Value) -> Result<Value> {
        let response = self.send(path, body).await?;
        self.json(&self.text(response).await?)
    }

    /// Reads an answer, or an event of one.
    pub(crate) fn json(&self, text: &str) -> Result<Value> {
        let answer: Value = serde_json::from_str(text).map_err(|error| {
            let quoted = quote(text);
            self.fault(format_args!("the answer is not JSON ({error}): {quoted:?}")).retryable()
        })?;
        // Some report errors with a success status, and any may in the middle of a stream.
        if answer["error"].is_null() { Ok(answer) } else { Err(self.error_in_body(&answer)) }
    }

    async fn text(&self, mut response: Response) -> Result<String> {
        let mut bytes = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.lost(error))? {
            self.limit(bytes.len() + part.len())?;
            bytes.extend_from_slice(&part);
        }
        Ok(self.redact(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Text from the provider, without the key.
    pub(crate) fn redact(&self, text: String) -> String {
        match &self.key {
            Some(key) => key.redact(text),
            None => text,
        }
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
        error.message = format!("{} at {}: {}", self.provider, self.base, error.message);
        error
    }

    fn fault(&self, what: fmt::Arguments<'_>) -> Error {
        self.place(Error::new(Code::Provider, self.redact(what.to_string())))
    }

    /// A missing or incomplete answer.
    pub(crate) fn lost(&self, error: reqwest::Error) -> Error {
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

    /// A stream that ended early.
    pub(crate) fn truncated(&self) -> Error {
        self.fault(format_args!("the stream ended early; the answer is incomplete")).retryable()
    }

    /// A status other than success.
    fn refused(&self, status: StatusCode, headers: &HeaderMap, body: &Value) -> Error {
        let hint = match status.as_u16() {
            401 | 403 => match &self.key {
                Some(_) => " (the key was refused: check api_key_env or api_key_file)",
                None => " (no key was sent: set api_key_env or api_key_file)",
            },
            404 => " (check model and base_url, which must include the API's version)",
            300..=399 => " (set base_url to the address that it redirects to)",
            _ => "",
        };
        let mut error = self.fault(format_args!("status {status}: {}{hint}", words(body)));
        error.retryable = repeatable(status.as_u16()) && !exhausted(body);
        // Overload is reported before work begins; other server errors may come after it.
        error.refused = !status.is_server_error() || matches!(status.as_u16(), 503 | 529);
        if error.retryable {
            error.retry_after_ms = wait(headers).or_else(|| wait_in_body(body));
        }
        error
    }

    /// An error in place of an answer or a piece of one.
    fn error_in_body(&self, body: &Value) -> Error {
        let mut error = self.fault(format_args!("{}", words(body)));
        let kind = &body["error"]["type"];
        error.retryable = !exhausted(body)
            && match body["error"]["code"].as_u64() {
                Some(status @ 300..=599) => repeatable(status as u16),
                _ => !["invalid", "authentication", "permission", "not_found", "billing"]
                    .iter()
                    .any(|refusal| kind.as_str().is_some_and(|kind| kind.contains(refusal))),
            };
        error.retry_after_ms = wait_in_body(body).filter(|_| error.retryable);
        error
    }
}

/// Whether a retry may succeed: after time-outs, conflicts, rate limits and server errors.
fn repeatable(status: u16) -> bool {
    matches!(status, 408 | 409 | 429 | 500..)
}

/// Whether the account is empty, which waiting does not change. OpenAI uses the status of a rate limit for it.
fn exhausted(body: &Value) -> bool {
    let error = &body["error"];
    error["code"] == "insufficient_quota" || error["type"] == "insufficient_quota"
}

/// The provider's message, from any of the usual places.
fn words(body: &Value) -> String {
    let error = &body["error"];
    let text = [&error["message"], error, &body["message"], body].into_iter().find_map(Value::as_str);
    match text.map(str::trim) {
        Some("") => "(no message)".into(),
        Some(text) => quote(text),
        None => quote(&body.to_string()),
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
fn wait_in_body(body: &Value) -> Option<u64> {
    let delay =
        body["error"]["details"].as_array()?.iter().find_map(|detail| detail["retryDelay"].as_str())?;
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
    let secret = ["authorization", "proxy-authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie"];
    if secret.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(Error::config(format!(
            "headers.{name}: keys are never written in a config; use api_key_env"
        )));
    }
    match (HeaderName::try_from(name), HeaderValue::from_str(value)) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err(Error::config(format!("headers.{name}: not a valid header name or value"))),
    }
}

/// Trusts the machine's certificates. Plain HTTP needs none, so it works on a machine without certificates.
fn tls(url: &Url) -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .context("cannot set up TLS")?;
    if url.scheme() == "http" {
        return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    let builder = builder.with_platform_verifier();
    Ok(builder.context("cannot read the machine's certificates")?.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use forethought_sdk::serde_json::json;

    use super::*;

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
            wait_in_body(
                &json!({ "error": { "details": [{ "@type": "google.rpc.Help" }, { "retryDelay": delay }] } }),
            )
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
}
