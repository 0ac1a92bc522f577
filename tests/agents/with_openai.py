"""An agent's own loop over the official openai package: python with_openai.py MODEL [stream]"""

import json
import sys

from openai import OpenAI

import door

model, stream = sys.argv[1], "stream" in sys.argv[2:]
place = {"place": {"type": "string"}}
schemas = [("look", place), ("take", {"item": {"type": "string"}, "count": {"type": "integer"}}),
           ("open_door", {"key": {"type": "string"}})]
offered = [{"type": "function", "function": {"name": name, "description": getattr(door, name).__doc__, "parameters": {
    "type": "object", "properties": properties, "required": list(properties)}}} for name, properties in schemas]
messages = [{"role": "system", "content": "You open doors."}, {"role": "user", "content": door.TASK}]
client = OpenAI(max_retries=0)
while True:
    if stream:
        with client.chat.completions.stream(model=model, messages=messages, tools=offered) as events:
            for _ in events:
                pass
            message = events.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(model=model, messages=messages, tools=offered).choices[0].message
    messages.append(message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}))
    if not message.tool_calls:
        door.report(message.content)
        break
    for call in message.tool_calls:
        result = getattr(door, call.function.name)(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
