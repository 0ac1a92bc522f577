//! Logs of Inspect, version 2 of the format: `.eval`, a zip file of JSON documents (`header.json`, `samples/*.json`), and
//! `.json`, one document with `samples` (<https://inspect.aisi.org.uk/eval-logs.html>; the fields are those of
//! `inspect_ai.log.EvalLog`, and of `EvalSample`, for which `inspect log schema` prints a JSON Schema).
//!
//! A sample's `messages` are its conversation. Model calls among its `events` that do not belong to it, such as those of
//! sub-agents or of attempts that were given up, are conversations of further seats; those of scorers are dropped. The
//! reward is the score of the log's first scorer, or the one that `reward` names (`name`, or `name.key` for a score of
//! several values): numbers, true and false, and the letters `C`, `P`, `I`, `N` for 1, 0.5, 0, 0. A sample with an error
//! or a limit is truncated.

use std::collections::{HashMap, HashSet, hash_map::Entry};
use std::path::Path;

use forethought_sdk::api::llm::Tool;
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{Map, Value};
use rawzip::{CompressionMethod, ZipArchive};

use crate::{
    RecordConfig, chat,
    conversation::{Conversation, End, Said, Speaker},
    files,
    growth::{Call, Growth},
    json::{self, At},
    report::Report,
};

super::importer! {
    Inspect, "Reads logs of Inspect.", "inspect",
    "logs of Inspect, .eval or .json: samples with their scores; a file, or a folder of logs"
}

/// The most bytes of all documents of a log together, inflated.
const LOG: u64 = 16 << 30;
/// The most samples of a log.
const SAMPLES: usize = 1_000_000;

