//! A library's metadata, read from its file without running any of its code.
//!
//! Section `.fth_meta` (`__DATA,__fth_meta` of Mach-O files) contains records: `FTHMETA1\0`, a little-endian `u32`
//! length, and as many bytes of JSON. The linker may put zeros between them.

use std::path::Path;

use forethought_abi::{METADATA_MAGIC, METADATA_SECTION, METADATA_SECTION_MACHO};
use forethought_api::{Error, Result, error::Code};
use object::{Object as _, ObjectSection as _};
use serde::{Deserialize, Serialize};

/// The metadata of one component: what it is, and how its library was built.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Major version of the contract that the library was built against.
    pub abi_major: u32,
    /// Minor version of the contract.
    pub abi_minor: u32,
    /// Name of its package.
    pub package: String,
    /// The package's version.
    pub version: String,
    /// Version of the sdk; empty for libraries that were built without it.
    #[serde(default)]
    pub sdk: String,
    /// Interface with its major version.
    pub interface: String,
    /// Name of the kind.
    #[serde(rename = "id")]
    pub kind: String,
    /// One line.
    #[serde(default)]
    pub summary: String,
    /// The compiler's version.
    #[serde(default)]
    pub rustc: String,
    /// The compile target, such as `x86_64-unknown-linux-gnu`.
    pub target: String,
    /// What a panic does: `unwind` or `abort`.
    #[serde(default = "unwind")]
    pub panic: String,
}

fn unwind() -> String {
    "unwind".into()
}

/// The records of a library, in the order of the file; `file` is for messages.
///
/// # Errors
/// [`Code::Plugin`] if `bytes` are not a library, or a library without readable records.
pub fn read(file: &Path, bytes: &[u8]) -> Result<Vec<Metadata>> {
    records(bytes).map_err(|why| Error::new(Code::Plugin, format!("{} {why}", file.display())))
}

fn records(bytes: &[u8]) -> Result<Vec<Metadata>, String> {
    const REBUILD: &str = "build it again, as a cdylib";
    if bytes.is_empty() {
        return Err(format!("is empty; {REBUILD}"));
    }
    let library = object::File::parse(bytes).map_err(|error| {
        format!("is not a readable library ({error}); name the file that `cargo build` makes of a cdylib, or {REBUILD}; a \
                 program is named by its command: load = [{{ command = [\"python3\", \"env.py\"] }}]")
    })?;
    let broken = |error: &dyn std::fmt::Display| {
        format!(
            "has a broken section {METADATA_SECTION} ({error}); the file is damaged: copy it again, or {REBUILD}"
        )
    };
    let macho = METADATA_SECTION_MACHO.rsplit(',').next().unwrap_or_default();
    let mut all = Vec::new();
    for section in library.sections() {
        if !section.name().is_ok_and(|name| name == METADATA_SECTION || name == macho) {
            continue;
        }
        let mut rest = section.data().map_err(|error| broken(&error))?;
        while let Some(start) = rest.iter().position(|byte| *byte != 0) {
            let (json, after) = record(&rest[start..]).map_err(|why| broken(&why))?;
            all.push(serde_json::from_slice(json).map_err(|error| broken(&error))?);
            rest = after;
        }
    }
    match all.is_empty() {
        true => Err(format!(
            "is a library, but not a plugin: it has no section {METADATA_SECTION}. Components are registered by \
             `register!` of forethought-sdk, in a crate whose crate-type is cdylib"
        )),
        false => Ok(all),
    }
}

/// The JSON of the record at the start of `bytes`, and the bytes after it.
fn record(bytes: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let rest = bytes.strip_prefix(METADATA_MAGIC).ok_or("a record does not start with FTHMETA1")?;
    let (length, rest) = rest.split_first_chunk().ok_or("a record ends before its length")?;
    let length = u32::from_le_bytes(*length) as usize;
    rest.split_at_checked(length).ok_or("a record is longer than the section")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{library, library_as, record};

    fn read(bytes: &[u8]) -> Result<Vec<Metadata>> {
        super::read(Path::new("/plugins/libtide.so"), bytes)
    }

    #[test]
    fn records_are_read_with_zeros_between_them() {
        let (first, second) = (record("environment", "tide"), record("planner", "drift"));
        let read = read(&library(&[&*first, &[0; 7], &*second, &[0; 3]].concat())).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((&*read[0].interface, &*read[0].kind), ("forethought.environment/1", "tide"));
        assert_eq!((&*read[1].interface, &*read[1].kind), ("forethought.planner/1", "drift"));
        assert_eq!((read[0].abi_major, &*read[0].panic), (1, "unwind"));
    }

    #[test]
    fn the_format_of_every_platform_is_read() {
        for format in [object::BinaryFormat::MachO, object::BinaryFormat::Coff] {
            let read = read(&library_as(format, &record("environment", "tide"))).unwrap();
            assert_eq!(read[0].kind, "tide");
        }
    }

    #[test]
    fn a_file_that_is_not_a_plugin_is_refused_with_its_name_and_a_way_out() {
        let whole = library(&record("environment", "tide"));
        let magic = METADATA_MAGIC.as_slice();
        let with = |section: &[&[u8]]| library(&section.concat());
        for (bytes, says) in [
            (Vec::new(), "is empty"),
            (b"#!/bin/sh\necho hello\n".to_vec(), "is not a readable library"),
            (whole[..64].to_vec(), "is not a"),
            (whole[..whole.len() / 2].to_vec(), "is not a"),
            (with(&[]), "is a library, but not a plugin"),
            (with(&[magic]), "a record ends before its length"),
            (with(&[magic, &[0xff; 4], b"{}"]), "a record is longer than the section"),
            (with(&[magic, &2_u32.to_le_bytes(), &[0xff, 0xfe]]), "damaged"),
            (with(&[magic, &2_u32.to_le_bytes(), b"[]"]), "damaged"),
            (with(&[magic, &2_u32.to_le_bytes(), b"{}"]), "missing field `abi_major`"),
            (with(&[b"FTHMETA2\0"]), "does not start with FTHMETA1"),
        ] {
            let error = read(&bytes).expect_err(says);
            assert_eq!(error.code, Code::Plugin);
            assert!(error.message.starts_with("/plugins/libtide.so "), "{error}");
            assert!(error.message.contains(says), "{error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn damage_never_panics(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
            let mut bytes = library(&record("environment", "tide"));
            for (at, byte) in flips {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Err(error) = read(&bytes) {
                prop_assert_eq!(error.code, Code::Plugin);
            }
        }

        #[test]
        fn lengths_never_panic(at in any::<prop::sample::Index>(), noise in prop::collection::vec(any::<u8>(), 0..64)) {
            let bytes = library(&record("environment", "tide"));
            let _ = read(&bytes[..at.index(bytes.len())]);
            let _ = read(&library(&noise));
            let _ = read(&noise);
        }
    }
}
