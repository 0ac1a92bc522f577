#!/usr/bin/env python3
"""A vocabulary for `trainer.goal-q` from this repository's own sentences: vocabulary.py webshop|avalon|persuasion

It has what `forethought label` would group if the simulated model said every sentence of
environments/WORLD/src/behaviour/wordings.json, and what people add to such a file: the regular sentences of each
outcome, as imported logs have them, and which meanings exclude or imply each other.
"""

import json
import pathlib
import re
import sys

ENVIRONMENTS = pathlib.Path(__file__).resolve().parents[2] / "environments"

# Of the meanings in one row, only one can come next.
EXCLUDES = {
    "webshop": [["Perfect", "OptionMissed", "Lacking", "Wrong", "OutOfTime"], ["DetailsFit", "DetailsLack"]],
    "avalon": [
        ["Approved", "Rejected"], ["Succeeded", "Failed"], ["GoodWins", "MerlinFound", "MissionsLost", "Deadlock"],
    ],
    "persuasion": [["Gift", "Nothing"], ["Agrees", "Declines"]],
}
# A state names only what mattered most in it.
IMPLIES = {
    "webshop": {"Perfect": ["OptionsChosen"]},
    "avalon": {
        "GoodWins": ["Succeeded"], "MerlinFound": ["Succeeded"], "MissionsLost": ["Failed"],
        "Succeeded": ["Approved"], "Failed": ["Approved"], "Deadlock": ["Rejected"],
    },
    "persuasion": {},
}


def regular(world):
    """The sentences of each outcome in words.rs, by the name of its variant."""
    text = (ENVIRONMENTS / world / "src/behaviour/words.rs").read_text(encoding="utf-8")
    found = re.findall(r"\b(\w+): \[((?:\s*\"[^\"]*\",?)+)\s*\]", text)
    return {name: re.findall(r"\"([^\"]*)\"", sentences) for name, sentences in found}


def main():
    world = sys.argv[1]
    bank = json.loads((ENVIRONMENTS / world / "src/behaviour/wordings.json").read_text(encoding="utf-8"))
    own = regular(world)
    said = {name: own.get(name, []) + sentences for name, sentences in bank["outcomes"].items()}
    vocabulary = {"outcomes": [], "thoughts": []}
    for name, sentences in said.items():
        rivals = {other for group in EXCLUDES[world] if name in group for other in group} - {name}
        vocabulary["outcomes"].append({
            "text": sentences[0],
            "sentences": sentences,
            "implies": [said[other][0] for other in IMPLIES[world].get(name, [])],
            "excludes": [said[other][0] for other in said if other in rivals],
        })
    for name, sentences in bank["thoughts"].items():
        vocabulary["thoughts"].append({"text": sentences[0], "sentences": sentences})
    print(json.dumps(vocabulary, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
