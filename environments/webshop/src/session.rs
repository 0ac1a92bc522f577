//! One shopper's session: where they are, what they searched, saw and chose. Small, and cheap to copy.

use std::sync::Arc;

use crate::product::Product;
use crate::python;
use crate::shop::Shop;

/// Products on a page of results.
const WINDOW: usize = 10;

/// Where the site lives: upstream's own address, part of every URL.
const BASE: &str = "http://127.0.0.1:3000";

/// The kinds of page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Page {
    /// The start page with its search bar.
    Index,
    /// A page of search results.
    Results,
    /// A product.
    Item,
    /// One of a product's further pages.
    Sub(SubPage),
    /// After a purchase, with its score.
    Done(f64),
}

impl Page {
    /// Upstream's name of this kind of page.
    pub fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Results => "search_results",
            Self::Item => "item_page",
            Self::Sub(_) => "item_sub_page",
            Self::Done(_) => "done",
        }
    }
}

/// A product's further pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubPage {
    /// The full description.
    Description,
    /// The bullet points.
    Features,
    /// The reviews, of which there are none.
    Reviews,
    /// The attributes. No button leads here, but an option called `attributes` does.
    Attributes,
}

impl SubPage {
    /// Every sub page.
    pub const ALL: [Self; 4] = [Self::Description, Self::Features, Self::Reviews, Self::Attributes];

    /// Its name, which is also its button.
    pub fn name(self) -> &'static str {
        match self {
            Self::Description => "Description",
            Self::Features => "Features",
            Self::Reviews => "Reviews",
            Self::Attributes => "Attributes",
        }
    }
}

/// The state of one session.
#[derive(Debug, Clone)]
pub struct Session {
    name: Arc<str>,
    seed: u64,
    page: Page,
    words: Arc<[String]>,
    results: Arc<[u32]>,
    number: u32,
    item: Option<u32>,
    visited: Vec<u32>,
    options: Vec<(String, String)>,
    searches: u64,
}

impl Session {
    /// A session on the start page. `name` is part of its URLs; `seed` feeds random searches.
    pub fn new(name: impl Into<Arc<str>>, seed: u64) -> Self {
        Self {
            name: name.into(),
            seed,
            page: Page::Index,
            words: Arc::new([]),
            results: Arc::new([]),
            number: 0,
            item: None,
            visited: Vec::new(),
            options: Vec::new(),
            searches: 0,
        }
    }

    /// Its name, which is part of its URLs.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The words of the last search.
    pub fn words(&self) -> &[String] {
        &self.words
    }
    /// The current page.
    pub fn page(&self) -> Page {
        self.page
    }
    /// Number of the page of results, from 1.
    pub fn number(&self) -> u32 {
        self.number
    }
    /// How many products the search found.
    pub fn total(&self) -> usize {
        self.results.len()
    }
    /// The current product.
    pub fn item(&self) -> Option<u32> {
        self.item
    }
    /// Chosen options, in the order of their names' first choice.
    pub fn options(&self) -> &[(String, String)] {
        &self.options
    }
    /// Whether the product was opened since the last start page.
    pub fn has_visited(&self, product: u32) -> bool {
        self.visited.contains(&product)
    }

    /// The products on the current page of results.
    pub fn shown(&self) -> &[u32] {
        // A query that mentions a page's name can lead to page 0, which is empty (see `located`).
        let Some(first) = (self.number as usize).checked_sub(1) else { return &[] };
        let first = first.saturating_mul(WINDOW).min(self.results.len());
        &self.results[first..(first + WINDOW).min(self.results.len())]
    }

    /// Goes back to the start page and forgets what was searched, seen and chosen.
    pub fn home(&mut self) {
        *self = Self { searches: self.searches, ..Self::new(self.name.clone(), self.seed) };
    }

    /// Searches, and shows the first page of results.
    pub fn search(&mut self, shop: &Shop, words: Vec<String>) {
        self.words = words.into();
        self.find(shop);
        self.show(1);
    }

    /// Shows page `number` of the results of the last search. Random words find different products each time.
    pub fn turn_to(&mut self, shop: &Shop, number: u32) {
        if Shop::is_random(&self.words) {
            self.find(shop);
        }
        self.show(number);
    }

    fn find(&mut self, shop: &Shop) {
        self.results = shop.find(&self.words, self.seed, self.searches).into();
        self.searches += 1;
    }

    fn show(&mut self, number: u32) {
        self.page = Page::Results;
        self.number = number;
        self.item = None;
        self.options.clear();
    }

    /// Opens a product.
    pub fn open(&mut self, product: u32) {
        self.item = Some(product);
        if !self.has_visited(product) {
            self.visited.push(product);
        }
        self.page = Page::Item;
    }

    /// Shows the current product again.
    pub fn back_to_item(&mut self) {
        self.page = Page::Item;
    }

    /// Chooses an option of the current product; a later choice under the same name replaces the earlier one.
    pub fn choose(&mut self, name: &str, value: &str) {
        match self.options.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => value.clone_into(known),
            None => self.options.push((name.to_owned(), value.to_owned())),
        }
        self.page = Page::Item;
    }

    /// Shows one of the product's further pages.
    pub fn sub_page(&mut self, sub: SubPage) {
        self.page = Page::Sub(sub);
    }

    /// Shows the score after a purchase.
    pub fn done(&mut self, score: f64) {
        self.page = Page::Done(score);
    }

    /// The name of the option that clicking `value` sets: the last that has it.
    pub fn option_name<'a>(product: &'a Product, value: &str) -> Option<&'a str> {
        let has = |(_, values): &&(String, Vec<String>)| values.iter().any(|own| own == value);
        product.options.iter().rfind(has).map(|(name, _)| name.as_str())
    }

    /// The page's address.
    pub fn url(&self, shop: &Shop) -> String {
        let (name, number) = (&self.name, self.number);
        let words = self.words.join("+");
        let asin = self.item.map_or_else(String::new, |item| shop.catalogue().product(item).asin.clone());
        match self.page {
            Page::Index => format!("{BASE}/{name}"),
            Page::Results => format!("{BASE}/search_results/{name}/{words}/{number}"),
            Page::Item => {
                format!("{BASE}/item_page/{name}/{asin}/{words}/{number}/{}", python::json(&self.options))
            }
            Page::Sub(sub) => format!(
                "{BASE}/item_sub_page/{name}/{asin}/{words}/{number}/{}/{}",
                sub.name(),
                python::dict(&self.options)
            ),
            Page::Done(_) => format!("{BASE}/done/{name}/{asin}/{}", python::dict(&self.options)),
        }
    }

    /// The kind of page that upstream takes the address for: the first name that occurs anywhere in it, so that
    /// searching for `item_page` confuses `< Prev`.
    pub fn located(&self, shop: &Shop) -> &'static str {
        let url = self.url(shop);
        ["search_results", "item_page", "item_sub_page", "done"]
            .into_iter()
            .find(|name| url.contains(name))
            .unwrap_or("index")
    }
}
