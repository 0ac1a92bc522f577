#!/usr/bin/env python3
"""How well a critic knows what follows a real chat model's thoughts: labels, values, measures.

    decisions.py decisions.jsonl                          # as recorded ("before")
    decisions.py decisions.jsonl --critic webshop=ws.toml --critic avalon=av.toml
    decisions.py decisions.jsonl --list                   # every outcome with its label

`decisions.jsonl` has one decision per line: run, task, step, observation, state, thought, action, score, and rounds of
thoughts with the outcomes that the model imagined for them and the probability that a critic gave each. With --critic
WORLD=CONFIG the same questions are put to the critic that CONFIG describes, by `forethought critic ask`; worlds without
one keep the recorded probabilities.

Which outcomes are asked about
------------------------------
Those of thoughts that were acted on: nobody knows what would have followed the others. Each outcome is labelled by what
happened later in its episode, by the rules below. A sentence that makes several claims is true if all are, and false if
one is. A sentence with a claim that no rule can decide is left out (unless another of its claims is false), and
so is one without any claim that a rule knows; all are counted.

WebShop    a purchase with the full score: bought, and the score is 1
           a flawed purchase (an attribute, an option, the type or the price is wrong): false if the score is 1; if it
           is lower, only "part of the score" without a cause is decided (true if the score is above 0)
           time runs out, nothing is bought: the last action is not the purchase
           the options are chosen: true if the score is 1 and the purchase is not this very step; their negation: false
           a product offers what is requested: whether the requested values that the sentence names (or all) are on the
           next product page, or on the next one of the brand that it names; if the sentence is about a search, or says
           "none", on any product page before another search
           a list of products, a product page: one is seen later
Avalon     a team is approved or rejected, a player approves or rejects: by the next vote
           a leader proposes a team, with or without evil players: by the next proposal, if that player leads
           a quest succeeds or fails: by later lists of quests; the last quest by the end of the game. Without a number
           it is the current quest
           somebody leads next: by the next proposal
           2-1: the successes and failures after the current quest
           Good or Evil wins; the Assassin names, identifies or finds Merlin, or names another: by the score, and by
           whether three quests succeeded
           What others notice, trust or suspect is not decided.
Persuasion the donor gives an amount, something, or nothing: by the donation at the end
           the donor stays with what was agreed, or gives less: by the donation, and the sum that the donor named last
           the donor agrees, is willing, names a sum; refuses; doubts or stays distant: by the next reply
           What else the donor feels or thinks is not decided.

Measures
--------
AUC and Brier score over labelled outcomes on which the critic did not abstain; the share of labelled outcomes on which
it did; and the coherence of opposites: pairs of outcomes of one thought of which one says that a team is approved and
the other that it is rejected, or that the same quest succeeds and fails, or that a product offers something and that it
does not. `coherence` is the mean of |sum - 1| over pairs that say nothing else, `excess` the mean of what the sum has
above 1 over all such pairs, also "approved and the quest fails". Pairs need no label, so unfollowed thoughts count.
Intervals: 95 %, bootstrap by episode (2,000 resamples); with three episodes per world they are rough.
"""

import argparse
import collections
import json
import random
import re
import subprocess
import sys
import tempfile

RESAMPLES = 2000


# ---------------------------------------------------------------- WebShop


def has(pattern, text):
    return re.search(pattern, text, re.I) is not None


FLAW = (
    r"part of the score|partial|scores? (nothing|little|low)|earns? (nothing|little)|scores only|"
    r"lose (points|part|most)|losing|\black|\bmiss(es|ed|ing)?\b|wrong|mismatch|(isn't|is not|not) (a|the|matched)\b|"
    r"do(es)?(n't| not) (match|count)|rather than|instead of|without (the|a) (?!problem)|(above|over|more than) \$|"
    r"not slip resistant|different category|another kind"
)
CHOSEN = r"[\w-]+ (and \w+ )?(are|is|get|gets|can be) (all )?(chosen|selected)"
UNCHOSEN = r"(isn't|not) (registered|chosen|selected)|before (both|the|all) .*(chosen|selected)|forgotten|are lost"
OFFER = r"\b(offers?|lists?|has|have|includes?|including|available|appears?|shows a .* that)\b"
NOT_OFFER = r"\b(doesn't|don't|does not|do not|none|neither|no|without|not)\b"


