//! Fetching from a local server that imitates the hub, with and without faults.

#![expect(clippy::disallowed_types, reason = "the imitated hub listens on a socket")]

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forethought_api::error::Code;

use super::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const LATER: &str = "89abcdef0123456789abcdef0123456789abcdef";
const TOKEN: &str = "hf_verysecret";

/// How the server sends a body.
#[derive(Debug, Clone, Copy)]
enum Send {
    /// The connection breaks after this many bytes.
    CutAt(usize),
    /// The same, and from then on the file is another one.
    CutAndChange(usize),
    /// A complete answer of this many bytes: shorter than announced.
    Short(usize),
    /// Other bytes of the right number.
    Wrong,
    /// This many bytes too many.
    Long(usize),
    /// From the start, ignoring the requested range.
    IgnoreRange,
    /// Another range than requested.
    OtherRange,
    /// Half of the body, then nothing.
    Hang,
    /// No body, only this status.
    Status(u16),
}

/// The server's files, and the requests it received.
#[derive(Default)]
struct State {
    commit: String,
    files: BTreeMap<String, Vec<u8>>,
    /// Where large files are sent from.
    elsewhere: String,
    /// Faults of the next bodies of a file; later ones are sent correctly.
    faults: BTreeMap<String, VecDeque<Send>>,
    /// The next answers, to any request: a status and headers.
    answers: VecDeque<(u16, &'static str)>,
    /// The answer to every request: a status and headers.
    answer: Option<(u16, &'static str)>,
    /// Whether etags are not digests.
    weak_etags: bool,
    /// Answers do not repeat the commit.
    no_commit: bool,
    /// The address that every file is redirected to.
    moved: Option<String>,
    /// Whether requests without a token are refused.
    private: bool,
    /// Bodies sent: file and range.
    bodies: Vec<(String, String)>,
    requests: usize,
    /// The hosts that received a token.
    authorized: Vec<String>,
}

/// A hub on a local port, which sends large files under another host name. It stops with the test process.
struct FakeHub {
    address: String,
    state: Arc<Mutex<State>>,
}

impl FakeHub {
    fn with(files: &[(&str, &[u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds a port");
        let port = listener.local_addr().expect("has an address").port();
        let files = files.iter().map(|(name, bytes)| (name.to_string(), bytes.to_vec())).collect();
        let state = State {
            commit: COMMIT.into(),
            files,
            elsewhere: format!("http://localhost:{port}"),
            ..Default::default()
        };
        let state = Arc::new(Mutex::new(state));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                // Clients that disconnect are part of the tests.
                std::thread::spawn(move || answer(stream, &shared));
            }
        });
        Self { address: format!("http://127.0.0.1:{port}"), state }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no server thread panicked")
    }

    fn fault(&self, file: &str, faults: &[Send]) {
        self.state().faults.insert(file.into(), faults.iter().copied().collect());
    }

    /// The ranges of the bodies of `file` that were sent.
    fn ranges(&self, file: &str) -> Vec<String> {
        self.state().bodies.iter().filter(|(name, _)| name == file).map(|(_, range)| range.clone()).collect()
    }
}

/// Checked in every test: the token goes only to the endpoint, not to hosts that it redirects to.
impl Drop for FakeHub {
    fn drop(&mut self) {
        let own = self.address.trim_start_matches("http://");
        if let (false, Ok(state)) = (std::thread::panicking(), self.state.lock()) {
            assert!(state.authorized.iter().all(|host| host == own), "{:?}", state.authorized);
        }
    }
}

/// A request as the server sees it.
#[derive(Default)]
struct Asked {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
}

struct Reply {
    status: u16,
    headers: Vec<String>,
    body: Vec<u8>,
    hang: bool,
}

impl Reply {
    fn new(status: u16, headers: impl Into<Vec<String>>, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: headers.into(), body: body.into(), hang: false }
    }
    /// With the body's length, so that a cut is noticed.
    fn whole(status: u16, mut headers: Vec<String>, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        headers.push(format!("Content-Length: {}", body.len()));
        Self::new(status, headers, body)
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let mut words = request.split(' ').map(str::to_owned);
    let mut asked = Asked {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        ..Default::default()
    };
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        asked.headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let reply = reply(&asked, &mut state.lock().expect("no server thread panicked"));
    let headers: String = reply.headers.iter().map(|header| format!("{header}\r\n")).collect();
    write!(stream, "HTTP/1.1 {} Status\r\nConnection: close\r\n{headers}\r\n", reply.status)?;
    if asked.method != "HEAD" {
        stream.write_all(&reply.body)?;
    }
    if reply.hang {
        std::thread::sleep(Duration::from_secs(60));
    }
    Ok(())
}

/// Files over 1,000 bytes are large: their etag is SHA-256 and they are sent from elsewhere.
fn reply(asked: &Asked, state: &mut State) -> Reply {
    state.requests += 1;
    let header = |name: &str| asked.headers.get(name).map_or("", String::as_str);
    let host = header("host").to_owned();
    let authorized = header("authorization") == format!("Bearer {TOKEN}");
    if !header("authorization").is_empty() {
        state.authorized.push(host);
    }
    if let Some((status, headers)) = state.answers.pop_front().or(state.answer) {
        return Reply::whole(status, vec![headers.to_owned()], "");
    }
    let path = &asked.path;
    let from_elsewhere = path.strip_prefix("/elsewhere/");
    if state.private && !authorized && from_elsewhere.is_none() {
        return Reply::whole(401, vec!["X-Error-Code: RepoNotFound".into()], "");
    }
    // A model that was renamed.
    if path.contains("owner/old") {
        return Reply::whole(
            307,
            vec![format!("Location: {}", path.replace("owner/old", "owner/name"))],
            "moved",
        );
    }
    if let Some(revision) = path.strip_prefix("/api/models/owner/name/revision/") {
        if ![&state.commit, "main", "refs%2Fpr%2F3"].contains(&revision) {
            return Reply::whole(404, vec!["X-Error-Code: RevisionNotFound".into()], "");
        }
        let siblings: Vec<_> =
            state.files.keys().map(|name| serde_json::json!({ "rfilename": name })).collect();
        let body = serde_json::json!({ "sha": state.commit, "siblings": siblings }).to_string();
        return Reply::whole(200, vec![], body);
    }
    let resolved = format!("/owner/name/resolve/{}/", state.commit);
    let name = from_elsewhere.or_else(|| path.strip_prefix(&resolved)).map(|name| name.replace("%20", " "));
    let found = name.and_then(|name| Some((state.files.get(&name).cloned()?, name)));
    let Some((content, name)) = found else { return Reply::whole(404, vec![], "") };

    let large = content.len() > 1000;
    let digest = digest_of(&content, large);
    let etag = if state.weak_etags { "W/\"123\"".to_owned() } else { format!("\"{digest}\"") };
    if let Some(moved) = &state.moved {
        return Reply::whole(308, vec![format!("Location: {moved}{path}")], "");
    }
    let mut headers = vec![format!("x-repo-commit: {}", state.commit)];
    if state.no_commit {
        headers.clear();
    }
    if large && from_elsewhere.is_none() {
        headers.push(format!("x-linked-etag: {etag}"));
        headers.push(format!("x-linked-size: {}", content.len()));
        headers.push(format!("Location: {}/elsewhere/{name}", state.elsewhere));
        return Reply::whole(302, headers, "it is elsewhere");
    }
    // Another host has its own etags.
    let etag = if from_elsewhere.is_some() { "\"elsewhere\"".to_owned() } else { etag };
    headers.push(format!("etag: {etag}"));
    let total = content.len();
    if asked.method == "HEAD" {
        return Reply::whole(200, headers, content);
    }
    let range = header("range").to_owned();
    state.bodies.push((name.clone(), range.clone()));
    let fault = state.faults.get_mut(&name).and_then(VecDeque::pop_front);
    let asked_from = range.trim_start_matches("bytes=").trim_end_matches('-').parse().ok();
    let same_file = ["", &*etag].contains(&header("if-range"));
    let Some(start) = asked_from.filter(|_| same_file && !matches!(fault, Some(Send::IgnoreRange))) else {
        return broken(fault, 200, headers, &content, &mut state.files, &name);
    };
    if start >= total {
        return Reply::whole(416, headers, "");
    }
    let first = if matches!(fault, Some(Send::OtherRange)) { start + 1 } else { start };
    headers.push(format!("Content-Range: bytes {first}-{}/{total}", total - 1));
    broken(fault, 206, headers, &content[start..], &mut state.files, &name)
}

/// The reply with `fault`, or with `rest` if there is none.
fn broken(
    fault: Option<Send>,
    status: u16,
    mut headers: Vec<String>,
    rest: &[u8],
    files: &mut BTreeMap<String, Vec<u8>>,
    name: &str,
) -> Reply {
    let cut = |mut headers: Vec<String>, bytes| {
        headers.push(format!("Content-Length: {}", rest.len()));
        Reply::new(status, headers, &rest[..bytes])
    };
    match fault {
        None | Some(Send::IgnoreRange | Send::OtherRange) => Reply::whole(status, headers, rest),
        Some(Send::CutAt(bytes)) => cut(headers, bytes),
        Some(Send::CutAndChange(bytes)) => {
            files.insert(name.to_owned(), other_weights());
            cut(headers, bytes)
        }
        Some(Send::Short(bytes)) => Reply::whole(status, headers, &rest[..bytes]),
        Some(Send::Wrong) => Reply::whole(status, headers, vec![b'?'; rest.len()]),
        Some(Send::Long(bytes)) => {
            // No length: the body lasts until the connection ends.
            headers.push("X-No-Length: 1".into());
            Reply::new(status, headers, [rest, &vec![b'?'; bytes]].concat())
        }
        Some(Send::Hang) => Reply { hang: true, ..cut(headers, rest.len() / 2) },
        Some(Send::Status(status)) => Reply::whole(status, headers, ""),
    }
}

fn digest_of(content: &[u8], large: bool) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    std::fs::write(&path, content).expect("writes");
    let kind = if large { Digest::Sha256(String::new()) } else { Digest::GitBlob(String::new()) };
    kind.of_file(&path).expect("hashes").hex().to_owned()
}

/// A client of `fake` with its own cache and short timeouts.
fn client(fake: &FakeHub, home: &Path) -> Hub {
    client_of(&fake.address, Some(TOKEN), home)
}

fn client_of(endpoint: &str, token: Option<&str>, home: &Path) -> Hub {
    let patience = Patience {
        connect: Duration::from_secs(5),
        read: Duration::from_secs(3),
        retries: 2,
        pause: Duration::from_millis(1),
    };
    let client = Client::new(endpoint, token.map(str::to_owned), patience).expect("an address");
    Hub { client, cache: Cache::new(home.join("hub")), offline: false }
}

fn wanted(required: &[&str], optional: &[&str]) -> ModelFiles {
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
    ModelFiles {
        source: "hf:owner/name".into(),
        required: names(required),
        optional: names(optional),
        ..Default::default()
    }
}

fn main_branch() -> Source {
    Source::parse("owner/name").expect("is well formed")
}

fn weights() -> Vec<u8> {
    (0..5000u32).flat_map(u32::to_le_bytes).collect()
}

fn other_weights() -> Vec<u8> {
    (9..5009u32).flat_map(u32::to_le_bytes).collect()
}

/// Fetches config and weights with `faults` on the weights, and checks what arrives.
fn check_weights(faults: &[Send], ranges: &[&str]) {
    let (home, weights) = (tempfile::tempdir().expect("a folder"), weights());
    let fake = FakeHub::with(&[("config.json", b"{}"), ("model.safetensors", &weights)]);
    fake.fault("model.safetensors", faults);
    let hub = client(&fake, home.path());
    let folder =
        hub.fetch(&main_branch(), &wanted(&["config.json", "model.safetensors"], &[])).expect("fetches");
    assert_eq!(std::fs::read(folder.join("model.safetensors")).expect("reads"), weights);
    assert_eq!(fake.ranges("model.safetensors"), ranges);
}

/// Checks the error of fetching the weights with `faults`; nothing damaged must stay behind.
fn check_damage(faults: &[Send], expect: &str) {
    let (home, weights) = (tempfile::tempdir().expect("a folder"), weights());
    let fake = FakeHub::with(&[("model.safetensors", &weights)]);
    fake.fault("model.safetensors", faults);
    let hub = client(&fake, home.path());
    let error = hub.fetch(&main_branch(), &wanted(&["model.safetensors"], &[])).expect_err(expect);
    assert_eq!(error.code, Code::Provider);
    assert!(error.retryable);
    assert!(error.to_string().contains(expect), "{error}");
    let cache = home.path().join("hub/models--owner--name");
    assert!(!cache.join("snapshots").join(COMMIT).join("model.safetensors").exists());
    assert!(!cache.join("blobs").join(digest_of(&weights, true)).exists());
    // The next call, without a fault, fixes it.
    hub.fetch(&main_branch(), &wanted(&["model.safetensors"], &[])).expect("fetches");
}

#[test]
fn small_and_large_files_are_fetched_once() {
    let (home, weights) = (tempfile::tempdir().expect("a folder"), weights());
    let fake = FakeHub::with(&[
        ("config.json", b"{\"a\":1}"),
        ("1_Pooling/config.json", b"{\"b\":2}"),
        ("model.safetensors", &weights),
    ]);
    let hub = client(&fake, home.path());
    let wanted = wanted(&["config.json", "model.safetensors"], &["1_Pooling/config.json", "modules.json"]);
    let folder = hub.fetch(&main_branch(), &wanted).expect("fetches");
    assert!(folder.ends_with(COMMIT), "{}", folder.display());
    assert_eq!(std::fs::read(folder.join("config.json")).expect("reads"), b"{\"a\":1}");
    assert_eq!(std::fs::read(folder.join("1_Pooling/config.json")).expect("reads"), b"{\"b\":2}");
    assert_eq!(std::fs::read(folder.join("model.safetensors")).expect("reads"), weights);
    assert!(!folder.join("modules.json").exists(), "optional, and not there");
    assert!(!fake.state().authorized.is_empty(), "the token is used");

    let bodies = fake.state().bodies.len();
    let requests = fake.state().requests;
    assert_eq!(hub.fetch(&main_branch(), &wanted).expect("fetches"), folder);
    assert_eq!(fake.state().bodies.len(), bodies, "nothing is fetched twice");
    assert_eq!(fake.state().requests, requests + 1, "a branch is asked about");
    let pinned = Source::parse(&format!("owner/name@{COMMIT}")).expect("is well formed");
    assert_eq!(hub.fetch(&pinned, &wanted).expect("fetches"), folder);
    assert_eq!(fake.state().requests, requests + 1, "a commit never changes");
}

#[test]
fn an_interrupted_transfer_is_resumed() {
    check_weights(&[Send::CutAt(8000)], &["", "bytes=8000-"]);
    check_weights(&[Send::CutAt(8000), Send::CutAt(4000)], &["", "bytes=8000-", "bytes=12000-"]);
    check_weights(&[Send::Short(8000)], &["", "bytes=8000-"]);
    check_weights(&[Send::Hang], &["", "bytes=10000-"]);
    check_weights(&[Send::CutAt(8000), Send::Status(500)], &["", "bytes=8000-", "bytes=8000-"]);
    // As for a signed address that has expired: the hub is asked for a new one.
    check_weights(&[Send::CutAt(8000), Send::Status(403)], &["", "bytes=8000-", "bytes=8000-"]);
}

#[test]
fn a_damaged_file_is_fetched_again_from_the_start() {
    check_weights(&[Send::Wrong], &["", ""]);
    check_weights(&[Send::Long(5)], &["", ""]);
    check_weights(&[Send::CutAt(8000), Send::Wrong], &["", "bytes=8000-", ""]);
    check_weights(&[Send::CutAt(8000), Send::OtherRange], &["", "bytes=8000-", ""]);
    // If the whole file is sent although a part was requested, it is accepted.
    check_weights(&[Send::CutAt(8000), Send::IgnoreRange], &["", "bytes=8000-"]);
}

#[test]
fn repeated_damage_is_an_error_and_leaves_nothing_behind() {
    check_damage(&[Send::Wrong, Send::Wrong], "does not match its digest");
    check_damage(&[Send::Long(1), Send::Long(100_000)], "more than the announced 20000 bytes");
    check_damage(&[Send::Short(10), Send::Short(10), Send::Short(10)], "30 bytes arrived of 20000");
    check_damage(&[Send::Hang, Send::Hang, Send::Hang], "timeout");
    check_damage(&[Send::Status(503), Send::Status(503), Send::Status(503)], "status 503");
}

#[test]
fn parts_of_two_files_are_never_joined() {
    let home = tempfile::tempdir().expect("a folder");
    let fake = FakeHub::with(&[("model.safetensors", &weights())]);
    fake.fault("model.safetensors", &[Send::CutAndChange(8000)]);
    let hub = client(&fake, home.path());
    let folder = hub.fetch(&main_branch(), &wanted(&["model.safetensors"], &[])).expect("fetches");
    assert_eq!(std::fs::read(folder.join("model.safetensors")).expect("reads"), other_weights());
    assert_eq!(fake.ranges("model.safetensors"), ["", ""]);
}

#[test]
fn the_token_goes_only_to_the_endpoint() {
    let (home, weights) = (tempfile::tempdir().expect("a folder"), weights());
    let files: &[(&str, &[u8])] = &[("config.json", b"{}"), ("model.safetensors", &weights)];
    let (fake, other) = (FakeHub::with(files), FakeHub::with(files));
    fake.state().private = true;
    fake.state().elsewhere = other.address.clone();
    let wanted = wanted(&["config.json", "model.safetensors"], &[]);
    client(&fake, home.path()).fetch(&main_branch(), &wanted).expect("fetches");
    assert_eq!(other.ranges("model.safetensors"), [""], "the other host sent the file");
    assert_eq!(other.state().authorized, [""; 0], "and never saw the token");
    // Where the endpoint redirects to itself, the token goes along.
    let old = Source::parse("owner/old").expect("is well formed");
    client(&fake, home.path()).fetch(&old, &wanted).expect("fetches");
    // A redirect loop ends.
    fake.state().answer = Some((302, "Location: /api/models"));
    let error = client(&fake, home.path()).fetch(&main_branch(), &wanted).expect_err("no end");
    assert!(error.to_string().contains("redirects"), "{error}");
}

#[test]
fn a_file_is_fetched_once_while_others_wait_for_it() {
    let (home, weights) = (tempfile::tempdir().expect("a folder"), weights());
    let fake = FakeHub::with(&[("model.safetensors", &weights)]);
    fake.fault("model.safetensors", &[Send::CutAt(10)]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let hub = client(&fake, home.path());
                let folder =
                    hub.fetch(&main_branch(), &wanted(&["model.safetensors"], &[])).expect("fetches");
                assert_eq!(std::fs::read(folder.join("model.safetensors")).expect("reads"), weights);
            });
        }
    });
    assert_eq!(fake.ranges("model.safetensors"), ["", "bytes=10-"]);
}

