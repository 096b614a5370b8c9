"""The loop: context, model, tool calls, observe, until a stop condition; each stop has a reason of its own.

It decides nothing about authority: what it may do, it learns by asking the gateway.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from remit.api import wire
from remit.api.reasons import CallReason, StopReason
from remit.harness.client import GatewayClient, RefusedError
from remit.harness.dialects import DIALECTS, Dialect, Reply, ToolCall

HAND_OVER_REQUEST = (
    "The run ends now: {why}. Please hand over: summarise in a few sentences what was done, what was not, "
    "and what a colleague has to do next. Do not call tools."
)
OUTPUT_REQUEST = "When you are done, answer with one JSON object that satisfies this JSON Schema and nothing else:\n"
BUDGET_STOPS = frozenset({CallReason.BUDGET_EXHAUSTED, CallReason.HANDED_OVER})
NOTHING_TO_TELL = frozenset({CallReason.RUN_NOT_ACTIVE, CallReason.RUN_ALREADY_EXECUTED})
"""The gateway knows how the run ended, and takes no other word on it."""


@dataclass
class Conversation:
    """What the model is told next."""

    system: str
    messages: list[dict[str, Any]]
    last_text: str = ""


@dataclass
class Run:
    """One run in this pod."""

    client: GatewayClient
    order: wire.RunInput
    tools: list[dict[str, Any]]
    talk: Conversation
    dialect: Dialect = field(init=False)

    def __post_init__(self) -> None:
        """Choose the model's dialect."""
        self.dialect = DIALECTS[self.order["model"]["api"]]


class StoppedError(Exception):
    """Ends the loop with a hand-over; `reason` says why."""

    def __init__(self, reason: StopReason) -> None:
        """Keep the reason."""
        super().__init__(reason.value)
        self.reason = reason


def work(client: GatewayClient) -> StopReason:
    """Take the run's input, work on it, hand in what came of it, and return why it stopped."""
    run = start(client)
    try:
        return turns(run)
    except StoppedError as stopped:
        hand_over(run, stopped.reason)
        return stopped.reason
    except RefusedError as refused:
        return give_up(run, StopReason.REFUSED, str(refused))


def start(client: GatewayClient) -> Run:
    """Fetch the order and the tools, and open the conversation."""
    order: wire.RunInput = client.contract("GET", wire.INPUT_PATH)  # type: ignore[assignment]
    system = order["instructions"]
    if schema := order.get("outputSchema"):
        system += "\n\n" + OUTPUT_REQUEST + json.dumps(schema, sort_keys=True)
    task: dict[str, Any] = {"purpose": order["purpose"], "input": order["input"]}
    if case := order.get("case"):
        task["case"] = case
    talk = Conversation(system, [{"role": "user", "content": json.dumps(task, sort_keys=True)}])
    return Run(client, order, client.tools(), talk)


def turns(run: Run) -> StopReason:
    """Take turns until the model answers without calling a tool and the answer is accepted."""
    first = run.order["step"] + 1
    for step in range(first, first + run.order["maxIterations"]):
        report_step(run, step)
        reply = ask(run, step)
        if reply.tool_calls:
            observe(run, step, reply)
        elif hand_in(run, reply.text):
            return StopReason.ANSWERED
    raise StoppedError(StopReason.ITERATIONS)


def report_step(run: Run, step: int) -> None:
    """Tell the gateway that a turn begins; raises StoppedError when it is to be the last."""
    answer = run.client.contract("POST", wire.STEP_PATH, {"step": step})
    if answer["desired"] == "Stopped":
        raise StoppedError(StopReason.STOP_REQUESTED)
    if answer["budget"] == "exhausted":
        raise StoppedError(StopReason.BUDGET_LOW)


def ask(run: Run, step: int) -> Reply:
    """Make the turn's model call."""
    body = run.dialect.request(run.order["model"], run.talk.system, run.talk.messages, run.tools)
    reply = model_reply(run, body, f"turn-{step}", hand_over=False)
    run.talk.messages.append(reply.message)
    run.talk.last_text = reply.text or run.talk.last_text
    return reply


