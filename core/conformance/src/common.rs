//! Rules for components of every interface, about any piece of work that can be repeated.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use forethought_api::Result as Answer;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

use crate::trial::{Failure, Fault, Rule, Trial, Verdict, ensure, parting, skip};

pub(crate) const ANSWERED: Rule = Rule {
    id: "common/answered",
    says: "every call is answered in time, without an error or a panic",
    fix: "return errors only where the interface's documentation says so, never panic, and let every call end",
    needs: &[],
};
const CANCELLED: Rule = Rule {
    id: "common/cancelled",
    says: "a call dropped midway leaves nothing behind: the next call is answered as if it had never been made",
    fix: "change state only where no `.await` can interrupt, or restore it in a guard's `Drop`; hold no flag, lock or \
          half-written value across an `.await`",
    needs: NEEDS,
};
const CONCURRENT: Rule = Rule {
    id: "common/concurrent",
    says: "concurrent calls do not affect one another",
    fix: "do not share the state of one call or episode; guard shared state with a lock held for a whole change",
    needs: NEEDS,
};
const MEMORY: Rule = Rule {
    id: "common/memory",
    says: "its memory does not grow over thousands of steps",
    fix: "free the state of an episode when it is reset or dropped; bound every cache, log and channel",
    needs: &["common/answered", "common/cancelled"],
};
/// Work that is not repeatable cannot show disturbances, and leftovers of a dropped call disturb everything.
const NEEDS: &[&str] = &[
    "common/answered",
    "common/cancelled",
    "environment/same-seed",
    "environment/reset",
    "environment/spawn",
    "llm/seed",
    "encoder/deterministic",
    "critic/deterministic",
    "planner/deterministic",
    "summariser/same-words",
    "behaviour/deterministic",
];

pub(crate) const RULES: &[&Rule] = &[&CANCELLED, &CONCURRENT, &MEMORY, &ANSWERED];

/// One piece of work of a component: its result as text, which is the same each time.
pub(crate) type Piece = Arc<dyn Fn(u64) -> BoxFuture<'static, Answer<String>> + Send + Sync>;

/// The work that the common rules repeat.
pub(crate) struct Work {
    /// Piece number n, done independently of all others.
    pub(crate) apart: Piece,
    /// Piece number n, done on one object that is reused: a world that is reset, where `apart` spawns one.
    pub(crate) kept: Piece,
    /// Number of steps of a piece.
    pub(crate) steps: u64,
}