#[test]
fn the_cache_has_the_layout_of_the_hubs_own_libraries() {
    let (home, weights) = (tempfile::tempdir().expect("a folder"), weights());
    let fake = FakeHub::with(&[("1_Pooling/a b.json", b"{}"), ("model.safetensors", &weights)]);
    let source = Source::parse("owner/name@refs/pr/3").expect("is well formed");
    let wanted = wanted(&["1_Pooling/a b.json", "model.safetensors"], &[]);
    client(&fake, home.path()).fetch(&source, &wanted).expect("fetches");
    let model = home.path().join("hub/models--owner--name");
    assert_eq!(std::fs::read_to_string(model.join("refs/refs/pr/3")).expect("a ref"), COMMIT);
    let blob = model.join("blobs").join(digest_of(&weights, true));
    assert_eq!(std::fs::read(&blob).expect("a blob"), weights);
    #[cfg(unix)]
    for (name, link) in [("model.safetensors", "../../blobs/"), ("1_Pooling/a b.json", "../../../blobs/")] {
        let link_is = std::fs::read_link(model.join("snapshots").join(COMMIT).join(name)).expect("a link");
        assert!(link_is.starts_with(link), "{}", link_is.display());
    }
    assert_eq!(std::fs::read_dir(model.join("blobs")).expect("lists").count(), 2, "and no parts");
}

