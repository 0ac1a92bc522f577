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
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/presets/", $name, ".toml")),
        }),*]
    };
}

/// Every preset: configurations that need no key, no data and no trained model.
pub const PRESETS: &[Preset] = presets!["quickstart", "avalon", "persuasion", "negotiation"];
