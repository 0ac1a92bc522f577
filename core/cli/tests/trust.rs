//! Whose code runs: each command in a folder that somebody else wrote, and each way in which a user names code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use forethought_tests::{Desk, SHOP, err, out, workspace};
use serde_json::Value;

fn desk() -> Desk {
    Desk::new(env!("CARGO_BIN_EXE_forethought"))
}

/// A plugin of somebody else: it leaves a mark as soon as anything of it runs.
fn load(desk: &Desk) -> String {
    let mark = desk.path().join("mark");
    format!("[{{ command = ['sh', '-c', 'touch {}; exit 1'] }}]", mark.display())
}

/// A configuration that names it.
fn stranger(desk: &Desk) -> String {
    format!("[plugins]\nload = {}\n", load(desk))
}

fn ran(desk: &Desk) -> bool {
    desk.path().join("mark").exists()
}

/// What a command does with a plugin that is not trusted and that `forethought.toml` names, or the run's folder.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    /// It ends with exit code 5 and the way out.
    Refuse,
    /// It does without, and says so.
    LeaveOut,
    /// It looks at no plugins, or at their files alone.
    Nothing,
}

/// Every command, as it is typed in a folder with a run.
const COMMANDS: [(&str, Does); 43] = [
    ("quickstart", Does::Refuse),
    ("run", Does::Refuse),
    ("eval --planner react", Does::Refuse),
    ("improve --start react --planner react --out improved", Does::Refuse),
    ("sweep planner.react.history_chars=4000,8000", Does::Refuse),
    ("collect --out data", Does::Refuse),
    ("play", Does::Refuse),
    ("serve", Does::Refuse),
    ("worker", if cfg!(feature = "restate") { Does::Refuse } else { Does::Nothing }),
    ("tournament --planners react,pnlc", Does::Refuse),
    ("label --data data --out vocabulary.json", Does::Refuse),
    ("train --data data --out critic", Does::Refuse),
    ("critic eval --model critic --data data", Does::Refuse),
    ("critic ask --in questions.jsonl", Does::Refuse),
    ("replay runs/webshop--react EPISODE", Does::Refuse),
    ("import react-webshop forethought.toml --out data", Does::LeaveOut),
    ("verify webshop .", Does::LeaveOut),
    ("list", Does::LeaveOut),
    ("describe planner.pnlc", Does::LeaveOut),
    ("schema", Does::LeaveOut),
    ("config show", Does::LeaveOut),
    ("config check", Does::LeaveOut),
    ("estimate --from runs/webshop--react", Does::LeaveOut),
    ("doctor", Does::LeaveOut),
    ("mock-llm --kind none", Does::LeaveOut),
    ("plugin check environment.webshop --set products=60 --steps 0", Does::LeaveOut),
    ("plugin check ./liblamp.so --steps 0", Does::Nothing),
    ("plugin add ./liblamp.so", Does::Nothing),
    ("plugin inspect ./liblamp.so", Does::Nothing),
    ("plugin list", Does::Nothing),
    ("plugin new rocks --critic", Does::Nothing),
    ("plugin trust ./liblamp.so", Does::Nothing),
    ("export runs/webshop--react --out data", Does::Nothing),
    ("report runs/webshop--react", Does::Nothing),
    ("compare runs/webshop--react runs/webshop--react", Does::Nothing),
    ("view runs/webshop--react", Does::Nothing),
    ("runs list", Does::Nothing),
    ("runs pack runs/webshop--react", Does::Nothing),
    ("hub card critic", Does::Nothing),
    ("hub push critic me/critic --dry-run", Does::Nothing),
    ("hub pull not/a/name --out pulled", Does::Nothing),
    ("completions bash", Does::Nothing),
    ("plugin trust --list", Does::Nothing),
];

