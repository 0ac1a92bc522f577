//! Plugins through the program: what is loaded, what is refused, and with which messages.

use std::path::{Path, PathBuf};
use std::process::Command;

use forethought_tests::{Desk, err, out, workspace};
use serde_json::{Value, json};

fn desk() -> Desk {
    Desk::new(env!("CARGO_BIN_EXE_forethought"))
}

/// The JSON that a command prints that ends with `code`.
fn json(desk: &Desk, line: &str, code: i32) -> Value {
    let assert = desk.forethought(line).arg("--json").assert().code(code);
    serde_json::from_str(&out(&assert)).unwrap_or_else(|error| panic!("{line}: {error}: {}", out(&assert)))
}

/// Runs a command that must end with `code`, and checks its messages.
fn refused(desk: &Desk, line: &str, code: i32, says: &[&str]) {
    let assert = desk.forethought(line).assert().code(code);
    for text in says {
        assert!(err(&assert).contains(text), "{line}: {text:?} is not in\n{}", err(&assert));
    }
}

/// Compiles a plugin in C into `file`.
fn compile(source: &str, file: &Path, flags: &[&str]) {
    std::fs::create_dir_all(file.parent().expect("a file lies in a folder")).expect("a folder can be made");
    let status = Command::new("cc")
        .args(["-std=c11", "-shared", "-fPIC", "-I"])
        .arg(workspace().join("core/abi/include"))
        .arg(workspace().join("tests/c").join(source))
        .arg("-o")
        .arg(file)
        .args(flags)
        .arg("-lpthread")
        .status();
    assert!(status.expect("a C compiler").success());
}

/// A lamp that wants to be switched: a plugin in C, on the desk as `name`.
fn lamp(desk: &Desk, name: &str) -> PathBuf {
    let file = desk.path().join(name);
    compile("plugin.c", &file, &[]);
    file
}

#[test]
fn components_of_plugins_are_listed_with_their_origin() {
    let desk = desk();
    let file = lamp(&desk, "plugins/liblamp.so");
    let environments = json(&desk, "list environment --plugin plugins/liblamp.so", 0);
    let find = |kind: &str| {
        let found = environments.as_array().unwrap().iter().find(|one| one["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind} in {environments}")).clone()
    };
    let canonical = file.canonicalize().unwrap();
    assert_eq!(find("lamp")["origin"], json!({ "library": canonical }));
    assert_eq!(find("webshop")["origin"], "linked");
    let described = out(&desk.forethought("describe environment.lamp --plugin ./plugins").assert().success());
    assert!(described.contains(&format!("from lamp-in-c 1.0.0 ({})", canonical.display())), "{described}");

    // In a configuration, and by name.
    // It ran above, by the name of its file.
    desk.write("forethought.toml", "[plugins]\nsearch = [\"plugins\"]\nload = [\"lamp\"]\n");
    assert_eq!(json(&desk, "describe environment.lamp", 0)["package"], "lamp-in-c");
    let schema = json(&desk, "schema", 0);
    assert!(schema.to_string().contains("environment.lamp"));
    refused(&desk, "config check --set environment.kind=lmap", 2, &["the nearest is `lamp`"]);
    let listed = out(&desk.forethought("plugin list").assert().success());
    assert!(listed.contains("lamp-in-c 1.0.0") && listed.contains("environment.lamp"), "{listed}");
    let findings = json(&desk, "doctor", 0);
    let about =
        |name: &str| findings.as_array().unwrap().iter().find(|one| one["about"] == name).unwrap().clone();
    assert!(about("plugins")["detail"].as_str().unwrap().starts_with("1 configured"), "{findings}");

    // In a separate process.
    desk.write("forethought.toml", "[plugins]\nload = [{ path = \"plugins\", isolation = \"process\" }]\n");
    assert_eq!(json(&desk, "describe environment.lamp", 0)["origin"], json!({ "process": canonical }));
}

#[test]
fn what_cannot_be_found_names_file_key_and_way_out() {
    let desk = desk();
    lamp(&desk, "plugins/liblamp.so");
    desk.write("mine.toml", "[plugins]\n\nload = [\"./plugins/liblmap.so\"]\n");
    let says = ["mine.toml:3: `plugins.load.0`: there is no library", "the nearest is `liblamp.so`"];
    refused(&desk, "run mine.toml", 2, &says);
    let says = ["--plugin tide-pools: there is no plugin `tide-pools`", "FORETHOUGHT_PLUGIN_PATH"];
    refused(&desk, "list --plugin tide-pools", 2, &says);
    let mut list = desk.forethought("list --plugin lamp");
    let found = list.env("FORETHOUGHT_PLUGIN_PATH", desk.path().join("plugins")).assert().success();
    assert!(out(&found).contains("environment.lamp"));
}

#[test]
fn what_is_no_plugin_is_refused_with_5() {
    let desk = desk();
    desk.write("libtext.so", "#!/bin/sh\n");
    refused(&desk, "list --plugin ./libtext.so", 5, &["libtext.so is not a readable library", "cdylib"]);
    refused(&desk, "plugin inspect ./libtext.so", 5, &["libtext.so is not a readable library"]);
    desk.write("libempty.so", "");
    refused(&desk, "plugin add ./libempty.so", 5, &["libempty.so is empty"]);
    // One in a search folder does no harm, and is shown.
    desk.write("forethought.toml", "[plugins]\nsearch = [\".\"]\n");
    let listed = json(&desk, "plugin list", 0);
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    assert!(listed[0]["refused"]["message"].as_str().unwrap().contains("is empty"), "{listed}");
}

