#!/usr/bin/env python3
"""How many of the probes of a world a critic puts in the right order, by `forethought critic ask`.

    measure.py webshop my.toml                        # outcomes as they are said
    measure.py webshop my.toml --read vocabulary.json # as a perfect reader would read them
    measure.py webshop my.toml --list                 # every probe with its two values

A probe is a state, a thought, and two outcomes, of which the first is clearly more likely by the rules of the world.
Half of the probes are negations of one another, half are paraphrases of two meanings, all in words that no bank has;
state and thought are in the data's style, in free words, or mixed. `means` names what an outcome says by the names of
the bank (environments/WORLD/src/behaviour/wordings.json). With --read, a vocabulary of data in the bank's words, the
critic is asked about the canonical sentences of these meanings, and a negation has what is left of the probability:
what is then wrong is not wrong because a sentence was misread.

Printed by kind and style: how many probes there are, how many are in the right order, how many the critic answers
(neither question is outside its data), and how many of these are in the right order. Equal values are wrong.
"""

import argparse
import collections
import json
import pathlib
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", choices=["webshop", "avalon", "persuasion"])
    parser.add_argument("config")
    parser.add_argument("--read", metavar="VOCABULARY")
    parser.add_argument("--critic", default="critic")
    parser.add_argument("--program", default="forethought")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    probes = json.loads((HERE / f"{arguments.world}.json").read_text(encoding="utf-8"))
    read = canonical(arguments.world, arguments.read) if arguments.read else None
    values = ask(arguments, probes, read)
    counts = collections.defaultdict(lambda: [0, 0, 0, 0])
    for probe, (likely, unlikely, answered) in zip(probes, values, strict=True):
        right = likely > unlikely
        for key in (probe["kind"], probe["style"], "all"):
            for index, counted in enumerate((True, right, answered, answered and right)):
                counts[key][index] += counted
        if arguments.list:
            mark = "right" if right else "wrong"
            print(f"{mark} {likely:.2f} {unlikely:.2f} {'' if answered else '(outside) '}{probe['likely']}")
    print("              probes  right  answered  right")
    for key, (probes, right, answered, both) in sorted(counts.items()):
        print(f"{key:12} {probes:7} {right:6} {answered:9} {both:6}")


def canonical(world, vocabulary):
    """The canonical sentence of each meaning of the bank that the vocabulary has."""
    bank = json.loads((HERE / f"../../environments/{world}/src/behaviour/wordings.json").read_text(encoding="utf-8"))
    known = json.loads(pathlib.Path(vocabulary).read_text(encoding="utf-8"))["outcomes"]
    return {
        name: meaning["text"]
        for name, sentences in bank["outcomes"].items()
        for meaning in known
        if set(sentences) & {meaning["text"], *meaning.get("sentences", [])}
    }


def ask(arguments, probes, read):
    """For each probe: the values of its two outcomes, and whether both are inside the data."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        signs = []
        for probe in probes:
            for said, means in zip((probe["likely"], probe["unlikely"]), probe["means"], strict=True):
                denied = read is not None and means.startswith("not ")
                outcome = said if read is None else read[means.removeprefix("not ")]
                signs.append(denied)
                query = {"state": probe["state"], "thought": probe["thought"], "outcome": outcome}
                file.write(json.dumps(query) + "\n")
        file.flush()
        command = [arguments.program, "critic", "ask", arguments.config, "--critic", arguments.critic]
        command += ["--in", file.name, "--json"]
        answers = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    one = [1 - answer["probability"] if denied else answer["probability"] for answer, denied in zip(answers, signs)]
    inside = [not answer["outside"] for answer in answers]
    return list(zip(one[::2], one[1::2], (all(pair) for pair in zip(inside[::2], inside[1::2]))))


if __name__ == "__main__":
    main()
