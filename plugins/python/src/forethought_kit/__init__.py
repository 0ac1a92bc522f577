"""Worlds, planners, critics, encoders and language models for Forethought, in Python.

    from forethought_kit import Environment, register, serve, transition, turn
"""

import sys

if sys.version_info < (3, 10):  # Before anything that older versions cannot read.
    raise SystemExit("forethought-kit needs Python 3.10 or later; this is " + sys.version.split()[0])

from .parts import (
    Component,
    Critic,
    Encoder,
    Environment,
    Host,
    LanguageModel,
    Models,
    Planner,
    Progress,
    World,
    read_calls,
    transition,
    turn,
)
from .pipe import Failure, cancelled
from .serving import critic, encoder, need, planner, register, serve
from .types import (
    Action,
    CallRule,
    ChatRequest,
    Choice,
    Completion,
    CriticQuery,
    Decision,
    DecisionContext,
    EnvironmentSpec,
    Estimate,
    LlmCapabilities,
    Observation,
    Requirements,
    SeatSpec,
    Summary,
    Tool,
    ToolCall,
    Transition,
    Turn,
)

__all__ = [
    "Action", "CallRule", "ChatRequest", "Choice", "Completion", "Component", "Critic", "CriticQuery", "Decision",
    "DecisionContext", "Encoder", "Environment", "EnvironmentSpec", "Estimate", "Failure", "Host", "LanguageModel",
    "LlmCapabilities", "Models", "Observation", "Planner", "Progress", "Requirements", "SeatSpec", "Summary", "Tool",
    "ToolCall", "Transition", "Turn", "World", "cancelled", "critic", "encoder", "need", "planner", "read_calls",
    "register", "serve",
    "transition", "turn",
]
