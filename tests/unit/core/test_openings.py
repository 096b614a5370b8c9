"""Which NetworkPolicies of others would open a sandbox."""

from typing import Any

import pytest

from remit.core.openings import opening

LABELS = {"remit.dev/sandbox": "harness", "remit.dev/agent": "teller"}
DNS: list[dict[str, Any]] = [{"ports": [{"protocol": "UDP", "port": 53}]}]


def policy(selector: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "dns"}, "spec": {"podSelector": selector, **spec}}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    "selector",
    [
        {},
        {"matchLabels": {"remit.dev/agent": "teller"}},
        expression("remit.dev/sandbox", "Exists"),
        expression("remit.dev/agent", "In", "other", "teller"),
        expression("remit.dev/agent", "NotIn", "other"),
        expression("app", "DoesNotExist"),
        expression("app", "NotIn", "web"),
        expression("app", "Unheard"),
    ],
    ids=str,
)
def test_a_policy_that_selects_a_sandbox_opens_it(selector: dict[str, Any]) -> None:
    assert opening([policy(selector, egress=DNS)], LABELS, ()) == "dns"
    assert opening([policy(selector, ingress=[{}])], LABELS, ()) == "dns"


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {"app": "web"}},
        {"matchLabels": {"remit.dev/agent": "other"}},
        expression("remit.dev/sandbox", "DoesNotExist"),
        expression("remit.dev/agent", "NotIn", "teller"),
        expression("remit.dev/agent", "In", "other"),
        expression("app", "Exists"),
    ],
    ids=str,
)
def test_a_policy_of_other_pods_does_not(selector: dict[str, Any]) -> None:
    assert opening([policy(selector, egress=DNS)], LABELS, ()) == ""


def test_a_policy_without_rules_closes_and_ours_is_ours() -> None:
    assert opening([policy({}, policyTypes=["Egress"]), policy({}, egress=[], ingress=[])], LABELS, ()) == ""
    assert opening([policy({}, egress=DNS)], LABELS, {"dns"}) == ""
