//! Decides which libraries may be loaded, before any of their code runs; each refusal says why, and the way out.

use std::path::Path;

use forethought_abi::ABI_MAJOR;
use forethought_api::{Error, Result, error::Code, module::Description, registry::INTERFACES};

use super::metadata::Metadata;
use crate::registry::{known, suggestion};

/// The target that this program was compiled for.
pub const TARGET: &str = env!("FORETHOUGHT_TARGET");

/// Checks whether a library with these records may be loaded.
///
/// # Errors
/// [`Code::Plugin`] with the first reason why it may not.
pub fn admit(file: &Path, records: &[Metadata]) -> Result<()> {
    if records.is_empty() {
        return Err(refused(file, "it registers no component", "register one with `register!`"));
    }
    for record in records {
        let Metadata { abi_major, package, kind, interface, target, panic, sdk, .. } = record;
        if *abi_major != ABI_MAJOR {
            let (why, way_out) = match *abi_major > ABI_MAJOR {
                true => ("newer", "use a newer program, or build it with an older forethought-sdk"),
                false => ("older", "build it again with a newer forethought-sdk"),
            };
            return Err(refused(
                file,
                format!(
                    "{package} was built for version {abi_major} of the contract (sdk {sdk}), which is {why} than \
                     this program's {ABI_MAJOR}"
                ),
                way_out,
            ));
        }
        if target != TARGET {
            let why = format!("it was built for {target}, and this program for {TARGET}");
            return Err(refused(
                file,
                why,
                format!("build it with `cargo build --release --target {TARGET}`"),
            ));
        }
        if panic != "unwind" {
            return Err(refused(
                file,
                format!("it was built with panic = \"{panic}\", so a panic in it would end this program"),
                "build it with panic = \"unwind\" in its Cargo profile",
            ));
        }
        if known(interface).is_none() {
            let near = suggestion(interface, INTERFACES.iter().map(|(name, _)| *name));
            return Err(refused(
                file,
                format!(
                    "it provides `{kind}` of the interface `{interface}`, which this program does not know"
                ),
                format!("update one of them; {near}"),
            ));
        }
    }
    Ok(())
}

/// Checks that a library is the one that was pinned.
///
/// # Errors
/// [`Code::Plugin`] with both hashes if it is not.
pub fn pinned(file: &Path, sha256: &str, pin: &str) -> Result<()> {
    if sha256.eq_ignore_ascii_case(pin) {
        return Ok(());
    }
    let why = format!("its SHA-256 is {sha256}, and the configuration pins {pin}");
    Err(refused(file, why, "to use the new library, change the pin; else restore the old one"))
}

/// Checks that a library's description matches its metadata.
///
/// # Errors
/// [`Code::Plugin`] with the first difference.
pub fn agree(file: &Path, records: &[Metadata], description: &Description) -> Result<()> {
    let lies = |what: String| {
        Err(refused(
            file,
            format!("its metadata and its description do not agree: {what}"),
            "build it again from clean sources; do not load it unless you trust its origin",
        ))
    };
    for component in &description.components {
        if !records
            .iter()
            .any(|record| (&record.interface, &record.kind) == (&component.interface, &component.kind))
        {
            return lies(format!("{} `{}` is described only", component.interface, component.kind));
        }
    }
    for record in records {
        let described = description.components.iter();
        let mut described = described.map(|component| (&component.interface, &component.kind));
        if !described.any(|name| name == (&record.interface, &record.kind)) {
            return lies(format!("{} `{}` is in its metadata only", record.interface, record.kind));
        }
        if (&record.package, &record.version) != (&description.package, &description.version) {
            return lies(format!(
                "its metadata says {} {}, and its description says {} {}",
                record.package, record.version, description.package, description.version
            ));
        }
    }
    Ok(())
}

/// A refusal of the library `file`.
pub(super) fn refused(file: &Path, why: impl std::fmt::Display, way_out: impl std::fmt::Display) -> Error {
    Error::new(Code::Plugin, format!("{} is refused: {why}; {way_out}", file.display()))
}

#[cfg(test)]
mod tests {
    use forethought_api::module::Described;

    use super::*;
    use crate::testing::metadata;

    const FILE: &str = "/plugins/libtide.so";

    fn refusal(result: Result<()>) -> String {
        let error = result.expect_err("this must be refused");
        assert_eq!(error.code, Code::Plugin);
        assert!(error.message.starts_with("/plugins/libtide.so is refused: "), "{error}");
        error.message
    }

    #[test]
    fn an_unusable_library_is_refused_with_reason_and_way_out() {
        let tide = metadata("environment", "tide");
        assert!(admit(Path::new(FILE), std::slice::from_ref(&tide)).is_ok());
        let changed = |change: fn(&mut Metadata)| {
            let mut record = tide.clone();
            change(&mut record);
            refusal(admit(Path::new(FILE), &[tide.clone(), record]))
        };
        let major = changed(|record| record.abi_major = 9);
        assert!(major.contains("version 9 of the contract") && major.contains("a newer program"), "{major}");
        let target = changed(|record| record.target = "riscv64gc-unknown-linux-gnu".into());
        assert!(target.contains("riscv64gc-unknown-linux-gnu") && target.contains(TARGET), "{target}");
        let panic = changed(|record| record.panic = "abort".into());
        assert!(panic.contains("build it with panic = \"unwind\""), "{panic}");
        let interface = changed(|record| record.interface = "forethought.enviroment/1".into());
        assert!(interface.contains("the nearest is `forethought.environment/1`"), "{interface}");
        assert!(refusal(admit(Path::new(FILE), &[])).contains("registers no component"));
    }

    #[test]
    fn any_minor_version_and_any_compiler_are_accepted() {
        let record =
            Metadata { abi_minor: 99, rustc: "rustc 3.1.0".into(), ..metadata("environment", "tide") };
        assert!(admit(Path::new(FILE), &[record]).is_ok());
    }

    #[test]
    fn a_wrong_pin_shows_both_hashes() {
        assert!(pinned(Path::new(FILE), "abcd", "ABCD").is_ok());
        let message = refusal(pinned(Path::new(FILE), "abcd", "1234"));
        assert!(message.contains("abcd") && message.contains("1234"), "{message}");
    }

    #[test]
    fn a_description_that_differs_from_the_metadata_is_refused() {
        let described = |kind: &str| Described {
            interface: "forethought.environment/1".into(),
            kind: kind.into(),
            ..Described::default()
        };
        let tide = [metadata("environment", "tide")];
        let description = |version: &str, kinds: &[&str]| {
            Description::new("tide-pools", version, kinds.iter().map(|kind| described(kind)).collect())
        };
        let agree = |description: &Description| agree(Path::new(FILE), &tide, description);
        assert!(agree(&description("0.1.0", &["tide"])).is_ok());
        assert!(
            refusal(agree(&description("0.1.0", &["tide", "trap"]))).contains("`trap` is described only")
        );
        assert!(refusal(agree(&description("0.1.0", &[]))).contains("`tide` is in its metadata only"));
        assert!(refusal(agree(&description("0.2.0", &["tide"]))).contains("tide-pools 0.2.0"));
    }
}
