//! Configurations that ship inside the program.

/// A configuration that is chosen by name.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// Its TOML text.
    pub text: &'static str,
}

macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        &[$(Preset {
            name: $name,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/", $name, ".toml")),
        }),*]
    };
}

/// Every preset: the files of `configs/` that run as they are, without a key or a model.
pub const PRESETS: &[Preset] = presets!["quickstart", "avalon", "persuasion", "negotiation"];