#[test]
fn no_command_runs_code_that_a_foreign_folder_names() {
    let desk = desk();
    desk.write("forethought.toml", SHOP);
    lamp(&desk.path().join("liblamp.so"), &[]);
    let played = desk.forethought("run --episodes 1 --json").assert().success();
    let played: Value = serde_json::from_str(&out(&played)).unwrap();
    let episode = played["episodes"][0]["episode"].as_str().unwrap();
    // As if all of it had come from somebody else.
    desk.write("forethought.toml", &format!("{SHOP}\n{}", stranger(&desk)));
    let resolved = Path::new(played["run"].as_str().unwrap()).join("config.resolved.toml");
    let text = std::fs::read_to_string(&resolved).unwrap();
    std::fs::write(&resolved, format!("{text}\n{}", stranger(&desk))).unwrap();

    for (line, does) in COMMANDS {
        let assert = desk.forethought(&line.replace("EPISODE", episode)).assert();
        let (said, code) = (err(&assert), assert.get_output().status.code());
        assert!(!said.contains("Usage:"), "{line}: {said}");
        let doubts = said.contains("is not trusted") && said.contains("forethought plugin trust ");
        assert_eq!(doubts, does != Does::Nothing, "{line}: {said}");
        assert_eq!(doubts && code == Some(5), does == Does::Refuse, "{line}: {code:?}: {said}");
        assert_eq!(does == Does::LeaveOut, said.contains("note: "), "{line}: {said}");
        assert!(!ran(&desk), "{line} runs code of somebody else");
    }
    let tried: BTreeSet<_> = COMMANDS.iter().map(|(line, _)| line.split(' ').collect::<Vec<_>>()).collect();
    for leaf in leaves(&desk, "") {
        let words: Vec<_> = leaf.split(' ').collect();
        assert!(tried.iter().any(|line| line.starts_with(&words)), "`{leaf}` is not tried here");
    }
}

/// Every command below this one that has no commands of its own, as the help shows them.
fn leaves(desk: &Desk, command: &str) -> Vec<String> {
    let help = out(&desk.forethought(&format!("{command} --help")).assert().success());
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return vec![command.to_owned()] };
    let names = list.lines().take_while(|line| !line.is_empty());
    let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.flat_map(|name| leaves(desk, format!("{command} {name}").trim())).collect()
}

#[test]
fn code_runs_where_the_user_names_it() {
    // In the file that a command is to run; but not when the file is only looked at.
    let at = || {
        let desk = desk();
        desk.write("other.toml", &format!("{SHOP}\n{}", stranger(&desk)));
        desk
    };
    let looked = at();
    let looked_at = looked.forethought("config check other.toml").assert().success();
    assert!(err(&looked_at).contains("forethought plugin trust ") && !ran(&looked), "{}", err(&looked_at));
    let named = at();
    named.forethought("run other.toml").assert().code(5);
    assert!(ran(&named));

    // In the user's own configuration, a variable, or on the command line.
    let own = desk();
    own.write("home/.config/forethought/config.toml", &stranger(&own));
    own.forethought("list").assert().code(5);
    assert!(ran(&own));
    let variable = desk();
    variable.forethought("list").env("FORETHOUGHT__PLUGINS__LOAD", load(&variable)).assert().code(5);
    assert!(ran(&variable));
    let set = desk();
    set.forethought("config show --set").arg(format!("plugins.load={}", load(&set))).assert().code(5);
    assert!(ran(&set));
}

/// A world whose server is a script that leaves a mark, and whose tasks another script scores.
fn foreign_world(desk: &Desk, file: &str) {
    let world = "[environment]\nkind = \"mcp\"\ncommand = [\"sh\", \"server.sh\"]\ntasks = \"tasks.jsonl\"\n\
                 [environment.scripts.score]\ncommand = [\"sh\", \"score.sh\"]\n\
                 [planner.random]\nkind = \"random\"\n[run]\nepisodes = 1\n";
    desk.write(file, world);
    desk.write("tasks.jsonl", "{\"prompt\": \"Look around.\"}\n");
    for script in ["server.sh", "score.sh"] {
        desk.write(script, "touch mark; exit 1\n");
    }
}

