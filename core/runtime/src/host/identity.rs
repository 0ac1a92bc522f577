//! What decides a component's answers, for the ids of episodes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::PoisonError;

use forethought_api::{Result, error::Context, host::ModelFiles};
use serde_json::{Map, Value, json};

use crate::config::{KeyPath, dotted, roles};
use crate::former;
use crate::host::{ROLES, RuntimeHost};
use crate::run::summary::identity_word;

/// How paths enter an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paths {
    /// By the contents of what they name: the files may move.
    ByContents,
    /// As they are written, as in release 0.1.0: its runs continue.
    AsWritten,
}

impl RuntimeHost {
    /// What decides a component's answers, for the identity of episodes: its configuration, the contents of its files,
    /// and the same for every component that it needs. Complete once the component is built.
    pub fn identity(&self, section: &[String], paths: Paths) -> Value {
        let document = self.shared.config.document();
        let files = {
            let files = self.shared.files.lock().unwrap_or_else(PoisonError::into_inner);
            files.get(section).cloned().unwrap_or_default()
        };
        let needs = {
            let dependencies = self.shared.dependencies.lock().unwrap_or_else(PoisonError::into_inner);
            dependencies.get(section).cloned().unwrap_or_default()
        };
        // Sorted by these words, because the order decides the bytes that are hashed.
        let needs: BTreeMap<KeyPath, Value> =
            needs.iter().map(|need| (old_words(need), self.identity(need, paths))).collect();
        let needs: Map<String, Value> =
            needs.into_iter().map(|(need, identity)| (dotted(&need), identity)).collect();
        let mut config = document.get(section).cloned().unwrap_or_default();
        if paths == Paths::ByContents {
            self.read_paths(section, &mut config, &files);
            self.read_commands(section, &mut config);
        }
        if let Value::Object(keys) = &mut config {
            match section[0].as_str() {
                // How a model is called does not affect its answers.
                "llm" => drop(keys.remove("calls")),
                "critic" => {
                    let kind = keys.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
                    keys.retain(|key, value| !former::is_default(&kind, key, value.as_str()));
                }
                // Nor does how much it may cost.
                ROLES => keys.retain(|key, _| !roles::LIMITS.contains(&key.as_str())),
                "planner" => {
                    let words = std::mem::take(keys).into_iter();
                    let sorted: BTreeMap<_, _> =
                        words.map(|(key, value)| (identity_word(&key).to_owned(), value)).collect();
                    *keys = Map::from_iter(sorted);
                }
                _ => {}
            }
        }
        json!({ "config": config, "files": files, "needs": needs })
    }

    /// Puts the contents of what they name in the place of the paths of a component, except where `files` have them.
    fn read_paths(&self, section: &[String], config: &mut Value, files: &BTreeMap<String, String>) {
        let document = self.shared.config.document();
        for key in document.paths().iter().filter(|key| key.starts_with(section)) {
            let pointer: String =
                key[section.len()..].iter().map(|part| format!("/{}", escaped(part))).collect();
            let Some(value) = config.pointer_mut(&pointer) else { continue };
            let Some(path) = value.as_str().filter(|path| !path.is_empty() && !path.starts_with("hf:"))
            else {
                continue;
            };
            let path = Path::new(path);
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let known = if path.is_dir() { !files.is_empty() } else { files.contains_key(&*name) };
            *value = match known || !document.is_read(key) {
                true => Value::Null,
                false => self.contents(path).into(),
            };
        }
    }

    /// Puts the contents of what they name in the place of the words of commands; the program itself counts by its name.
    fn read_commands(&self, section: &[String], config: &mut Value) {
        let document = self.shared.config.document();
        for (key, _) in document.commands().iter().filter(|(key, _)| key.starts_with(section)) {
            let (_, folder) = document.command(key);
            let pointer: String =
                key[section.len()..].iter().map(|part| format!("/{}", escaped(part))).collect();
            let words = config.pointer_mut(&pointer).and_then(Value::as_array_mut).into_iter().flatten();
            for word in words.skip(1) {
                let file = word.as_str().map(|word| folder.join(word)).filter(|file| file.is_file());
                if let Some(file) = file {
                    *word = self.contents(&file).into();
                }
            }
        }
    }

    /// The hash of a file, or of all files of a folder. Read once: the component has read it, too.
    fn contents(&self, path: &Path) -> String {
        let mut read = self.shared.contents.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = read.entry(path.to_owned()).or_insert_with(|| {
            let mut hasher = blake3::Hasher::new();
            let read = hash(path, &mut hasher);
            // What cannot be read is the component's to complain about.
            read.map_or_else(|error| error.to_string(), |()| hasher.finalize().to_hex().to_string())
        });
        hash.clone()
    }

