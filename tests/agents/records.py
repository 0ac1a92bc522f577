"""Files of other programs, made and opened by their own packages. Used by core/cli/tests/records.rs.

    records.py make FOLDER    chat.jsonl, trajectory.json, log.eval, log.json, spans.jsonl
    records.py open FOLDER    what `forethought export` wrote: conversations.jsonl, trajectory-*.json, inspect.json,
                              spans.jsonl
"""

import json
import sys
from pathlib import Path

TASK = "Find a red lamp"
FOUND = "[B01] Blue lamp\n[B02] Red lamp"


def make_chat(folder):
    """Two conversations: messages with a reward, and a request with its answer."""
    from openai.types.chat import ChatCompletion, ChatCompletionMessage
    from openai.types.chat.chat_completion import Choice
    from openai.types.chat.chat_completion_message_function_tool_call import (
        ChatCompletionMessageFunctionToolCall as Call,
        Function,
    )

    function = Function(name="search", arguments=json.dumps({"query": "red lamp"}))
    call = Call(id="call_1", type="function", function=function)
    look = ChatCompletionMessage(role="assistant", content="I look first.", tool_calls=[call])
    answer = ChatCompletionMessage(role="assistant", content="B02")
    tool = {"name": "search", "parameters": {"type": "object", "properties": {"query": {"type": "string"}}}}
    asked = [{"role": "system", "content": "You shop."}, {"role": "user", "content": TASK}]
    result = {"role": "tool", "tool_call_id": "call_1", "content": FOUND}
    tools = [{"type": "function", "function": tool}]
    completion = ChatCompletion(
        id="chatcmpl-1", object="chat.completion", created=0, model="gpt-4o",
        choices=[Choice(index=0, finish_reason="stop", message=answer)],
    )
    history = [*asked, look.model_dump(), result]
    lines = [
        {"messages": [*history, answer.model_dump()], "tools": tools, "reward": 1.0},
        {
            "request": {"model": "gpt-4o", "messages": history, "tools": tools},
            "response": json.loads(completion.model_dump_json()),
            "score": 0.5,
        },
    ]
    (folder / "chat.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def make_atif(folder):
    from harbor.models.trajectories import (
        Agent, FinalMetrics, Metrics, Observation, ObservationResult, Step, SubagentTrajectoryRef, ToolCall, Trajectory,
    )

    looker = Trajectory(
        schema_version="ATIF-v1.7", trajectory_id="looker", agent=Agent(name="looker", version="1"),
        steps=[Step(step_id=1, source="user", message="Which?"), Step(step_id=2, source="agent", message="Red.")],
    )
    call = ToolCall(tool_call_id="call_1", function_name="search", arguments={"query": "red lamp"})
    reference = SubagentTrajectoryRef(trajectory_id="looker")
    result = ObservationResult(source_call_id="call_1", content=FOUND, subagent_trajectory_ref=[reference])
    trajectory = Trajectory(
        schema_version="ATIF-v1.7", session_id="run-1", trajectory_id="main",
        agent=Agent(name="shopper", version="1", model_name="gpt-4o"),
        steps=[
            Step(step_id=1, source="system", message="You shop."),
            Step(step_id=2, source="user", message=TASK),
            Step(
                step_id=3, source="agent", message="I look first.", reasoning_content="A lamp.", tool_calls=[call],
                observation=Observation(results=[result]),
                metrics=Metrics(prompt_tokens=10, completion_tokens=5, logprobs=[-0.5]),
            ),
            Step(step_id=4, source="agent", message="B02"),
        ],
        final_metrics=FinalMetrics(total_prompt_tokens=10), extra={"reward": 1.0}, subagent_trajectories=[looker],
    )
    (folder / "trajectory.json").write_text(json.dumps(trajectory.to_json_dict()))


def make_inspect(folder):
    """The same evaluation as an archive and as one document: a tool, reasoning, a sub-agent, two scorers."""
    from inspect_ai import Task, eval as evaluate
    from inspect_ai.dataset import Sample
    from inspect_ai.model import (
        ChatMessageUser, ContentReasoning, ContentText, ModelOutput, ModelUsage, get_model,
    )
    from inspect_ai.scorer import includes, match
    from inspect_ai.solver import generate, solver, system_message, use_tools
    from inspect_ai.tool import tool

    # Otherwise the mock counts tokens with a table that it would download.
    usage = ModelUsage(input_tokens=10, output_tokens=5, total_tokens=15)

    def mock(*outputs):
        for output in outputs:
            output.usage = usage
        return get_model("mockllm/model", custom_outputs=list(outputs), memoize=False)

    @tool
    def search():
        async def execute(query: str):
            """Search the shop.

            Args:
                query: What to look for.
            """
            return FOUND

        return execute

    @solver
    def looker():
        async def solve(state, generate):
            await mock(ModelOutput.from_content("mockllm/model", "Red.")).generate([ChatMessageUser(content="Which?")])
            return state

        return solve

    for kind in ("eval", "json"):
        look = ModelOutput.for_tool_call("mockllm/model", "search", {"query": "red lamp"})
        parts = [ContentReasoning(reasoning="A lamp."), ContentText(text="I look first.")]
        look.choices[0].message.content = parts
        answer = ModelOutput.from_content("mockllm/model", "B02")
        task = Task(
            name="lamps",
            dataset=[Sample(input=TASK, target="B02", id="lamp"), Sample(input="Wait", target="x", id="wait")],
            solver=[system_message("You shop."), use_tools(search()), looker(), generate()],
            scorer=[match(), includes()],
        )
        outputs = [look, answer, ModelOutput.from_content("mockllm/model", "No.")]
        (log,) = evaluate(
            task, model=mock(*outputs), log_dir=str(folder / kind), log_format=kind, display="none", max_samples=1,
        )
        assert log.status == "success", log.error
        Path(log.location.removeprefix("file://")).rename(folder / f"log.{kind}")


def make_spans(folder):
    """Two calls of an agent and one of its sub-agent, with an evaluation, through OpenTelemetry's own helper."""
    import os

    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
    from opentelemetry.exporter.otlp.json.file.trace_exporter import FileSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.util.genai.handler import TelemetryHandler
    from opentelemetry.util.genai.types import (
        FunctionToolDefinition, InputMessage, OutputMessage, ReasoningPart, TextPart, ToolCallRequestPart,
        ToolCallResponsePart,
    )

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter(str(folder / "spans.jsonl"))))
    handler = TelemetryHandler(tracer_provider=provider)
    tool = FunctionToolDefinition(name="search", description="Search.", parameters={"type": "object"})

    def chat(messages, answer, tools=()):
        with handler.inference("openai", request_model="gpt-4o") as call:
            call.data.input_messages = messages
            call.data.output_messages = [OutputMessage(role="assistant", parts=answer, finish_reason="stop")]
            call.data.tool_definitions = list(tools)
            call.data.usage_input_tokens = 10
        return InputMessage(role="assistant", parts=answer)

    system = InputMessage(role="system", parts=[TextPart("You shop.")])
    asked = [system, InputMessage(role="user", parts=[TextPart(TASK)])]
    with handler.invoke_local_agent(agent_name="shopper") as agent:
        look = [ReasoningPart("A lamp."), ToolCallRequestPart(name="search", id="call_1", arguments={"query": "red lamp"})]
        looked = chat(asked, look, [tool])
        with handler.invoke_local_agent(agent_name="looker"):
            chat([InputMessage(role="user", parts=[TextPart("Which?")])], [TextPart("Red.")])
        result = InputMessage(role="tool", parts=[ToolCallResponsePart(id="call_1", response=FOUND)])
        chat([*asked, looked, result], [TextPart("B02")], [tool])
        evaluation = {"gen_ai.evaluation.name": "taste", "gen_ai.evaluation.score.value": 0.5}
        agent.span.add_event("gen_ai.evaluation.result", evaluation)
    provider.shutdown()


