//! JSON Lines: one trajectory per line.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use forethought_api::{Error, Result, error::Context, text::unmarked, trajectory::Trajectory};

pub(super) fn read(path: &Path) -> Result<Vec<Trajectory>> {
    let file = File::open(path).context(format!("{} could not be opened", path.display()))?;
    let mut trajectories = Vec::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let place = || format!("{}, line {}", path.display(), number + 1);
        let line = line.context(place())?;
        let line = if number == 0 { unmarked(&line) } else { &line };
        if !line.trim().is_empty() {
            let trajectory = serde_json::from_str(line)
                .map_err(|error| Error::input(format!("{}: not a trajectory: {error}", place())))?;
            trajectories.push(trajectory);
        }
    }
    Ok(trajectories)
}

pub(super) fn write(path: &Path, trajectories: &[Trajectory]) -> Result<()> {
    let mut lines = Vec::new();
    for trajectory in trajectories {
        serde_json::to_writer(&mut lines, trajectory)?;
        lines.push(b'\n');
    }
    crate::files::write_whole(path, &lines)
}