#[test]
fn to_inspect_a_library_is_not_to_run_it() {
    let desk = desk();
    let (file, mark) = (desk.path().join("libhostile.so"), desk.path().join("mark"));
    compile("hostile.c", &file, &[&format!("-DMARK=\"{}\"", mark.display())]);
    let inspected = json(&desk, "plugin inspect ./libhostile.so", 0);
    assert_eq!(inspected["components"][0]["id"], "hostile");
    assert_eq!(inspected["refused"], Value::Null);
    assert!(
        out(&desk.forethought("plugin inspect ./libhostile.so").assert().success()).contains("may be loaded")
    );
    json(&desk, "plugin list --plugin ./libhostile.so", 0);
    assert!(!mark.exists(), "its constructor ran");
    desk.forethought("list --plugin ./libhostile.so").assert().success();
    assert!(mark.exists(), "the constructor does not tell");
}

#[test]
fn a_pin_and_a_lock_hold_a_library_to_its_bytes() {
    let desk = desk();
    let file = lamp(&desk, "liblamp.so");
    let hash = json(&desk, "plugin inspect ./liblamp.so", 0)["sha256"].as_str().unwrap().to_string();
    let pinned =
        |hash: &str| format!("[plugins]\nload = [{{ path = \"./liblamp.so\", sha256 = \"{hash}\" }}]\n");
    desk.write("forethought.toml", &pinned(&hash.to_uppercase()));
    desk.forethought("plugin trust forethought.toml").assert().success();
    desk.forethought("describe environment.lamp").assert().success();
    let wrong = "0".repeat(64);
    desk.write("forethought.toml", &pinned(&wrong));
    refused(&desk, "describe environment.lamp", 5, &["forethought.toml:2", &hash, &wrong, "change the pin"]);

    desk.write("forethought.toml", "[plugins]\nload = [\"./liblamp.so\"]\n");
    let added = out(&desk.forethought("plugin add ./liblamp.so").assert().success());
    assert!(added.contains("environment.lamp") && added.contains("[plugins]\nload = ["), "{added}");
    let lock: Value =
        serde_json::from_slice(&std::fs::read(desk.path().join("plugins.lock")).unwrap()).unwrap();
    let locked = &lock["plugins"][0];
    assert_eq!((&locked["path"], &locked["sha256"]), (&json!("liblamp.so"), &json!(hash)));
    assert!(locked["description"]["components"][0]["schema"].is_object(), "{lock}");
    desk.forethought("describe environment.lamp").assert().success();

    compile("plugin.c", &file, &["-O2"]);
    refused(&desk, "describe environment.lamp", 5, &["plugins.lock knows it as", "plugin add", &hash]);
    desk.forethought("plugin add ./liblamp.so").assert().success();
    desk.forethought("describe environment.lamp").assert().success();
}

#[test]
fn two_components_of_one_name_name_both_origins() {
    let desk = desk();
    let [first, second] =
        ["a/liblamp.so", "b/liblamp.so"].map(|name| lamp(&desk, name).canonicalize().unwrap());
    desk.write("forethought.toml", "[plugins]\nload = [\"./a\", \"./b\"]\n");
    let says =
        ["two components are called environment.lamp", &first.to_string_lossy(), &second.to_string_lossy()];
    refused(&desk, "run forethought.toml", 5, &says);
}

#[test]
fn a_library_that_lies_in_its_metadata_is_refused() {
    let desk = desk();
    compile("hostile.c", &desk.path().join("libliar.so"), &["-DDESCRIBED=\"other\""]);
    refused(&desk, "list --plugin ./libliar.so", 5, &["libliar.so", "do not agree"]);
}

#[test]
fn components_of_any_origin_are_checked() {
    let desk = desk();
    let kept = json(&desk, "plugin check environment.webshop --set products=60 --steps 50", 0);
    assert_eq!((&kept[0]["component"], &kept[0]["findings"]), (&json!("environment.webshop"), &json!([])));
    compile("hostile.c", &desk.path().join("libhostile.so"), &[]);
    let broken = json(&desk, "plugin check ./libhostile.so --steps 0", 1);
    assert_eq!(broken[0]["component"], "environment.hostile");
    let finding = &broken[0]["findings"][0];
    assert!(finding["rule"].is_string() && finding["fix"].is_string(), "{broken}");
    // The same in words, for a component that is named, of a plugin that the command line names.
    let words = desk
        .forethought("plugin check environment.hostile --plugin ./libhostile.so --steps 0")
        .assert()
        .code(1);
    assert!(out(&words).contains("BROKEN"), "{}", out(&words));
    refused(&desk, "plugin check environment.webshpo", 2, &["the nearest is `webshop`"]);
    refused(&desk, "plugin check ./libnowhere.so", 2, &["there is no library"]);
}

#[test]
fn a_program_is_checked_by_its_file_and_its_traceback_is_shown() {
    let desk = desk();
    let script = std::fs::read_to_string(workspace().join("examples/tide_pools.py")).unwrap();
    desk.write("env.py", &script);
    let passed = desk.forethought("plugin check env.py --steps 0").assert().success();
    assert!(out(&passed).contains("environment.tide-pools"), "{}", out(&passed));

    // Any program that may be executed.
    let (step, dry) = ("self.left -= 1\n", "raise ValueError('no water')\n");
    assert!(script.contains(step));
    let program = desk.write("world", &script.replace(step, dry));
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let failed = desk.forethought("plugin check ./world --steps 0").assert().code(1);
    for text in ["ValueError('no water')", "Traceback (most recent call last)", "in step"] {
        assert!(out(&failed).contains(text), "{text:?} is not in\n{}", out(&failed));
    }
    refused(&desk, "plugin check nowhere.py", 2, &["nowhere.py"]);
}
