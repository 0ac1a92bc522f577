#!/usr/bin/env python3
"""CPU time of llm-reasoners' MCTS on the world and model of lats.rs, which answer at once.

    pip download llm-reasoners==1.0.2 --no-deps && python3 -m zipfile -e llm_reasoners-*.whl reasoners
    python3 llm_reasoners.py reasoners

Needs numpy and tqdm. llm-reasoners imports torch and transformers for the names of types only, so empty modules replace
them. As in lats.rs: endless ways, observations of 300 characters, five actions per expansion, each judged by itself,
prompts with the whole history. Its settings are its defaults but for the depth. It stops after 3 s of CPU time: it often
walks known paths to the depth limit, which adds no node.
"""

import hashlib
import importlib
import resource
import sys
import time
import types

NODES, SECONDS, BREADTH, DEPTH = 1000, 3.0, 5, 7
INSTRUCTIONS = "Find the way home. Name where to go." * 10


def load(folder):
    """The modules base and algorithm.mcts, without the rest of the package, which needs a GPU library."""
    for name in ("torch", "transformers"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].StoppingCriteriaList = object
    package = types.ModuleType("reasoners")
    package.__path__ = [f"{folder}/reasoners"]
    sys.modules["reasoners"] = package
    base = importlib.import_module("reasoners.base")
    vars(package).update({name: value for name, value in vars(base).items() if not name.startswith("__")})
    return base, importlib.import_module("reasoners.algorithm.mcts")


def digest(*parts):
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def page(crossing):
    return (f"You are at crossing {crossing}. " * 10)[:300]


def prompt(history, tail):
    return INSTRUCTIONS + "".join(f"\nObservation:\n{seen}\nAction: {done}" for seen, done in history) + tail


def grade(*parts):
    return (1 + int(digest(*parts), 16) % 10) / 10


def main():
    base, mcts = load(sys.argv[1])

    class World(base.WorldModel):
        def init_state(self):
            return ((page("0"), None),)

        def step(self, state, action):
            seen = state[-1][0]
            return state[:-1] + ((seen, action), (page(digest(seen, action)), None)), {}

        def is_terminal(self, state):
            return False

    class Config(base.SearchConfig):
        def get_actions(self, state):
            said = digest(prompt(state[:-1], f"\nObservation:\n{state[-1][0]}\nThink, then act."))
            return [f"go to {digest(said, index)}" for index in range(BREADTH)]

        def fast_reward(self, state, action):
            return grade(prompt(state[:-1], f"\nObservation:\n{state[-1][0]}\nAction: {action}\nGrade it.")), {}

        def reward(self, state, action, **details):
            return grade(action), {}

    nodes = 0
    created = mcts.MCTSNode.__init__

    def counted(self, *arguments, **named):
        nonlocal nodes
        nodes += 1
        created(self, *arguments, **named)

    mcts.MCTSNode.__init__ = counted
    search = mcts.MCTS(depth_limit=DEPTH)
    search.world_model, search.search_config = World.__new__(World), Config.__new__(Config)
    start, iterations = time.process_time(), 0
    search.root = mcts.MCTSNode(state=search.world_model.init_state(), action=None)
    while nodes < NODES and time.process_time() - start < SECONDS:
        search.iterate(search.root)
        iterations += 1
    spent = time.process_time() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{nodes} nodes in {iterations} iterations: {1e6 * spent / nodes:.0f} us of CPU time per node, "
        f"{1e6 * spent / iterations:.0f} us per iteration, {memory} kB"
    )


main()
