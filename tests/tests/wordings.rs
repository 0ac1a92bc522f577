//! Free wordings of the simulated model: another sentence for the same thing, and nothing else.

use std::{collections::BTreeSet, process::ExitCode, sync::Arc};

use forethought_avalon::behaviour::Player;
use forethought_llm_simulated::{
    Simulated, SimulatedConfig,
    wording::{Speech, Wording},
};
use forethought_persuasion::behaviour::Persuader;
use forethought_sdk::{prelude::*, seed};
use forethought_testkit::{Suite, block_on};
use forethought_webshop::behaviour::Shopper;

fn main() -> ExitCode {
    Suite::default()
        .test("free_words_of_the_own_banks_mean_what_was_meant", || meaning_is_kept(&Wording::Free))
        .test("words_are_understood_whatever_the_own_ones_are", || {
            for (name, behaviour) in behaviours() {
                let bank = block_on(behaviour.bank()).unwrap();
                let speech = block_on(Speech::of(name, behaviour.as_ref(), &Wording::Regular, &[])).unwrap();
                for (what, sentences) in &bank.free.thoughts {
                    let (_, own) = bank.regular.thoughts.iter().find(|(own, _)| own == what).unwrap();
                    for sentence in sentences {
                        assert!(own.contains(&speech.understand_thought(sentence)), "{name}: {sentence:?}");
                        // What a prompt lists is said as it is listed, if it means the same.
                        let listed = [bank.free.thoughts[0].1[0].clone(), sentence.clone()];
                        let said = speech.thought_as(&own[0], &listed, &mut seed::stream(7, name));
                        assert!(listed.contains(&said) && speech.same(&said, &own[0]), "{name}: {said:?}");
                    }
                }
                // A regular sentence stays as it is.
                for sentence in bank.regular.thoughts.iter().flat_map(|(_, own)| own) {
                    assert_eq!(&speech.understand_thought(sentence), sentence);
                }
                let state: Vec<_> =
                    bank.free.state.iter().map(|(line, _)| line.replace(['{', '}'], "")).collect();
                let same = speech.state(&state.join(" "), &mut seed::stream(7, name));
                assert_eq!(same, state.join(" "), "{name}: regular lines stay without a list");
            }
        })
        .test("sentences_are_sorted_by_meaning", || {
            let behaviours = vec![("webshop".to_owned(), behaviours()[0].1.clone())];
            let config = SimulatedConfig { malformed: 0.0, ..SimulatedConfig::default() };
            let llm = Simulated::new(config, behaviours).unwrap();
            let bank = block_on(Shopper::default().bank()).unwrap();
            let (perfect, wrong) = (&bank.free.outcomes[0].1, &bank.free.outcomes[1].1);
            let prompt = format!(
                "You are shopping on WebShop.\n\nKnown:\n3: {}\n5: The weather changes.\nNew:\n7: {}\n8: {}\n9: {}\n10: Snow.\n\
                 11: The weather changes.\n\n<number of a new sentence>: <number of the earlier sentence that says the \
                 same, or new>",
                perfect[0], perfect[1], wrong[0], wrong[1]
            );
            let request = ChatRequest::new(Purpose::Other, vec![Message::user(prompt)]);
            let answer = block_on(llm.complete(request)).unwrap();
            assert_eq!(answer.choices[0].text, "7: 3\n8: new\n9: 8\n10: new\n11: 5");
        })
        .golden("free_words_of_other_banks_mean_what_was_meant", &["paraphrases"], |data| {
            meaning_is_kept(&Wording::Folder(data.join("paraphrases")));
        })
        .golden("the_own_banks_share_no_sentence_with_the_others", &["paraphrases"], |data| {
            for (name, behaviour) in behaviours() {
                let own = block_on(behaviour.bank()).unwrap().free;
                let text = std::fs::read_to_string(data.join(format!("paraphrases/{name}.json"))).unwrap();
                let others = forethought_sdk::simulated::wordings(&text).unwrap();
                let all = |wordings: &forethought_sdk::api::behaviour::Wordings| -> BTreeSet<String> {
                    let lists = [&wordings.outcomes, &wordings.thoughts, &wordings.state];
                    lists.into_iter().flatten().flat_map(|(_, sentences)| sentences.clone()).collect()
                };
                assert!(all(&own).len() > 700 && all(&own).is_disjoint(&all(&others)), "{name}");
            }
        })
        .run()
}

fn behaviours() -> [(&'static str, Arc<dyn ScriptedBehaviour>); 3] {
    [
        ("webshop", Arc::new(Shopper::default())),
        ("avalon", Arc::new(Player::default())),
        ("persuasion", Arc::new(Persuader::default())),
    ]
}

fn meaning_is_kept(wording: &Wording) {
    for (name, behaviour) in behaviours() {
        let speech = block_on(Speech::of(name, behaviour.as_ref(), wording, &[])).unwrap();
        let regular = block_on(behaviour.bank()).unwrap().regular;
        let mut rng = seed::stream(7, name);
        for (what, sentences) in regular.thoughts.iter().chain(&regular.outcomes) {
            let mut said = BTreeSet::new();
            for sentence in sentences.iter().cycle().take(40) {
                let (thought, outcome) =
                    (speech.thought(sentence, &mut rng), speech.outcome(sentence, &mut rng));
                let understood = [speech.understand_thought(&thought), speech.understand_outcome(&outcome)];
                assert!(
                    understood.iter().all(|one| sentences.contains(one)),
                    "{name}: {thought:?} and {outcome:?} for {what} are understood as {understood:?}"
                );
                said.extend([thought, outcome]);
            }
            // Persuasion's `Listen` is never said.
            assert!(said.len() >= 8 || what == "Listen", "{name}: {what} has few words: {said:?}");
        }
    }
}