async fn read(
    path: &Path,
    config: &RecordConfig,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<()> {
    let mut tasks = Tasks::default();
    for file in files::files(path, |name| name.ends_with(".eval") || name.ends_with(".json"))? {
        let place = |error| files::at(file.display(), error);
        let bytes = files::bytes(&file)?;
        if bytes.starts_with(b"PK") {
            archive(&file, &bytes, config, report, &mut tasks, progress).await?;
        } else {
            let document = json::parse(&bytes).map_err(place)?;
            let root = At::root(&document);
            let header = Header::read(&root, config).map_err(place)?;
            let samples = root.get_list("samples").map_err(place)?;
            let total = samples.len() as u64;
            for (done, at) in (1..).zip(samples) {
                sample(&at, &header, config, report, &mut tasks).map_err(place)?;
                progress.report("import".into(), done, total, String::new()).await?;
            }
        }
    }
    Ok(())
}

/// Numbers of tasks: the place of a sample's id in its data set.
#[derive(Default)]
struct Tasks(HashMap<(String, String), u64>);

impl Tasks {
    fn of(&mut self, header: &Header, id: &str) -> u64 {
        if let Some(known) = header.ids.iter().position(|known| known == id) {
            return known as u64;
        }
        let next = header.ids.len() + self.0.len();
        *self.0.entry((header.task.clone(), id.to_owned())).or_insert(next as u64)
    }
}

/// A document of an archive, bounded by what was inflated before.
fn entry(
    archive: &rawzip::ZipSliceArchive<&[u8]>,
    name: &str,
    found: &Found,
    left: &mut u64,
) -> Result<Value> {
    let wrong = |error: rawzip::Error| Error::input(format!("{name}: the archive is damaged: {error}"));
    let local = archive.get_entry(found.place).map_err(wrong)?;
    let most = files::DOCUMENT.min(*left);
    let inflated = match found.method {
        CompressionMethod::STORE => files::limited(local.data(), most),
        CompressionMethod::DEFLATE => {
            let reader = local.verifying_reader(flate2::bufread::DeflateDecoder::new(local.data()));
            files::limited(reader, most)
        }
        CompressionMethod::ZSTD => {
            let decoder = zstd::stream::read::Decoder::with_buffer(local.data()).map_err(Error::from);
            decoder.and_then(|decoder| files::limited(local.verifying_reader(decoder), most))
        }
        _ => {
            Err(Error::input("it is compressed in a way that is not supported; Inspect uses zstd or deflate"))
        }
    };
    // What cannot be inflated is the file's fault, not the disk's.
    let inflated = inflated.map_err(|error| Error::input(format!("{name}: {}", error.message)))?;
    *left -= inflated.len() as u64;
    json::parse(&inflated).map_err(|error| files::at(name, error))
}

/// An entry of an archive.
struct Found {
    place: rawzip::ZipArchiveEntryWayfinder,
    method: CompressionMethod,
}

async fn archive(
    file: &Path,
    bytes: &[u8],
    config: &RecordConfig,
    report: &mut Report,
    tasks: &mut Tasks,
    progress: &dyn Progress,
) -> Result<()> {
    let place = |error| files::at(file.display(), error);
    let damaged = |error: rawzip::Error| place(Error::input(format!("the archive is damaged: {error}")));
    let archive = ZipArchive::from_slice(bytes).map_err(damaged)?;
    // The last entry of a name wins: a log is written again by adding to it.
    let (mut found, mut order) = (HashMap::new(), Vec::new());
    let mut entries = archive.entries();
    while let Some(header) = entries.next_entry().map_err(damaged)? {
        let name = String::from_utf8_lossy(header.file_path().as_ref()).into_owned();
        let entry = Found { place: header.wayfinder(), method: header.compression_method() };
        let sample = name.starts_with("samples/") && name.ends_with(".json");
        if found.insert(name.clone(), entry).is_none() && sample {
            order.push(name);
        }
        if order.len() > SAMPLES {
            return Err(place(Error::input(format!("there are more than {SAMPLES} samples"))));
        }
    }
    order.sort();
    let mut left = LOG;
    let (name, begun) = match found.contains_key("header.json") {
        true => ("header.json", false),
        false => ("_journal/start.json", true),
    };
    let Some(header) = found.get(name) else {
        return Err(place(Error::input("it has no header.json, so it is not a log of Inspect")));
    };
    if begun {
        report.note("logs are of evaluations that did not finish");
    }
    let header = entry(&archive, name, header, &mut left).map_err(place)?;
    let header = Header::read(&At::root(&header), config).map_err(|error| place(files::at(name, error)))?;
    let total = order.len() as u64;
    for (done, name) in (1..).zip(order) {
        let document = entry(&archive, &name, &found[&name], &mut left).map_err(place)?;
        sample(&At::root(&document), &header, config, report, tasks)
            .map_err(|error| place(files::at(&name, error)))?;
        progress.report("import".into(), done, total, String::new()).await?;
    }
    Ok(())
}

/// What a log says of all its samples.
struct Header {
    task: String,
    model: String,
    eval: String,
    /// The score that is the reward, if not what the sample has alone.
    score: String,
    /// Ids of the data set's samples, in order.
    ids: Vec<String>,
}

impl Header {
    fn read(at: &At<'_>, config: &RecordConfig) -> Result<Self> {
        if let Some(version) = at.get("version")?
            && version.whole()? > 2
        {
            return Err(version.unfit(format!("this program reads versions up to 2, not {}", version.value)));
        }
        let eval = at.field("eval")?;
        let results =
            at.get("results")?.map(|results| results.get_list("scores")).transpose()?.unwrap_or_default();
        let first = results.first().map(|score| score.get_text("name")).transpose()?.flatten();
        let ids = eval.get("dataset")?.map(|dataset| dataset.get_list("sample_ids")).transpose()?;
        Ok(Self {
            task: eval.field("task")?.text()?.into(),
            model: eval.get_text("model")?.unwrap_or_default().into(),
            eval: eval.get_text("eval_id")?.or(eval.get_text("run_id")?).unwrap_or_default().into(),
            score: if config.reward.is_empty() {
                first.unwrap_or_default().into()
            } else {
                config.reward.clone()
            },
            ids: ids.unwrap_or_default().iter().map(At::id).collect::<Result<_>>()?,
        })
    }
}

fn sample(
    at: &At<'_>,
    header: &Header,
    config: &RecordConfig,
    report: &mut Report,
    tasks: &mut Tasks,
) -> Result<()> {
    let (id, epoch) =
        (at.field("id")?.id()?, at.get("epoch")?.map(|epoch| epoch.whole()).transpose()?.unwrap_or(1));
    let attachments = at.get("attachments")?.map(|found| found.object()).transpose()?;
    let mut messages = Vec::new();
    for found in at.get_list("messages")? {
        messages.push(said(&found, attachments, report)?);
    }
    let (growth, known) = calls(at, attachments, report)?;
    for said in messages.iter_mut().filter(|said| said.by == Speaker::Agent) {
        if let Some(call) = known.get(&said.id).filter(|_| !said.id.is_empty()) {
            said.info.extend(call.clone());
        }
    }
    let of = Trajectory {
        episode: match at.get_text("uuid")? {
            Some(uuid) => uuid.to_owned(),
            None => format!("{}/{id}/{epoch}", header.eval),
        },
        environment: if config.environment.is_empty() {
            header.task.clone()
        } else {
            config.environment.clone()
        },
        task: tasks.of(header, &id),
        source: format!("inspect/{}", header.model),
        info: info(at, report)?,
        ..Trajectory::default()
    };
    let reward = reward(at, header, config, report)?;
    let cut = at.get("error")?.is_some() || at.get("limit")?.is_some();
    let end = if cut { End::Truncated } else { End::Terminated };

    let mut done: HashSet<String> =
        messages.iter().map(|said| said.id.clone()).filter(|id| !id.is_empty()).collect();
    let identified = !done.is_empty() || messages.is_empty();
    let grown = growth.conversations();
    if !identified && !grown.is_empty() {
        report.note("samples have messages without ids, so sub-agents are not told apart");
    }
    let mut tools: Vec<Tool> = Vec::new();
    let mut others = Vec::new();
    for grown in grown.into_iter().filter(|_| identified) {
        let ours = grown.messages.iter().any(|said| said.by == Speaker::Agent && done.contains(&said.id));
        let mut messages = grown.messages;
        let mut acts = false;
        for said in messages.iter_mut().filter(|said| said.by == Speaker::Agent) {
            // What belongs to another conversation already was seen here, and not done again.
            said.context |= !said.id.is_empty() && !done.insert(said.id.clone());
            acts |= !said.context;
        }
        if ours {
            tools.extend(
                grown
                    .tools
                    .iter()
                    .filter(|tool| tools.iter().all(|known| known.name != tool.name))
                    .cloned()
                    .collect::<Vec<_>>(),
            );
        }
        if acts {
            others.push(Conversation {
                of: Trajectory { tools: grown.tools, seat: others.len() + 1, ..of.clone() },
                messages,
                reward,
                end,
            });
        }
    }
    Conversation { of: Trajectory { tools, ..of }, messages, reward, end }.import(report);
    others.into_iter().for_each(|other| other.import(report));
    Ok(())
}

/// A message; its long texts may be attachments.
fn said(at: &At<'_>, attachments: Option<&Map<String, Value>>, report: &mut Report) -> Result<Said> {
    let mut said = chat::message(at, report)?;
    let source = at.get_text("source")?;
    said.context = said.by == Speaker::Agent && source == Some("input");
    for text in [&mut said.text, &mut said.reasoning] {
        if let Some(content) =
            text.strip_prefix("attachment://").and_then(|id| attachments?.get(id)?.as_str())
        {
            *text = content.to_owned();
        }
    }
    Ok(said)
}

/// What is known of a model's answer, by the message's id.
type Known = HashMap<String, Map<String, Value>>;

/// The model calls among a sample's events, but for those of scorers, and what is known of each answer.
fn calls(
    at: &At<'_>,
    attachments: Option<&Map<String, Value>>,
    report: &mut Report,
) -> Result<(Growth, Known)> {
    let pool = at.get("events_data")?.map(|data| data.get_list("messages")).transpose()?.unwrap_or_default();
    let mut pooled: HashMap<usize, Said> = HashMap::new();
    let (mut growth, mut known) = (Growth::default(), Known::new());
    // The spans that are open around an event are known by their ids.
    let (mut parents, mut scorers) = (HashMap::new(), HashSet::new());
    for event in at.get_list("events")? {
        let kind = event.field("event")?.text()?;
        match kind {
            "span_begin" => {
                let id = event.field("id")?.text()?;
                let parent = event.get_text("parent_id")?;
                let inside = parent.is_some_and(|parent| scorers.contains(parent));
                if inside || event.get_text("type")?.is_some_and(|kind| kind.starts_with("scorer")) {
                    scorers.insert(id);
                }
                parents.insert(id, parent);
            }
            "model" => {
                if event.get_text("span_id")?.is_some_and(|span| scorers.contains(span)) {
                    report.dropped("model calls of scorers");
                    continue;
                }
                // A call that failed or is not answered yet.
                let Some(output) = event.get("output")? else { continue };
                let choices = output.get_list("choices")?;
                let Some(choice) = choices.first() else {
                    report.dropped("model calls without an answer");
                    continue;
                };
                report.drop_many("further answers to the same request", choices.len() as u64 - 1);
                let mut answer = said(&choice.field("message")?, attachments, report)?;
                for (key, name) in [
                    ("input_tokens", "input_tokens"),
                    ("output_tokens", "output_tokens"),
                    ("reasoning_tokens", "reasoning_tokens"),
                ] {
                    if let Some(tokens) =
                        output.get("usage")?.map(|usage| usage.get(key)).transpose()?.flatten()
                    {
                        answer.info.insert(name.into(), tokens.value.clone());
                    }
                }
                for key in ["timestamp", "working_time"] {
                    if let Some(found) = event.get(key)? {
                        answer.info.insert(key.into(), found.value.clone());
                    }
                }
                if !answer.id.is_empty() {
                    known.insert(answer.id.clone(), answer.info.clone());
                }
                let mut input = Vec::new();
                for found in event.get_list("input")? {
                    input.push(said(&found, attachments, report)?);
                }
                for range in event.get_list("input_refs")? {
                    let ends = range.list()?;
                    let [begin, end] = &ends[..] else { return Err(range.unfit("it must be two numbers")) };
                    for index in begin.whole()?..end.whole()? {
                        let index = usize::try_from(index).unwrap_or(usize::MAX);
                        let Some(found) = pool.get(index) else {
                            return Err(range.unfit(format!("`events_data.messages` has no {index}")));
                        };
                        if let Entry::Vacant(new) = pooled.entry(index) {
                            new.insert(said(found, attachments, report)?);
                        }
                        input.push(pooled[&index].clone());
                    }
                }
                let tools = chat::tools(event.get_list("tools")?, report)?;
                growth.add(Call { input, output: answer, tools, cut: false });
            }
            // What they say is in the messages, or in the sample itself.
            "span_end" | "sample_init" | "tool" | "score" | "step" | "state" | "error" | "sample_limit" => {}
            other => report.dropped(format!("events `{other}`")),
        }
    }
    Ok((growth, known))
}

/// What a sample says of itself.
fn info(at: &At<'_>, report: &mut Report) -> Result<Map<String, Value>> {
    let kept = [
        "id",
        "epoch",
        "target",
        "choices",
        "description",
        "metadata",
        "scores",
        "model_usage",
        "started_at",
        "completed_at",
        "total_time",
        "working_time",
        "error",
        "limit",
        "sandbox",
        "files",
        "setup",
        "invalidation",
    ];
    let read = [
        "input",
        "messages",
        "output",
        "events",
        "events_data",
        "attachments",
        "uuid",
        "turn_count",
        "role_usage",
    ];
    let mut info = Map::new();
    for (key, value) in at.object()? {
        let empty = value.is_null()
            || value.as_object().is_some_and(Map::is_empty)
            || value.as_array().is_some_and(Vec::is_empty);
        match key.as_str() {
            _ if empty => {}
            key if kept.contains(&key) => drop(info.insert(key.into(), value.clone())),
            key if read.contains(&key) => {}
            key => report.dropped(format!("`{key}` of samples")),
        }
    }
    Ok(info)
}

fn reward(at: &At<'_>, header: &Header, config: &RecordConfig, report: &mut Report) -> Result<Option<f64>> {
    let Some(scores) = at.get("scores")? else { return Ok(None) };
    let names: Vec<&String> = scores.object()?.keys().collect();
    for name in &names {
        report.reward(name, false);
    }
    let wanted = match names.first() {
        Some(first) if header.score.is_empty() => first.as_str(),
        _ => &header.score,
    };
    // A name of several parts is a score, or a value of one.
    let found = match scores.get(wanted)? {
        Some(score) => score.get("value")?,
        None => wanted.match_indices('.').find_map(|(dot, _)| {
            let score = scores.get(&wanted[..dot]).ok()??;
            score.get("value").ok()??.find(&wanted[dot + 1..])
        }),
    };
    let Some(found) = found else { return Ok(None) };
    report.reward(wanted, true);
    let number = match found.value {
        Value::String(letter) if letter == "C" => 1.0,
        Value::String(letter) if letter == "P" => 0.5,
        Value::String(letter) if letter == "I" || letter == "N" => 0.0,
        Value::Object(values) if config.reward.is_empty() => {
            let names = values.keys().map(|key| format!("{wanted}.{key}")).collect::<Vec<_>>().join(", ");
            return Err(found.unfit(format!("the score has several values; name one as the reward: {names}")));
        }
        _ => chat::score(&found)?,
    };
    Ok(Some(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::tests::{check, refused};

    const LOG: &str = include_str!("../../tests/fixtures/inspect.json");

    /// The same log as Inspect writes it into an archive.
    fn archive(header: &str, samples: &[(&str, &str)], zstd: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = rawzip::ZipArchiveWriter::new(&mut bytes);
        let all = [("header.json", header)].into_iter().chain(samples.iter().copied());
        for (name, text) in all {
            use std::io::Write as _;
            let method = if zstd { CompressionMethod::ZSTD } else { CompressionMethod::DEFLATE };
            let (mut entry, config) = writer.new_file(name).compression_method(method).start().unwrap();
            let descriptor = if zstd {
                let encoder = zstd::stream::write::Encoder::new(&mut entry, 1).unwrap();
                let mut writer = config.wrap(encoder);
                writer.write_all(text.as_bytes()).unwrap();
                let (encoder, descriptor) = writer.finish().unwrap();
                encoder.finish().unwrap();
                descriptor
            } else {
                let encoder = flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::fast());
                let mut writer = config.wrap(encoder);
                writer.write_all(text.as_bytes()).unwrap();
                let (encoder, descriptor) = writer.finish().unwrap();
                encoder.finish().unwrap();
                descriptor
            };
            entry.finish(descriptor).unwrap();
        }
        writer.finish().unwrap();
        bytes
    }

    #[tokio::test]
    async fn a_sample_becomes_a_trajectory_for_each_conversation() {
        let importer = Inspect(RecordConfig::default());
        let imported = check(&importer, "log.json", LOG).await;
        let [main, sub] = &imported.trajectories[..] else { panic!("{imported:?}") };
        assert_eq!(
            (main.environment.as_str(), main.task, main.source.as_str()),
            ("lamps", 1, "inspect/mock")
        );
        let [search, answer] = &main.steps[..] else { panic!("{main:?}") };
        assert_eq!(
            (search.thought.as_str(), search.action.as_str()),
            ("A lamp.", r#"search({"query":"red lamp"})"#)
        );
        assert_eq!(search.observation, "Find a red lamp", "a long text is an attachment");
        assert_eq!(search.info["input_tokens"], 10);
        assert_eq!(answer.observation, "search({\"query\":\"red lamp\"}) failed:\ntoo slow");
        assert_eq!((answer.action.as_str(), answer.reward, answer.terminated), ("B02", 0.5, true));
        assert_eq!(main.tools[0].name, "search");
        assert_eq!((sub.seat, sub.steps.len(), sub.steps[0].action.as_str()), (1, 1, "red"));
        assert_eq!(imported.dropped["model calls of scorers"], 1);
        assert_eq!(main.info["scores"]["style"]["value"]["wit"], 0.75);

        let document: Value = json::parse(LOG.as_bytes()).unwrap();
        let sample = document["samples"][0].to_string();
        for zstd in [true, false] {
            let bytes = archive(LOG, &[("samples/lamp_epoch_1.json", &sample)], zstd);
            assert_eq!(check(&importer, "log.eval", bytes).await, imported);
        }
    }

    #[tokio::test]
    async fn the_score_is_chosen_by_name() {
        let reward = |name: &str| Inspect(RecordConfig { reward: name.into(), ..RecordConfig::default() });
        assert_eq!(check(&reward("style.wit"), "log.json", LOG).await.trajectories[0].score(), 0.75);
        let error = refused(&reward("grace"), "log.json", LOG).await;
        assert!(error.contains("no entry has the reward `grace`; there is includes, style"), "{error}");
        let first = LOG.replace("{\"name\": \"includes\"}", "{\"name\": \"style\"}");
        let error = refused(&reward(""), "log.json", first).await;
        assert!(error.contains("name one as the reward: style.wit"), "{error}");
    }

    #[tokio::test]
    async fn broken_logs_are_refused() {
        let importer = Inspect(RecordConfig::default());
        for (bytes, why) in [
            (b"PK\x03\x04".to_vec(), "log.eval: the archive is damaged"),
            (archive("{}", &[], true), "log.eval: header.json: `eval` is missing"),
            (
                archive(LOG, &[("samples/a_epoch_1.json", "{\"id\": ")], false),
                "samples/a_epoch_1.json: not JSON",
            ),
            (
                archive(LOG, &[("samples/a_epoch_1.json", "{}")], false),
                "samples/a_epoch_1.json: `id` is missing",
            ),
            (LOG.replace("\"role\": \"tool\"", "\"role\": \"\"").into(), "`samples[0].messages[2].role`"),
            (LOG.replace("[[0, 1]]", "[[0, 7]]").into(), "`events_data.messages` has no 1"),
            (LOG.replace("\"version\": 2", "\"version\": 3").into(), "reads versions up to 2, not 3"),
        ] {
            let error = refused(&importer, "log.eval", bytes).await;
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn what_inflates_too_much_is_refused() {
        let bytes = archive(&"0".repeat(100_000), &[], true);
        let archive = ZipArchive::from_slice(&bytes[..]).unwrap();
        let header = archive.entries().next_entry().unwrap().unwrap();
        let found = Found { place: header.wayfinder(), method: header.compression_method() };
        let error = entry(&archive, "header.json", &found, &mut 99_999).unwrap_err().to_string();
        assert!(error.contains("header.json: it has more than 99999 bytes"), "{error}");
    }
}
