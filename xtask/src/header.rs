//! Generates `core/abi/include/forethought.h`, the contract of `core/abi` for C.

use std::error::Error;
use std::fmt::Write;

use cbindgen::{Builder, Config, DocumentationStyle, Language};
use syn::{Attribute, Expr, Item, ItemConst, Lit, Visibility};

/// The header and its source, relative to the root.
pub(crate) const PATH: &str = "core/abi/include/forethought.h";
const SOURCE: &str = "core/abi/src/lib.rs";

/// Text around the declarations. The Rust source has only the type of the function that a library defines.
const BEGIN: &str = "
#ifndef FORETHOUGHT_H
#define FORETHOUGHT_H
";
const END: &str = "
// The only function that a library defines and exports; `FthEntry` describes what it returns.
uint32_t forethought_plugin_entry_v1(const FthHost *host, FthPlugin *out);

#ifdef __cplusplus
}
#endif

#endif";

/// The header for the current source.
pub(crate) fn generate() -> Result<String, Box<dyn Error>> {
    let path = crate::root().join(SOURCE);
    let source = syn::parse_file(&std::fs::read_to_string(&path)?)?;
    let constants: Vec<&ItemConst> = source.items.iter().filter_map(public_constant).collect();

    let about = docs(&source.attrs);
    let paragraphs: Vec<&str> = about.split("//\n").collect();
    let [title, .., contract] = paragraphs[..] else {
        return Err(format!("{SOURCE} does not start with a title and the contract").into());
    };
    let generated = format!("// Generated from {SOURCE} by `cargo xtask header`.");
    let mut config = Config {
        language: Language::C,
        documentation_style: DocumentationStyle::C99,
        header: Some(format!("{title}{generated}\n//\n{contract}{BEGIN}")),
        no_includes: true,
        sys_includes: vec!["stddef.h".to_owned(), "stdint.h".to_owned()],
        after_includes: Some(format!(
            "\n#ifdef __cplusplus\nextern \"C\" {{\n#endif\n{}",
            strings(&constants)
        )),
        trailer: Some(END.to_owned()),
        usize_is_size_t: true,
        ..Config::default()
    };
    // cbindgen leaves out items without references; `FthEntry` refers to all others.
    config.export.include.push("FthEntry".to_owned());
    for constant in &constants {
        let name = constant.ident.to_string();
        config.export.rename.insert(name.clone(), format!("FTH_{name}"));
    }
    let mut header = Vec::new();
    Builder::new().with_config(config).with_src(path).generate()?.write(&mut header);
    Ok(in_terms_of_c(String::from_utf8(header)?, &constants))
}

fn public_constant(item: &Item) -> Option<&ItemConst> {
    match item {
        Item::Const(constant) if matches!(constant.vis, Visibility::Public(_)) => Some(constant),
        _ => None,
    }
}

/// String constants, which cbindgen leaves out.
fn strings(constants: &[&ItemConst]) -> String {
    let mut all = String::new();
    for constant in constants {
        let Expr::Lit(literal) = &*constant.expr else { continue };
        let text = match &literal.lit {
            Lit::Str(text) => text.value().into_bytes(),
            Lit::ByteStr(text) => text.value(),
            _ => continue,
        };
        let (docs, text) = (docs(&constant.attrs), text.escape_ascii().to_string());
        // A C literal ends with a NUL anyway, and C reads `\x00` differently than Rust.
        let text = text.trim_end_matches(r"\x00");
        let _ = write!(all, "\n{docs}#define FTH_{} \"{text}\"\n", constant.ident);
    }
    all
}

/// Doc comments as C comments.
fn docs(attributes: &[Attribute]) -> String {
    let mut all = String::new();
    for attribute in attributes {
        if let syn::Meta::NameValue(doc) = &attribute.meta
            && doc.path.is_ident("doc")
            && let Expr::Lit(line) = &doc.value
            && let Lit::Str(line) = &line.lit
        {
            all.push_str(format!("//{}", line.value()).trim_end());
            all.push('\n');
        }
    }
    all
}

/// Links and Rust syntax in comments, as C writes them.
fn in_terms_of_c(mut header: String, constants: &[&ItemConst]) -> String {
    for constant in constants {
        header = header.replace(&format!("[`{}`]", constant.ident), &format!("`FTH_{}`", constant.ident));
    }
    for (rust, c) in [
        ("[`", "`"),
        ("`]", "`"),
        ("::", "."),
        ("*mut FthMsg", "FthMsg *"),
        ("== None", "== NULL"),
        ("\n\n\n", "\n\n"),
    ] {
        header = header.replace(rust, c);
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_header_in_the_repository_is_up_to_date() {
        let found = std::fs::read_to_string(crate::root().join(PATH)).expect(PATH);
        assert!(
            found == generate().unwrap(),
            "{PATH} is not up to date with {SOURCE}: run `cargo xtask header`"
        );
    }

    /// The layouts that `core/abi` asserts, as C assertions.
    fn assertions() -> String {
        let source = std::fs::read_to_string(crate::root().join(SOURCE)).unwrap();
        let (_, layouts) = source.rsplit_once("layout! {").expect("the layouts of core/abi");
        let mut all = String::new();
        for line in layouts.lines().map(str::trim).filter(|line| line.starts_with("Fth")) {
            let (head, fields) = line.split_once(" { ").unwrap();
            let (name, size) = head.split_once(' ').unwrap();
            let _ = writeln!(all, "_Static_assert(sizeof({name}) == {size}, \"{name}\");");
            for field in fields.trim_end_matches(" }").split(", ") {
                let (field, offset) = field.split_once(' ').unwrap();
                let _ = writeln!(
                    all,
                    "_Static_assert(offsetof({name}, {field}) == {offset}, \"{name}.{field}\");"
                );
            }
        }
        all
    }

    fn compiles(source: &str) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plugin.c");
        std::fs::write(&file, source).unwrap();
        let output = Command::new("cc")
            .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "-I"])
            .arg(crate::root().join(PATH).parent().unwrap())
            .arg(&file)
            .output()
            .expect("a C compiler, `cc`");
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_header_alone_compiles_and_lays_structs_out_as_rust_does() {
        let assertions = assertions();
        let structs = generate().unwrap().matches("typedef struct").count();
        assert_eq!(
            assertions.matches("sizeof").count(),
            structs,
            "a struct without its layout: {assertions}"
        );
        compiles(&format!("#include \"forethought.h\"\n{assertions}")).unwrap();
        let wrong = assertions.replacen(" == 16,", " == 24,", 1);
        let error = compiles(&format!("#include \"forethought.h\"\n{wrong}")).unwrap_err();
        assert!(error.contains("FthStr"), "{error}");
    }

    #[test]
    fn a_library_in_c_can_be_written_with_the_header_alone() {
        compiles(
            r#"
            #include "forethought.h"
            _Static_assert(FTH_OK == 0 && FTH_SHUTDOWN == 6 && FTH_CODEC_JSON == 0, "numbers");
            static const char magic[9] = FTH_METADATA_MAGIC;
            uint32_t forethought_plugin_entry_v1(const FthHost *host, FthPlugin *out) {
                FthEntry entry = forethought_plugin_entry_v1;
                if (!entry || host->abi_major != FTH_ABI_MAJOR || magic[8] != 0) return FTH_ERROR;
                out->abi_major = FTH_ABI_MAJOR;
                out->abi_minor = FTH_ABI_MINOR;
                return FTH_SHUTDOWN;
            }
            "#,
        )
        .unwrap();
    }
}