    /// Notes what the owner's files hold: a checkpoint trained again under the same name is another critic.
    pub(super) fn note_files(&self, folder: &Path, request: &ModelFiles) -> Result<()> {
        let Some(owner) = &self.owner else { return Ok(()) };
        self.note_trained(owner, folder);
        for file in request.required.iter().chain(&request.optional) {
            let path = folder.join(file);
            if path.is_file() {
                let mut hasher = blake3::Hasher::new();
                let mut contents = std::fs::File::open(&path).context(path.display().to_string())?;
                std::io::copy(&mut contents, &mut hasher).context(path.display().to_string())?;
                let mut files = self.shared.files.lock().unwrap_or_else(PoisonError::into_inner);
                let own = files.entry(owner.clone()).or_default();
                own.insert(file.clone(), hasher.finalize().to_hex().to_string());
            }
        }
        Ok(())
    }
}

/// A key as part of a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn hash(path: &Path, hasher: &mut blake3::Hasher) -> std::io::Result<()> {
    if !path.is_dir() {
        return std::io::copy(&mut std::fs::File::open(path)?, hasher).map(drop);
    }
    let mut entries = std::fs::read_dir(path)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        hasher.update(entry.file_name().as_encoded_bytes()).update(&[0]);
        hash(&entry.path(), hasher)?;
    }
    Ok(())
}

fn old_words(section: &[String]) -> KeyPath {
    let mut words = section.to_vec();
    words[0] = identity_word(&words[0]).into();
    words
}

#[cfg(test)]
mod tests {
    use forethought_api::host::Host as _;

    use super::*;
    use crate::host::tests::host;
    use crate::testing;

    #[tokio::test]
    async fn an_identity_holds_all_that_decides_an_answer() {
        let host = host(
            "[planner.a]\nkind = \"echo\"\nllm = \"actor\"\ninner = \"b\"\n[planner.b]\nkind = \"echo\"\nllm = \
             \"actor\"\n",
        );
        host.planner("a".into()).await.unwrap();
        let identity = host.identity(&["planner".into(), "a".into()], Paths::ByContents);
        assert_eq!(identity["config"]["inner"], "b");
        assert_eq!(identity["needs"]["planner.b"]["config"]["llm"], "actor");

        // A model's files count by what is in them.
        let folder = tempfile::tempdir().unwrap();
        let request = ModelFiles {
            source: folder.path().to_string_lossy().into(),
            required: vec!["weights".into()],
            optional: vec!["more".into()],
            aside: vec!["prompts".into()],
        };
        let section = ["critic".to_string(), "critic".to_string()];
        let mut identities = Vec::new();
        for weights in ["1", "2"] {
            std::fs::write(folder.path().join("weights"), weights).unwrap();
            host.owned_by(&section).model_files(request.clone()).await.unwrap();
            identities.push(host.identity(&section, Paths::ByContents));
        }
        assert_ne!(identities[0], identities[1]);
        // What is fetched aside is part of the component's own identity.
        std::fs::write(folder.path().join("prompts"), "query: ").unwrap();
        host.owned_by(&section).model_files(request.clone()).await.unwrap();
        assert_eq!(host.identity(&section, Paths::ByContents), identities[1]);
    }

    #[tokio::test]
    async fn how_a_model_is_called_is_configured_beside_it_and_decides_no_answer() {
        let world = "[environment]\nkind = \"corridor\"\n";
        let called = |calls: &str| testing::host(&format!("{world}[llm.a]\nkind = \"parrot\"\n{calls}"));
        let (plain, patient) =
            (called(""), called("[llm.a.calls]\ntimeout_s = 5\nrequests_per_minute = 60\n"));
        for host in [&plain, &patient] {
            host.llm("a".into()).await.unwrap();
        }
        let section = ["llm".to_string(), "a".to_string()];
        assert_eq!(plain.identity(&section, Paths::AsWritten), patient.identity(&section, Paths::AsWritten));
        let none = format!("{world}[llm.a]\nkind = \"parrot\"\n[llm.a.calls]\ntimeout_s = -5.0\n");
        let error = testing::config(&none).unwrap_err();
        assert!(error.message.contains("`llm.a.calls.timeout_s`: -5.0 is out of range"), "{error}");
    }
}
