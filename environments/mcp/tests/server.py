"""An MCP server by hand: JSON-RPC, a message per line. `server.py MODE`; the mode says what is wrong with it."""

import base64
import json
import os
import sys
import time

MODE = sys.argv[1] if len(sys.argv) > 1 else "good"
notes = {}


def tool(title, description, **properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": title, "description": description, "inputSchema": schema}


TOOLS = [
    tool("write", "Writes a note.", key={"type": "string"}, text={"type": "string"}),
    tool("read", "Reads a note.", key={"type": "string"}),
    tool("all", "Reads all notes."),
    tool("picture", "Draws."),
    tool("wait", "Never answers."),
    tool("flood", "Answers with 10 MB."),
    tool("chatter", "Sends notifications without end."),
    tool("die", "Ends the server."),
    tool("pid", "The server's process."),
    tool("variable", "A variable of the environment.", name={"type": "string"}),
]


def call(name, arguments):
    if name == "write":
        notes[arguments["key"]] = arguments["text"]
        return "written"
    if name == "read":
        return notes[arguments["key"]]
    if name == "all":
        return json.dumps({"notes": notes, "count": len(notes)})
    if name == "picture":
        return {"type": "image", "data": base64.b64encode(b"pixels").decode(), "mimeType": "image/png"}
    if name == "wait":
        time.sleep(1000)
    if name == "flood":
        return "x" * 10_000_000
    if name == "chatter":
        while True:
            send({"method": "notifications/message", "params": {"level": "info", "data": "x" * 1000}})
    if name == "die":
        print("out of ink", file=sys.stderr, flush=True)
        os._exit(3)
    if name == "pid":
        return str(os.getpid())
    if name == "variable":
        return os.environ.get(arguments["name"], "(not set)")
    raise KeyError(name)


def send(message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def answer(method, params):
    if method == "initialize":
        if MODE == "silent":
            time.sleep(1000)
        if MODE == "stillborn":
            sys.exit("no paper")
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "notes", "version": "1"},
            "instructions": "A notebook.",
        }
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        try:
            result = call(params["name"], params.get("arguments", {}))
        except KeyError as error:
            return {"content": [{"type": "text", "text": f"there is no {error}"}], "isError": True}
        content = result if isinstance(result, dict) else {"type": "text", "text": result}
        return {"content": [content]}
    return {}


if MODE == "babble":
    while True:
        print("x" * 10_000)
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        send({"id": message["id"], "result": answer(message["method"], message.get("params", {}))})
if MODE == "clingy":
    time.sleep(1000)
