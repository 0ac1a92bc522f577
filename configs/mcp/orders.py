"""A shop's orders as an MCP server, by hand: JSON-RPC, a message per line. See docs/mcp.md."""

import json
import sys

CUSTOMERS = {7: "Ada Ito", 9: "Ben Okoro"}
ORDERS = [
    {"order": 1001, "customer": 7, "total": 40, "status": "sent"},
    {"order": 1002, "customer": 7, "total": 25, "status": "open"},
    {"order": 1003, "customer": 9, "total": 20, "status": "sent"},
    {"order": 1004, "customer": 9, "total": 15, "status": "sent"},
]


def find_customer(name):
    found = [number for number, known in CUSTOMERS.items() if known.lower() == name.lower()]
    if not found:
        raise ValueError(f"there is no customer {name!r}")
    return {"customer": found[0]}


def orders(customer):
    return {"orders": [order for order in ORDERS if order["customer"] == customer]}


def cancel(order):
    for known in ORDERS:
        if known["order"] == order and known["status"] == "open":
            known["status"] = "cancelled"
            return known
    raise ValueError(f"there is no open order {order}")


def tool(function, about, **arguments):
    properties = {name: {"type": kind} for name, kind in arguments.items()}
    schema = {"type": "object", "properties": properties, "required": list(arguments)}
    return function.__name__, function, {"description": about, "inputSchema": schema}


TOOLS = [
    tool(find_customer, "The number of a customer.", name="string"),
    tool(orders, "The orders of a customer.", customer="integer"),
    tool(cancel, "Cancels an order that is still open.", order="integer"),
]


def answer(method, params):
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "orders", "version": "1"},
            "instructions": "You work for a shop. Orders that were sent cannot be cancelled.",
        }
    if method == "tools/list":
        return {"tools": [{"name": name, **about} for name, _, about in TOOLS]}
    if method == "tools/call":
        function = {name: function for name, function, _ in TOOLS}[params["name"]]
        try:
            text, failed = json.dumps(function(**params.get("arguments", {}))), False
        except (TypeError, ValueError) as error:
            text, failed = str(error), True
        return {"content": [{"type": "text", "text": text}], "isError": failed}
    return {}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        result = answer(message["method"], message.get("params", {}))
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
