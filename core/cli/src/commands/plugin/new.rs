//! `forethought plugin new`: a working crate to start from.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

use clap::Args;
use forethought_api::{
    Error, Result,
    error::Context as _,
    registry::{INTERFACES, linked},
};
use serde::Serialize;

use crate::{exit::Exit, session::Session};

/// Create a crate for your own component: it builds, passes all checks and runs, ready to be changed.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  forethought plugin new tide-pools --environment
  forethought plugin new tide-pools --python")]
pub(crate) struct New {
    /// Name of the crate and of the component's kind.
    name: String,
    #[command(flatten)]
    interface: Interface,
    /// An environment in Python, without a crate.
    #[arg(long, group = "Interface")]
    python: bool,
    /// The folder to create; ./NAME by default.
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// A checkout of Forethought to depend on instead of the published crates.
    #[arg(long, value_name = "DIR", env = "FORETHOUGHT_SDK")]
    sdk: Option<PathBuf>,
}

/// The parts of a component's crate that are not common to all.
struct Template {
    /// The interface's word.
    word: &'static str,
    /// `src/lib.rs`.
    library: &'static str,
    /// Further files.
    files: &'static [(&'static str, &'static str)],
    /// Further lines under `[dependencies]`.
    dependencies: &'static str,
    /// Commands that use the component.
    usage: &'static [&'static str],
}

macro_rules! text {
    ($($name:expr),*) => {
        include_str!(concat!("../../../templates/plugin/", $($name),*))
    };
}

