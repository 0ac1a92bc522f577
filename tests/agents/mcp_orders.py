"""configs/mcp/orders.py by the official SDK: over stdio, or with the argument `http` over streamable HTTP.

Over HTTP it prints its port, and refuses who does not know the token in ORDERS_TOKEN.
"""

import os
import socket
import sys

from mcp.server import MCPServer

server = MCPServer("orders", instructions="You work for a shop. Orders that were sent cannot be cancelled.")
CUSTOMERS = {7: "Ada Ito", 9: "Ben Okoro"}
ORDERS = [
    {"order": 1001, "customer": 7, "total": 40, "status": "sent"},
    {"order": 1002, "customer": 7, "total": 25, "status": "open"},
    {"order": 1003, "customer": 9, "total": 20, "status": "sent"},
    {"order": 1004, "customer": 9, "total": 15, "status": "sent"},
]


@server.tool()
def find_customer(name: str) -> dict:
    """The number of a customer."""
    found = [number for number, known in CUSTOMERS.items() if known.lower() == name.lower()]
    if not found:
        raise ValueError(f"there is no customer {name!r}")
    return {"customer": found[0]}


@server.tool()
def orders(customer: int) -> dict:
    """The orders of a customer."""
    return {"orders": [order for order in ORDERS if order["customer"] == customer]}


@server.tool()
def cancel(order: int) -> dict:
    """Cancels an order that is still open."""
    for known in ORDERS:
        if known["order"] == order and known["status"] == "open":
            known["status"] = "cancelled"
            return known
    raise ValueError(f"there is no open order {order}")


def guarded(app, token):
    """Only for those who know the token."""

    async def guard(scope, receive, send):
        headers = dict(scope.get("headers", []))
        if scope["type"] == "http" and headers.get(b"authorization") != f"Bearer {token}".encode():
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b"who are you?"})
            return
        await app(scope, receive, send)

    return guard


if sys.argv[1:] == ["http"]:
    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    app = guarded(server.streamable_http_app(), os.environ["ORDERS_TOKEN"])
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
else:
    server.run("stdio")
