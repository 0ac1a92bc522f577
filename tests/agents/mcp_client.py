"""An agent that cannot change its model asks the program for advice, by the official SDK's client.

`mcp_client.py PROGRAM ARGUMENT...` starts the program and prints what it said, as JSON.
"""

import asyncio
import json
import sys

from mcp import Client, StdioServerParameters

HISTORY = [
    {"observation": "Ada wants to cancel.", "thought": "Who is she?", "calls": [
        {"name": "find_customer", "arguments": {"name": "Ada Ito"}},
    ]},
]


async def main():
    program = StdioServerParameters(command=sys.argv[1], args=sys.argv[2:])
    async with Client(program) as client:
        tools = await client.list_tools()
        question = {"thought": "Cancel what is open.", "outcomes": ["It is cancelled.", "She is angry."]}
        said = {"tools": [tool.name for tool in tools.tools]}
        said["values"] = await ask(client, "evaluate_thought", {**question, "state": "An order is open."})
        asked = {"history": HISTORY, "observation": "{\"customer\": 7}", "tools": [
            {"name": "orders", "description": "Her orders.", "inputSchema": {
                "type": "object", "properties": {"customer": {"type": "integer"}},
            }},
        ]}
        said["plan"] = await ask(client, "plan", asked)
        said["wrong"] = await ask(client, "evaluate_thought", question)
        print(json.dumps(said))


async def ask(client, tool, arguments):
    result = await client.call_tool(tool, arguments)
    return {"text": result.content[0].text, "data": result.structured_content, "failed": result.is_error}


asyncio.run(main())
