//! The importers, one file each.

pub mod atif;
pub mod inspect;
pub mod openai_chat;
pub mod otel_genai;
pub mod verifiers;

/// Registers an importer: a function `read(&Path, &RecordConfig, &mut Report, &dyn Progress) -> Result<()>` as a kind.
macro_rules! importer {
    ($name:ident, $doc:literal, $kind:literal, $summary:literal) => {
        #[doc = $doc]
        pub struct $name(pub crate::RecordConfig);

        #[forethought_sdk::prelude::async_trait]
        impl forethought_sdk::prelude::Importer for $name {
            async fn import(
                &self,
                path: std::path::PathBuf,
                progress: std::sync::Arc<dyn forethought_sdk::prelude::Progress>,
            ) -> forethought_sdk::prelude::Result<Vec<forethought_sdk::prelude::Trajectory>> {
                Ok(self.read(path, progress).await?.trajectories)
            }

            async fn read(
                &self,
                path: std::path::PathBuf,
                progress: std::sync::Arc<dyn forethought_sdk::prelude::Progress>,
            ) -> forethought_sdk::prelude::Result<forethought_sdk::prelude::Imported> {
                let mut report = crate::report::Report::default();
                read(&path, &self.0, &mut report, &*progress).await?;
                report.finish(&self.0)
            }
        }

        forethought_sdk::prelude::register! {
            interface: dyn forethought_sdk::prelude::Importer, kind: $kind, summary: $summary,
            config: crate::RecordConfig,
            new: |config, _host| async move { Ok(std::sync::Arc::new($name(config)) as _) },
        }
    };
}
use importer;

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use forethought_sdk::api::critic::NoProgress;
    use forethought_sdk::prelude::*;

    async fn read(importer: &dyn Importer, name: &str, bytes: &[u8]) -> Result<Imported> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        importer.read(path, Arc::new(NoProgress)).await
    }

    /// Imports a file of this name and content.
    pub(crate) async fn check(importer: &dyn Importer, name: &str, content: impl AsRef<[u8]>) -> Imported {
        read(importer, name, content.as_ref()).await.unwrap()
    }

    /// The same, which must fail.
    pub(crate) async fn refused(importer: &dyn Importer, name: &str, content: impl AsRef<[u8]>) -> String {
        read(importer, name, content.as_ref()).await.unwrap_err().to_string()
    }
}