#[test]
fn the_hubs_own_variables_are_read() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join("token"), "hf_of_the_file\n").expect("writes");
    let folder = home.path().to_str().expect("is UTF-8");
    let check = |variables: &[(&str, &str)], cache: &Path, token: bool, offline: bool| {
        let read =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        let hub = Hub::from_env(read).expect("is well formed");
        assert_eq!(hub.cache.path(), cache);
        assert_eq!((hub.client.has_token(), hub.offline), (token, offline));
    };
    let hub = home.path().join("hub");
    check(&[("HF_HOME", folder), ("HF_HUB_OFFLINE", "0")], &hub, true, false);
    check(&[("HF_HOME", folder), ("HF_TOKEN_PATH", "/none"), ("HF_HUB_OFFLINE", "1")], &hub, false, true);
    check(&[("HF_HOME", "/none"), ("HF_HUB_CACHE", folder), ("HF_TOKEN", TOKEN)], home.path(), true, false);
    check(&[("XDG_CACHE_HOME", "/none")], Path::new("/none/huggingface/hub"), false, false);
    for wrong in ["hub.example", "ftp://hub.example"] {
        let read = |name: &str| (name == "HF_ENDPOINT").then(|| wrong.to_string());
        let error = Hub::from_env(read).err().expect("no address");
        assert!(error.to_string().contains("HF_ENDPOINT"), "{error}");
    }
}

