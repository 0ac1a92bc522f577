//! Upstream's `text` mode: the visible texts in one line.

use crate::page;
use crate::python;
use crate::session::Session;
use crate::shop::Shop;

/// The current page, its texts joined by ` [SEP] `. Chosen options are not marked.
pub fn text(shop: &Shop, instruction: &str, session: &Session) -> String {
    let mut out = String::new();
    let mut first = true;
    page::visit(shop, instruction, session, &mut |node| {
        if !std::mem::take(&mut first) {
            out.push_str(" [SEP] ");
        }
        out.push_str(python::strip(node.text()));
    });
    out
}
