//! Packing the journal of a run that is over: what nothing refers to goes, and the rest is compressed together.
//!
//! A prompt repeats the history, and an observation recurs in the prompts that follow it, so contents of one episode
//! compress far better in one piece than each by itself. They stay where they are found by their hash.

use std::path::Path;

use forethought_api::{Result, error::Context};
use rusqlite::{Connection, Transaction, params, types::ToSqlOutput};
use serde_json::Value;

use crate::journal::key::Hash;
use crate::journal::store::{self, Contents, Place};

/// Bytes that are compressed together: enough for what recurs from episode to episode, and little to unpack for one.
const PIECE: usize = 1 << 20;
/// What a pack may be beyond that, in the middle of an episode.
const MOST: usize = 16 << 20;
/// Of zstd.
const LEVEL: i32 = 9;

/// Packs the journal at `path`, which nobody may be writing. Everything that could be read of it can be read afterwards, and the
/// run can be continued.
///
/// # Errors
/// A journal that cannot be read or written; it is then as it was.
pub(crate) fn pack(path: &Path) -> Result<()> {
    let failed = || format!("journal {} could not be packed", path.display());
    let mut connection = store::connect(path)?;
    pack_tables(&mut connection).context(failed())?;
    connection.execute_batch("VACUUM; PRAGMA journal_mode = DELETE;").context(failed())
}

fn pack_tables(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction()?;
    forget_attempts(&transaction)?;
    let last: i64 =
        transaction.query_row("SELECT coalesce(max(number), 0) FROM packs", [], |row| row.get(0))?;
    let mut packer = Packer { transaction: &transaction, number: last + 1, last, data: Vec::new() };
    let key = "episode, attempt, step, seat, effect, target, input, occurrence";
    let mut effects =
        transaction.prepare(&format!("SELECT {key}, request, answer FROM effects ORDER BY {key}"))?;
    let mut move_it = transaction.prepare(&format!(
        "UPDATE effects SET request = ?9, answer = ?10 WHERE ({key}) = (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
    ))?;
    let mut rows = effects.query([])?;
    let mut contents = Contents::new(&transaction, true);
    let mut before = None;
    while let Some(row) = rows.next()? {
        let episode: i64 = row.get(0)?;
        let begins = before.replace(episode) != Some(episode);
        if packer.data.len() > if begins { PIECE } else { MOST } {
            packer.close()?;
        }
        let said = [row.get_ref(8)?, row.get_ref(9)?];
        let [request, answer] = [contents.of(said[0])?, contents.of(said[1])?];
        for message in messages(request.as_deref()) {
            packer.share(&mut contents, message)?;
        }
        for (place, (content, said)) in (9..).zip([request, answer].into_iter().zip(said)) {
            match content {
                Some(content) => move_it.raw_bind_parameter(place, packer.own(content)?)?,
                // What is damaged stays so.
                None => move_it.raw_bind_parameter(place, ToSqlOutput::Borrowed(said))?,
            }
        }
        for place in 1..9 {
            move_it.raw_bind_parameter(place, ToSqlOutput::Borrowed(row.get_ref(place - 1)?))?;
        }
        move_it.raw_execute()?;
    }
    packer.close()?;
    drop((rows, contents, move_it));
    drop(effects);
    transaction.execute("DELETE FROM packs WHERE number <= ?1", [last])?;
    transaction.execute("DELETE FROM places WHERE pack <= ?1", [last])?;
    // Those that are left are damaged, or nothing refers to them.
    transaction.execute("DELETE FROM blobs", [])?;
    transaction.commit()?;
    Ok(())
}

/// Drops attempts that were given up. What they were charged stays counted.
fn forget_attempts(transaction: &Transaction<'_>) -> Result<()> {
    let given_up = "FROM effects WHERE attempt < (SELECT attempt FROM episodes WHERE number = episode)";
    transaction.execute(
        &format!(
            "INSERT INTO lost (calls, tokens, target) SELECT calls, tokens, target {given_up} AND calls > 0"
        ),
        [],
    )?;
    transaction.execute(&format!("DELETE {given_up}"), [])?;
    Ok(())
}

/// The hashes of the messages of a request to a language model.
fn messages(request: Option<&[u8]>) -> Vec<Hash> {
    let request: Value = request.and_then(|text| serde_json::from_slice(text).ok()).unwrap_or_default();
    let messages = request.pointer("/request/messages").and_then(Value::as_array);
    let hash = |message: &Value| blake3::Hash::from_hex(message.as_str()?).ok().map(|hash| *hash.as_bytes());
    messages.into_iter().flatten().filter_map(hash).collect()
}

struct Packer<'t> {
    transaction: &'t Transaction<'t>,
    /// The pack that is being filled, and the last one from before.
    number: i64,
    last: i64,
    data: Vec<u8>,
}