#[test]
fn paths_are_expanded_and_older_names_read() {
    let home = std::env::home_dir().expect("a home folder");
    let check = |variables: &[(&str, &str)], cache: &Path, token: bool| {
        let read =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        let hub = Hub::from_env(read).expect("is well formed");
        assert_eq!((hub.cache.path().as_path(), hub.client.has_token()), (cache, token), "{variables:?}");
    };
    let none = ("HF_TOKEN_PATH", "/none");
    check(&[none, ("HF_HOME", "~/x")], &home.join("x/hub"), false);
    check(&[none, ("HF_HOME", "~")], &home.join("hub"), false);
    check(&[none, ("HF_HUB_CACHE", "~/x")], &home.join("x"), false);
    check(&[none, ("XDG_CACHE_HOME", "~/x")], &home.join("x/huggingface/hub"), false);
    check(&[none, ("HF_HOME", "$A/${A}b/$C/~"), ("A", "/a")], Path::new("/a//ab/$C/~/hub"), false);
    check(&[none, ("HF_HOME", "~other/${open")], Path::new("~other/${open/hub"), false);
    check(
        &[none, ("HUGGINGFACE_HUB_CACHE", "/old"), ("HUGGING_FACE_HUB_TOKEN", "t")],
        Path::new("/old"),
        true,
    );
    check(&[none, ("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/new")], Path::new("/new"), false);
    let folder = tempfile::tempdir_in(&home).expect("a folder");
    std::fs::write(folder.path().join("token"), TOKEN).expect("writes");
    let path = format!("~/{}/token", folder.path().file_name().expect("a name").to_string_lossy());
    check(&[("HF_TOKEN_PATH", &path), ("HF_HOME", "/none")], Path::new("/none/hub"), true);
}