#[test]
fn programs_that_components_start_are_trusted_as_plugins_are() {
    let desk = desk();
    foreign_world(&desk, "forethought.toml");
    for line in
        ["run", "run --dry-run", "eval --planner random", "collect --out data", "play", "config check"]
    {
        let refused = desk.forethought(line).assert().code(5);
        for part in [
            "forethought.toml:3: `environment.command`: `sh server.sh` in ",
            "is not trusted",
            "plugin trust ",
        ] {
            assert!(err(&refused).contains(part), "{line}: {}", err(&refused));
        }
    }
    for line in ["config show", "list", "describe environment.mcp", "doctor", "runs list"] {
        let _ = desk.forethought(line).assert();
    }
    assert!(!ran(&desk));
    // To trust the configuration is to trust its server and its scripts.
    let trusted = out(&desk.forethought("plugin trust forethought.toml").assert().success());
    assert!(trusted.contains("`sh server.sh`") && trusted.contains("`sh score.sh`"), "{trusted}");
    assert!(!ran(&desk));
    let refused = desk.forethought("run").assert().code(4);
    assert!(err(&refused).contains("the MCP server `sh server.sh`") && ran(&desk), "{}", err(&refused));
    // Until one of them changes.
    std::fs::remove_file(desk.path().join("mark")).unwrap();
    desk.write("score.sh", "touch mark\n");
    let changed = desk.forethought("run").assert().code(5);
    let says = "`environment.scripts.score.command`: `sh score.sh` in ";
    assert!(err(&changed).contains(says) && err(&changed).contains("has changed since it was trusted"));
    assert!(!ran(&desk));

    // To name the file is to name what it starts; to look at it is not.
    let named = self::desk();
    foreign_world(&named, "other.toml");
    named.forethought("config check other.toml").assert().code(5);
    assert!(!ran(&named));
    named.forethought("run other.toml").assert().code(4);
    assert!(ran(&named));
}

