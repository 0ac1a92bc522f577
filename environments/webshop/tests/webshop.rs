//! WebShop from outside: episodes through the interface, and files that are wrong.

use std::sync::Arc;

use forethought_sdk::api::llm::ToolCall;
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{Value, json};
use forethought_testkit::block_on;
use forethought_webshop::environment::{WebShop, WebShopConfig};
use forethought_webshop::verify::WebShopVerifier;
use proptest::prelude::*;

/// A shop of the given configuration.
fn shop(config: Value) -> WebShop {
    WebShop::new(forethought_sdk::serde_json::from_value(config).expect("a valid configuration"))
        .expect("a shop")
}

fn reset(shop: &dyn Environment, task: u64) -> Turn {
    block_on(shop.reset(Reset { task, seed: 7 })).expect("a first turn")
}

fn act(shop: &dyn Environment, action: &str) -> Transition {
    block_on(shop.step(Action::new(action))).expect("an answer")
}

/// Opens the page of the first product that a search finds, and returns that page.
fn open_first(shop: &dyn Environment, task: u64) -> Turn {
    reset(shop, task);
    let results = act(shop, "search[shoes chair cream lamp shirt]").turn;
    let first = results.legal_actions.iter().find(|action| action.to_lowercase().starts_with("click[b0"));
    act(shop, first.expect("a product among the results")).turn
}

#[test]
fn an_episode_is_reset_played_and_scored() {
    let shop = shop(json!({}));
    let spec = block_on(shop.spec()).expect("a spec");
    assert!(spec.instructions.starts_with("You are shopping on WebShop.\n"));
    assert_eq!((spec.seats.len(), spec.seats[0].name.as_str(), spec.max_steps), (1, "agent", Some(15)));
    assert!(spec.tasks.is_some_and(|tasks| tasks > 0) && spec.fork);

    let start = reset(&shop, 0);
    assert!(start.observation.text.starts_with("WebShop \nInstruction:  \n"), "{}", start.observation.text);
    assert!(start.observation.text.ends_with("\n[Search] "));
    assert_eq!(start.observation.data["has_search_bar"], json!(true));
    assert!(start.legal_actions.is_empty(), "a search has no fixed words");

    let item = open_first(&shop, 0);
    assert_eq!(item.observation.data["page"], "item_page");
    assert!(item.legal_actions.contains(&"click[Buy Now]".to_owned()));
    let end = act(&shop, "click[Buy Now]");
    assert!(end.terminated && !end.truncated);
    assert_eq!(end.success, Some(end.rewards[0] == 1.0));
    assert!(end.turn.observation.text.starts_with("Your score (min 0.0, max 1.0): "));
    assert!(end.turn.legal_actions.is_empty());
    for part in
        ["r_type", "r_att", "w_att", "query_match", "category_match", "title_score", "r_price", "w_price"]
    {
        assert!(!end.info[part].is_null(), "{part}");
    }
    assert!(end.info["purchased"]["asin"].is_string());

    let after = act(&shop, "search[more]");
    assert!(after.terminated && after.rewards == [0.0]);
    assert_eq!(after.turn.observation, end.turn.observation);
}

#[test]
fn the_goal_stays_hidden() {
    let shop = shop(json!({ "observation": "text" }));
    let turn = reset(&shop, 3);
    let shown: Vec<&String> = turn.observation.data.as_object().expect("an object").keys().collect();
    assert_eq!(shown, ["page", "has_search_bar", "clickables", "url"]);
    assert!(act(&shop, "search[shoes]").info.is_null());
}

#[test]
fn the_same_task_and_seed_give_the_same_episode() {
    let play = || {
        let shop = shop(json!({ "observation": "text_rich" }));
        reset(&shop, 5);
        ["search[<r>]", "click[next >]", "click[< prev]", "click[back to search]", "search[<r>]"]
            .map(|action| act(&shop, action).turn)
    };
    let (first, second) = (play(), play());
    assert_eq!(first, second);
    // Random words find different products each time.
    assert_ne!(first[0].observation.text, first[2].observation.text);
    assert_ne!(first[0].observation.text, first[4].observation.text);
}