/// One flag and one template for each interface.
macro_rules! interfaces {
    ($($(#[$about:meta])* $word:ident { $($key:ident: $value:expr),* $(,)? })*) => {
        #[derive(Debug, Args)]
        #[group(required = true, multiple = false)]
        struct Interface {
            $($(#[$about])* #[arg(long)] $word: bool,)*
        }

        impl Interface {
            fn template(&self) -> Template {
                $(if self.$word {
                    return Template {
                        word: stringify!($word),
                        library: text!(stringify!($word), ".rs"),
                        $($key: $value),*
                    };
                })*
                unreachable!("the group of flags is required")
            }
        }
    };
}

const CONFIG: &str = "{{name}}.toml";

interfaces! {
    /// An environment to act in.
    environment {
        files: &[(CONFIG, text!("environment.toml"))],
        dependencies: "",
        usage: &["forethought run {{name}}.toml"],
    }
    /// A language model.
    llm {
        files: &[(CONFIG, text!("llm.toml"))],
        dependencies: "",
        usage: &["forethought run {{name}}.toml"],
    }
    /// A text encoder.
    encoder {
        files: &[(CONFIG, text!("encoder.toml"))],
        dependencies: "",
        usage: &[
            "forethought collect {{name}}.toml --out data",
            "forethought train {{name}}.toml --data data --out critic",
        ],
    }
    /// A critic.
    #[arg(alias = "value")]
    critic {
        files: &[(CONFIG, text!("critic.toml"))],
        dependencies: "",
        usage: &["forethought eval {{name}}.toml --planner react,pnlc"],
    }
    /// A trainer of critics, with its critic.
    trainer {
        files: &[(CONFIG, text!("trainer.toml"))],
        dependencies: "\nsafetensors = \"0.8\"",
        usage: &[
            "forethought collect {{name}}.toml --out data",
            "forethought train {{name}}.toml --data data --out critic",
            "forethought eval {{name}}.toml --planner react,pnlc",
        ],
    }
    /// A planner.
    planner {
        files: &[(CONFIG, text!("planner.toml"))],
        dependencies: "",
        usage: &["forethought eval {{name}}.toml --planner react,mine"],
    }
    /// A summariser of histories.
    summariser {
        files: &[(CONFIG, text!("summariser.toml"))],
        dependencies: "",
        usage: &["forethought collect {{name}}.toml --out data"],
    }
    /// A scripted behaviour: what the simulated LLM knows of an environment, with that environment.
    #[arg(alias = "skill")]
    behaviour {
        files: &[(CONFIG, text!("behaviour.toml")), ("src/environment.rs", text!("environment.rs"))],
        dependencies: "",
        usage: &["forethought run {{name}}.toml"],
    }
    /// An importer of recorded episodes.
    importer {
        files: &[("example.jsonl", text!("importer.jsonl"))],
        dependencies: "",
        usage: &["forethought --plugin target/release/{{library}} import {{name}} example.jsonl --out data"],
    }
    /// A check of an environment against its reference implementation.
    verifier {
        files: &[("golden/cases.jsonl", text!("verifier.jsonl"))],
        dependencies: "",
        usage: &["forethought --plugin target/release/{{library}} verify {{name}} golden"],
    }
}

/// The files of every crate.
const COMMON: &[(&str, &str)] = &[
    ("Cargo.toml", text!("manifest.toml")),
    ("README.md", text!("README.md")),
    (".gitignore", text!("gitignore")),
    // The templates are written in this style, which shows more of a component at once.
    ("rustfmt.toml", text!("rustfmt.toml")),
    (".github/workflows/ci.yml", text!("ci.yml")),
    ("tests/conformance.rs", text!("conformance.rs")),
];

/// The files of an environment in Python.
const PYTHON: &[(&str, &str)] = &[
    ("{{module}}.py", text!("python/world.py")),
    (CONFIG, text!("python/config.toml")),
    ("test_{{module}}.py", text!("python/test_world.py")),
    ("requirements.txt", text!("python/requirements.txt")),
    ("README.md", text!("python/README.md")),
    (".gitignore", text!("python/gitignore")),
];

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    folder: PathBuf,
    files: Vec<String>,
    next: Vec<String>,
    /// What to do if cargo does not find the SDK.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl New {
    pub(crate) fn execute(self, session: &Session) -> Result<Exit> {
        if self.python {
            return self.python(session);
        }
        let template = self.interface.template();
        check_name(&self.name, template.word)?;
        let folder = self.path.clone().unwrap_or_else(|| self.name.clone().into());
        let files = self.files(&template)?;
        write(&folder, &files)?;
        // What is built here changes all the time, and is the author's own. Without a record it is trusted by hand.
        if let (Some(store), Ok(folder)) = (session.plugins.trust().store(), folder.canonicalize()) {
            let library = fill("{{library}}", &self.names(&template));
            for profile in ["release", "debug"] {
                if let Err(error) = store.own(folder.join("target").join(profile).join(&library)) {
                    tracing::info!("{error}");
                }
            }
        }
        let steps = [
            "cargo test --release",
            "cargo build --release",
            "forethought plugin check target/release/{{library}}",
        ];
        let steps = steps.iter().chain(template.usage).map(|step| fill(step, &self.names(&template)));
        let next = steps.collect();
        let note = self.sdk.is_none().then(|| self.without_sdk(&folder));
        show(session, folder, files, next, note)
    }

    /// Writes an environment in Python.
    fn python(self, session: &Session) -> Result<Exit> {
        check_name(&self.name, "environment")?;
        let requirement = match &self.sdk {
            None => "forethought-kit".to_owned(),
            Some(checkout) => {
                let kit = checkout.join("plugins/python").canonicalize().ok();
                let kit = kit.filter(|folder| folder.join("pyproject.toml").is_file()).ok_or_else(|| {
                    let checkout = checkout.display();
                    Error::config(format!(
                        "{checkout} is not a checkout of Forethought: it has no plugins/python/pyproject.toml"
                    ))
                })?;
                kit.display().to_string()
            }
        };
        let module = self.name.replace('-', "_");
        let mut values = vec![("name", self.name.clone()), ("module", module), ("requirement", requirement)];
        let steps = [
            "python3 -m venv .venv",
            ".venv/bin/python -m pip install -r requirements.txt",
            ".venv/bin/python -m forethought_kit.check {{module}}.py",
            "forethought run {{name}}.toml",
        ];
        let next: Vec<_> = steps.iter().map(|step| fill(step, &values)).collect();
        values.push(("usage", next.join("\n")));
        let files: Vec<_> =
            PYTHON.iter().map(|(name, text)| (fill(name, &values), fill(text, &values))).collect();
        let folder = self.path.clone().unwrap_or_else(|| self.name.clone().into());
        write(&folder, &files)?;
        let note = self.sdk.is_none().then(|| {
            "It needs the Python package forethought-kit. If pip finds no such package, name the folder plugins/python \
             of a checkout of Forethought in requirements.txt.\n"
                .to_owned()
        });
        show(session, folder, files, next, note)
    }

    /// Every file of the crate, by its place.
    fn files(&self, template: &Template) -> Result<Vec<(String, String)>> {
        let names = self.names(template);
        let commands = template.usage.iter().map(|command| fill(command, &names));
        let (plain, comments): (Vec<_>, Vec<_>) =
            commands.map(|command| (command.clone(), format!("# {command}"))).unzip();
        let mut values = names;
        values.extend([
            ("sdk", self.dependency("sdk")?),
            ("conformance", self.dependency("conformance")?),
            ("dependencies", template.dependencies.into()),
            ("rust", forethought_api::RUST_VERSION.into()),
        ]);
        let library = [("src/lib.rs", template.library)];
        let files = library.iter().chain(template.files).chain(COMMON).map(|(name, text)| {
            let usage = if name.ends_with(".md") { &plain } else { &comments };
            let mut values = values.clone();
            values.push(("usage", usage.join("\n")));
            (fill(name, &values), fill(text, &values))
        });
        Ok(files.collect())
    }

    fn names(&self, template: &Template) -> Vec<(&'static str, String)> {
        let image = self.name.replace('-', "_");
        let what = match template.word {
            "llm" => "language model",
            "critic" => "critic",
            word => word,
        };
        let article = if what.starts_with(['e', 'i']) { "An" } else { "A" };
        vec![
            ("name", self.name.clone()),
            ("word", template.word.into()),
            ("about", format!("{article} {what}")),
            ("library", format!("{DLL_PREFIX}{image}{DLL_SUFFIX}")),
            ("crate", image),
        ]
    }

    /// The way out where crates.io does not have the SDK.
    fn without_sdk(&self, folder: &Path) -> String {
        let version = env!("CARGO_PKG_VERSION");
        // A program that was built from a checkout knows where that was.
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().ok();
        let own = own.filter(|checkout| checkout.join("core/sdk/Cargo.toml").is_file());
        let checkout = own.map_or("CHECKOUT".into(), |checkout| checkout.display().to_string());
        format!(
            "It needs forethought-sdk {version} from crates.io. If cargo finds no such package there, delete {} and \
             create it with --sdk CHECKOUT, the folder of Forethought's sources, or name that in Cargo.toml:\n  \
             forethought-sdk = {{ path = \"{checkout}/core/sdk\" }}\n  forethought-conformance = {{ path = \
             \"{checkout}/core/conformance\" }}\n",
            folder.display()
        )
    }

    /// How the manifest names one of this project's crates.
    fn dependency(&self, name: &str) -> Result<String> {
        let Some(checkout) = &self.sdk else { return Ok(format!("{:?}", env!("CARGO_PKG_VERSION"))) };
        let folder = checkout.join("core").join(name);
        let folder = folder.canonicalize().ok().filter(|folder| folder.join("Cargo.toml").is_file());
        let folder = folder.ok_or_else(|| {
            let checkout = checkout.display();
            Error::config(format!(
                "{checkout} is not a checkout of Forethought: it has no core/{name}/Cargo.toml"
            ))
        })?;
        Ok(format!("{{ path = {:?} }}", folder.to_string_lossy()))
    }
}

/// Writes the files into a new folder.
fn write(folder: &Path, files: &[(String, String)]) -> Result<()> {
    // Never reused: an existing folder may hold somebody's work.
    let parent = folder.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(parent).context(format!("cannot create {}", parent.display()))?;
    std::fs::create_dir(folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Error::config(format!(
            "{} already exists, and nothing is overwritten; choose another folder with --path",
            folder.display()
        )),
        _ => Error::from(error).context(format!("cannot create {}", folder.display())),
    })?;
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))
            .and_then(|()| std::fs::write(&path, text))
            .context(format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Shows what was written, and the commands that come next.
fn show(
    session: &Session,
    folder: PathBuf,
    files: Vec<(String, String)>,
    steps: Vec<String>,
    note: Option<String>,
) -> Result<Exit> {
    let next = std::iter::once(format!("cd {}", folder.display())).chain(steps).collect();
    let files = files.into_iter().map(|(name, _)| name).collect();
    let document = Document { folder, files, next, note };
    session.show(&document, || words(&document))?;
    Ok(Exit::Done)
}

fn words(document: &Document) -> String {
    let files = document.files.iter().map(|file| format!("  {file}\n"));
    let next = document.next.iter().map(|command| format!("  {command}\n"));
    format!(
        "{}\n{}\nIt works as it is. Next:\n{}{}",
        document.folder.display(),
        files.collect::<String>(),
        next.collect::<String>(),
        document.note.as_ref().map(|note| format!("\n{note}")).unwrap_or_default()
    )
}

/// `text` with each `{{key}}` replaced.
fn fill(text: &str, values: &[(&str, String)]) -> String {
    values.iter().fold(text.to_owned(), |text, (key, value)| text.replace(&format!("{{{{{key}}}}}"), value))
}

/// Checks that cargo accepts the name for a crate, and that no component has it.
fn check_name(name: &str, word: &str) -> Result<()> {
    let refuse = |why: &str| Err(Error::config(format!("`{name}` cannot be the name of a crate: {why}")));
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return refuse("it must start with a lower-case letter");
    }
    if let Some(other) = name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '_')) {
        return refuse(&format!("it can contain lower-case letters, digits, `-` and `_`, but not {other:?}"));
    }
    if RESERVED.split(' ').any(|word| word == name) || name.starts_with("forethought-") {
        return refuse("the name is reserved");
    }
    let interface = INTERFACES.iter().find(|(_, known)| *known == word).map(|(name, _)| *name);
    match linked().find(|known| Some(known.interface) == interface && known.kind == name) {
        Some(known) => Err(Error::config(format!(
            "{} {} already provides {word}.{name}; choose another name",
            known.package, known.version
        ))),
        None => Ok(()),
    }
}

/// Words of the language, and crates that every crate has.
const RESERVED: &str = "abstract alloc as async await become box break const continue core crate do dyn else enum extern \
                        false final fn for gen if impl in let loop macro match mod move mut override priv proc-macro \
                        proc_macro pub ref return safetensors self static std struct super test trait true try type \
                        typeof unsafe unsized use virtual where while yield";