impl Packer<'_> {
    /// Moves what is kept under `hash`, unless it was moved before. What is damaged stays behind.
    fn share(&mut self, contents: &mut Contents<'_>, hash: Hash) -> Result<()> {
        let moved: bool = self
            .transaction
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM places WHERE hash = ?1 AND pack > ?2)")?
            .query_row(params![hash, self.last], |row| row.get(0))?;
        if moved {
            return Ok(());
        }
        let Some(content) = contents.get(&hash)? else { return Ok(()) };
        let (pack, start, length) = self.put(content)?;
        self.transaction
            .prepare_cached("INSERT OR REPLACE INTO places VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![hash, pack, start, length])?;
        Ok(())
    }

    /// Moves a content of a row of `effects`; returns what the row says from now on.
    fn own(&mut self, content: Vec<u8>) -> Result<String> {
        Ok(store::place(self.put(content)?))
    }

    fn put(&mut self, content: Vec<u8>) -> Result<Place> {
        let number = |length| u32::try_from(length).context("a content is longer than 4 GB");
        let place = (self.number, number(self.data.len())?, number(content.len())?);
        self.data.extend(content);
        Ok(place)
    }

    fn close(&mut self) -> Result<()> {
        if self.data.is_empty() {
            return Ok(());
        }
        let packed = zstd::bulk::compress(&self.data, LEVEL)?;
        self.transaction.execute("INSERT INTO packs VALUES (?1, ?2)", params![self.number, packed])?;
        self.number += 1;
        self.data.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use forethought_api::llm::{ChatRequest, Message, Purpose, Usage};

    use super::*;
    use crate::journal::JournalEntry;
    use crate::journal::effects::{Complete, CompleteInput, Effect as _, Position};
    use crate::journal::key::Blob;
    use crate::journal::reading;
    use crate::journal::store::{Closed, RecordedOutcome, Resume, Store};

    /// The answer to a question; the prompt repeats everything that was said before.
    fn entry(episode: usize, step: u32) -> JournalEntry {
        let said =
            |line: u32| format!("A thing of use, number {line} of {episode}, $ {line}.99. ").repeat(20);
        let prompt: String = (0..=step).map(said).collect();
        let messages = vec![Message::system("Buy what fits best."), Message::user(prompt)];
        let input =
            CompleteInput { llm: "actor".into(), request: ChatRequest::new(Purpose::Action, messages) };
        let (request, shared) = Complete::record(&input).unwrap();
        let key = Position::new(step, 0).key::<Complete>("actor", &input).unwrap();
        let answer = Blob::new(format!("\"click {step} of {episode}\"").into());
        let usage = Some(Usage { input_tokens: 10, output_tokens: 1 });
        JournalEntry { key, request, shared, ok: true, answer, usage }
    }

    async fn play(path: &Path, episodes: std::ops::Range<usize>, attempts: u32) {
        let store = Store::open(path).unwrap();
        for episode in episodes {
            for _ in 0..attempts {
                let begun = store.begin(episode.to_string(), Resume::Restart).await.unwrap();
                let journal = store.episode(&begun);
                for step in 0..6 {
                    journal.append(entry(episode, step)).await.unwrap();
                }
            }
            let closed = Closed { summary: "{}".into(), trajectories: b"[]".to_vec() };
            store.finish(episode.to_string(), "done", closed).await.unwrap();
        }
        store.close().await;
    }

    /// Everything of the last attempts that can be read of a journal, and what was used.
    async fn read(path: &Path, episodes: usize) -> (Vec<(u32, Vec<u8>)>, Vec<reading::Call>, String) {
        let mut calls = Vec::new();
        for episode in 0..episodes {
            for step in 0..6 {
                calls.extend(reading::calls(path, &episode.to_string(), step, 0).unwrap());
            }
        }
        let used = format!("{:?}", reading::spent(path).unwrap());
        let store = Store::open(path).unwrap();
        let mut answers = Vec::new();
        for episode in 0..episodes {
            let (recorded, _) = store.recorded(episode.to_string()).await.unwrap().unwrap();
            answers.extend(recorded.effects.into_iter().map(|(key, outcome)| match outcome {
                RecordedOutcome::Answer(answer) => (key.step, answer),
                RecordedOutcome::Error(error) => panic!("{error:?}"),
            }));
        }
        answers.sort();
        (answers, calls, used)
    }

    #[tokio::test]
    async fn a_packed_journal_is_small_and_says_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        play(&path, 0..40, 2).await;
        let (before, said) = (std::fs::metadata(&path).unwrap().len(), read(&path, 40).await);
        assert_eq!((said.0.len(), said.1.len()), (240, 240));
        pack(&path).unwrap();
        let after = std::fs::metadata(&path).unwrap().len();
        assert!(after < before / 2, "{before} {after}");
        assert_eq!(read(&path, 40).await, said);
        assert!(!folder.path().join("journal.sqlite-wal").exists());
        // It goes on, and is packed again.
        play(&path, 40..50, 1).await;
        let said = read(&path, 50).await;
        pack(&path).unwrap();
        assert_eq!(read(&path, 50).await, said);
        let connection = Connection::open(&path).unwrap();
        let count = |table: &str| {
            let query = format!("SELECT count(*) FROM {table}");
            connection.query_row(&query, [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!((count("blobs"), count("packs"), count("effects")), (0, 1, 300));
    }

    #[tokio::test]
    async fn what_is_damaged_stays_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        play(&path, 0..2, 1).await;
        let damage = |statement: &str| Connection::open(&path).unwrap().execute_batch(statement).unwrap();
        damage("UPDATE effects SET answer = x'00' WHERE episode = 1 AND step = 3");
        pack(&path).unwrap();
        let wrong = Store::open(&path).unwrap().recorded("0".into()).await.unwrap_err();
        assert!(wrong.to_string().contains("1 recorded answers of episode 0 are damaged"), "{wrong}");
        assert!(Store::open(&path).unwrap().recorded("1".into()).await.is_ok());
        damage("UPDATE packs SET data = x'00'");
        let wrong = Store::open(&path).unwrap().recorded("1".into()).await.unwrap_err();
        assert!(wrong.to_string().contains("6 recorded answers of episode 1 are damaged"), "{wrong}");
    }
}
