"""How each reason comes about: objects, then what somebody does to them. One namespace for each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.bundles import a_rule
from tests.support.objects import a_container, a_grant, a_policy, a_run, an_agent
from tests.support.polling import eventually
from tests.support.tenant import Tenant

Object = dict[str, Any]
Act = Callable[[Tenant], None]
SMALL = {"cpuMillis": 10, "memoryMiB": 32}
USED = {"costMicroUSD": 41_200, "tokens": 9_730, "toolCalls": 7, "refusedCalls": 1}


@dataclass(frozen=True)
class Case:
    """A kind and a reason, and how to get there."""

    kind: str
    reason: str
    name: str
    given: tuple[Object, ...]
    through: str = ""
    """The reason to wait for before the act."""
    act: Act | None = None
    prepare: Act | None = None
    """What stands there before the objects."""
    is_older: bool = False
    """Whether today's apiserver refuses the first of the objects: an older release let it in."""


def agent(**spec: Any) -> Object:
    return an_agent(**{"sandbox": SMALL, **spec})


def run(**spec: Any) -> Object:
    return a_run(**{"case": {"id": "DSP-1001", "system": "disputes"}, **spec})


TEAM = (a_policy(), a_grant())
RUNNING = (*TEAM, agent(), run())


def of_run(reason: str, *given: Object, through: str = "", act: Act | None = None) -> Case:
    return Case("AgentRun", reason, "dispute-1", given or RUNNING, through, act)


def of_agent(reason: str, *given: Object, through: str = "", act: Act | None = None) -> Case:
    return Case("Agent", reason, "teller", given, through, act)


def of_grant(reason: str, grant: Object, *, prepare: Act | None = None) -> Case:
    return Case("ToolGrant", reason, grant["metadata"]["name"], (grant,), prepare=prepare)


def of_policy(reason: str, policy: Object) -> Case:
    return Case("Policy", reason, "rules", (policy,))


def says(reason: str, message: str, **more: Any) -> Act:
    """The gateway's word on how the run ended."""
    return lambda tenant: tenant.say(outcome={"reason": reason, "message": message}, usage=USED, **more)


def changes(kind: str, name: str, **spec: Any) -> Act:
    """What somebody edits."""

    def edit(tenant: Tenant) -> None:
        answer = tenant.kube.patch(tenant.path(kind, name), {"spec": spec})
        assert answer.code == 200, answer.message

    return edit


def loses_its_pod(tenant: Tenant) -> None:
    tenant.kube.send("DELETE", f"/api/v1/namespaces/{tenant.name}/pods/dispute-1-1", {"gracePeriodSeconds": 0})


CREDIT = {"name": "credit", "risk": "Financial", "inputSchema": {"type": "object"}, "constraints": []}


def a_bank(**spec: Any) -> Object:
    return a_grant("core", **{"upstream": {"mcp": {"url": "https://core.example/mcp"}}, "tools": [CREDIT], **spec})


def with_secret(hosts: str, **values: str) -> Act:
    """A Secret that is bound to the gateway as its owner would, for these hosts."""
    name = "core-banking"
    secret = {"metadata": {"name": name, "annotations": {"remit.dev/hosts": hosts}}, "stringData": values}
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get"]}
    role = {"metadata": {"name": name}, "rules": [rule]}
    gateway = {"kind": "ServiceAccount", "name": "remit-gateway", "namespace": "remit-system"}
    binding = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [gateway],
    }

    def put(tenant: Tenant) -> None:
        rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{tenant.name}"
        for path, thing in (
            (f"/api/v1/namespaces/{tenant.name}/secrets", secret),
            (f"{rights}/roles", role),
            (f"{rights}/rolebindings", binding),
        ):
            made = tenant.kube.create(path, thing)
            assert made.code == 201, made.message

    return put


def no_room_for_revisions(tenant: Tenant) -> None:
    """A quota that is full, and known to be."""
    path = f"/api/v1/namespaces/{tenant.name}/resourcequotas"
    hard = {"count/controllerrevisions.apps": "0"}
    made = tenant.kube.create(path, {"metadata": {"name": "few-objects"}, "spec": {"hard": hard}})
    assert made.code == 201, made.message
    eventually(
        lambda: tenant.kube.get(f"{path}/few-objects").body.get("status", {}).get("used"),
        within_seconds=60,
        why="the quota is counted",
    )