class WebShop:
    def __init__(self, episode):
        self.steps = episode
        self.score = episode[-1]["score"]
        self.bought = episode[-1]["action"].strip().lower() == "click[buy now]"
        goal = re.search(r"Instruction:\s*\n(.*?)\n", episode[0]["observation"] + "\n", re.S)
        self.wanted = re.findall(r"[\w ]+: ([^,]+?)(?:,| and price|$)", goal.group(1)) if goal else []

    def claims(self, text, at):
        """Claims of a sentence, each as (what, whether it is affirmed)."""
        found = []
        if has(r"runs? out|without buying anything|steps are used up", text):
            return [("bought", False)]
        named = any(value in text for value in self.wanted) or has(r"colou?r|size|option", text)
        offer = named and has(OFFER, text)
        if offer and not has(r"purchase|part of|partial|little|attribute|resistan|all options", text):
            values = tuple(value for value in self.wanted if value in text) or tuple(self.wanted)
            search = has(r"search|results|listing|found|none|neither", text)
            brand = re.search(r"\b[A-Z]+\w*[A-Z]\w*\b", text)
            found.append((("offers", values, search, brand and brand.group()), not has(NOT_OFFER, text)))
            return found + [("full", True)] * has(r"\bbought", text)
        if has(UNCHOSEN, text):
            return [("chosen", False)]
        if has(FLAW, text) and not has(r"full score|all attributes match", text):
            cause = not has(r"^(only )?part of the score|fallback", text)
            return [("flaw of a kind" if cause else "flaw", True)]
        if has(CHOSEN, text):
            found.append(("chosen", True))
        if has(r"full (score|marks)|bought|purchase (matches|earns)|size and price match|match(es|ed)?\b", text):
            found.append(("full", True))
        if has(r"list of products is there", text):
            found.append(("list", True))
        if has(r"product page is open", text):
            found.append(("page", True))
        if not found and has(r"price .*(below|within|under)", text):
            found.append(("full", True))
        return found

    def happened(self, what, at):
        later = self.steps[at + 1 :]
        full = self.bought and self.score >= 1
        if what == "bought":
            return self.bought
        if what == "full":
            return full
        if what == "flaw":
            return self.bought and 0 < self.score < 1
        if what == "flaw of a kind":
            return False if full else None
        if what == "chosen":
            return True if full and at < len(self.steps) - 1 else None
        if what == "list":
            return any("Page 1 (Total" in step["observation"] for step in later)
        if what == "page":
            return any("[Buy Now]" in step["observation"] for step in later)
        _, values, search, brand = what
        pages = []
        searches = int(self.steps[at]["action"].lower().startswith("search["))
        for step in later:
            if "[Buy Now]" in step["observation"] and (not brand or brand in step["observation"]):
                pages.append(step["observation"])
            searches += step["action"].lower().startswith("search[")
            if search and searches > 1:
                break
        if not pages or not values:
            return None
        pages = pages if search else pages[:1]
        return any(all(f"[{value}]" in page for value in values) for page in pages)


# ---------------------------------------------------------------- Avalon

# What others notice, feel and believe.
MINDS = (
    r"notice|suspect|trust|believe|look like|looks? ordinary|inconspicuous|mark|sees? (my|the)|sure that|take me for|"
    r"knows?\b|note|think that|give me away|draws the|understand|recognis|accepts? that|hidden|explains|wary|shows 2|"
    r"stops|support"
)
PLAYERS = r"(?:players? )?(\d(?:(?:, | and | or |, and )\d)*)"


def numbers(text):
    return frozenset(int(number) for number in re.findall(r"\d", text))


