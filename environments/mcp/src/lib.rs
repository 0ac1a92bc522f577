//! `environment.mcp`: the tools of an MCP server as a world, with tasks from a file of JSON Lines.
//!
//! It may depend on the sdk and on `rmcp`, the official SDK of the Model Context Protocol. A call is an action, its
//! result the next observation; words are the final answer. `docs/mcp.md` is its guide.
//!
//! # Reading order
//! `config` (what a user writes), `tasks` (the file of tasks), `server` (a connection, and what can go wrong with it),
//! `content` (results as text), `score` (rewards), `environment` (episodes).

mod config;
mod content;
mod environment;
mod score;
mod server;
mod tasks;

pub use config::{McpConfig, ScriptConfig, Words};
pub use environment::Mcp;
