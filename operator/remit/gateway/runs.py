"""The run contract: how a run gets its input and hands in its result (docs/spec/run-contract.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from remit.api.reasons import CallReason, RunReason, StopReason
from remit.api.wire import (
    CONTRACT_VERSION,
    HEADER_BUDGET,
    Accepted,
    BudgetWord,
    RunInput,
    StepAnswer,
)
from remit.core.budget import word
from remit.core.digest import canonical
from remit.core.engines import InvalidSchemaError
from remit.core.policy import taken_back
from remit.gateway.books import open_run, over, take_step
from remit.gateway.call import Caller, Refused
from remit.gateway.gate import Gate
from remit.gateway.jsontext import MalformedError, parse_object
from remit.gateway.memory import Remembered
from remit.gateway.settings import SETTLE_SECONDS
from remit.gateway.settlements import Closing
from remit.gateway.web import Answer, RefusedError, Request, encode, malformed
from remit.gateway.works import earlier_run, repeated
from remit.ports import RunRecord

MAX_STEP: Final = 1_000_000
MAX_MESSAGE: Final = 2000


class StepBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of step."""

    step: int


class ResultBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of result."""

    outcome: str
    stop: str
    result: dict[str, Any] | None = None
    message: str = ""


class HandOverBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of hand-over."""

    partial: dict[str, Any]
    stop: str


async def give_input(gate: Gate, request: Request) -> Answer:
    """GET input: what the run is about."""
    caller = await the_caller(gate, request)
    remembered = await gate.memory.of(caller.run.uid)
    if remembered.record is None:
        earlier = await gate.ledger.read(lambda tx: earlier_run(tx, caller.run, caller.work))
        if earlier is not None:
            raise done_before(gate, caller, repeated(earlier))
    return answered(gate, caller, remembered, input_of(caller, remembered.record))


async def begin_step(gate: Gate, request: Request) -> Answer:
    """POST step: a turn begins; the agent hears whether it should go on."""
    caller = await the_caller(gate, request)
    body = await read_body(request, StepBody)
    if not 0 <= body.step <= MAX_STEP:
        raise RefusedError(malformed(f"step must be between 0 and {MAX_STEP}"))
    remembered = await gate.memory.of(caller.run.uid)
    now = gate.clock.now()
    record = await gate.ledger.transact(lambda tx: take_step(tx, caller, body.step, now))
    if isinstance(record, Refused):
        raise done_before(gate, caller, record)
    gate.memory.note_record(record)
    if (refused := over(record)) is not None:
        raise RefusedError(refused)
    answer: StepAnswer = {
        "desired": "Stopped" if caller.run.is_stopping else "Running",
        "budget": budget_of(gate, caller, remembered),
    }
    return answered(gate, caller, remembered, answer)


async def take_result(gate: Gate, request: Request) -> Answer:
    """POST result: the agent says how it ended. The same result again has the same answer."""
    await someone(gate, request)
    body = await read_body(request, ResultBody)
    if body.outcome not in {"Succeeded", "Failed"}:
        raise RefusedError(malformed("outcome must be Succeeded or Failed"))
    result = canonical_of(body.result) if body.result is not None else b""
    caller = await gate.callers.identify(request.bearer(), request.peer)
    if isinstance(caller, Refused):
        return await ended_before(gate, request, caller, result=result)
    if body.outcome == "Failed":
        message = printable(body.message) or "the agent said that it could not do it"
        return await ended(gate, caller, Closing(RunReason.FAILED, message, result))
    violation = result_violation(gate, caller, body.result)
    if violation is not None:
        raise RefusedError(Refused(CallReason.RESULT_REFUSED, violation, recorded=False))
    message = printable(body.message) or "the agent handed in a result that passed its checks"
    return await ended(gate, caller, Closing(RunReason.SUCCEEDED, message, result))


async def take_hand_over(gate: Gate, request: Request) -> Answer:
    """POST hand-over: what was done so far, before a stop or the end of a budget ends the run."""
    await someone(gate, request)
    body = await read_body(request, HandOverBody)
    partial = canonical_of(body.partial)
    caller = await gate.callers.identify(request.bearer(), request.peer)
    if isinstance(caller, Refused):
        return await ended_before(gate, request, caller, partial=partial)
    remembered = await gate.memory.of(caller.run.uid)
    reason, message = why_handed_over(gate, caller, remembered, body.stop)
    return await ended(gate, caller, Closing(reason, message, partial=partial))


def why_handed_over(gate: Gate, caller: Caller, remembered: Remembered, stop: str) -> tuple[RunReason, str]:
    """Return what ends a run that hands over: what the gateway knows, not what the agent says."""
    if caller.run.is_stopping:
        return RunReason.CANCELLED, "the run was asked to stop and handed over"
    record = remembered.record
    bound = caller.max_iterations
    if record is not None and record.model_calls >= bound:
        return RunReason.BUDGET_EXHAUSTED, f"the agent used its {bound} model calls and handed over"
    if budget_of(gate, caller, remembered) != "ok":
        return RunReason.BUDGET_EXHAUSTED, "the run's budget ran out and the agent handed over"
    known = stop if stop in set(StopReason) else "another reason"
    return RunReason.FAILED, f"the agent handed over before its end: {known}"


async def someone(gate: Gate, request: Request) -> None:
    """Make sure that a body comes from a pod of ours before it is read; raises RefusedError."""
    identity = await gate.callers.authenticate(request.bearer())
    if isinstance(identity, Refused):
        raise RefusedError(identity)


async def the_caller(gate: Gate, request: Request) -> Caller:
    """Return who calls; raises RefusedError."""
    caller = await gate.callers.identify(request.bearer(), request.peer)
    if isinstance(caller, Refused):
        raise RefusedError(caller)
    return caller


