//! `forethought plugin check`.

use clap::Args;
use forethought_api::Result;

use crate::{exit::Exit, session::Session};

/// Check components against the rules of their interfaces: those of a library or a program, or one that a configuration
/// can name.
///
/// Each finding names the rule and says how to fix it. Exits with 1 if a rule is broken.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought plugin check target/release/libtide_pools.so
  forethought plugin check env.py
  forethought plugin check environment.webshop --set products=100 --steps 2000
  forethought plugin check environment.tide-pools --plugin ./libtide_pools.so --json")]
#[cfg_attr(
    not(feature = "conformance"),
    allow(dead_code, reason = "the command is known, but cannot be executed")
)]
pub(crate) struct Check {
    /// A library, a Python script or another program, or a component as <interface>.<kind>.
    what: String,
    /// Set a key of the component's configuration, such as --set size=3. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Number of steps after which memory must not have grown; 0 skips this rule.
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
}

#[cfg(not(feature = "conformance"))]
impl Check {
    pub(crate) async fn execute(self, _: &Session) -> Result<Exit> {
        Err(crate::builtin::built_without("`forethought plugin check`", "conformance"))
    }
}

#[cfg(feature = "conformance")]
mod kit {
    use std::path::Path;
    use std::sync::Arc;

    use forethought_conformance::{Options, Report, Subject, check};
    use forethought_plugin_host::settings::is_name;
    use forethought_runtime::{
        config::settings,
        registry::{Registry, RegistryEntry},
    };

    use super::{super::open, *};

    impl Check {
        pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
            let given = settings(&self.set)?;
            let entries = self.entries(session).await?;
            let takes = |entry: &RegistryEntry, key: &str| entry.schema["properties"].get(key).is_some();
            let mut reports = Vec::new();
            for entry in &entries {
                let mut options = Options { config: given.clone(), ..Options::default() };
                if let Some(steps) = self.steps {
                    options.steps = steps;
                }
                // A key goes to the components that have it; an unknown key goes to all, so that their errors name it.
                options
                    .config
                    .retain(|key, _| takes(entry, key) || !entries.iter().any(|other| takes(other, key)));
                let report =
                    session.or_interrupted(async { Ok(check(&subject(entry), &options).await) }).await?;
                reports.push(report);
            }
            session
                .show(&reports, || reports.iter().map(Report::to_string).collect::<Vec<_>>().join("\n"))?;
            Ok(if reports.iter().all(Report::passed) { Exit::Done } else { Exit::Failed })
        }

        /// The components to check.
        async fn entries(&self, session: &Session) -> Result<Vec<Arc<RegistryEntry>>> {
            let component = self.what.split_once('.').filter(|_| !Path::new(&self.what).exists());
            if let Some((word, kind)) = component.filter(|(word, _)| !word.is_empty() && is_name(&self.what))
            {
                return Ok(vec![session.component(word, kind).await?]);
            }
            let (_, plugin) = open(session, &self.what).await?;
            // As they would be loaded: two of one name are refused.
            Ok(Registry::collect(plugin.entries()?)?.list().cloned().collect())
        }
    }

    fn subject(entry: &RegistryEntry) -> Subject {
        Subject {
            interface: entry.interface.into(),
            kind: entry.kind.clone(),
            package: entry.package.clone(),
            schema: entry.schema.clone(),
            create: entry.create.clone(),
        }
    }
}
