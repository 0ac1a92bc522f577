"""The same task for the OpenAI Agents SDK: python with_openai_agents.py MODEL [chat|previous]"""

import sys

from agents import Agent, Runner, function_tool, set_default_openai_api, set_tracing_disabled

import door

# By default it uses the responses API.
if "chat" in sys.argv:
    set_default_openai_api("chat_completions")
set_tracing_disabled(True)
agent = Agent(name="Porter", instructions="You open doors.", model=sys.argv[1],
              tools=[function_tool(tool) for tool in (door.look, door.take, door.open_door)])
# Each request names the response before it, and sends only what came after.
previous = "previous" in sys.argv
door.report(Runner.run_sync(agent, door.TASK, auto_previous_response_id=previous).final_output)