def done_before(gate: Gate, caller: Caller, refused: Refused) -> RefusedError:
    """Return the refusal of a run whose work was done before, and have its status say so."""
    if refused.reason is CallReason.RUN_ALREADY_EXECUTED:
        gate.repeats.look_soon(caller.stored)
    return RefusedError(refused)


async def ended(gate: Gate, caller: Caller, closing: Closing) -> Answer:
    """End the caller's run; calls under way have a moment to finish."""
    now = gate.clock.now()
    opened = await gate.ledger.transact(lambda tx: open_run(tx, caller, now))
    if isinstance(opened, Refused):
        raise done_before(gate, caller, opened)
    record = await gate.endings.end(caller.run.uid, without_authority(caller, closing), patience_seconds=SETTLE_SECONDS)
    return accepted(record, closing.result, closing.partial)


def without_authority(caller: Caller, closing: Closing) -> Closing:
    """What an agent says once its authority was taken back ends no run in its way: it only stands beside the reason."""
    why = taken_back(caller.live)
    if not why:
        return closing
    return Closing(RunReason.REVOKED, why, partial=closing.partial or closing.result)


async def ended_before(
    gate: Gate, request: Request, refused: Refused, *, result: bytes = b"", partial: bytes = b""
) -> Answer:
    """Answer for a run that is not served any more: one that has ended already hears how."""
    identity = await gate.callers.authenticate(request.bearer())
    if refused.reason is not CallReason.RUN_NOT_ACTIVE or isinstance(identity, Refused):
        raise RefusedError(refused)
    stored = gate.authority.store.run_of_pod(identity.pod_uid)
    if stored is None:
        raise RefusedError(refused)
    uid = stored["metadata"]["uid"]
    record = await gate.ledger.read(lambda tx: tx.run(uid))
    if record is None or not record.ended:
        raise RefusedError(refused)
    return accepted(record, result, partial)


def accepted(record: RunRecord | None, result: bytes, partial: bytes) -> Answer:
    """Say how the run ended, and whether by this result."""
    reason = record.outcome_reason if record is not None else ""
    same = record is not None and (record.result, record.partial) == (result, partial)
    answer: Accepted = {"accepted": same, "reason": reason}
    return Answer(200, encode(answer))


def printable(text: str) -> str:
    """Return what an agent says as a status, an event and a terminal may show it."""
    return "".join(mark if mark.isprintable() else " " for mark in text[:MAX_MESSAGE]).strip()


def result_violation(gate: Gate, caller: Caller, result: Mapping[str, Any] | None) -> str | None:
    """Return what a result lacks to count as one."""
    if result is None:
        return "outcome Succeeded needs a result"
    schema = caller.pinned.bundle.agent.spec.loop.output_schema
    if schema is None:
        return None
    try:
        violation: str | None = gate.authority.engines.schemas.compile(schema).violation(result)
    except InvalidSchemaError as error:
        return f"the agent's outputSchema cannot be used: {error}"
    return violation


def input_of(caller: Caller, record: RunRecord | None) -> RunInput:
    """Return what the agent is told."""
    run, agent = caller.run, caller.pinned.bundle.agent
    answer: RunInput = {
        "version": CONTRACT_VERSION,
        "run": {"namespace": run.namespace, "name": run.name, "uid": run.uid, "attempt": run.attempt},
        "agent": agent.ref.name,
        "purpose": run.spec.purpose,
        "input": run.spec.input,
        "instructions": agent.spec.instructions.inline,
        "model": {
            "api": api_of(caller),
            "name": agent.spec.model.name,
            "maxOutputTokens": caller.max_output_tokens,
        },
        "maxIterations": caller.max_iterations,
        "step": record.step if record is not None else 0,
    }
    if run.spec.case is not None:
        answer["case"] = run.spec.case.to_json()
    if agent.spec.loop.output_schema is not None:
        answer["outputSchema"] = agent.spec.loop.output_schema
    return answer


def api_of(caller: Caller) -> str:
    """Return the wire protocol of the agent's own model."""
    choice = caller.pinned.bundle.agent.spec.model
    upstream = caller.pinned.tools[choice.grant, choice.name].grant.spec.upstream.model
    return str(upstream.api) if upstream is not None else ""


def budget_of(gate: Gate, caller: Caller, remembered: Remembered) -> BudgetWord:
    """Return how the run's budget stands."""
    if remembered.exhausted_at is not None:
        return "exhausted"
    if remembered.record is None:
        return "ok"
    return word(remembered.record.account, caller.limits, gate.clock.now())


def answered(gate: Gate, caller: Caller, remembered: Remembered, value: Any) -> Answer:
    """Return an answer with the budget's word."""
    return Answer(200, encode(value), headers={HEADER_BUDGET: budget_of(gate, caller, remembered)})


def canonical_of(value: Any) -> bytes:
    """Return canonical bytes of what an agent sent; raises RefusedError for what JSON cannot say exactly."""
    try:
        return canonical(value)
    except ValueError as error:
        raise RefusedError(malformed("a number or a text that JSON readers do not keep exact")) from error


Wanted = TypeVar("Wanted", StepBody, ResultBody, HandOverBody)


async def read_body(request: Request, wanted: type[Wanted]) -> Wanted:
    """Return the body in its form; raises RefusedError."""
    try:
        return msgspec.convert(parse_object(await request.body()), wanted)
    except MalformedError as error:
        raise RefusedError(Refused(error.reason, str(error), recorded=False)) from error
    except msgspec.ValidationError as error:
        raise RefusedError(malformed(f"the body has another form: {error}")) from error
