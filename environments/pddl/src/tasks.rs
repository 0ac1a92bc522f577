//! The problems that are tasks: from files, or generated when they are played.

use std::fs;
use std::path::{Path, PathBuf};

use forethought_sdk::{api::text::unmarked, prelude::*};
use forethought_strips::{Domain, Problem, Task, generate::LARGEST};

use crate::config::{Generate, PddlConfig};

/// A domain and its problems.
pub(crate) struct Tasks {
    pub(crate) domain: Arc<Domain>,
    source: Source,
}

enum Source {
    Files(Vec<Arc<Problem>>),
    Generated(Generate),
}

impl Tasks {
    /// The configured problems.
    ///
    /// # Errors
    /// Keys that contradict each other, and the first fault of a file, with its place.
    pub(crate) fn new(config: &PddlConfig) -> Result<Self> {
        match (&config.domain, &config.generate) {
            (Some(_), Some(_)) => {
                Err(Error::config("`domain` and `generate` are both given: tasks come from one of them"))
            }
            (None, _) if !config.problems.is_empty() => {
                Err(Error::config("`problems` are given without `domain`, the file of their domain"))
            }
            (Some(domain), None) => Self::files(&domain.0, &config.problems),
            (None, generate) => Self::generated(generate.clone().unwrap_or_default()),
        }
    }

    fn generated(generate: Generate) -> Result<Self> {
        let sizes = &generate.sizes;
        if sizes.is_empty() || sizes.iter().any(|size| !(1..=LARGEST).contains(size)) {
            return Err(Error::config(format!(
                "generate.sizes = {sizes:?}: sizes are from 1 to {LARGEST}, one or more"
            )));
        }
        if generate.tasks == 0 {
            return Err(Error::config("generate.tasks = 0: there is at least one task"));
        }
        Ok(Self { domain: generate.domain.domain(), source: Source::Generated(generate) })
    }

    fn files(domain: &Path, problems: &[ConfigPath]) -> Result<Self> {
        let read = |path: &Path| {
            fs::read_to_string(path)
                .map_err(|error| Error::config(format!("{} cannot be read: {error}", path.display())))
        };
        let fault = |fault: forethought_strips::Fault| Error::config(fault.to_string());
        let domain = Domain::parse(&domain.display().to_string(), unmarked(&read(domain)?)).map_err(fault)?;
        let domain = Arc::new(domain);
        let mut all = Vec::new();
        for path in problems {
            for file in listed(&path.0)? {
                let text = read(&file)?;
                let problem =
                    Problem::parse(&file.display().to_string(), unmarked(&text), &domain).map_err(fault)?;
                all.push(Arc::new(problem));
            }
        }
        match all.is_empty() {
            true => Err(Error::config(
                "`problems` is missing: files of problems in the domain, or folders of them",
            )),
            false => Ok(Self { domain, source: Source::Files(all) }),
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        match &self.source {
            Source::Files(problems) => problems.len() as u64,
            Source::Generated(generate) => generate.tasks,
        }
    }

    /// One of them.
    ///
    /// # Errors
    /// If there are fewer.
    pub(crate) fn task(&self, index: u64) -> Result<Task> {
        if index >= self.count() {
            return Err(Error::input(format!("there is no task {index}: there are {}", self.count())));
        }
        let problem = match &self.source {
            Source::Files(problems) => problems[index as usize].clone(),
            Source::Generated(Generate { domain, sizes, seed, .. }) => {
                let size = sizes[(index % sizes.len() as u64) as usize];
                Arc::new(domain.problem(size, seed::derive(*seed, &format!("task {index}"))))
            }
        };
        Task::new(self.domain.clone(), problem).map_err(Error::input)
    }

    /// The size of a generated task.
    pub(crate) fn size(&self, index: u64) -> Option<u32> {
        match &self.source {
            Source::Files(_) => None,
            Source::Generated(Generate { sizes, .. }) => Some(sizes[(index % sizes.len() as u64) as usize]),
        }
    }
}

fn listed(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.into()]);
    }
    let failed = |error| Error::config(format!("{} cannot be listed: {error}", path.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        files.push(entry.map_err(failed)?.path());
    }
    // A domain may lie next to its problems.
    files.retain(|file| {
        file.extension().is_some_and(|end| end == "pddl")
            && file.file_stem().is_none_or(|name| name != "domain")
    });
    files.sort();
    match files.is_empty() {
        true => Err(Error::config(format!("{} has no files of problems that end in .pddl", path.display()))),
        false => Ok(files),
    }
}