LITTLE = a_policy(sandbox={"maxMemoryMiB": 32})
KEY = [{"header": "Authorization", "prefix": "Bearer ", "secretName": "core-banking", "secretKey": "token"}]
LOST = "the answer to core/credit (call toolu_7, idempotency key 9f86d081884c7d65) was lost: it may have been acted on"

RUNS = (
    of_run("Pending", run()),
    of_run("Starting", *TEAM, agent(sandbox={**SMALL, "memoryMiB": 262_144}), run()),
    of_run("Running"),
    of_run("Suspended", through="Running", act=changes("AgentRun", "dispute-1", desired="Suspended")),
    of_run(
        "Succeeded",
        through="Running",
        act=says(
            "Succeeded", "credited 120.00 provisionally", result={"decision": "credit", "amount": "120.00"}, step=6
        ),
    ),
    of_run("Failed", through="Running", act=loses_its_pod),
    of_run("Denied", *TEAM, agent(), run(purpose="marketing")),
    of_run(
        "PolicyViolation",
        through="Running",
        act=says("PolicyViolation", "more than 100 calls were refused, the last with ToolNotGranted"),
    ),
    of_run(
        "BudgetExhausted",
        through="Running",
        act=says(
            "BudgetExhausted", "the run's budget ran out and the agent handed over", partial={"seen": "TXN-471101"}
        ),
    ),
    of_run("DeadlineExceeded", run(deadlineSeconds=3)),
    of_run("Revoked", through="Running", act=changes("Agent", "teller", lifecycle="Suspended")),
    of_run("Cancelled", through="Running", act=changes("AgentRun", "dispute-1", desired="Terminated")),
    of_run("OutcomeUnknown", through="Running", act=says("OutcomeUnknown", LOST)),
)
AGENTS = (
    of_agent("Ready", *TEAM, agent()),
    Case("Agent", "Progressing", "teller", (*TEAM, agent()), prepare=no_room_for_revisions),
    of_agent("Draft", *TEAM, agent(lifecycle="Draft")),
    of_agent("Suspended", *TEAM, agent(), through="Ready", act=changes("Agent", "teller", lifecycle="Suspended")),
    of_agent("Retired", *TEAM, agent(), through="Ready", act=changes("Agent", "teller", lifecycle="Retired")),
    of_agent("Revoked", *TEAM, agent(), through="Ready", act=changes("Policy", "rules", revoked="the key was stolen")),
    of_agent("NoPolicy", a_grant(), agent()),
    of_agent("ModelNotGranted", *TEAM, agent(model={"grant": "provider", "name": "large"})),
    of_agent("ImageNotPinned", agent(runtime=a_container("agents.example/teller:1.2")), *TEAM),  # before its policy
    of_agent("RuntimeClassNotAllowed", agent(), a_grant(), a_policy(sandbox={"runtimeClassNames": ["gvisor"]})),
    of_agent("ResourcesNotAllowed", agent(sandbox={**SMALL, "memoryMiB": 64}), a_grant(), LITTLE),
    of_agent("InvalidSchema", *TEAM, agent(loop={"outputSchema": {"type": "sum"}})),
)
GRANTS = (
    of_grant("Ready", a_bank()),
    of_grant("Suspended", a_bank(suspended=True)),
    of_grant("Expired", a_bank(notAfter="2026-01-31T00:00:00Z")),
    of_grant("SecretNotReadable", a_bank(credentials=KEY)),
    of_grant("SecretKeyMissing", a_bank(credentials=KEY), prepare=with_secret("core.example:443", password="s")),
    of_grant("HostNotAllowed", a_bank(credentials=KEY), prepare=with_secret("other.example:443", token="t")),
    of_grant("InvalidSchema", a_bank(tools=[{**CREDIT, "inputSchema": {"type": "sum"}}])),
    of_grant("InvalidRule", a_bank(tools=[{**CREDIT, "constraints": [{"expression": "amount >", "message": "m"}]}])),
)
POLICIES = (
    of_policy("Ready", a_policy()),
    of_policy("InvalidRule", a_policy(rules=[a_rule(when="arguments.amount >")])),
)
OLDER = (
    Case("Policy", "InvalidSpec", "rules", (a_policy(rules=[a_rule(effect="Perhaps")]),), is_older=True),
    Case(
        "Policy",
        "NamespaceSelectorNotAllowed",
        "rules",
        (a_policy(namespaceSelector={"team": "disputes"}),),
        is_older=True,
    ),
)
CASES = {f"{case.kind}-{case.reason}": case for case in (*RUNS, *AGENTS, *GRANTS, *POLICIES, *OLDER)}