class Avalon:
    def __init__(self, episode):
        self.steps = episode
        self.won = episode[-1]["score"] >= 1
        first = episode[0]["observation"]
        self.evil = numbers(re.search(r"Evil are ([^.]*)\.", first).group(1))
        self.me = int(re.search(r"\[You\] Player (\d)", first).group(1))
        last = self.quests(len(episode) - 1)
        end = re.search(r"quest with the team ([\d, ]+)", episode[-1]["observation"])
        on = re.search(r"Now quest (\d)", episode[-1]["observation"])
        self.final = dict(last)
        if on and int(on.group(1)) not in self.final:
            # What the last quest did is not shown any more: it succeeded if Good won, or if nobody evil was on it.
            team = numbers(end.group(1)) if end else None
            if self.won or (team and not team & self.evil):
                self.final[int(on.group(1))] = (True, team)
        self.three = sum(good for good, _ in self.final.values()) >= 3

    def quests(self, at):
        line = self.steps[at]["observation"]
        found = re.findall(r"Quest (\d) (succeeded|failed)[^(]*\(team ([\d, ]+)\)", line)
        return {int(number): (word == "succeeded", numbers(team)) for number, word, team in found}

    def place(self, at):
        found = re.search(r"Now quest (\d).*?proposal (\d) of 5; Player (\d) leads", self.steps[at]["observation"])
        return tuple(int(number) for number in found.groups()) if found else None

    def next_vote(self, at):
        for step in self.steps[at + 1 :]:
            found = re.search(r"\[Team result\] The team ([\d, ]+) is (approved|rejected)\.(.*)", step["observation"])
            if found:
                said = re.findall(r"Player (\d) voted (approve|reject)", found.group(3))
                votes = {int(player): word == "approve" for player, word in said}
                return numbers(found.group(1)), found.group(2) == "approved", votes
        return None

    def next_proposal(self, at):
        proposed = re.match(r"propose \[(.*)\]", self.steps[at]["action"])
        if proposed:
            return self.me, numbers(proposed.group(1))
        for step in self.steps[at + 1 :]:
            found = re.search(r"\[Selection\] Player (\d) proposes the team ([\d, ]+)\.", step["observation"])
            if found:
                return int(found.group(1)), numbers(found.group(2))
            team = re.search(r"\[Team result\] The team ([\d, ]+) is", step["observation"])
            if team:
                return None, numbers(team.group(1))
        return None

    def claims(self, text, at):
        found = []
        place = self.place(at)
        current = place[0] if place else None
        if has(MINDS, text):
            return []
        # Votes of players, of the table, or of a named team.
        votes = r" (?:ignores me and )?(approves?|rejects?|votes? (?:with me )?against)"
        voters = re.match(PLAYERS + votes, text, re.I)
        against = r"reject|against"
        if voters:
            kind = "any" if " or " in voters.group(1) else "all"
            found.append((("votes", numbers(voters.group(1)), kind, not has(against, voters.group(2))), True))
        elif has(r"is approved|it's approved|\bgoes\b and quest|is rejected|others reject|reject the team", text):
            team = re.search(r"[Tt]eam (?:of )?(\d(?:(?:, | and )\d)+)", text)
            team = numbers(team.group(1)) if team else None
            found.append((("vote", team), not has(r"reject", text)))
        # Proposals.
        proposes = r"(?:proposes?|picks?|chooses?|adds?|takes?|includes?|leaves)"
        leader = re.search(r"Player (\d)(?: or \d)?(?: lead next and)? " + proposes, text)
        if leader:
            rest = text[leader.end() - 1 :]
            evil = has(r"evil player", rest)
            named = re.search(PLAYERS, rest, re.I)
            who = int(leader.group(1))
            if has(r"clean|good players", rest):
                found.append((("evil", who, None), False))
            elif evil or (named and " or " in named.group(1) and not has(r"team of", rest)):
                found.append((("evil", who, None if evil else numbers(named.group(1))), True))
            elif named and has(r"^\w* (a team of )?\d|^\w* \d", rest) and " or " not in named.group(1):
                found.append((("team", who, numbers(named.group(1))), True))
            else:
                found.append(("unknown", True))
        # Quests.
        words = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5}
        quest = re.search(r"(?:[Qq]uest (\d)|[Tt]he (\w+ )?quest|\bit)\b[^,]*? (succeeds|fails|succeed)\b", text)
        quest = quest or re.search(r"is approved and ()()succeeds", text)
        if quest:
            number = quest.group(1) or words.get((quest.group(2) or "").strip(), current)
            number = int(number) if number else None
            found.append((("quest", number), has(r"succeed", text)))
        if has(r"later played by|is played by|carried out by", text):
            number = re.search(r"[Qq]uest (\d)", text)
            named = re.search(r"by (\d(?:, \d)+)", text)
            number = int(number.group(1)) if number else current
            found.append((("played", number, numbers(named.group(1)) if named else None), True))
        # Leaders, tallies, the end.
        leads = re.search(r"(?:(\d) or )?(?:Player (\d)(?=[ .]*$| leads)|(?:an? )?(good|evil) player leads)", text)
        if leads and has(r"leads( next)?[.,]?$|leads next|next leader", text):
            found.append((("leads", numbers("".join(leads.groups("")[:2])), leads.group(3)), True))
        tally = re.search(r"(\d)-(\d)", text)
        if tally:
            pair = (int(tally.group(1)), int(tally.group(2)))
            found.append((("tally", pair[::-1] if has("Evil leads", text) else pair), True))
        if has(r"(goes to|to) (a fifth quest|quest 5)", text):
            found.append(("fifth", True))
        if has(r"three successes", text):
            found.append(("three", True))
        if has(r"Assassin names another", text):
            found.append(("missed", True))
        elif has(r"Assassin (names|identifies|finds) me|Merlin is found", text):
            found.append(("found", True))
        if has(r"Good wins", text):
            found.append(("good", True))
        if has(r"Evil wins", text):
            found.append(("good", False))
        return found

    def happened(self, what, at):
        place = self.place(at)
        kind = what if isinstance(what, str) else what[0]
        if kind in ("vote", "votes"):
            vote = self.next_vote(at)
            if not vote:
                return None
            team, approved, votes = vote
            if kind == "vote":
                return None if what[1] and what[1] != team else approved
            _, players, quantity, approve = what
            if not players <= votes.keys():
                return None
            voted = [votes[player] == approve for player in players]
            return any(voted) if quantity == "any" else all(voted)
        if kind in ("evil", "team"):
            proposal = self.next_proposal(at)
            if not proposal or proposal[0] not in (what[1], None) or place and place[2] != what[1]:
                return None
            if kind == "team":
                return proposal[1] == what[2]
            return bool(proposal[1] & (what[2] or self.evil))
        if kind == "quest":
            return self.final[what[1]][0] if what[1] in self.final and what[1] not in self.quests(at) else None
        if kind == "played":
            played = self.final.get(what[1])
            if not played or not played[1]:
                return None
            return played[1] == what[2] if what[2] else not played[1] & self.evil
        if kind == "leads":
            later = [one for one in map(self.place, range(at + 1, len(self.steps))) if one and one[:2] != place[:2]]
            if not later:
                return None
            leader = later[0][2]
            return leader in what[1] or (what[2] is not None and (leader in self.evil) == (what[2] == "evil"))
        if kind == "tally":
            done = [good for number, (good, _) in self.final.items() if number <= place[0]]
            return (sum(done), len(done) - sum(done)) == what[1] if place[0] in self.final else None
        if kind == "fifth":
            return any(one and one[0] == 5 for one in map(self.place, range(at, len(self.steps))))
        endings = {"missed": self.three and self.won, "found": self.three and not self.won}
        return {"three": self.three, "good": self.won, **endings}.get(kind)


