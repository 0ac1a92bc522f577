"""The same task for Pydantic AI: python with_pydantic_ai.py MODEL"""

import sys

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel

import door

agent = Agent(OpenAIChatModel(sys.argv[1]), instructions="You open doors.",
              tools=[door.look, door.take, door.open_door])
door.report(agent.run_sync(door.TASK).output)
