//! Fetching from a server on this machine that imitates the hub, well-behaved and otherwise.

#![expect(clippy::disallowed_types, reason = "the imitated hub listens on a socket")]

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const LATER: &str = "89abcdef0123456789abcdef0123456789abcdef";
const TOKEN: &str = "hf_verysecret";

/// How the server sends a body.
#[derive(Debug, Clone, Copy)]
enum Send {
    /// The connection breaks after so many bytes.
    CutAt(usize),
    /// A whole answer of so many bytes: shorter than was announced.
    Short(usize),
    /// Other bytes of the right number.
    Wrong,
    /// From the start, whatever range was asked for.
    IgnoreRange,
}

/// What the server has, and what it was asked.
#[derive(Default)]
struct State {
    commit: String,
    files: BTreeMap<String, Vec<u8>>,
    /// Misbehaviour of the next bodies of a file; afterwards it is sent as it should be.
    faults: BTreeMap<String, VecDeque<Send>>,
    /// An answer to everything.
    status: Option<u16>,
    /// Etags that are no digests.
    weak_etags: bool,
    /// Bodies sent: file and range.
    bodies: Vec<(String, String)>,
    requests: usize,
    authorized: bool,
}

/// A hub on a port of this machine. It stops with the test process.
struct FakeHub {
    address: String,
    state: Arc<Mutex<State>>,
}

impl FakeHub {
    fn with(files: &[(&str, &[u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds a port");
        let address = format!("http://{}", listener.local_addr().expect("has an address"));
        let files = files.iter().map(|(name, bytes)| (name.to_string(), bytes.to_vec())).collect();
        let state = Arc::new(Mutex::new(State { commit: COMMIT.into(), files, ..Default::default() }));
        let (shared, own) = (state.clone(), address.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is part of what is tested.
                let _ = answer(stream, &own, &mut shared.lock().expect("no test thread panicked"));
            }
        });
        Self { address, state }
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

/// Files over 1,000 bytes are large ones: their etag is SHA-256 and they are sent from elsewhere.
fn answer(mut stream: TcpStream, own: &str, state: &mut State) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut range = String::new();
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("range: ") {
            range = value.to_owned();
        }
        state.authorized |= line == format!("authorization: bearer {TOKEN}").to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
    }
    state.requests += 1;
    let mut reply = |status: u16, headers: &[String], body: &[u8]| {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        write!(stream, "HTTP/1.1 {status} Status\r\nConnection: close\r\n{headers}\r\n")?;
        stream.write_all(body)
    };
    let plain = |body: &[u8]| vec![format!("Content-Length: {}", body.len())];
    if let Some(status) = state.status {
        return reply(status, &plain(b""), b"");
    }
    if let Some(revision) = path.strip_prefix("/api/models/owner/name/revision/") {
        if ![&state.commit, "main"].contains(&revision) {
            return reply(404, &plain(b""), b"");
        }
        let siblings: Vec<_> =
            state.files.keys().map(|name| serde_json::json!({ "rfilename": name })).collect();
        let body = serde_json::json!({ "sha": state.commit, "siblings": siblings }).to_string();
        return reply(200, &plain(body.as_bytes()), body.as_bytes());
    }
    let from_elsewhere = path.strip_prefix("/elsewhere/");
    let resolved = format!("/owner/name/resolve/{}/", state.commit);
    let Some(name) = from_elsewhere.or_else(|| path.strip_prefix(&resolved)) else {
        return reply(404, &plain(b""), b"");
    };
    let Some(content) = state.files.get(name).cloned() else {
        return reply(404, &plain(b""), b"");
    };
    let large = content.len() > 1000;
    let digest = digest_of(&content, large);
    let etag = if state.weak_etags { "W/\"123\"".to_owned() } else { format!("\"{digest}\"") };
    let mut headers = vec![format!("x-repo-commit: {}", state.commit)];
    if large && from_elsewhere.is_none() {
        headers.push(format!("x-linked-etag: {etag}"));
        headers.push(format!("Location: {own}/elsewhere/{name}"));
        headers.extend(plain(b""));
        return reply(302, &headers, b"");
    }
    headers.push(format!("etag: {etag}"));
    let total = content.len();
    if range == "bytes=0-0" {
        headers.extend([format!("Content-Range: bytes 0-0/{total}"), "Content-Length: 1".to_owned()]);
        return reply(206, &headers, &content[..1]);
    }
    state.bodies.push((name.to_owned(), range.clone()));
    let start: usize =
        range.trim_start_matches("bytes=").trim_end_matches('-').parse().expect("an open range");
    let rest = &content[start..];
    headers.push(format!("Content-Range: bytes {start}-{}/{total}", total - 1));
    match state.faults.get_mut(name).and_then(VecDeque::pop_front) {
        None => {
            headers.extend(plain(rest));
            reply(206, &headers, rest)
        }
        Some(Send::CutAt(bytes)) => {
            headers.extend(plain(rest));
            reply(206, &headers, &rest[..bytes])
        }
        Some(Send::Short(bytes)) => {
            headers.extend(plain(&rest[..bytes]));
            reply(206, &headers, &rest[..bytes])
        }
        Some(Send::Wrong) => {
            headers.extend(plain(rest));
            reply(206, &headers, &vec![b'?'; rest.len()])
        }
        Some(Send::IgnoreRange) => {
            headers.retain(|header| !header.starts_with("Content-Range"));
            headers.extend(plain(&content));
            reply(200, &headers, &content)
        }
    }
}

fn digest_of(content: &[u8], large: bool) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    std::fs::write(&path, content).expect("writes");
    let kind = if large { Digest::Sha256(String::new()) } else { Digest::GitBlob(String::new()) };
    match kind.of_file(&path).expect("hashes") {
        Digest::Sha256(hex) | Digest::GitBlob(hex) => hex,
    }
}

