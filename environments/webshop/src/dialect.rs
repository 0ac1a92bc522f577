//! What an action does: WebShop's own rules, and those of the ReAct and LATS prompts.

use std::collections::HashSet;

use crate::action::{Parsed, parse, parse_react};
use crate::page;
use crate::session::{Page, Session, SubPage};
use crate::shop::Shop;
use crate::spoken;

/// What an action did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: not an action, or not possible here.
    Refused,
    /// Another page is shown, or the same page again.
    Moved,
    /// An option of the current product was chosen.
    Chose(String),
    /// The current product is bought; the page does not change until its score is known.
    Bought,
}

/// Acts as upstream's text environment does. Search works on every page; case does not matter.
pub fn gym(shop: &Shop, session: &mut Session, action: &str) -> Effect {
    gym_act(shop, session, parse(action))
}

fn gym_act(shop: &Shop, session: &mut Session, action: Parsed) -> Effect {
    match action {
        Parsed::Search(words) => {
            session.search(shop, words.split(' ').map(str::to_owned).collect());
            Effect::Moved
        }
        Parsed::Click(text) if text != "search" && page::clickables(shop, session).contains(&text) => {
            click(shop, session, &text)
        }
        _ => Effect::Refused,
    }
}

/// Clicks a text that is there. Names of buttons come first: an option called `reviews` opens the reviews.
fn click(shop: &Shop, session: &mut Session, text: &str) -> Effect {
    let located = if matches!(text, "next >" | "< prev") { session.located(shop) } else { "" };
    match text {
        "buy now" => return Effect::Bought,
        "back to search" => session.home(),
        "next >" if located == "search_results" => session.turn_to(shop, session.number() + 1),
        "< prev" if located == "search_results" => session.turn_to(shop, session.number().saturating_sub(1)),
        "< prev" if located == "item_sub_page" => session.back_to_item(),
        "< prev" if located == "item_page" => session.turn_to(shop, session.number()),
        _ => {
            if let Some(sub) = SubPage::ALL.into_iter().find(|sub| sub.name().to_lowercase() == text) {
                session.sub_page(sub);
            } else if session.page() == Page::Results {
                let mut shown = session.shown().iter().copied();
                let named = |&number: &u32| shop.catalogue().product(number).asin.to_lowercase() == text;
                if let Some(number) = shown.find(named) {
                    session.open(number);
                }
            } else if choose(shop, session, text) {
                return Effect::Chose(text.to_owned());
            }
        }
    }
    Effect::Moved
}

fn choose(shop: &Shop, session: &mut Session, value: &str) -> bool {
    let Some(item) = session.item() else { return false };
    let product = shop.catalogue().product(item);
    let name = Session::option_name(&product, value);
    if let Some(name) = name {
        session.choose(name, value);
    }
    name.is_some()
}

/// Acts as the ReAct and LATS prompts expect: search only on the start page, no turning of pages, and the text to click
/// must be written as shown.
pub fn react(shop: &Shop, session: &mut Session, action: &str) -> Effect {
    react_act(shop, session, parse_react(action))
}

fn react_act(shop: &Shop, session: &mut Session, action: Parsed) -> Effect {
    let page = session.page();
    let is_product_page = matches!(page, Page::Item | Page::Sub(_));
    match action {
        Parsed::Search(words) if page == Page::Index && !words.trim().is_empty() => {
            session.search(shop, vec![words]);
        }
        Parsed::Click(text) => match text.as_str() {
            "Buy Now" if page == Page::Item => return Effect::Bought,
            "Back to Search" if is_product_page || page == Page::Results => session.home(),
            "< Prev" if page == Page::Item => session.turn_to(shop, session.number()),
            "< Prev" if is_product_page => session.back_to_item(),
            "Description" if page == Page::Item => session.sub_page(SubPage::Description),
            "Features" if page == Page::Item => session.sub_page(SubPage::Features),
            "Reviews" if page == Page::Item => session.sub_page(SubPage::Reviews),
            text => match page {
                Page::Results => {
                    let mut shown = session.shown().iter().copied();
                    let Some(number) = shown.find(|&number| shop.catalogue().product(number).asin == text)
                    else {
                        return Effect::Refused;
                    };
                    session.open(number);
                }
                Page::Item if choose(shop, session, text) => return Effect::Chose(text.to_owned()),
                _ => return Effect::Refused,
            },
        },
        _ => return Effect::Refused,
    }
    Effect::Moved
}

