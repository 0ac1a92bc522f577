"""Environments of verifiers for the tests: `kind="reverse"` is one turn, `guess` several, and `sum` has a tool."""

import verifiers as vf
from datasets import Dataset

WORDS = ["planner", "critic", "seat", "rollout"]


def reverse() -> vf.Environment:
    rows = [{"prompt": [{"role": "user", "content": f"Reverse the word: {word}"}], "answer": word[::-1]} for word in WORDS]

    def exact(completion, answer, **_) -> float:
        return float(completion[-1].content.strip() == answer)

    return vf.SingleTurnEnv(dataset=Dataset.from_list(rows), rubric=vf.Rubric(funcs=[exact]))


class Guess(vf.MultiTurnEnv):
    async def env_response(self, messages, state, **_):
        guess, answer = messages[-1].content.strip(), state["answer"]
        if guess == answer:
            state["final_env_response"] = [{"role": "user", "content": "Right!"}]
            return state["final_env_response"]
        hint = "higher" if guess.isdigit() and int(guess) < int(answer) else "lower"
        return [{"role": "user", "content": f"The number is {hint}."}]


def guess() -> vf.Environment:
    rows = [{"prompt": [{"role": "user", "content": "Guess a number from 1 to 8."}], "answer": str(n)} for n in range(1, 9)]

    def early(state, **_) -> float:
        found = state.get("final_env_response") is not None
        return 1.0 / len(state["trajectory"]) if found else 0.0

    return Guess(dataset=Dataset.from_list(rows), rubric=vf.Rubric(funcs=[early]), max_turns=5)


async def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def sums() -> vf.Environment:
    rows = [{"prompt": [{"role": "user", "content": f"What is {n} + 17?"}], "answer": str(n + 17)} for n in range(4)]

    def right(completion, answer, **_) -> float:
        return float(str(completion[-1].content).strip() == answer)

    return vf.ToolEnv(dataset=Dataset.from_list(rows), tools=[add], rubric=vf.Rubric(funcs=[right]), max_turns=4)


def load_environment(kind: str = "guess") -> vf.Environment:
    return {"reverse": reverse, "guess": guess, "sum": sums}[kind]()