/// A client of `fake` with a cache of its own.
fn client(fake: &FakeHub, home: &Path) -> Hub {
    Hub {
        endpoint: fake.address.clone(),
        cache: Cache::new(home.join("hub")),
        token: Some(TOKEN.into()),
        offline: false,
    }
}

fn wanted(required: &[&str], optional: &[&str]) -> ModelFiles {
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
    ModelFiles { source: "hf:owner/name".into(), required: names(required), optional: names(optional) }
}

fn main_branch() -> Source {
    Source::parse("owner/name").expect("is well formed")
}

fn weights() -> Vec<u8> {
    (0..5000u32).flat_map(u32::to_le_bytes).collect()
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

/// The error of fetching the weights with `faults`; nothing damaged may stay behind.
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
    // The next call, with a hub that behaves, mends it.
    hub.fetch(&main_branch(), &wanted(&["model.safetensors"], &[])).expect("fetches");
}

#[test]
fn small_and_large_files_arrive_and_are_fetched_once() {
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
    assert!(fake.state().authorized, "the token is used");

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
fn a_cut_connection_is_resumed_where_it_broke() {
    check_weights(&[Send::CutAt(8000)], &["bytes=0-", "bytes=8000-"]);
}

#[test]
fn a_short_or_wrong_body_is_fetched_again_from_the_start() {
    check_weights(&[Send::Short(8000)], &["bytes=0-", "bytes=0-"]);
    check_weights(&[Send::Wrong], &["bytes=0-", "bytes=0-"]);
}

#[test]
fn damage_that_stays_is_an_error_and_leaves_nothing_behind() {
    check_damage(&[Send::Short(8000), Send::Short(9000)], "9000 bytes arrived of 20000");
    check_damage(&[Send::Wrong, Send::Wrong], "does not match its digest");
    check_damage(&[Send::CutAt(8000), Send::IgnoreRange], "28000 bytes arrived of 20000");
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
    for (left, ranges) in [(&weights[..5000], ["bytes=5000-"]), (&weights[..], ["bytes=0-"])] {
        let home = tempfile::tempdir().expect("a folder");
        let fake = FakeHub::with(&[("model.safetensors", &weights)]);
        let blobs = home.path().join("hub/models--owner--name/blobs");
        std::fs::create_dir_all(&blobs).expect("makes a folder");
        std::fs::write(blobs.join(digest_of(&weights, true)).with_extension("part"), left).expect("writes");
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
    let offline =
        || Hub { offline: true, endpoint: "http://127.0.0.1:1".into(), ..client(&fake, home.path()) };

    let error = offline().fetch(&main_branch(), &wanted).expect_err("the cache is empty");
    assert_eq!(error.code, Code::NotFound);
    assert!(
        error.to_string().contains("hf:owner/name@main") && error.to_string().contains("HF_HUB_OFFLINE"),
        "{error}"
    );

    let folder = client(&fake, home.path()).fetch(&main_branch(), &wanted).expect("fetches");
    assert_eq!(offline().fetch(&main_branch(), &wanted).expect("finds it"), folder);

    // As another tool of the hub leaves it: without our record, but with blobs named by their digests.
    std::fs::remove_dir_all(home.path().join("hub/models--owner--name/forethought")).expect("removes");
    assert_eq!(offline().fetch(&main_branch(), &wanted).expect("finds it"), folder);

    // One flipped bit, same size.
    let path = folder.join("model.safetensors");
    let mut damaged = weights.clone();
    damaged[777] ^= 1;
    std::fs::write(&path, damaged).expect("writes");
    let error = offline().fetch(&main_branch(), &wanted).expect_err("the file is damaged");
    assert_eq!(error.code, Code::NotFound);
    assert!(!path.exists(), "what is damaged is deleted");
    client(&fake, home.path()).fetch(&main_branch(), &wanted).expect("fetches it anew");
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
    check(&hub, "owner/name@v9", &config, Code::NotFound, "hf:owner/name@v9");
    check(&hub, "owner/name", &wanted(&["weights.bin"], &[]), Code::NotFound, "has no file weights.bin");
    for status in [401, 403] {
        fake.state().status = Some(status);
        check(&hub, "owner/name", &config, Code::Provider, "the token in use may not read it");
        let anonymous = Hub { token: None, ..client(&fake, home.path()) };
        check(&anonymous, "owner/name", &config, Code::Provider, "set HF_TOKEN");
    }
    let before = fake.state().requests;
    fake.state().status = Some(503);
    check(&hub, "owner/name", &config, Code::Provider, "status 503");
    assert_eq!(fake.state().requests, before + 2, "a busy hub is asked twice");
    fake.state().status = None;
    fake.state().weak_etags = true;
    check(&hub, "owner/name", &config, Code::Provider, "cannot be verified");
    let secret = format!("http://user:{TOKEN}@127.0.0.1:1");
    let nobody = Hub { endpoint: secret, ..client(&fake, home.path()) };
    check(&nobody, "owner/name", &config, Code::Provider, "http://127.0.0.1:1");
}

#[test]
fn a_folder_is_taken_as_it_is() {
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
