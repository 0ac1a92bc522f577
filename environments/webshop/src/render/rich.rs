//! Upstream's `text_rich` mode: one line per text, with marks on what can be clicked.

use crate::page::{self, Node};
use crate::session::Session;
use crate::shop::Shop;

/// The current page. Chosen options are marked and named first, the last of the page on top.
pub fn rich(shop: &Shop, instruction: &str, session: &Session) -> String {
    let url = session.url(shop);
    let (mut clicked, mut out) = (String::new(), String::new());
    page::visit(shop, instruction, session, &mut |node| {
        let line = match node {
            Node::Button(text) => format!("[button] {text} [button_]"),
            Node::Option(text) if url.contains(&format!("\"{text}\"")) => {
                clicked.insert_str(0, &format!("You have clicked {text}.\n"));
                format!("  [clicked button] {text} [clicked button_]")
            }
            Node::Option(text) => format!("  [button] {text} [button_]"),
            Node::Link(text, true) => format!("\n[clicked button] {text} [clicked button_]"),
            Node::Link(text, false) => format!("\n[button] {text} [button_]"),
            Node::Text(text) => text.to_owned(),
        };
        out.push_str(&line);
        out.push('\n');
    });
    clicked + &out
}
