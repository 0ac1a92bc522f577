//! From an agent to an agent that plans better, as docs/serve.md describes it. The agent has its own loop and its own
//! tools, and speaks to the program as it would to any provider: it shops with the model `record`, says how each session
//! ended, a critic is trained on what was recorded, and the same agent shops again with planners as its models.

#![expect(clippy::disallowed_types, reason = "the agent is a client")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use forethought_api::environment::{Action, Environment as _, Reset, Turn};
use forethought_api::llm::ToolCall;
use forethought_testkit::{block_on, slow};
use forethought_tests::Desk;
use forethought_webshop::environment::{WebShop, WebShopConfig};
use serde_json::{Value, json};

/// What the user of this agent writes for Forethought. Nothing in it knows the agent's world.
const CONFIG: &str = r#"
seed = 7
[llm.main]
kind = "simulated"
tools = true
[summariser]
llm = "main"
[encoder.hash]
kind = "hash"
[trainer.critic]
kind = "goal-q"
encoder = "hash"
[critic.critic]
kind = "goal-q"
model = "critic"
encoder = "hash"
[critic.shuffled]
kind = "goal-q"
model = "critic-shuffled"
encoder = "hash"
[planner.react]
kind = "react"
llm = "main"
[planner.pnlc]
kind = "pnlc"
mode = "compare"
llm = "main"
critic = "critic"
[planner.pnlc-shuffled]
kind = "pnlc"
mode = "compare"
llm = "main"
critic = "shuffled"
"#;

/// The program, serving.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(desk: &Desk) -> Self {
        let mut child = desk
            .spawn("serve forethought.toml --address 127.0.0.1:0 --json")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let url = said["url"].as_str().expect("a URL");
        let address = url.trim_start_matches("http://").trim_end_matches("/v1").to_owned();
        Self { child, address }
    }

    /// Sends a request and returns the session of its answer, and the answer.
    fn post(&self, path: &str, headers: &str, body: &Value) -> (String, Value) {
        let body = body.to_string();
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        assert!(head.starts_with("HTTP/1.1 2"), "{path}: {answer}");
        let session = head.lines().find_map(|line| line.strip_prefix("x-forethought-session: "));
        let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).expect("JSON") };
        (session.unwrap_or_default().to_owned(), body)
    }

    /// Interrupts it as a user does, and waits until it has closed its folder.
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// One session of the agent: it hands on what its tools say until the shop closes. Returns whether it bought the right
/// thing.
fn shops(served: &Served, shop: &WebShop, model: &str, task: u64, seed: u64) -> bool {
    let world = block_on(shop.spawn()).unwrap();
    let Turn { observation, tools, .. } = block_on(world.reset(Reset { task, seed })).unwrap();
    let function = |tool: &forethought_api::llm::Tool| {
        json!({ "type": "function", "function": {
            "name": tool.name, "description": tool.description, "parameters": tool.parameters } })
    };
    let tools: Vec<_> = tools.iter().map(function).collect();
    let mut messages = vec![
        json!({ "role": "system", "content": "You shop for a customer. Use the tools, one call at a time." }),
        json!({ "role": "user", "content": observation.text }),
    ];
    loop {
        let request = json!({ "model": model, "messages": messages, "tools": tools, "seed": seed });
        // Named, so that nothing in the test depends on chance: seeds and the parts of the data follow from the names.
        let name = format!("x-forethought-session: {model}-{task}-{seed}\r\n");
        let (session, answer) = served.post("/v1/chat/completions", &name, &request);
        let message = &answer["choices"][0]["message"];
        messages.push(message.clone());
        let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
        let made = |call: &Value| ToolCall {
            id: call["id"].as_str().unwrap().into(),
            name: call["function"]["name"].as_str().unwrap().into(),
            arguments: serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap(),
        };
        let action = match calls.is_empty() {
            true => Action::new(message["content"].as_str().unwrap_or_default()),
            false => Action::of_calls(calls.iter().map(made).collect()),
        };
        let next = block_on(world.step(action)).unwrap();
        if next.terminated || next.truncated {
            let outcome = json!({ "reward": next.rewards[0], "success": next.success });
            served.post(&format!("/v1/sessions/{session}/outcome"), "", &outcome);
            return next.success == Some(true);
        }
        let seen = next.turn.observation.text;
        messages.push(match calls.first() {
            Some(call) => json!({ "role": "tool", "tool_call_id": call["id"], "content": seen }),
            None => json!({ "role": "user", "content": seen }),
        });
    }
}