# ---------------------------------------------------------------- persuasion

SUM = r"\$\d+(?:\.\d+)?|\d+ cents"
YES = r"i will (give|donate)|let us say|would give|am willing|that is right|thinking of (\$|\d)|would like to give"
NO = r"do not want to|rather not|will not give|would not give|cannot give anything|keep (it|my)"
DOUBT = (
    r"do not trust|cannot check|do not know\b|far away|feel for all|small sum|what can one do|matter to me|reach|"
    r"where the money"
)


def dollars(text):
    found = re.findall(SUM, text)
    return [float(one[1:]) if one[0] == "$" else int(one.split()[0]) / 100 for one in found]


class Persuasion:
    def __init__(self, episode):
        self.steps = episode
        self.given = 2 * episode[-1]["score"]
        self.replies = [" ".join(re.findall(r"^Donor: (.*)$", step["observation"], re.M)) for step in episode]

    def agreed(self, at):
        named = [amount for reply in self.replies[: at + 1] for amount in dollars(reply)]
        return named[-1] if named else None

    def claims(self, text, at):
        last = at == len(self.steps) - 1
        ending = last or has(r"at the end", text)
        if has(r"gives? nothing|refuses for good", text):
            return [("given", False)]
        if has(r"stays with (the|a|one|\d)|keeps to \d|gives the agreed", text):
            return [("kept", True)]
        if has(r"gives less|lowers the|takes back|changes? their mind|withdraws|forgets about the gift", text):
            return [("kept", False)]
        if ending and has(r"gives? (one|a|the) dollar", text):
            return [("dollar", True)]
        if has(r"gives? (a little|a small|an amount|something)", text) and not has("agrees", text):
            return [("given", True)]
        if has(r"confirms|names a (sum|dollar)|picks|raises|accepts giving|agrees to (give|50)|matches it", text):
            return [("sum or yes", True)]
        if has(r"agrees|willing|wants to help", text):
            return [("yes", True)]
        if has(r"refuses|says no|doesn't want|keep the (whole|money)", text):
            return [("no", True)]
        if has(r"doubts|distrust|too far away|stays distant|makes no difference|isn't convinced", text):
            return [("doubt", True)]
        return []

    def happened(self, what, at):
        if what == "given":
            return self.given > 0
        if what == "dollar":
            return self.given >= 1
        if what == "kept":
            agreed = self.agreed(at)
            return None if agreed is None else self.given >= agreed
        if at + 1 >= len(self.steps):
            return None
        reply = self.replies[at + 1]
        if what == "sum or yes":
            return bool(dollars(reply)) or has(YES, reply)
        if what == "yes":
            return has(YES, reply)
        return has(NO if what == "no" else DOUBT, reply)