def open_all(folder):
    from harbor.models.trajectories import Trajectory
    from inspect_ai.log import read_eval_log
    from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
    from opentelemetry.proto_json.collector.trace.v1.trace_service import ExportTraceServiceRequest
    from pydantic import TypeAdapter

    found = {"atif": [], "openai": [], "inspect": [], "otel": []}
    for path in sorted(folder.glob("trajectory-*.json")):
        trajectory = Trajectory.model_validate_json(path.read_text())
        agent = [step for step in trajectory.steps if step.source == "agent"]
        calls = [call.function_name for step in agent for call in step.tool_calls or []]
        found["atif"].append([len(agent), calls, trajectory.extra["reward"]])
    messages = TypeAdapter(list[ChatCompletionMessageParam])
    tools = TypeAdapter(list[ChatCompletionToolParam])
    for line in (folder / "conversations.jsonl").read_text().splitlines():
        line = json.loads(line)
        # Validation of iterables is lazy, so it is the dump that goes through them.
        read = json.loads(messages.dump_json(messages.validate_python(line["messages"])))
        tools.validate_python(line.get("tools", []))
        agent = [one for one in read if one["role"] == "assistant"]
        calls = [call["function"]["name"] for one in agent for call in one.get("tool_calls") or []]
        found["openai"].append([len(agent), calls, line["reward"]])
    log = read_eval_log(str(folder / "inspect.json"))
    for sample in log.samples:
        agent = [one for one in sample.messages if one.role == "assistant"]
        calls = [call.function for one in agent for call in one.tool_calls or []]
        found["inspect"].append([len(agent), calls, sample.scores["score"].value])
    for line in (folder / "spans.jsonl").read_text().splitlines():
        # As a collector reads a request; fields that it does not know would be gone.
        request = ExportTraceServiceRequest.from_json(line)
        assert json.loads(request.to_json()) == json.loads(line)
        (scope,) = request.resource_spans[0].scope_spans
        agent, *spans = scope.spans
        assert all(span.parent_span_id == agent.span_id and span.trace_id == agent.trace_id for span in spans)
        names = [span.name.split()[0] for span in spans]
        calls = [span.name.split()[1] for span in spans if span.name.startswith("execute_tool")]
        (evaluation,) = agent.events
        found["otel"].append([names.count("chat"), calls, evaluation.attributes[1].value.double_value])
    print(json.dumps(found))


if __name__ == "__main__":
    action, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    if action == "make":
        make_chat(folder)
        make_atif(folder)
        make_inspect(folder)
        make_spans(folder)
    else:
        open_all(folder)