/// Whether the agent succeeds with this model in each episode of these tasks; several are played at once.
fn succeeds(
    served: &Served,
    shop: &WebShop,
    model: &str,
    tasks: std::ops::Range<u64>,
    repeats: u64,
) -> Vec<bool> {
    let many = tasks.end - tasks.start;
    let (next, bought) = (AtomicU64::new(0), Mutex::new(vec![false; (many * repeats) as usize]));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let episode = next.fetch_add(1, Ordering::Relaxed);
                    if episode >= many * repeats {
                        break;
                    }
                    let success = shops(served, shop, model, tasks.start + episode % many, episode);
                    bought.lock().unwrap()[episode as usize] = success;
                }
            });
        }
    });
    let bought = bought.into_inner().unwrap();
    // Wilson's interval.
    let (n, z) = (bought.len() as f64, 1.96_f64);
    let share = bought.iter().filter(|success| **success).count() as f64 / n;
    let (middle, around) =
        (share + z * z / (2.0 * n), z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt());
    let [low, high] = [middle - around, middle + around].map(|bound| bound / (1.0 + z * z / n));
    println!("{model}: {share:.3} ({low:.3} to {high:.3}) of {n}");
    bought
}

/// The 95 % interval of how much more often one succeeds than the other, on the same tasks.
fn gain(one: &[bool], other: &[bool]) -> [f64; 2] {
    let n = one.len() as f64;
    let differences = one.iter().zip(other).map(|(one, other)| f64::from(*one) - f64::from(*other));
    let mean = differences.clone().sum::<f64>() / n;
    let variance = differences.map(|difference| (difference - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let around = 1.96 * (variance / n).sqrt();
    [mean - around, mean + around]
}

#[test]
fn an_agent_that_is_recorded_plans_better_with_the_critic_of_its_own_record() {
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    desk.write("forethought.toml", CONFIG);
    let shop: WebShopConfig = serde_json::from_value(json!({ "actions": "tools", "max_steps": 20 })).unwrap();
    let shop = WebShop::new(shop).unwrap();
    let (recorded, episodes) = (slow(400..430, 400..1000), slow(10, 400));

    let served = Served::start(&desk);
    succeeds(&served, &shop, "record", recorded, slow(1, 2));
    served.stop();
    // Sorted: a run's folder has them in the order in which they ended.
    desk.forethought("export runs/session--serve --out data").assert().success();
    // The control has less time, which is what the test has, too.
    for (out, full) in [("critic", 8000), ("critic-shuffled --shuffle-outcomes", 2000)] {
        let (data, steps) = slow(("runs/session--serve", 40), ("data", full));
        let line =
            format!("train forethought.toml --data {data} --out {out} --set trainer.critic.steps={steps}");
        desk.forethought(&line).assert().success();
    }

    let served = Served::start(&desk);
    let [react, pnlc, shuffled] =
        ["react", "pnlc", "pnlc-shuffled"].map(|model| succeeds(&served, &shop, model, 0..episodes, 1));
    served.stop();
    // A few episodes show that the circle closes; that it helps takes hundreds.
    if forethought_testkit::slow_tests() {
        let [low, high] = gain(&pnlc, &react);
        assert!(low > 0.0, "the critic gains {low} to {high} over ReAct");
        let [low, high] = gain(&shuffled, &react);
        assert!(low <= 0.0, "the shuffled critic must not help: {low} to {high} over ReAct");
    }
}