#[test]
fn a_fork_goes_its_own_way() {
    let shop = shop(json!({}));
    open_first(&shop, 0);
    let fork = block_on(shop.fork()).expect("an answer").expect("a copy");
    let bought = act(&*fork, "click[Buy Now]");
    assert!(bought.terminated);
    let here = act(&shop, "click[< Prev]");
    assert!(!here.terminated);
    assert_eq!(here.turn.observation.data["page"], "search_results");
    assert_eq!(act(&*fork, "click[Buy Now]").turn, bought.turn, "the fork is over");
    // A copied state continues like the state itself.
    let fork = block_on(shop.fork()).expect("an answer").expect("a copy");
    assert_eq!(act(&*fork, "click[Back to Search]"), act(&shop, "click[Back to Search]"));
}

#[test]
fn worlds_are_spawned_without_an_episode() {
    let world = block_on(shop(json!({})).spawn()).expect("a world");
    let error = block_on(world.step(Action::new("search[shoes]"))).expect_err("no episode yet");
    assert!(error.to_string().contains("call reset first"), "{error}");
    reset(&*world, 1);
    act(&*world, "search[shoes]");
}

#[test]
fn actions_are_taken_in_any_spelling_with_one_meaning() {
    let page = |shop: &WebShop, action: &str| act(shop, action).turn.observation.data["page"].clone();
    for mode in ["react", "text", "text_rich"] {
        let (lenient, strict) = (
            shop(json!({ "observation": mode })),
            shop(json!({ "observation": mode, "strict": true, "explain_refusals": true })),
        );
        for action in ["Search[chair]", "search [chair]", "\"search[chair]\"", "**search(chair)**"] {
            for shop in [&lenient, &strict] {
                reset(shop, 3);
            }
            assert_eq!(page(&lenient, action), "search_results", "{mode}: {action}");
            assert_eq!(page(&strict, action), "index", "{mode}: {action}");
        }
        for action in ["Click[Buy Now]", "click [buy\u{a0}now]", "\u{201c}click[Buy Now]\u{201d}"] {
            for shop in [&lenient, &strict] {
                open_first(shop, 3);
            }
            assert!(act(&lenient, action).terminated, "{mode}: {action}");
            assert_eq!(page(&strict, action), "item_page", "{mode}: {action}");
        }
    }
    // The words after a search are no part of it; by the reference they are.
    let searched = |config: Value, action: &str| {
        let shop = shop(config);
        reset(&shop, 3);
        act(&shop, action).turn.observation.data["url"].as_str().expect("an address").to_owned()
    };
    let tail = "search[chair] and then click[Buy Now]";
    assert!(searched(json!({}), tail).ends_with("/chair/1"));
    assert!(!searched(json!({ "strict": true }), tail).ends_with("/chair/1"));
    let (lenient, strict) = (shop(json!({})), shop(json!({ "strict": true })));
    for (shop, text) in [(&lenient, "OK."), (&strict, "Invalid action!")] {
        reset(shop, 3);
        assert_eq!(act(shop, "Think [hm]").turn.observation.text, text);
    }
}

#[test]
fn a_refusal_says_why_and_what_is_possible_if_asked() {
    let react = shop(json!({ "explain_refusals": true }));
    let check = |action: &str, parts: &[&str]| {
        let Transition { turn: Turn { observation, .. }, illegal, .. } = act(&react, action);
        assert!(illegal, "{action} counts as illegal");
        let why = observation.data["refused"].as_str().expect("a reason").to_owned();
        assert_eq!(observation.text, format!("Invalid action!\n{why}"));
        assert!(parts.iter().all(|part| why.contains(part)), "{action}: {why}");
    };
    reset(&react, 2);
    check("click[Buy Now]", &["[Buy Now] cannot be clicked here", "Possible now: search[words]."]);
    check("search[ ]", &["has no words"]);
    open_first(&react, 2);
    check("search[chair]", &["only on the start page", "click[< Prev]", "click[Buy Now]"]);
    check("hello", &["search[words] or click[text]"]);
    let fine = act(&react, "click[Features]");
    assert_eq!((fine.illegal, &fine.turn.observation.data["refused"]), (false, &Value::Null));
    let text = shop(json!({ "explain_refusals": true, "observation": "text" }));
    let page = open_first(&text, 2).observation.text;
    let refused = act(&text, "click[blue moon]").turn.observation;
    assert!(
        refused.text.starts_with(&format!("{page}\n[blue moon] cannot be clicked here.")),
        "{}",
        refused.text
    );
    assert!(refused.text.contains("search[words], click[back to search]"), "{}", refused.text);
}