#[test]
fn without_symbolic_links_files_are_linked_or_copied() {
    let folder = tempfile::tempdir().expect("a folder");
    let blob = folder.path().join("blob");
    std::fs::write(&blob, "content").expect("writes");
    let refused = |_: &Path, _: &Path| Err(std::io::ErrorKind::PermissionDenied.into());
    for (name, blob) in [("hard", &blob), ("again", &blob)] {
        let new = folder.path().join(name);
        stand_for(blob, Path::new("../none"), &new, refused).expect("links");
        assert_eq!(std::fs::read_to_string(&new).expect("reads"), "content");
        assert!(!new.is_symlink());
    }
    // Hard links across file systems do not exist either.
    #[cfg(target_os = "linux")]
    if let Ok(other) = tempfile::tempdir_in("/dev/shm") {
        let new = other.path().join("copy");
        stand_for(&blob, Path::new("../none"), &new, refused).expect("copies");
        assert_eq!(std::fs::read_to_string(&new).expect("reads"), "content");
    }
    stand_for(&folder.path().join("none"), Path::new("x"), &folder.path().join("n"), refused)
        .expect_err("no blob");

    // Files that are no links, as Windows has them, are found again and looked after like links.
    let (home, weights) = (tempfile::tempdir().expect("a folder"), weights());
    let fake = FakeHub::with(&[("model.safetensors", &weights)]);
    let (hub, wanted) = (client(&fake, home.path()), wanted(&["model.safetensors"], &[]));
    let path = hub.fetch(&main_branch(), &wanted).expect("fetches").join("model.safetensors");
    std::fs::remove_file(&path).expect("removes");
    std::fs::write(&path, &weights).expect("writes");
    hub.fetch(&main_branch(), &wanted).expect("fetches");
    assert_eq!(fake.ranges("model.safetensors").len(), 1, "nothing is fetched again");
    std::fs::write(&path, other_weights()).expect("writes");
    hub.fetch(&main_branch(), &wanted).expect("fetches");
    assert_eq!(std::fs::read(&path).expect("reads"), weights);
}