def model_reply(run: Run, body: dict[str, Any], call_id: str, *, hand_over: bool) -> Reply:
    """Call the model and read its reply; a refusal stops or ends the run, by its reason."""
    answer = run.client.call_model(run.dialect.path, body, call_id, hand_over=hand_over)
    if answer.status >= HTTPStatus.BAD_REQUEST:
        reason = answer.headers.get("remit-reason", f"HTTP{answer.status}")
        if reason in BUDGET_STOPS:
            raise StoppedError(StopReason.BUDGET_LOW)
        if reason == CallReason.ITERATIONS_EXHAUSTED:
            raise StoppedError(StopReason.ITERATIONS)
        raise RefusedError(reason, answer.body[:500].decode(errors="replace"))
    try:
        return run.dialect.reply(answer.document())
    except (KeyError, IndexError, TypeError) as error:
        raise RefusedError(CallReason.UPSTREAM_MALFORMED, f"the model's answer has no {error}") from error


def observe(run: Run, step: int, reply: Reply) -> None:
    """Make the tool calls of a turn, in their order, and tell the model what came back."""
    answers = [(call, *call_tool(run, step, place, call)) for place, call in enumerate(reply.tool_calls)]
    run.talk.messages.extend(run.dialect.results(answers))


def call_tool(run: Run, step: int, place: int, call: ToolCall) -> tuple[str, bool]:
    """Make one tool call and return (text, is error)."""
    if call.fault:
        return json.dumps({"error": {"reason": CallReason.INVALID_ARGUMENTS, "message": call.fault}}), True
    answer = run.client.call_tool(call.name, call.arguments, f"turn-{step}.{place}.{call.id}")
    return answer.text, answer.is_error


def hand_in(run: Run, text: str) -> bool:
    """Hand in the result; False when it does not pass its checks and the model may try again."""
    try:
        result = json.loads(text)
    except ValueError:
        result = None
    if not isinstance(result, dict):
        result = {"text": text}
    # An answer that is an `error` and nothing else is the agent's word that it could not.
    could_not = result.keys() == {"error"}
    report: wire.ResultReport = {
        "outcome": "Failed" if could_not else "Succeeded",
        "result": result,
        "stop": StopReason.ANSWERED,
    }
    if could_not:
        report["message"] = json.dumps(result["error"], sort_keys=True)[:1000]
    try:
        run.client.contract("POST", wire.RESULT_PATH, report)
    except RefusedError as refused:
        if refused.reason != CallReason.RESULT_REFUSED:
            raise
        run.talk.messages.append({"role": "user", "content": f"The result was refused: {refused.message}"})
        return False
    return True


def hand_over(run: Run, reason: StopReason) -> None:
    """Spend the ring-fenced call on a summary and hand it over; without one, the last thing said."""
    request = {"role": "user", "content": HAND_OVER_REQUEST.format(why=reason.value)}
    body = run.dialect.request(run.order["model"], run.talk.system, [*run.talk.messages, request], [])
    try:
        summary = model_reply(run, body, "hand-over", hand_over=True).text
    except (StoppedError, RefusedError):
        summary = run.talk.last_text
    report: wire.HandOverReport = {"partial": {"summary": summary}, "stop": reason}
    run.client.contract("POST", wire.HANDOVER_PATH, report)


def give_up(run: Run, reason: StopReason, message: str) -> StopReason:
    """Tell the gateway that the agent could not; a run that ended meanwhile needs no telling."""
    report: wire.ResultReport = {"outcome": "Failed", "message": message[:1000], "stop": reason}
    try:
        run.client.contract("POST", wire.RESULT_PATH, report)
    except RefusedError as refused:
        if refused.reason not in NOTHING_TO_TELL:
            raise
    return reason
