//! What is not part of the answer: reasoning that a model wrote into its text, and tokens that end its turn.

/// Pairs of marks around reasoning. A closing mark alone counts too: some chat templates open the block in the prompt.
const BLOCKS: [(&str, &str); 11] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<reasoning>", "</reasoning>"),
    ("<reflection>", "</reflection>"),
    ("<scratchpad>", "</scratchpad>"),
    ("<seed:think>", "</seed:think>"),
    ("[think]", "[/think]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|channel|>analysis<|message|>", "<|end|>"),
    ("<|channel|>commentary<|message|>", "<|end|>"),
];

/// Marks that end or frame a turn: text, where a server forgot to take them off.
const FRAMES: [&str; 16] = [
    "<|im_end|>",
    "<|im_start|>assistant",
    "<|im_start|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|end|>",
    "<|return|>",
    "<|start|>assistant",
    "<|channel|>final<|message|>",
    "<|begin_of_solution|>",
    "<|end_of_solution|>",
    "<end_of_turn>",
    "<start_of_turn>model",
    "</s>",
    "<eos>",
];

/// A text without reasoning and frames.
pub(super) struct Stripped {
    pub(super) text: String,
    /// Whether there was reasoning.
    pub(super) reasoned: bool,
    /// Whether the text ended within it.
    pub(super) unfinished: bool,
}

/// Takes reasoning and frames off.
pub(super) fn strip(text: &str) -> Stripped {
    // ASCII lowercase keeps every byte where it was.
    let lower = text.to_ascii_lowercase();
    let mut kept = String::with_capacity(text.len());
    let (mut at, mut depth, mut inside, mut reasoned) = (0, 0_u32, "", false);
    while at < text.len() {
        let rest = &lower[at..];
        let mark = rest.starts_with(['<', '[', '◁']).then(|| {
            let opens = BLOCKS
                .iter()
                .find(|(open, _)| rest.starts_with(open))
                .map(|(open, close)| (open.len(), *close));
            let closes = BLOCKS
                .iter()
                .find(|(_, close)| rest.starts_with(close))
                .map(|(_, close)| (close.len(), *close));
            (opens, closes)
        });
        match mark {
            // Within a block only its own marks count: reasoning may mention others.
            Some((Some((length, close)), _)) if depth == 0 || close == inside => {
                (depth, inside, reasoned) = (depth + 1, close, true);
                at += length;
            }
            Some((_, Some((length, close)))) if depth > 0 && close == inside => {
                depth -= 1;
                at += length;
            }
            // Nothing opened it: all that came before was reasoning. `<|end|>` ends ordinary turns as well.
            Some((_, Some((length, close)))) if depth == 0 && close != "<|end|>" => {
                kept.clear();
                reasoned = true;
                at += length;
            }
            _ => {
                let frame = FRAMES.iter().find(|frame| rest.starts_with('<') && rest.starts_with(**frame));
                let length =
                    frame.map_or_else(|| rest.chars().next().map_or(1, char::len_utf8), |frame| frame.len());
                if depth == 0 && frame.is_none() {
                    kept.push_str(&text[at..at + length]);
                }
                at += length;
            }
        }
    }
    Stripped { text: kept.trim().to_owned(), reasoned, unfinished: depth > 0 }
}