#[test]
fn a_mirror_that_redirects_is_named_with_the_address_to_write() {
    let home = tempfile::tempdir().expect("a folder");
    let fake = FakeHub::with(&[("config.json", b"{}")]);
    let check = |endpoint: &str, moved: &str, expect: &str| {
        fake.state().moved = Some(moved.into());
        let error = client_of(endpoint, Some(TOKEN), home.path())
            .fetch(&main_branch(), &wanted(&["config.json"], &[]))
            .expect_err("redirects");
        assert!(error.to_string().contains("redirects to http"), "{error}");
        assert!(error.to_string().ends_with(expect), "{error}");
        assert!(!error.to_string().contains(TOKEN), "{error}");
    };
    check(&fake.address, "https://hub.example", "set HF_ENDPOINT=https://hub.example");
    check(&fake.address, "https://hub.example/models/hf", "set HF_ENDPOINT=https://hub.example/models/hf");
    fake.state().moved = None;
    // A mirror that only leaves the commit out of its answers is fine: the address has it.
    fake.state().no_commit = true;
    client(&fake, home.path()).fetch(&main_branch(), &wanted(&["config.json"], &[])).expect("fetches");
}

#[test]
fn what_is_there_instead_is_listed() {
    let home = tempfile::tempdir().expect("a folder");
    let fake =
        FakeHub::with(&[("config.json", b"{}"), ("pytorch_model.bin", b"old"), ("a.Q4_0.gguf", b"new")]);
    let missing = |name: &str| {
        let request = wanted(&[name], &[]);
        client(&fake, home.path()).fetch(&main_branch(), &request).expect_err("missing").to_string()
    };
    let error = missing("model.safetensors");
    assert!(error.contains("no file model.safetensors; it has a.Q4_0.gguf, config.json, pytorch_model.bin. pytorch_model.bin is an older format"), "{error}");
    let error = missing("b.gguf");
    assert!(error.ends_with("it has a.Q4_0.gguf, config.json, pytorch_model.bin"), "{error}");
    let folder = tempfile::tempdir().expect("a folder");
    let mut request = wanted(&["model.safetensors"], &[]);
    request.source = folder.path().to_string_lossy().into_owned();
    let error = fetch(&request).expect_err("missing").to_string();
    assert!(error.ends_with("it has nothing"), "{error}");
    std::fs::write(folder.path().join("pytorch_model.bin"), "").expect("writes");
    let error = fetch(&request).expect_err("missing").to_string();
    assert!(error.contains("it has pytorch_model.bin. pytorch_model.bin is an older format"), "{error}");
}

#[test]
fn pointers_of_git_lfs_are_named_as_such() {
    const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("config.json"), "{}").expect("writes");
    std::fs::write(folder.path().join("model.gguf"), POINTER).expect("writes");
    let mut request = wanted(&["config.json"], &["model.gguf"]);
    let error = refuse_pointers(folder.path(), &request).expect_err("a pointer").to_string();
    assert!(error.contains("model.gguf is a Git LFS pointer") && error.contains("HF_ENDPOINT"), "{error}");
    request.source = folder.path().to_string_lossy().into_owned();
    let error = fetch(&request).expect_err("a pointer").to_string();
    assert!(error.contains("model.gguf is a Git LFS pointer") && error.contains("`git lfs pull`"), "{error}");
    request.optional.clear();
    fetch(&request).expect("the rest is there");
}