#[test]
fn what_cannot_be_done_changes_nothing() {
    let react = shop(json!({ "strict": true }));
    open_first(&react, 2);
    for action in
        ["search[chair]", "click[buy now]", "click[Next >]", "click[no such thing]", "buy", "", "click["]
    {
        let answer = act(&react, action);
        assert_eq!(answer.turn.observation.text, "Invalid action!", "{action}");
        assert_eq!(answer.turn.observation.data["page"], "item_page");
    }
    assert_eq!(act(&react, "think[hm]").turn.observation.text, "OK.");

    let text = shop(json!({ "observation": "text", "strict": true }));
    let before = open_first(&text, 2);
    for action in
        ["look around", "search[]", "click[no such thing]", "click[search]", "Click[buy now]", "think[hm]"]
    {
        assert_eq!(act(&text, action).turn, before, "{action}");
    }
    let found = act(&text, "search[chair] please").turn;
    assert_eq!(found.observation.data["page"], "search_results", "a search works on every page");
}

#[test]
fn thoughts_are_free_and_actions_are_not() {
    let shop = shop(json!({ "max_steps": 3 }));
    reset(&shop, 0);
    let mut last = act(&shop, "think[one]");
    for action in ["think[two]", "think[three]", "no", "no"] {
        assert!(!last.truncated);
        last = act(&shop, action);
    }
    assert!(!last.truncated);
    last = act(&shop, "no");
    assert!(last.truncated && !last.terminated);
    assert_eq!(last.success, Some(false));

    // An agent that only thinks is cut off in the end.
    reset(&shop, 0);
    assert_eq!((1..).take_while(|_| !act(&shop, "think[on]").truncated).count(), 5);
}

#[test]
fn pages_lead_back_where_they_came_from() {
    let shop = shop(json!({}));
    let item = open_first(&shop, 4);
    let options: Vec<&String> = item.legal_actions.iter().skip(6).collect();
    let option = options.first().expect("a product with options").strip_prefix("click[").expect("a click");
    let option = option.strip_suffix(']').expect("a click");
    let chosen = act(&shop, &format!("click[{option}]"));
    assert_eq!(chosen.turn.observation.text, format!("You have clicked {option}."));
    for button in ["Description", "Features", "Reviews"] {
        let sub = act(&shop, &format!("click[{button}]")).turn;
        assert_eq!(sub.observation.data["page"], "item_sub_page");
        assert_eq!(sub.legal_actions, ["click[Back to Search]", "click[< Prev]"]);
        let back = act(&shop, "click[< Prev]").turn;
        assert!(back.observation.text.contains(&format!("[[{option}]]")), "options are kept: {back:?}");
    }
    let results = act(&shop, "click[< Prev]").turn;
    assert_eq!(results.observation.data["page"], "search_results");
    let again = results.legal_actions[1].clone();
    assert!(!act(&shop, &again).turn.observation.text.contains("[["), "options are forgotten");
    assert_eq!(act(&shop, "click[Back to Search]").turn.observation.data["page"], "index");
}

