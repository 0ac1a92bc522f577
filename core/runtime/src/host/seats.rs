//! Which planner takes which seat.

use forethought_api::{Error, Result, environment::EnvironmentSpec};

use crate::host::RuntimeHost;
use crate::registry::suggestion;

/// In `[seats]`: every seat that is not named there.
const OTHERS: &str = "*";

impl RuntimeHost {
    /// The planner of each of the environment's seats: what `[seats]` says (`"*"` means every seat that it does not
    /// name), or the only planner there is. `first` overrides the planner of the first seat, the agent under test.
    ///
    /// # Errors
    /// A seat without a planner, or a name of a seat or planner that does not exist.
    pub fn seats(&self, spec: &EnvironmentSpec, first: Option<&str>) -> Result<Vec<String>> {
        let config = &self.shared.config;
        let known: Vec<&str> = spec.seats.iter().map(|seat| seat.name.as_str()).collect();
        if let Some(seat) =
            config.seats.keys().find(|seat| *seat != OTHERS && !known.contains(&seat.as_str()))
        {
            let message =
                format!("`{}` has no such seat; {}", spec.name, suggestion(seat, known.into_iter()));
            return Err(Error::config(config.document().at(&["seats".into(), seat.clone()], message)));
        }
        let only = config.planners().next().filter(|_| config.planners().count() == 1);
        let assigned = spec.seats.iter().enumerate().map(|(index, seat)| {
            let first = first.filter(|_| index == 0);
            let given = config.seats.get(&seat.name).or(config.seats.get(OTHERS));
            let planner = first.or(given.map(String::as_str)).or(only).ok_or_else(|| {
                Error::config(format!(
                    "no planner takes the seat `{0}` of `{1}`; add `{0} = \"...\"` under [seats] with the name of a \
                     planner",
                    seat.name, spec.name
                ))
            })?;
            config.component("planner", planner).map(|_| planner.to_string())
        });
        assigned.collect()
    }
}

#[cfg(test)]
mod tests {
    use forethought_api::environment::SeatSpec;

    use super::*;
    use crate::host::tests::host;

    #[tokio::test]
    async fn seats_are_taken_by_configuration_the_only_planner_or_the_command_line() {
        let one = "[planner.a]\nkind = \"echo\"\nllm = \"actor\"\n";
        let two = format!("{one}[planner.b]\nkind = \"echo\"\nllm = \"actor\"\n");
        let seats = async |toml: &str, first| {
            let host = host(toml);
            let spec = host.environment().await.unwrap().spec().await.unwrap();
            host.seats(&spec, first).map_err(|error| error.to_string())
        };
        assert_eq!(seats(one, None).await.unwrap(), ["a"]);
        assert_eq!(seats(&format!("{two}[seats]\nagent = \"b\"\n"), None).await.unwrap(), ["b"]);
        assert_eq!(seats(&two, Some("b")).await.unwrap(), ["b"]);
        assert!(seats(&two, None).await.unwrap_err().contains("no planner takes the seat `agent`"));
        assert!(seats(&two, Some("d")).await.unwrap_err().contains("there is no [planner.d]"));
    }

    #[tokio::test]
    async fn a_star_stands_for_every_seat_that_is_not_named() {
        let named = |name: &str| SeatSpec { name: name.into(), ..SeatSpec::default() };
        let table = EnvironmentSpec {
            seats: ["player 0", "player 1", "player 2"].map(named).into(),
            ..EnvironmentSpec::default()
        };
        let planners =
            "[planner.a]\nkind = \"echo\"\nllm = \"actor\"\n[planner.b]\nkind = \"echo\"\nllm = \"actor\"\n";
        let host = host(&format!("{planners}[seats]\n\"player 1\" = \"a\"\n\"*\" = \"b\"\n"));
        assert_eq!(host.seats(&table, None).unwrap(), ["b", "a", "b"]);
        assert_eq!(host.seats(&table, Some("a")).unwrap(), ["a", "a", "b"]);
    }
}
