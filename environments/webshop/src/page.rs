//! The content of a page: its visible texts in order, and which of them can be clicked.

use crate::product::Product;
use crate::python;
use crate::session::{Page, Session, SubPage};
use crate::shop::Shop;

/// A visible piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node<'a> {
    /// Plain text.
    Text(&'a str),
    /// A button's label.
    Button(&'a str),
    /// An option's value.
    Option(&'a str),
    /// A link to a product: its asin, and whether it was opened before.
    Link(&'a str, bool),
}

impl<'a> Node<'a> {
    /// The text itself.
    pub fn text(self) -> &'a str {
        match self {
            Self::Text(text) | Self::Button(text) | Self::Option(text) | Self::Link(text, _) => text,
        }
    }
}

/// Calls `visit` with every visible text of the current page, in document order.
pub fn visit(shop: &Shop, instruction: &str, session: &Session, visit: &mut dyn FnMut(Node<'_>)) {
    // Pure whitespace is read as one line break, which is dropped, or as one space.
    let visit = &mut |node: Node<'_>| {
        let text = node.text();
        if text.bytes().all(|byte| matches!(byte, b' ' | b'\n' | b'\t' | b'\r' | 0x0c)) {
            if !text.is_empty() && !text.contains('\n') {
                visit(Node::Text(" "));
            }
        } else {
            visit(node);
        }
    };
    match session.page() {
        Page::Index => {
            visit(Node::Text("WebShop"));
            visit(Node::Text("Instruction: "));
            visit(Node::Text(instruction));
            visit(Node::Button("Search"));
            return;
        }
        Page::Done(score) => return done(shop, session, score, visit),
        Page::Results | Page::Item | Page::Sub(_) => {
            visit(Node::Text("Instruction:"));
            visit(Node::Text(instruction));
            visit(Node::Button("Back to Search"));
        }
    }
    if session.page() == Page::Results {
        visit(Node::Text(&format!("Page {} (Total results: {})", session.number(), session.total())));
        if session.number() > 1 {
            visit(Node::Button("< Prev"));
        }
        visit(Node::Button("Next >"));
        for &number in session.shown() {
            let product = shop.catalogue().product(number);
            visit(Node::Link(&product.asin, session.has_visited(number)));
            visit(Node::Text(&product.title));
            visit(Node::Text(&product.price_tag));
        }
        return;
    }
    visit(Node::Button("< Prev"));
    let Some(item) = session.item() else { return };
    let product = shop.catalogue().product(item);
    match session.page() {
        Page::Sub(sub) => sub_page(&product, sub, visit),
        _ => item_page(&product, visit),
    }
}

fn item_page(product: &Product, visit: &mut dyn FnMut(Node<'_>)) {
    for (name, values) in &product.options {
        visit(Node::Text(name));
        for value in values {
            visit(Node::Option(value));
        }
    }
    visit(Node::Text(&product.title));
    visit(Node::Text(&format!("Price: {}", product.price_tag)));
    visit(Node::Text("Rating: N.A."));
    for button in ["Description", "Features", "Reviews", "Buy Now"] {
        visit(Node::Button(button));
    }
}

fn sub_page(product: &Product, sub: SubPage, visit: &mut dyn FnMut(Node<'_>)) {
    match sub {
        SubPage::Description => visit(Node::Text(&product.description)),
        SubPage::Features => {
            product.bullets.iter().for_each(|bullet| visit(Node::Text(&format!(" {bullet}"))))
        }
        SubPage::Reviews => {}
        SubPage::Attributes => {
            product.attributes.iter().for_each(|attribute| visit(Node::Text(&format!(" {attribute}"))));
            for text in [&product.category, &product.query, &product.product_category] {
                visit(Node::Text(text));
            }
        }
    }
}

fn done(shop: &Shop, session: &Session, score: f64, visit: &mut dyn FnMut(Node<'_>)) {
    let asin = session.item().map_or_else(String::new, |item| shop.catalogue().product(item).asin.clone());
    let texts = [
        "Thank you for shopping with us!",
        "Your code: ",
        "None",
        " (Paste it in your MTurk interface.)",
        "Purchased",
        "asin",
        &asin,
        "options",
        &options_json(session.options()),
        "attrs",
        "None",
        "category",
        "None",
        "query",
        "None",
        "product category",
        "None",
        "Target",
        "asin",
        "options",
        "attrs",
        "price upper",
        "instuction text",
        "category",
        "product category",
        "query",
        "Goal ",
        "None",
        "Reward",
        "Your score (min 0.0, max 1.0)",
        &python::float(score),
        "Reward Details ",
        "None",
    ];
    texts.into_iter().for_each(|text| visit(Node::Text(text)));
}

/// The options as the done page prints them: by name, and escaped for HTML.
pub(crate) fn options_json(options: &[(String, String)]) -> String {
    let mut sorted: Vec<&(String, String)> = options.iter().collect();
    sorted.sort();
    let text = python::json(sorted);
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026").replace('\'', "\\u0027")
}

/// What can be clicked on the current page, as upstream lists it: buttons, product links, then option values; a text
/// that occurs twice is listed once, at its first place.
pub fn clickables(shop: &Shop, session: &Session) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut options: Vec<String> = Vec::new();
    match session.page() {
        Page::Index => texts.push("search".into()),
        Page::Results => {
            texts.push("back to search".into());
            if session.number() > 1 {
                texts.push("< prev".into());
            }
            texts.push("next >".into());
            let catalogue = shop.catalogue();
            texts.extend(session.shown().iter().map(|&number| catalogue.product(number).asin.to_lowercase()));
        }
        Page::Item => {
            let buttons = ["back to search", "< prev", "description", "features", "reviews", "buy now"];
            texts.extend(buttons.map(str::to_owned));
            if let Some(item) = session.item() {
                let product = shop.catalogue().product(item);
                options.extend(product.options.iter().flat_map(|(_, values)| values.iter().cloned()));
            }
        }
        Page::Sub(_) => texts.extend(["back to search", "< prev"].map(str::to_owned)),
        Page::Done(_) => {}
    }
    let mut seen: std::collections::HashSet<String> = texts.iter().cloned().collect();
    texts.extend(options.into_iter().filter(|option| seen.insert(option.clone())));
    texts
}

/// Whether the current page has a search bar.
pub fn has_search_bar(session: &Session) -> bool {
    session.page() == Page::Index
}
