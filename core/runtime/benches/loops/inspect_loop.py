"""The agent loop of inspect_ai, against the mock server of ../episodes.rs: python inspect_loop.py URL EPISODES"""

import sys
import tempfile

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.solver import generate, system_message, use_tools
from inspect_ai.tool import tool

url, episodes = sys.argv[1], int(sys.argv[2])


@tool
def open():
    async def execute(target: str):
        """Opens a page.

        Args:
            target: what to open
        """
        return (f"[{target}] A thing of use, $ 9.99. " * 30)[:700]

    return execute


instructions = "Buy what fits the instruction best, for no more than it says. " * 20
task = Task(
    dataset=[Sample(input=f"Task {number}: find it.") for number in range(episodes)],
    solver=[system_message(instructions), use_tools(open()), generate()],
)
model = get_model("openai-api/mock/walk", base_url=f"{url}/v1", api_key="none",
                  config=GenerateConfig(max_connections=episodes))
with tempfile.TemporaryDirectory() as logs:
    [log] = eval(task, model=model, max_samples=episodes, display="none", log_dir=logs, fail_on_error=True)
    assert log.status == "success", log.error
    for sample in log.samples:
        assert "bought" in sample.output.completion
print(8 * episodes)