#[test]
fn the_end_of_the_results_is_empty_and_has_a_next_page() {
    let shop = shop(json!({ "observation": "text", "max_steps": 0 }));
    reset(&shop, 0);
    let mut page = act(&shop, "search[chair shoes cream lamp shirt]").turn;
    let total = page.observation.text.split("(Total results: ").nth(1).map(str::to_owned);
    for _ in 0..6 {
        page = act(&shop, "click[next >]").turn;
    }
    assert_eq!(page.legal_actions, ["click[back to search]", "click[< prev]", "click[next >]"]);
    assert!(page.observation.text.contains("Page 7 "));
    let shown = page.observation.text.split("(Total results: ").nth(1).map(str::to_owned);
    let number = |text: Option<String>| text.and_then(|text| Some(text.split(')').next()?.to_owned()));
    assert_eq!(number(shown), number(total), "the total stays");
}

#[test]
fn with_the_full_score_alone_ending_it_an_episode_earns_its_best_purchase() {
    let shop = shop(json!({ "end": "full_score", "max_steps": 0 }));
    let buy = |task| {
        open_first(&shop, task);
        act(&shop, "click[Buy Now]")
    };
    let fits_in_part = |bought: &Transition| bought.rewards[0] > 0.0 && bought.rewards[0] < 1.0;
    let first = (0..100).map(buy).find(fits_in_part).expect("a product that fits in part");
    assert!(first.turn.observation.text.starts_with("Your score"));
    assert!(!first.terminated, "the shopper may go on");
    assert_eq!(first.turn.observation.data["page"], "item_page");
    assert_eq!(act(&shop, "click[Buy Now]").rewards, [0.0], "a score is earned once");
}

#[test]
fn lists_show_as_many_products_as_configured() {
    let shop = shop(json!({ "results_shown": 3 }));
    reset(&shop, 0);
    let turn = act(&shop, "search[shoes shirt chair]").turn;
    assert_eq!(turn.legal_actions.len(), 4, "{:?}", turn.legal_actions);
    assert_eq!(turn.observation.text.matches("\n[B").count(), 3);
}

#[test]
fn configurations_are_checked() {
    let read = |config: Value| forethought_sdk::serde_json::from_value::<WebShopConfig>(config);
    assert!(read(json!({ "catalog": "synthetic" })).is_err());
    assert!(read(json!({ "products": 0 })).is_err());
    assert!(read(json!({ "observation": "pdf" })).is_err());
    let missing = read(json!({ "catalogue": "/no/such/folder" })).expect("a path");
    let error = WebShop::new(missing).err().expect("no such folder").to_string();
    assert!(error.contains("/no/such/folder"), "{error}");
}

/// A folder with the given product lines and no attributes.
fn folder(lines: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join("items_ins_v2.json"),
        r#"{"B000000001": {"attributes": ["non slip"],
        "instruction": "Find me shoes", "instruction_attributes": ["non slip"]}}"#,
    )
    .expect("written");
    std::fs::write(folder.path().join("products.jsonl"), lines).expect("written");
    folder
}

fn read_folder(folder: &tempfile::TempDir) -> Result<WebShop> {
    let config = json!({ "catalogue": folder.path(), "observation": "text", "max_steps": 0 });
    WebShop::new(forethought_sdk::serde_json::from_value(config).expect("a configuration"))
}

const SHOES: &str = r#"{"asin": "B000000001", "name": "Slip-on Shoes", "full_description": "Light.",
    "small_description": "One bullet", "pricing": "$1,010.5 - $1,018.34", "query": " Shoes ", "category": "fashion",
    "product_category": "Shoes", "images": ["x.jpg"], "customization_options": {"Size": [{"value": " 8/9 "},
    {"value": "reviews"}], "Color": [{"value": "Red"}, {"value": "8/9"}], "Style": null}}"#;

