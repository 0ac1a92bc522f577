//! Measures the viewer on a run of 10,000 episodes, which it makes from the run that is given: the time to the first
//! page, the times of other pages, and the memory before and after. With `keep`, it goes on serving, for
//! core/cli/tests/reading/scroll.mjs.
//!
//!     cargo run -p forethought-reading --example many -- RUN [EPISODES [keep]]

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use forethought_api::{Error, Result, error::Context as _};
use forethought_reading::web::Viewer;
use forethought_runtime::run::folder::{events_path, read_episodes};

/// Resident memory in kB.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.map_or_else(|| "unknown".into(), |line| line.trim().to_owned())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let run = arguments.next().ok_or_else(|| Error::input("name a run's folder"))?;
    let count: usize =
        arguments.next().map_or(Ok(10_000), |count| count.parse()).context("EPISODES is a number")?;
    let folder = tempfile::tempdir()?;
    let many = folder.path().join("many");
    copy(Path::new(&run), &many, count)?;

    println!("{count} episodes; memory at start {}", memory());
    let begun = Instant::now();
    let served = Viewer::open(&many, &[])?.serve(0).await?;
    let last = format!("{}/0?from={}", served.url().trim_end_matches('/'), count.saturating_sub(100));
    for (what, url) in [
        ("first page", served.url()),
        ("again", served.url()),
        ("last page", last),
        ("sorted by tokens", format!("{}0?sort=tokens", served.url())),
        ("an episode", format!("{}0/e/{}", served.url(), name(0))),
    ] {
        let asked = if what == "first page" { begun } else { Instant::now() };
        let body = tokio::task::spawn_blocking(move || -> Result<String> {
            let mut answer = ureq::get(url).call().context("the viewer")?;
            answer.body_mut().read_to_string().context("the viewer")
        });
        let bytes = body.await.context("the viewer")??.len();
        println!("{what}: {:.0} ms, {bytes} bytes; memory {}", asked.elapsed().as_secs_f64() * 1e3, memory());
    }
    if arguments.next().is_some_and(|word| word == "keep") {
        println!("{}", served.url());
        std::future::pending::<()>().await;
    }
    Ok(())
}

fn name(number: usize) -> String {
    format!("{number:032x}")
}

/// Repeats the episodes of a run until there are `count`.
fn copy(run: &Path, many: &Path, count: usize) -> Result<()> {
    let episodes = read_episodes(run)?;
    std::fs::create_dir_all(many.join("events"))?;
    std::fs::copy(run.join("run.json"), many.join("run.json"))?;
    let mut lines = std::io::BufWriter::new(std::fs::File::create(many.join("episodes.jsonl"))?);
    for (number, one) in episodes.iter().cycle().take(count).enumerate() {
        let mut copy = one.clone();
        copy.episode = name(number);
        copy.task = number as u64;
        writeln!(lines, "{}", serde_json::to_string(&copy)?)?;
        std::fs::hard_link(events_path(run, &one.episode), events_path(many, &copy.episode)).or_else(
            |_| std::fs::copy(events_path(run, &one.episode), events_path(many, &copy.episode)).map(drop),
        )?;
    }
    lines.flush()?;
    Ok(())
}