WORLDS = {"web-": ("webshop", WebShop), "web2": ("webshop, style-matched", WebShop), "av-": ("avalon", Avalon),
          "pe-": ("persuasion", Persuasion)}


# ---------------------------------------------------------------- questions


class Question:
    """One imagined outcome: what was asked, what the critic said, and what happened."""

    def __init__(self, world, place, texts, value, followed):
        self.world, self.place, self.episode, self.followed = world, place, place[:2], followed
        self.state, self.thought, self.text = texts
        self.value, self.outside, self.read = value, False, None


def judge(episode, claims, at):
    """Whether all claims came true; None if that is not known."""
    said = [(episode.happened(what, at), affirmed) for what, affirmed in claims]
    if any(happened is not None and happened != affirmed for happened, affirmed in said):
        return False
    return True if said and all(happened is not None for happened, _ in said) else None


def questions(path):
    episodes = collections.OrderedDict()
    for line in open(path, encoding="utf-8"):
        decision = json.loads(line)
        episodes.setdefault((decision["run"], decision["task"]), []).append(decision)
    asked = []
    for (run, task), steps in episodes.items():
        world, kind = next(value for start, value in WORLDS.items() if run.startswith(start))
        steps.sort(key=lambda one: one["step"])
        episode = kind(steps) if any(step["rounds"] for step in steps) else None
        for at, step in enumerate(steps):
            for number, one in enumerate(step["rounds"]):
                followed = one["thought"] == step["thought"]
                for outcome in one["outcomes"]:
                    texts = (step["state"], one["thought"], outcome["text"])
                    question = Question(world, (run, task, at, number), texts, outcome["probability"], followed)
                    question.claims = episode.claims(outcome["text"], at)
                    question.label = judge(episode, question.claims, at) if followed else None
                    asked.append(question)
    return asked


