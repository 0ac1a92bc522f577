//! For this crate's tests: libraries made without a compiler (an ELF file with only a metadata section), a linked
//! component, and an empty host.

use forethought_abi::METADATA_MAGIC;
use forethought_sdk::prelude::*;
use object::{Architecture, BinaryFormat, Endianness, SectionKind, write::Object};

use crate::{metadata::Metadata, policy::TARGET};

/// A valid record.
pub(crate) fn metadata(word: &str, kind: &str) -> Metadata {
    Metadata {
        abi_major: 1,
        abi_minor: 1,
        package: "tide-pools".into(),
        version: "0.1.0".into(),
        interface: format!("forethought.{word}/1"),
        kind: kind.into(),
        target: TARGET.into(),
        panic: "unwind".into(),
        ..Metadata::default()
    }
}

/// A valid record as it is in a file.
pub(crate) fn record(word: &str, kind: &str) -> Vec<u8> {
    record_of(&metadata(word, kind))
}

/// A record as it is in a file.
pub(crate) fn record_of(metadata: &Metadata) -> Vec<u8> {
    let json = serde_json::to_vec(metadata).expect("metadata can be written as JSON");
    [METADATA_MAGIC.as_slice(), &(json.len() as u32).to_le_bytes(), &json].concat()
}

/// An ELF file with this metadata section; without the section if it is empty.
pub(crate) fn library(section: &[u8]) -> Vec<u8> {
    library_as(BinaryFormat::Elf, section)
}

/// The same in another format.
pub(crate) fn library_as(format: BinaryFormat, section: &[u8]) -> Vec<u8> {
    let mut file = Object::new(format, Architecture::X86_64, Endianness::Little);
    if !section.is_empty() {
        let (segment, name) = match format {
            BinaryFormat::MachO => ("__DATA", "__fth_meta"),
            _ => ("", ".fth_meta"),
        };
        let id = file.add_section(segment.into(), name.into(), SectionKind::ReadOnlyData);
        file.append_section_data(id, section, 1);
    }
    file.write().expect("an object file can be written")
}

/// An empty host.
pub(crate) struct Nothing;

#[async_trait]
impl Host for Nothing {}

/// Letters of an alphabet.
#[config]
struct LettersConfig {
    /// Which alphabet.
    #[serde(rename = "alphabet")]
    _alphabet: String,
    /// Length of a vector.
    #[serde(default)]
    dimension: usize,
}

struct Letters(usize);

#[async_trait]
impl TextEncoder for Letters {
    async fn spec(&self) -> Result<EncoderSpec> {
        Ok(EncoderSpec { id: "letters".into(), dimension: self.0, ..EncoderSpec::default() })
    }
    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        Matrix::new(texts.len(), self.0, vec![1.0; texts.len() * self.0])
    }
}

register! {
    interface: dyn TextEncoder,
    kind: "letters",
    summary: "tells no text from another",
    config: LettersConfig,
    new: |config: LettersConfig, _host| async move { Ok(Arc::new(Letters(config.dimension)) as _) },
}