#[test]
fn a_damaged_small_file_is_noticed_by_its_git_hash() {
    let home = tempfile::tempdir().expect("a folder");
    let fake = FakeHub::with(&[("config.json", b"{\"hidden_size\":384}")]);
    fake.fault("config.json", &[Send::Wrong]);
    let folder =
        client(&fake, home.path()).fetch(&main_branch(), &wanted(&["config.json"], &[])).expect("fetches");
    assert_eq!(std::fs::read(folder.join("config.json")).expect("reads"), b"{\"hidden_size\":384}");
    assert_eq!(fake.ranges("config.json").len(), 2);
    // `printf '{}' | git hash-object --stdin`
    assert_eq!(digest_of(b"{}", false), "9e26dfeeb6e641a33dae4961196235bdb965b21b");
}

#[test]
fn a_part_left_by_a_crash_is_used_or_dropped() {
    let weights = weights();
    let (wrong, longer) = (other_weights(), [&weights[..], b"?"].concat());
    let cases: [(&[u8], &[&str]); 4] = [
        (&weights[..5000], &["bytes=5000-"]),
        // Complete, but not yet renamed.
        (&weights[..], &[]),
        (&longer, &[""]),
        (&wrong[..5000], &["bytes=5000-", ""]),
    ];
    for (left, ranges) in cases {
        let home = tempfile::tempdir().expect("a folder");
        let fake = FakeHub::with(&[("model.safetensors", &weights)]);
        let blobs = home.path().join("hub/models--owner--name/blobs");
        std::fs::create_dir_all(&blobs).expect("makes a folder");
        let part = blobs.join(digest_of(&weights, true)).with_extension("incomplete");
        std::fs::write(part, left).expect("writes");
        let hub = client(&fake, home.path());
        let folder = hub.fetch(&main_branch(), &wanted(&["model.safetensors"], &[])).expect("fetches");
        assert_eq!(std::fs::read(folder.join("model.safetensors")).expect("reads"), weights);
        assert_eq!(fake.ranges("model.safetensors"), ranges);
    }
}

#[test]
fn when_the_branch_moves_only_what_changed_is_fetched() {
    let (home, weights) = (tempfile::tempdir().expect("a folder"), weights());
    let fake = FakeHub::with(&[("config.json", b"{}"), ("model.safetensors", &weights)]);
    let (hub, wanted) = (client(&fake, home.path()), wanted(&["config.json", "model.safetensors"], &[]));
    hub.fetch(&main_branch(), &wanted).expect("fetches");
    fake.state().commit = LATER.into();
    fake.state().files.insert("config.json".into(), b"{\"new\":1}".to_vec());
    let folder = hub.fetch(&main_branch(), &wanted).expect("fetches");
    assert!(folder.ends_with(LATER));
    assert_eq!(std::fs::read(folder.join("config.json")).expect("reads"), b"{\"new\":1}");
    assert_eq!(std::fs::read(folder.join("model.safetensors")).expect("reads"), weights);
    assert_eq!(fake.ranges("model.safetensors").len(), 1);
}

#[test]
fn offline_the_cache_is_used_and_still_verified() {
    let (home, weights) = (tempfile::tempdir().expect("a folder"), weights());
    let fake = FakeHub::with(&[("config.json", b"{}"), ("model.safetensors", &weights)]);
    let wanted = wanted(&["config.json", "model.safetensors"], &["modules.json"]);
    let offline = || Hub { offline: true, ..client_of("http://127.0.0.1:1", Some(TOKEN), home.path()) };

    let error = offline().fetch(&main_branch(), &wanted).expect_err("the cache is empty");
    assert_eq!(error.code, Code::NotFound);
    assert!(
        error.to_string().contains("hf:owner/name@main") && error.to_string().contains("HF_HUB_OFFLINE"),
        "{error}"
    );

    let folder = client(&fake, home.path()).fetch(&main_branch(), &wanted).expect("fetches");
    assert_eq!(offline().fetch(&main_branch(), &wanted).expect("finds it"), folder);

    // As other hub tools leave it: without our record, but with blobs named by their digests.
    std::fs::remove_dir_all(home.path().join("hub/models--owner--name/forethought")).expect("removes");
    assert_eq!(offline().fetch(&main_branch(), &wanted).expect("finds it"), folder);

    // One flipped bit, same size.
    let path = folder.join("model.safetensors");
    let mut damaged = weights.clone();
    damaged[777] ^= 1;
    std::fs::write(&path, damaged).expect("writes");
    let error = offline().fetch(&main_branch(), &wanted).expect_err("the file is damaged");
    assert_eq!(error.code, Code::NotFound);
    assert!(!path.exists(), "the damaged file is deleted");
    client(&fake, home.path()).fetch(&main_branch(), &wanted).expect("fetches it again");
    assert_eq!(std::fs::read(path).expect("reads"), weights);
}