impl Work {
    /// Work whose pieces share only the component.
    pub(crate) fn new<F>(piece: impl Fn(u64) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer<String>> + Send + 'static,
    {
        let piece: Piece = Arc::new(move |n| Box::pin(piece(n)));
        Self { apart: piece.clone(), kept: piece, steps: 1 }
    }
}

pub(crate) async fn check(trial: &Trial<'_>, work: Option<Work>) {
    trial.rule(&CANCELLED, cancelled(trial, work.as_ref())).await;
    trial.rule(&CONCURRENT, concurrent(trial, work.as_ref())).await;
    trial.rule(&MEMORY, memory(trial, work.as_ref())).await;
}

fn some(work: Option<&Work>) -> Result<&Work, Fault> {
    work.ok_or_else(|| Fault::Skipped("this interface has no small piece of work to repeat".into()))
}

/// Polls a call up to `polls` times, a moment apart, then drops it; its result if it finished earlier.
pub(crate) async fn abandon<T>(call: impl Future<Output = T>, polls: u32) -> Option<T> {
    let mut call = pin!(call);
    for _ in 0..polls {
        if let Poll::Ready(done) = futures_util::poll!(&mut call) {
            return Some(done);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    None
}

async fn cancelled(trial: &Trial<'_>, work: Option<&Work>) -> Verdict {
    let kept = &some(work)?.kept;
    let before = trial.call("work", kept(0)).await?;
    for polls in 0..8 {
        // An error of a cancelled call does not matter.
        let _ = abandon(trial.attempt(kept(1)), polls).await;
        match trial.attempt(kept(0)).await {
            Ok(after) => ensure!(
                after == before,
                "after a dropped call the same work has another result: {}",
                parting(&before, &after)
            ),
            Err(failure) => ensure!(false, "after a dropped call the next call {failure}"),
        }
    }
    Ok(())
}

async fn concurrent(trial: &Trial<'_>, work: Option<&Work>) -> Verdict {
    const AT_ONCE: u64 = 8;
    let apart = &some(work)?.apart;
    let mut alone = Vec::new();
    for n in 0..AT_ONCE {
        alone.push(trial.call("work", apart(n)).await?);
    }
    let mut together = JoinSet::new();
    for n in 0..AT_ONCE {
        let piece = apart(n);
        together.spawn(async move { (n, piece.await) });
    }
    let everyone = async move {
        let mut all = Vec::new();
        while let Some(joined) = together.join_next().await {
            all.push(joined);
        }
        Ok(all)
    };
    let all = match trial.attempt(everyone).await {
        Ok(all) => all,
        Err(failure) => {
            ensure!(
                !matches!(failure, Failure::Late(_)),
                "with {AT_ONCE} concurrent calls, the component {failure}"
            );
            return Ok(());
        }
    };
    for joined in all {
        match joined {
            Ok((n, Ok(words))) => {
                let alone = &alone[n as usize];
                ensure!(
                    words == *alone,
                    "next to other calls the same work has another result: {}",
                    parting(alone, &words)
                );
            }
            Ok((_, Err(error))) => {
                ensure!(false, "next to other calls, a call answered with an error: {error}")
            }
            Err(died) => ensure!(false, "next to other calls, a call panicked: {died}"),
        }
    }
    Ok(())
}

/// Growth per round that is still fine, for pages that an allocator keeps. 10,000 steps that leak 420 bytes exceed it.
const NOISE: u64 = 4 << 20;
/// The longest time for a round, and the fewest pieces for a meaningful result.
const ROUND: Duration = Duration::from_secs(20);
const FEWEST: u64 = 200;

/// A leak grows in every round; a cache that fills up, or a page allocated by chance, does not.
async fn memory(trial: &Trial<'_>, work: Option<&Work>) -> Verdict {
    let Work { apart, kept, steps } = some(work)?;
    if trial.options.steps == 0 {
        skip!("no steps were requested");
    }
    let measure = || (trial.options.memory)();
    if measure().is_none() {
        skip!("the memory of its process cannot be measured on this system");
    }
    let asked = (trial.options.steps / steps).max(1);
    let round = async |pieces: u64| {
        for n in 0..pieces {
            let piece = if n % 2 == 0 { apart(n) } else { kept(n) };
            trial.call("work", piece).await?;
        }
        Ok::<_, Fault>(())
    };
    let begun = Instant::now();
    round(4).await?;
    let each = begun.elapsed() / 4;
    let affordable = (ROUND.as_nanos() / each.as_nanos().max(1)) as u64;
    let pieces = asked.min(affordable);
    if pieces < asked.min(FEWEST) {
        skip!("one call takes {each:?}, too slow to repeat often enough");
    }
    round(pieces / 4).await?;
    let mut grown = Vec::new();
    for _ in 0..3 {
        let Some(before) = measure() else { skip!("its process has ended") };
        round(pieces).await?;
        let Some(after) = measure() else { skip!("its process has ended") };
        if after.saturating_sub(before) <= NOISE {
            return Ok(());
        }
        grown.push((after - before) >> 20);
    }
    ensure!(false, "its process grew by {grown:?} MiB in rounds of {} steps", pieces * steps);
    Ok(())
}

/// Resident memory of a process, in bytes; `None` if there is no such process, or the system does not report it.
pub fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