/// Acts as [`gym`] does, also on an action in another spelling that has a single meaning.
///
/// # Errors
/// Why the action is refused, as a sentence to its author; then nothing has changed.
pub fn lenient_gym(shop: &Shop, session: &mut Session, action: &str) -> Result<Effect, String> {
    let effect = gym(shop, session, action);
    if effect != Effect::Refused {
        return Ok(effect);
    }
    let clickables = page::clickables(shop, session).into_iter().filter(|text| text != "search");
    let meant = match spoken::read(action, &clickables.collect::<Vec<_>>())? {
        Parsed::Search(words) if words.is_empty() => return Err(NO_WORDS.into()),
        Parsed::Search(words) => Parsed::Search(words.to_lowercase()),
        meant => meant,
    };
    Ok(gym_act(shop, session, meant))
}

/// Acts as [`react`] does, also on an action in another spelling that has a single meaning. Text after a search's
/// closing bracket is not searched for.
///
/// # Errors
/// Why the action is refused, as a sentence to its author; then nothing has changed.
pub fn lenient_react(shop: &Shop, session: &mut Session, action: &str) -> Result<Effect, String> {
    let exact = match (parse_react(action), spoken::search(action)) {
        (Parsed::Search(_), Some(words)) => Parsed::Search(words.to_owned()),
        (exact, _) => exact,
    };
    let effect = react_act(shop, session, exact);
    if effect != Effect::Refused {
        return Ok(effect);
    }
    match spoken::read(action, &react_clickables(shop, session, usize::MAX))? {
        Parsed::Search(_) if session.page() != Page::Index => {
            Err("Search works only on the start page; click[Back to Search] leads there.".into())
        }
        Parsed::Search(words) if words.trim().is_empty() => Err(NO_WORDS.into()),
        meant => Ok(react_act(shop, session, meant)),
    }
}

const NO_WORDS: &str = "The search has no words.";

/// What can be clicked in the ReAct dialect, as shown, with the first `products` products of a page of results.
pub fn react_clickables(shop: &Shop, session: &Session, products: usize) -> Vec<String> {
    let buttons = match session.page() {
        // The search bar is not a button, and turning the page is not part of this dialect.
        Page::Index | Page::Done(_) => return Vec::new(),
        Page::Results => return react_results(shop, session, products),
        Page::Item => {
            ["Back to Search", "< Prev", "Description", "Features", "Reviews", "Buy Now"].as_slice()
        }
        Page::Sub(_) => return ["Back to Search", "< Prev"].map(str::to_owned).to_vec(),
    };
    let mut texts: Vec<String> = buttons.iter().map(|text| (*text).to_owned()).collect();
    if let Some(item) = session.item() {
        let product = shop.catalogue().product(item);
        let mut seen = HashSet::new();
        let values = product.options.iter().flat_map(|(_, values)| values);
        texts.extend(values.filter(|value| !value.is_empty() && seen.insert(*value)).cloned());
    }
    texts
}

fn react_results(shop: &Shop, session: &Session, products: usize) -> Vec<String> {
    let shown = session.shown().iter().take(products);
    let asins = shown.map(|&number| shop.catalogue().product(number).asin.clone());
    std::iter::once("Back to Search".to_owned()).chain(asins).collect()
}

/// The actions that click `clickables` in upstream's grammar. A text that contains brackets may have none.
pub fn gym_clicks(clickables: &[String]) -> Vec<String> {
    let clicks =
        clickables.iter().filter(|text| *text != "search").map(|text| (text, format!("click[{text}]")));
    clicks
        .filter(|(text, click)| parse(click) == Parsed::Click((*text).clone()))
        .map(|(_, click)| click)
        .collect()
}