def ask(program, config, asked, read):
    """Puts the questions to the critic of a configuration; with `read`, an outcome that it did not read counts as
    abstained, also where it has `abstain = false`."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        for one in asked:
            file.write(json.dumps({"state": one.state, "thought": one.thought, "outcome": one.text}) + "\n")
        file.flush()
        command = [program, "critic", "ask", *([config] if config else []), "--in", file.name, "--json"]
        answers = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    for one, answer in zip(asked, answers, strict=True):
        one.value, one.read = answer["probability"], answer.get("known")
        one.outside = answer["outside"] or (read and one.read is None)


# ---------------------------------------------------------------- measures


def auc(pairs):
    """Area under the ROC curve of (value, label); None where only one label occurs."""
    good = [value for value, label in pairs if label]
    bad = [value for value, label in pairs if not label]
    if not good or not bad:
        return None
    return sum((a > b) + (a == b) / 2 for a in good for b in bad) / (len(good) * len(bad))


def mean(numbers):
    return sum(numbers) / len(numbers) if numbers else None


def opposites(asked):
    """Pairs of one thought that contradict each other: (episode, sum of values, whether they say nothing else)."""
    rounds = collections.defaultdict(list)
    for one in asked:
        rounds[one.place].append(one)
    found = []
    for group in rounds.values():
        for index, first in enumerate(group):
            for second in group[index + 1 :]:
                core = [[claim for claim in one.claims if claim[0][0] != "leads"] for one in (first, second)]
                against = [a for a in core[0] for b in core[1] if opposed(a, b)]
                if against and not first.outside and not second.outside:
                    alone = len(core[0]) == len(core[1]) == 1
                    found.append((first.episode, first.value + second.value, alone))
    return found


def opposed(a, b):
    """Whether one claim is the negation of the other."""
    if isinstance(a[0], str) or isinstance(b[0], str):
        return False
    same = a[0] == b[0] or a[0][0] == b[0][0] == "vote" and None in (a[0][1], b[0][1])
    return same and a[0][0] in ("vote", "quest", "offers") and a[1] != b[1]


def measures(asked, among):
    """The measures over the episodes `among`, which may hold one several times."""
    by = collections.defaultdict(list)
    for one in asked:
        by[one.episode].append(one)
    chosen = [one for episode in among for one in by[episode]]
    labelled = [one for one in chosen if one.label is not None]
    shown = [(one.value, one.label) for one in labelled if not one.outside]
    pairs = [pair for episode in among for pair in opposites(by[episode])]
    return {
        "AUC": auc(shown),
        "Brier": mean([(value - label) ** 2 for value, label in shown]),
        "abstained": mean([one.outside for one in labelled]),
        "coherence": mean([abs(total - 1) for _, total, alone in pairs if alone]),
        "excess": mean([max(0, total - 1) for _, total, _ in pairs]),
        "n": len(labelled), "true": mean([one.label for one in labelled]), "pairs": len(pairs),
    }


def table(asked):
    worlds = list(dict.fromkeys(one.world for one in asked)) + ["all"]
    print(f"{'world':24}{'episodes':>9}{'labelled':>9}{'left out':>9}{'true':>6}{'pairs':>6}  measure")
    for world in worlds:
        own = [one for one in asked if world in (one.world, "all")]
        episodes = list(dict.fromkeys(one.episode for one in own))
        point = measures(own, episodes)
        rng = random.Random(0)
        draws = [rng.choices(episodes, k=len(episodes)) for _ in range(RESAMPLES if len(episodes) > 1 else 0)]
        samples = [measures(own, draw) for draw in draws]
        left_out = sum(one.followed for one in own) - point["n"]
        head = f"{world:24}{len(episodes):9}{point['n']:9}{left_out:9}{point['true'] or 0:6.2f}{point['pairs']:6}"
        for name in ("AUC", "Brier", "abstained", "coherence", "excess"):
            values = sorted(sample[name] for sample in samples if sample[name] is not None)
            interval = ""
            if values:
                low, high = values[int(0.025 * len(values))], values[min(int(0.975 * len(values)), len(values) - 1)]
                interval = f" ({low:.3f}-{high:.3f})"
            said = "-" if point[name] is None else f"{point[name]:.3f}{interval}"
            print(f"{head}  {name:10} {said}")
            head = " " * len(head)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("decisions")
    parser.add_argument("--critic", action="append", default=[], metavar="WORLD=CONFIG",
                        help="webshop (both kinds), avalon or persuasion, and a configuration with a critic")
    parser.add_argument("--program", default="forethought")
    parser.add_argument("--read", action="store_true",
                        help="count outcomes that the critic reads as none of its own as abstained")
    parser.add_argument("--only", action="append", metavar="RUN/TASK", help="these episodes alone, such as av-pnlc/1")
    parser.add_argument("--list", action="store_true", help="print every outcome, its label and its value")
    arguments = parser.parse_args()
    asked = questions(arguments.decisions)
    if arguments.only:
        asked = [one for one in asked if "{}/{}".format(*one.episode) in arguments.only]
    for given in arguments.critic:
        world, config = given.split("=", 1)
        own = [one for one in asked if one.world.split(",")[0] == world]
        if not own:
            sys.exit(f"no decision of the file is of {world}")
        ask(arguments.program, config, own, arguments.read)
    if arguments.list:
        for one in asked:
            label = {True: "true", False: "false", None: "-"}[one.label] if one.followed else "not followed"
            value = "outside" if one.outside else f"{one.value:.2f}"
            read = f"  [{one.read}]" if one.read else ""
            print(f"{'{}/{}/{}'.format(*one.place):18}{label:13}{value:8}{one.text}{read}")
    table(asked)


if __name__ == "__main__":
    main()
