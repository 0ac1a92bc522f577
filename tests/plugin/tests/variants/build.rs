//! Builds the test plugin as other authors may build theirs: each variant in its own workspace, with one difference.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// How a library differs from the one of this workspace.
#[derive(Default)]
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    /// Additional dependencies of the plugin.
    pub(crate) dependencies: &'static str,
    /// Version of tokio; empty for that of the workspace.
    pub(crate) tokio: &'static str,
    /// Settings of Cargo's profile `dev`.
    pub(crate) profile: &'static str,
    /// Additional source text of the plugin.
    pub(crate) source: &'static str,
    /// Changes to a copy of the sdk: file, old text, new text.
    pub(crate) changes: &'static [(&'static str, &'static str, &'static str)],
    /// Whether the nightly compiler builds it, with random struct layouts.
    pub(crate) nightly: bool,
}

/// The variants that can be built here.
pub(crate) fn all() -> Vec<Variant> {
    let variants = [
        Variant {
            name: "old_dependencies",
            // The lowest versions that the sdk accepts, and features that change types' layouts.
            dependencies: "async-trait = '=0.1.77'\ninventory = '=0.3.15'\nschemars = '=1.0.0'\n\
                serde_json = { version = '=1.0.127', features = ['arbitrary_precision'] }",
            tokio: "=1.38.0",
            profile: "overflow-checks = true",
            ..Variant::default()
        },
        Variant {
            name: "small",
            profile: "opt-level = 'z'\nlto = 'fat'\ncodegen-units = 1\nstrip = true\noverflow-checks = false\n\
                debug-assertions = false",
            ..Variant::default()
        },
        Variant {
            name: "other_allocator",
            // Without the feature, a process has room for the thread-local storage of only a few such libraries.
            dependencies: "mimalloc = { version = '0.1.43', features = ['local_dynamic_tls'] }",
            source: "#[global_allocator]\nstatic ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;",
            ..Variant::default()
        },
        Variant {
            // Before objects had a list of codecs.
            name: "older_minor",
            changes: &[
                ("abi/src/lib.rs", "ABI_MINOR: u32 = 1", "ABI_MINOR: u32 = 0"),
                ("bridge/src/exported.rs", "size: size_of::<abi::FthObjVTable>()", "size: 40"),
                (
                    "bridge/src/imported.rs",
                    "match size >= offset_of!(abi::FthObjVTable, codecs) + size_of::<u64>()",
                    "match size == usize::MAX",
                ),
            ],
            ..Variant::default()
        },
        Variant {
            // With two more fields in the vtable of objects.
            name: "newer_minor",
            changes: &[
                ("abi/src/lib.rs", "ABI_MINOR: u32 = 1", "ABI_MINOR: u32 = 2"),
                (
                    "abi/src/lib.rs",
                    "pub codecs: u64,",
                    "pub codecs: u64,\n    /// New.\n    pub new: [u64; 2],",
                ),
                ("abi/src/lib.rs", "FthObjVTable 48", "FthObjVTable 64"),
                (
                    "bridge/src/exported.rs",
                    "interface, invoke, codecs }",
                    "interface, invoke, codecs, new: [7, 7] }",
                ),
            ],
            ..Variant::default()
        },
        Variant {
            name: "nightly_layout",
            profile: "debug-assertions = true",
            nightly: true,
            ..Variant::default()
        },
        Variant { name: "aborting", profile: "panic = 'abort'", ..Variant::default() },
    ];
    variants.into_iter().filter(Variant::can_be_built).collect()
}

impl Variant {
    /// Path of the built library.
    pub(crate) fn file(&self) -> PathBuf {
        folder().join("target/debug").join(format!("lib{}.so", self.name))
    }

    fn can_be_built(&self) -> bool {
        let can = !self.nightly
            || self.cargo().arg("--version").output().is_ok_and(|output| output.status.success());
        if !can {
            eprintln!("{}: skipped, because there is no nightly compiler", self.name);
        }
        can
    }

