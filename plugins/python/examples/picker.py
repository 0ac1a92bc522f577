#!/usr/bin/env python3
"""A script that plays a language model in any world: it picks one of the actions that the text names."""

import random
import re
from typing import Annotated

from forethought_kit import ChatRequest, LanguageModel, register, serve


@register("picker", "picks an action that the text names")
class Picker(LanguageModel):
    def __init__(self, actions: Annotated[list[str] | None, "Actions for texts that name none."] = None) -> None:
        self.actions = actions or ["look around", "go north", "go east", "go south", "go west", "inventory"]

    def complete(self, request: ChatRequest) -> str:
        text = "\n".join(message.content for message in request.messages)
        named = re.findall(r"An action is one of: (.*)\.", text)
        found = named[-1].split(", ") if named else re.findall(r"'(\[[^\]']+\])'", text) or self.actions
        return f"Thought: I try something.\nAction: {random.Random(f'{request.seed}{text}').choice(found)}"


if __name__ == "__main__":
    serve()
