//! A process that serves a Rust module over its standard input and output. This test runs as each of its processes,
//! distinguished by the first argument. It has no test harness, because that would print to the output for frames.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use forethought_plugin_host::{process::Process, serve};
use forethought_sdk::{
    api::{
        module::{Create, Description, Module},
        registry::Component,
        wire::{Interface, Object, connect},
    },
    prelude::{Code, Error, Host, Result},
};

/// Describes its process id, and the content of its standard input.
struct Chatty;

#[async_trait]
impl Module for Chatty {
    async fn describe(&self) -> Result<Description> {
        println!("a plugin that prints");
        let mut found = String::new();
        std::io::stdin().read_to_string(&mut found)?;
        Ok(Description::new(std::process::id().to_string(), found, Vec::new()))
    }
    async fn create(&self, _: Create, _: Arc<dyn Host>) -> Result<Component> {
        Err(Error::not_found("nothing here"))
    }
    async fn shutdown(&self) -> Result<()> {
        std::process::exit(7)
    }
}

fn own(role: &str) -> Vec<String> {
    vec![std::env::current_exe().unwrap().to_str().unwrap().into(), role.into()]
}

/// A plugin in its own process, and the id of that process.
async fn started() -> (Arc<dyn Object>, Arc<dyn Module>, String) {
    let root = Process::new("chatty", own("plugin")).start().await.unwrap();
    let module = connect::<dyn Module>(root.clone()).unwrap();
    let description = module.describe().await.unwrap();
    assert_eq!(description.version, "", "the plugin's standard input is empty");
    (root, module, description.package)
}

fn exists(process: &str) -> bool {
    PathBuf::from("/proc").join(process).exists()
}

fn vanishes(process: &str) {
    let start = Instant::now();
    while exists(process) {
        assert!(start.elapsed() < Duration::from_secs(120), "process {process} is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

async fn as_plugin() {
    let stdio = serve::Stdio::take().unwrap();
    stdio.serve(<dyn Module>::serve(Arc::new(Chatty))).await.unwrap();
}

/// A program that starts a plugin, prints its process id, and does nothing else.
async fn as_host() {
    let (_root, _module, process) = started().await;
    println!("{process}");
    std::future::pending().await
}

async fn printed_text_does_not_disturb_the_frames() {
    let (root, module, process) = started().await;
    let error = root.invoke("create", Default::default()).await.unwrap_err();
    assert_eq!(error.code, Code::BadRequest);
    let error = module.shutdown().await.unwrap_err();
    assert_eq!(error.code, Code::Shutdown);
    assert!(error.message.ends_with("ended: exit status: 7, during module.shutdown"), "{error}");
    assert!(error.to_string().contains("\n  a plugin that prints"), "{error}");
    vanishes(&process);
}

async fn a_plugin_ends_with_its_last_object() {
    let (root, module, process) = started().await;
    drop((root, module));
    tokio::task::spawn_blocking(move || vanishes(&process)).await.unwrap();
}

async fn a_plugin_does_not_outlive_its_program() {
    let command = own("host");
    let mut host = Command::new(&command[0]).arg(&command[1]).stdout(Stdio::piped()).spawn().unwrap();
    let mut process = String::new();
    BufReader::new(host.stdout.take().unwrap()).read_line(&mut process).unwrap();
    assert!(exists(process.trim()));
    host.kill().unwrap(); // By SIGKILL: it cannot clean up.
    host.wait().unwrap();
    vanishes(process.trim());
}

async fn a_start_by_hand_is_explained() {
    let command = own("plugin");
    let typed = Command::new(&command[0]).arg(&command[1]).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&typed.stderr).into_owned();
    assert!(said.contains("standard input and output are not pipes"), "{said}");
}

#[tokio::main]
async fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("plugin") => as_plugin().await,
        Some("host") => as_host().await,
        _ => {
            printed_text_does_not_disturb_the_frames().await;
            a_plugin_ends_with_its_last_object().await;
            a_plugin_does_not_outlive_its_program().await;
            a_start_by_hand_is_explained().await;
        }
    }
}