    fn cargo(&self) -> Command {
        let mut cargo = Command::new("cargo");
        // They apply to the build of the workspace.
        for variable in ["RUSTUP_TOOLCHAIN", "RUSTC", "RUSTDOC", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
            cargo.env_remove(variable);
        }
        if self.nightly {
            cargo.arg("+nightly").env("RUSTFLAGS", "-Zrandomize-layout");
        }
        cargo
    }

    /// Builds the library.
    pub(crate) fn build(&self) {
        let Self { name, dependencies, tokio, profile, source, changes, .. } = self;
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace");
        let folder = self::folder().join(name);
        let core = if changes.is_empty() {
            root.join("core")
        } else {
            changed_core(&root, &self::folder().join(format!("{name}_sdk")), changes)
        };
        for file in files(&root.join("tests/plugin/src")) {
            let mut text = fs::read_to_string(&file).expect("source");
            let file = file.file_name().expect("a file");
            if file == "lib.rs" {
                text = format!("{text}\n{source}\n");
            }
            write(&folder.join("src").join(file), &text);
        }
        let manifest = format!(
            "[workspace]\n\
         [package]\nname = 'forethought-test-plugin'\nversion = '0.1.0'\nedition = '2024'\n\
         [lib]\nname = '{name}'\ncrate-type = ['cdylib']\n\
         [dependencies]\nforethought-sdk.path = '{}'\ntracing = {{ version = '0.1', default-features = false }}\n\
         {dependencies}\n\
         [dependencies.tokio]\nversion = '{}'\nfeatures = ['io-util', 'net', 'rt', 'sync', 'time']\n\
         [profile.dev]\ndebug = false\n{profile}\n",
            core.join("sdk").display(),
            if tokio.is_empty() { "1" } else { tokio },
        );
        write(&folder.join("Cargo.toml"), &manifest);
        if !folder.join("Cargo.lock").exists() {
            fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))
                .expect("the lock file of the workspace");
        }
        let begun = Instant::now();
        let output = self
            .cargo()
            .args(["build", "--quiet", "--manifest-path"])
            .arg(folder.join("Cargo.toml"))
            .env("CARGO_TARGET_DIR", self::folder().join("target"))
            .env("FORETHOUGHT_TEST_BUILD", name)
            .output()
            .expect("cargo");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} cannot be built:\n{words}");
        eprintln!("{name}: built in {:.0} s", begun.elapsed().as_secs_f64());
    }
}

/// Build folder of all variants.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("variants")
}

/// A copy of the sdk and its crates, with changes; next to the plugin and not in its folder, which is another
/// workspace.
fn changed_core(root: &Path, folder: &Path, changes: &[(&str, &str, &str)]) -> PathBuf {
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("the workspace's manifest");
    let manifest: String = manifest
        .lines()
        .filter(|line| !line.starts_with("default-members"))
        .map(|line| if line.starts_with("members") { "members = ['core/*']" } else { line })
        .map(|line| format!("{line}\n"))
        .collect();
    write(&folder.join("Cargo.toml"), &manifest);
    let core = folder.join("core");
    for package in ["abi", "api", "bridge", "macros", "sdk"] {
        let from = root.join("core").join(package);
        let sources = files(&from.join("src"));
        for file in sources.into_iter().chain(["Cargo.toml", "build.rs"].map(|file| from.join(file))) {
            let Ok(mut text) = fs::read_to_string(&file) else { continue };
            let name = file.strip_prefix(root.join("core")).expect("a file of core");
            for (_, old, new) in changes.iter().filter(|(changed, ..)| Path::new(changed) == name) {
                assert_eq!(text.matches(old).count(), 1, "{}: {old:?} must occur once", name.display());
                text = text.replace(old, new);
            }
            write(&core.join(name), &text);
        }
    }
    core
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Writes a file if it differs, because Cargo rebuilds what was touched.
fn write(file: &Path, text: &str) {
    if fs::read_to_string(file).is_ok_and(|old| old == text) {
        return;
    }
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    fs::write(file, text).expect("a file");
}