#[test]
fn products_that_cannot_be_used_are_named() {
    let shoes = SHOES.replace('\n', " ");
    let refused = |folder: &tempfile::TempDir| read_folder(folder).err().expect("a refusal").to_string();
    let said = refused(&folder(&shoes.replace("B000000001", "B00000000001")));
    assert!(said.contains("has no products; 1 are left out, because their `asin`"), "{said}");

    let values: Vec<_> = (0..400).map(|number| format!(r#"{{"value": "{number}"}}"#)).collect();
    let one = |value: &str| format!(r#"{{"value": "{value}"}}"#);
    let many = shoes.replace(&one("reviews"), &values.join(",")).replace(&one("Red"), &values.join(","));
    let said = refused(&folder(&many));
    assert!(said.contains("line 1") && said.contains("combine to 160801 goals"), "{said}");

    // All products in one line, as upstream writes them.
    let raw = folder("");
    std::fs::remove_file(raw.path().join("products.jsonl")).expect("removed");
    let untitled = shoes.replace("B000000001", "B000000002").replace("\" Shoes \"", "null");
    std::fs::write(raw.path().join("items_shuffle.json"), format!("[{shoes}, {untitled}]")).expect("written");
    let said = refused(&raw);
    assert!(said.contains("product 2 (\"B000000002\"): invalid type: null, expected a string"), "{said}");
}

#[test]
fn raw_products_are_read_by_upstreams_rules() {
    let folder = folder(&SHOES.replace('\n', " "));
    let shop = read_folder(&folder).expect("a shop");
    assert_eq!(block_on(shop.spec()).expect("a spec").tasks, Some(4));
    reset(&shop, 0);
    let results = act(&shop, "search[<q> shoes]").turn;
    assert!(results.observation.text.ends_with("B000000001 [SEP] Slip-on Shoes [SEP] $1010.5 to $1018.34"));
    assert_eq!(act(&shop, "search[<c> fashion]").turn.observation.text, results.observation.text);
    assert_eq!(act(&shop, "search[<a> non slip]").turn.observation.text, results.observation.text);
    assert_eq!(act(&shop, "search[<c> beauty]").turn.legal_actions.len(), 2);
    act(&shop, "search[shoes]");
    let item = act(&shop, "click[B000000001]").turn;
    let listed = "size [SEP] 8 | 9 [SEP] reviews [SEP] color [SEP] red [SEP] 8 | 9 [SEP] Slip-on Shoes";
    assert!(item.observation.text.contains(listed), "{}", item.observation.text);

    // A value under two names is listed once and chooses the later name.
    let clickables = item.observation.data["clickables"].as_array().expect("a list");
    assert_eq!(clickables.iter().filter(|text| **text == "8 | 9").count(), 1);
    let chosen = act(&shop, "click[8 | 9]").turn;
    assert!(
        chosen.observation.data["url"].as_str().expect("an address").ends_with(r#"/1/{"color": "8 | 9"}"#)
    );
    // A value with the name of a button is that button.
    assert_eq!(act(&shop, "click[reviews]").turn.observation.data["page"], "item_sub_page");
    // A later choice under the same name replaces the earlier one.
    act(&shop, "click[< prev]");
    let chosen = act(&shop, "click[red]").turn;
    assert!(chosen.observation.data["url"].as_str().expect("an address").ends_with(r#"/{"color": "red"}"#));
    let end = act(&shop, "click[buy now]");
    assert!(end.terminated);
    assert!(end.turn.observation.text.contains(r#"options [SEP] {"color": "red"} [SEP]"#));
}

#[test]
fn pages_read_as_in_the_react_prompts() {
    let folder = folder(&SHOES.replace('\n', " "));
    let config = json!({ "catalogue": folder.path(), "observation": "react" });
    let shop = shop(config);
    let start = reset(&shop, 0).observation.text;
    let instruction = start.lines().nth(2).expect("an instruction").trim_end();
    assert!(instruction.starts_with("Find me shoes with color: "), "{instruction}");
    assert_eq!(start, format!("WebShop \nInstruction:  \n{instruction} \n[Search] "));
    let results = act(&shop, "search[shoes]").turn.observation.text;
    let listed = "[B000000001] \nSlip-on Shoes \n$1010.5 to $1018.34 ";
    assert_eq!(results, format!("[Back to Search] \nPage 1 (Total results: 1) \n[Next >] \n{listed}"));
    let before = "[Back to Search] \n[< Prev] \nsize [8 | 9][reviews]\ncolor ";
    let after = "\nSlip-on Shoes \nPrice: $1010.5 to $1018.34 \nRating: N.A. \n[Description] \n[Features] \n[Reviews] \n[Buy Now] ";
    assert_eq!(act(&shop, "click[B000000001]").turn.observation.text, format!("{before}[red][8 | 9]{after}"));
    assert_eq!(act(&shop, "click[red]").turn.observation.text, "You have clicked red.");
    assert_eq!(
        act(&shop, "click[Features]").turn.observation.text,
        "[Back to Search] \n[< Prev] \n One bullet "
    );
    assert_eq!(act(&shop, "click[< Prev]").turn.observation.text, format!("{before}[[red]][8 | 9]{after}"));
}

#[test]
fn products_that_upstream_skips_are_skipped() {
    let shoes = SHOES.replace('\n', " ");
    let named = |asin| shoes.replace("B000000001", asin);
    let lines = [shoes.clone(), shoes.replace("Slip-on", "Other"), named("nan"), named("B0000000012")];
    let folder = folder(&lines.join("\n"));
    let shop = read_folder(&folder).expect("a shop");
    reset(&shop, 0);
    let found = act(&shop, "search[<c> fashion]").turn.observation.text;
    assert!(found.contains("(Total results: 1)") && found.contains("Slip-on Shoes"), "{found}");
}

#[test]
fn a_malformed_product_is_named_with_its_file_and_line() {
    let shoes = SHOES.replace('\n', " ");
    for (bad, reason) in [
        ("{\"asin\": 7}".to_owned(), "invalid type"),
        ("not json".to_owned(), "expected"),
        (shoes.replace("B000000001", "B000000002").replace("$1,010.5 - $1,018.34", "12 dollars"), "pricing"),
        (shoes.replace("B000000001", "B000000002").replace("\"One bullet\"", "5"), "small_description"),
    ] {
        let folder = folder(&format!("{shoes}\n{bad}\n"));
        let error = read_folder(&folder).err().expect("a malformed line").to_string();
        assert!(error.contains("products.jsonl, line 2"), "{error}");
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn missing_golden_files_are_named() {
    let (data, goods) = (tempfile::tempdir().expect("a folder"), folder(&SHOES.replace('\n', " ")));
    std::fs::rename(goods.path(), data.path().join("webshop_products")).expect("moved");
    let silent = Arc::new(forethought_sdk::api::critic::NoProgress);
    let error = block_on(WebShopVerifier.verify(data.path().into(), silent)).expect_err("no golden files");
    assert_eq!(error.code, Code::NotFound);
    assert!(error.to_string().contains("goals_synthetic_seed0.jsonl"), "{error}");
}

/// The same action in the shop whose actions are calls.
fn as_call(action: &str, written: bool) -> Action {
    let (name, rest) = action.split_once('[').expect("an action");
    let text = rest.strip_suffix(']').expect("an action");
    let arguments = json!({ if name == "search" { "query" } else { "target" }: text });
    let call = ToolCall { id: "call_1".into(), name: name.into(), arguments };
    let made = Action::of_calls(vec![call]);
    if written { Action::new(made.text) } else { made }
}

#[test]
fn a_shop_with_tools_offers_them_and_refuses_what_is_no_call_of_them() {
    let shop = shop(json!({ "actions": "tools", "explain_refusals": true }));
    let instructions = block_on(shop.spec()).expect("a spec").instructions;
    assert!(
        instructions.contains("You have 15 actions.") && !instructions.contains("click["),
        "{instructions}"
    );
    let start = reset(&shop, 0);
    let names: Vec<_> = start.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(
        (names, start.call_rule.required, start.call_rule.single),
        (vec!["search", "click"], true, true)
    );
    for (action, why) in [
        (r#"fly({"to":"x"})"#, "There is no tool `fly`; the tools are search, click."),
        ("click({})", "`click` needs the argument `target`."),
        ("buy the first", "this is not a call."),
        ("think[hm]", "this is not a call."),
        (
            r#"click({"target":"Buy Now"})"#,
            r#"[Buy Now] cannot be clicked here. Possible now: search({"query":"words"})."#,
        ),
    ] {
        let answer = act(&shop, action);
        let said = &answer.turn.observation.text;
        assert!(answer.illegal && said.starts_with("Invalid action!\n") && said.contains(why), "{said}");
    }
    let found = act(&shop, r#"search({"query":"chair [oak]"})"#).turn;
    assert!(found.legal_actions.contains(&r#"click({"target":"Back to Search"})"#.to_owned()));
    let again = act(&shop, "search(\"lamp\")").turn.observation.text;
    assert!(again.contains(r#"click({"target":"Back to Search"}) leads there"#), "{again}");
}

/// Actions of every form: nonsense, and what a page may offer.
fn any_action() -> impl Strategy<Value = String> {
    prop_oneof![
        ".*",
        "(search|click|think)\\[.{0,20}\\]?",
        "search\\[[a-z ]{1,20}\\]",
        Just("search[<r>]".to_owned()),
        Just("click[Back to Search]".to_owned()),
        Just("click[< prev]".to_owned()),
        Just("click[next >]".to_owned()),
        Just("click[Features]".to_owned()),
        Just("click[Buy Now]".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    /// With any actions, an episode goes on until it ends, and earns at most 1 in total.
    #[test]
    fn any_action_is_answered(
        mode in prop_oneof![Just("text"), Just("text_rich"), Just("react")],
        end in prop_oneof![Just("purchase"), Just("full_score")],
        task in 0_u64..1000,
        actions in prop::collection::vec((any_action(), any::<bool>(), any::<prop::sample::Index>()), 1..24),
    ) {
        let shop = shop(json!({ "observation": mode, "end": end, "products": 40 }));
        let mut turn = reset(&shop, task);
        let (mut earned, mut over) = (0.0, false);
        for (text, listed, index) in actions {
            let listed = (listed && !turn.legal_actions.is_empty()).then(|| index.get(&turn.legal_actions).clone());
            let answer = act(&shop, listed.as_ref().unwrap_or(&text));
            if listed.is_some() && mode == "react" {
                prop_assert_ne!(&answer.turn.observation.text, "Invalid action!");
            }
            prop_assert!(!(answer.terminated && answer.truncated));
            prop_assert!(answer.rewards[0] >= 0.0 && (!over || answer.rewards[0] == 0.0));
            earned += answer.rewards[0];
            prop_assert!(!over || answer.terminated || answer.truncated);
            over = answer.terminated || answer.truncated;
            turn = answer.turn;
        }
        prop_assert!(earned <= 1.0 + 1e-9);
    }

    /// An episode is the same in a shop whose actions are text and in one whose actions are calls.
    #[test]
    fn text_and_calls_lead_to_the_same(
        mode in prop_oneof![Just("text"), Just("text_rich"), Just("react")],
        strict in any::<bool>(),
        task in 0_u64..1000,
        actions in prop::collection::vec(
            ("(search\\[[a-z ]{1,20}|click\\[(Back to Search|buy now|< prev|.{0,12}))\\]", any::<(bool, bool)>(), any::<prop::sample::Index>()),
            1..24,
        ),
    ) {
        let config = json!({ "observation": mode, "strict": strict, "products": 40 });
        let mut calls = config.clone();
        calls["actions"] = "tools".into();
        let (texts, calls) = (shop(config), shop(calls));
        let (mut turn, first) = (reset(&texts, task), reset(&calls, task));
        prop_assert_eq!(&turn.observation, &first.observation);
        for (text, (listed, written), index) in actions {
            let listed = (listed && !turn.legal_actions.is_empty()).then(|| index.get(&turn.legal_actions).clone());
            let action = listed.unwrap_or(text);
            let ours = act(&texts, &action);
            let theirs = block_on(calls.step(as_call(&action, written))).expect("an answer");
            let listed: Vec<_> = ours.turn.legal_actions.iter().map(|action| as_call(action, true).text).collect();
            prop_assert_eq!(&listed, &theirs.turn.legal_actions);
            let bare = |mut transition: Transition| {
                transition.turn = Turn { observation: transition.turn.observation, ..Turn::default() };
                transition
            };
            turn = ours.turn.clone();
            prop_assert_eq!(bare(ours), bare(theirs));
        }
    }
}
