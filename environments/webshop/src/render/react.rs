//! The form of ReAct's and LATS's prompts.

use crate::page::{self, Node};
use crate::python;
use crate::session::{Page, Session};
use crate::shop::Shop;

/// The current page with its first `shown` products. Only the start page has the instruction.
pub fn react(shop: &Shop, instruction: &str, session: &Session, shown: usize) -> String {
    if let Page::Done(score) = session.page() {
        return format!("Your score (min 0.0, max 1.0): {}", python::float(score));
    }
    // This refers to the texts before it: the instruction's two nodes, and the product that a text belongs to.
    let mut hidden = if session.page() == Page::Index { 0 } else { 2 };
    let mut products = 0;
    // A value counts as chosen when it is in quotes in the address, which has a Python dict in this dialect.
    let url = session.url(shop) + &python::dict(session.options());
    let mut out = String::new();
    page::visit(shop, instruction, session, &mut |node| {
        if node.text().trim().is_empty() {
            return;
        }
        match node {
            Node::Button(text) => out.push_str(&format!("\n[{text}] ")),
            Node::Option(text) if url.contains(&format!("'{text}'")) => out.push_str(&format!("[[{text}]]")),
            Node::Option(text) => out.push_str(&format!("[{text}]")),
            Node::Link(text, _) => {
                products += 1;
                if products <= shown {
                    out.push_str(&format!("\n[{text}] "));
                }
            }
            Node::Text(_) if hidden > 0 => hidden -= 1,
            Node::Text(_) if products > shown => {}
            Node::Text(text) => out.push_str(&format!("\n{text} ")),
        }
    });
    // Prompts begin an observation on its own line; recorded trajectories have no such line break.
    out.strip_prefix('\n').map(str::to_owned).unwrap_or(out)
}