#[test]
fn refusals_are_explained_and_the_token_stays_secret() {
    let home = tempfile::tempdir().expect("a folder");
    let fake = FakeHub::with(&[("config.json", b"{}")]);
    let check = |hub: &Hub, source: &str, wanted: &ModelFiles, code: Code, expect: &str| {
        let source = Source::parse(source).expect("is well formed");
        let error = hub.fetch(&source, wanted).expect_err(expect);
        assert_eq!(error.code, code, "{error}");
        assert!(error.to_string().contains(expect), "{error}");
        assert!(!error.to_string().contains(TOKEN), "{error}");
    };
    let (hub, config) = (client(&fake, home.path()), wanted(&["config.json"], &[]));
    check(&hub, "owner/other", &config, Code::NotFound, "no such model");
    check(&hub, "owner/name@v9", &config, Code::NotFound, "no such revision");
    check(&hub, "owner/name", &wanted(&["weights.bin"], &[]), Code::NotFound, "has no file weights.bin");
    let anonymous = client_of(&fake.address, None, home.path());
    for status in [401, 403] {
        fake.state().answer = Some((status, "X-Other: 1"));
        check(&hub, "owner/name", &config, Code::Provider, "the token in use cannot read it");
        check(
            &anonymous,
            "owner/name",
            &config,
            Code::Provider,
            "is private, or is gated. A token is read from HF_TOKEN",
        );
        fake.state().answer = Some((status, "X-Error-Code: GatedRepo"));
        check(&hub, "owner/name", &config, Code::Provider, "accept the model's terms");
        check(&anonymous, "owner/name", &config, Code::Provider, "accept its terms on its page");
    }
    fake.state().answer = None;
    fake.state().weak_etags = true;
    check(&hub, "owner/name", &config, Code::Provider, "cannot be verified");
    // The first port is closed again; the second server does not support TLS.
    let closed =
        TcpListener::bind("127.0.0.1:0").and_then(|open| open.local_addr()).expect("a port").to_string();
    for scheme in ["http", "https"] {
        let address = fake.address.trim_start_matches("http://");
        let address = if scheme == "http" { &*closed } else { address };
        let nobody = client_of(&format!("{scheme}://user:{TOKEN}@{address}"), Some(TOKEN), home.path());
        check(&nobody, "owner/name", &config, Code::Provider, &format!("{scheme}://{address}: "));
        check(&nobody, "owner/name", &config, Code::Provider, "HF_HUB_OFFLINE=1");
    }
    let odd = client_of(&fake.address, Some("two\nlines"), home.path());
    check(&odd, "owner/name", &config, Code::Config, "the token or the address cannot be written");
}

#[test]
fn a_busy_hub_is_asked_again_after_the_pause_it_requests() {
    let home = tempfile::tempdir().expect("a folder");
    let fake = FakeHub::with(&[("config.json", b"{}")]);
    let (hub, config) = (client(&fake, home.path()), wanted(&["config.json"], &[]));
    fake.state().answers = [(429, "Retry-After: 1"), (503, "X-Other: 1")].into();
    let watch = std::time::Instant::now();
    hub.fetch(&main_branch(), &config).expect("fetches");
    assert!(watch.elapsed() >= Duration::from_secs(1), "it retried too early");

    // An hour's pause is not waited for, and retries are limited.
    for (answer, requests) in [((429, "Retry-After: 3600"), 1), ((503, "X-Other: 1"), 3)] {
        let before = fake.state().requests;
        fake.state().answer = Some(answer);
        let error = hub.fetch(&main_branch(), &config).expect_err("the hub is busy");
        assert!(error.retryable && error.to_string().contains(&answer.0.to_string()), "{error}");
        assert_eq!(fake.state().requests, before + requests);
    }
}

#[test]
fn a_folder_is_used_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut request = wanted(&["config.json"], &["modules.json"]);
    request.source = folder.path().to_string_lossy().into_owned();
    let error = fetch(&request).expect_err("config.json is missing").to_string();
    assert!(error.contains("has no config.json"), "{error}");
    std::fs::write(folder.path().join("config.json"), "{}").expect("writes");
    assert_eq!(fetch(&request).expect("is there"), folder.path());

    let error = fetch(&ModelFiles { source: "owner/name".into(), ..request.clone() }).expect_err("no folder");
    assert!(error.to_string().contains("hf:owner/name"), "{error}");
    for outside in ["../secrets", "/etc/passwd", ""] {
        let error = fetch(&ModelFiles { required: vec![outside.into()], ..request.clone() });
        assert_eq!(error.expect_err("leads out").code, Code::Input);
    }
}

#[test]
fn sources_are_names_with_an_optional_revision() {
    let parse = |text| Source::parse(text).map(|source| source.to_string());
    assert_eq!(parse("owner/name").as_deref(), Ok("hf:owner/name@main"));
    assert_eq!(parse("bert-base-uncased").as_deref(), Ok("hf:bert-base-uncased@main"));
    assert_eq!(parse("owner/my_model-1.5@refs/pr/3").as_deref(), Ok("hf:owner/my_model-1.5@refs/pr/3"));
    for wrong in
        ["", "a/b/c", "owner/", "../name", "owner/name@", "owner/name@../x", "owner/na me", "a/b?c=d"]
    {
        let error = Source::parse(wrong).expect_err(wrong);
        assert_eq!(error.code, Code::Config);
        assert!(error.to_string().contains("hf:owner/name@revision"), "{error}");
    }
}