#[test]
fn to_look_at_a_configuration_is_not_to_connect() {
    let desk = desk();
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let address = server.local_addr().unwrap();
    let remote = format!(
        "kind = \"remote\"\nprovider = \"openai\"\nmodel = \"m\"\nbase_url = \"http://{address}/v1\"\n\
         api_key_env = \"A_KEY_OF_MINE\""
    );
    desk.write("forethought.toml", &SHOP.replace("kind = \"simulated\"", &remote));
    for line in ["config show", "config check", "list", "describe planner.react", "doctor", "run --dry-run"] {
        let looked = desk.forethought(line).env("A_KEY_OF_MINE", "sesame-0123456789").assert().success();
        assert!(!out(&looked).contains("sesame") && !err(&looked).contains("sesame"), "{line}");
    }
    let asked = server.accept().map(|(_, from)| from);
    assert_eq!(asked.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

/// Compiles the plugin with `environment.lamp` into `file`.
fn lamp(file: &Path, flags: &[&str]) {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-shared", "-fPIC", "-I"]).arg(workspace().join("core/abi/include"));
    cc.arg(workspace().join("tests/c/plugin.c")).arg("-o").arg(file).args(flags).arg("-lpthread");
    assert!(cc.status().expect("a C compiler").success());
}

/// Whether a command in this folder knows the component.
fn lists(desk: &Desk, folder: &Path, component: &str) -> bool {
    out(&desk.forethought("list").current_dir(folder).assert().success()).contains(component)
}

#[test]
fn what_was_trusted_runs_until_its_bytes_change() {
    let desk = desk();
    let file = desk.path().join("liblamp.so");
    lamp(&file, &[]);
    desk.write("forethought.toml", "[plugins]\nload = [\"./liblamp.so\"]\n");
    assert!(!lists(&desk, desk.path(), "environment.lamp"));
    let listed = desk.forethought("plugin list").assert().code(5);
    assert!(out(&listed).contains("is not trusted"), "{}", out(&listed));

    let trusted = out(&desk.forethought("plugin trust forethought.toml").assert().success());
    assert!(trusted.contains("liblamp.so"), "{trusted}");
    assert!(lists(&desk, desk.path(), "environment.lamp"));
    desk.forethought("plugin list").assert().success();
    lamp(&file, &["-O2"]);
    let changed = desk.forethought("run").assert().code(5);
    let says = format!(
        "has changed since it was trusted, so it does not run; if you want it to, `forethought plugin trust {}`",
        file.canonicalize().unwrap().display()
    );
    assert!(
        err(&changed).contains("forethought.toml:2") && err(&changed).contains(&says),
        "{}",
        err(&changed)
    );

    // To check or to add a library is to name it.
    desk.forethought("plugin add ./liblamp.so").assert().success();
    assert!(lists(&desk, desk.path(), "environment.lamp"));
    desk.forethought("plugin trust --remove liblamp.so").assert().success();
    assert!(!lists(&desk, desk.path(), "environment.lamp"));
    desk.forethought("plugin trust --remove liblamp.so").assert().code(2);
    let empty = out(&desk.forethought("plugin trust --list").assert().success());
    assert!(empty.contains("no plugin is trusted yet"), "{empty}");
}

#[test]
fn names_are_not_found_in_folders_that_a_stranger_names() {
    let desk = desk();
    lamp(&desk.path().join("here/plugins/liblamp.so"), &[]);
    desk.write("here/forethought.toml", "[plugins]\nsearch = [\"plugins\"]\n");
    let here = desk.path().join("here");
    let typed = desk.forethought("list --plugin lamp").current_dir(&here).assert().success();
    assert!(!out(&typed).contains("environment.lamp") && err(&typed).contains("is not trusted"));
    desk.forethought("plugin add lamp").current_dir(&here).assert().code(5);
    // What lies in the user's own folder was put there by the user.
    lamp(&desk.path().join("home/.local/share/forethought/plugins/liblamp.so"), &["-O2"]);
    desk.write("here/forethought.toml", "[plugins]\nload = [\"lamp\"]\n");
    assert!(lists(&desk, &here, "environment.lamp"));
}

#[test]
fn an_author_is_not_asked_after_every_build() {
    let desk = desk();
    desk.forethought("plugin new my-lamp --environment").assert().success();
    let folder = desk.path().join("my-lamp");
    let built = |flags: &[&str]| lamp(&folder.join("target/release/libmy_lamp.so"), flags);
    std::fs::write(folder.join("forethought.toml"), "[plugins]\nload = [\"target/release/libmy_lamp.so\"]\n")
        .unwrap();
    for flags in [&["-O0"], &["-O2"]] {
        built(flags);
        assert!(lists(&desk, &folder, "environment.lamp"), "{flags:?}");
    }
    // A script that is one's own.
    let script = tide_pools(&desk);
    desk.forethought("plugin trust --mine forethought.toml").assert().success();
    for addition in ["", "# changed\n"] {
        let text = std::fs::read_to_string(&script).unwrap();
        std::fs::write(&script, text + addition).unwrap();
        assert!(lists(&desk, desk.path(), "environment.tide-pools"), "{addition:?}");
    }
}

/// The environment in Python, named by `forethought.toml`. Returns the script.
fn tide_pools(desk: &Desk) -> PathBuf {
    let script = std::fs::read_to_string(workspace().join("examples/tide_pools.py")).unwrap();
    let world =
        "[environment]\nkind = \"tide-pools\"\n[planner.random]\nkind = \"random\"\n[run]\nepisodes = 3\n";
    let load = "[plugins]\nload = [{ command = [\"python3\", \"tide_pools.py\"] }]\n";
    desk.write("forethought.toml", &format!("{load}{world}"));
    desk.write("tide_pools.py", &script)
}

#[test]
fn ones_own_run_is_replayed_and_a_strangers_is_not() {
    let desk = desk();
    let script = tide_pools(&desk);
    // To name the file is to trust what it names.
    let played = desk.forethought("run forethought.toml --json").assert().success();
    let played: Value = serde_json::from_str(&out(&played)).unwrap();
    let (run, episode) =
        (played["run"].as_str().unwrap(), played["episodes"][0]["episode"].as_str().unwrap());
    let replay = format!("replay {run} {episode}");
    assert!(out(&desk.forethought(&replay).assert().success()).contains("identical"));
    // The same run on another's computer: nothing is trusted there.
    let stranger = |line: &str| {
        let mut command = desk.forethought(line);
        command.env("HOME", desk.path().join("other")).env("XDG_DATA_HOME", desk.path().join("other/share"));
        command.assert()
    };
    let refused = stranger(&replay).code(5);
    assert!(
        err(&refused).contains("`python3 tide_pools.py` in ")
            && err(&refused).contains("config.resolved.toml")
    );
    stranger(&format!("plugin trust {run}")).success();
    stranger(&replay).success();
    let text = std::fs::read_to_string(&script).unwrap();
    std::fs::write(&script, format!("{text}# changed\n")).unwrap();
    assert!(err(&stranger(&replay).code(5)).contains("has changed since it was trusted"));
}

/// What a plugin does first to note what it inherits, and what its program would hand on.
#[cfg(target_os = "linux")]
const CURIOUS: &str = r#"
import json, os

def look(process):
    found = {}
    for number in os.listdir(f"/proc/{process}/fd"):
        try:
            where = os.readlink(f"/proc/{process}/fd/{number}")
            with open(f"/proc/{process}/fdinfo/{number}") as info:
                flags = next(line for line in info if line.startswith("flags:")).split()[1]
            found[number] = {"where": where, "closes": int(flags, 8) & 0o2000000 != 0}
        except OSError:
            pass  # It is closed by now.
    return found

with open("seen.jsonl", "a") as file:
    file.write(json.dumps({"own": look(os.getpid()), "program": look(os.getppid())}) + "\n")

def exit_once():
    if not os.path.exists("exited"):
        open("exited", "w").close()
        os._exit(3)
"#;

/// The numbers of the files that were handed to these tests, and that every program gets from them.
#[cfg(target_os = "linux")]
fn inherited() -> BTreeSet<String> {
    let open = std::fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
    let stays = |info: &Path| {
        let text = std::fs::read_to_string(info).unwrap_or_default();
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
        flags.is_some_and(|flags| u32::from_str_radix(flags.trim(), 8).unwrap() & 0o2000000 == 0)
    };
    let open = open.filter(|entry| stays(&entry.path()));
    open.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn a_plugin_inherits_no_file_of_the_program() {
    let desk = desk();
    let script = tide_pools(&desk);
    let world = std::fs::read_to_string(&script).unwrap();
    let step = "    def step(self, action):\n";
    assert!(world.contains(step));
    // It ends in the middle of the run, so it is started again while journal, lock and cassette are open.
    let curious = CURIOUS.to_owned() + &world.replace(step, &format!("{step}        exit_once()\n"));
    std::fs::write(&script, curious).unwrap();
    let played = desk.forethought("run forethought.toml").assert();
    let seen = std::fs::read_to_string(desk.path().join("seen.jsonl"))
        .unwrap_or_else(|_| panic!("{}", err(&played)));
    let mut journal = false;
    let before = inherited();
    let expected = |number: &str| ["0", "1", "2"].contains(&number) || before.contains(number);
    for line in seen.lines() {
        let seen: Value = serde_json::from_str(line).unwrap();
        let files = |whose: &str| seen[whose].as_object().unwrap().clone();
        for (number, file) in files("own") {
            let place = file["where"].as_str().unwrap();
            // Its pipes, and the files in which it looks and writes.
            let own = place.contains("/seen.jsonl") || place.starts_with("/proc/");
            assert!(own || expected(&number), "{number}: {file}");
        }
        for (number, file) in files("program") {
            journal |= file["where"].as_str().unwrap().ends_with("/journal.sqlite");
            assert!(file["closes"] == true || expected(&number), "{number}: {file} is handed on");
        }
    }
    assert!(journal, "no process was started while a journal was open: {seen}");
}
