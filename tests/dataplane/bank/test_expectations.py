"""The example's files against each other: expect.yaml, runs, agents, grants, bank and dialogues agree."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from mcp import Client
from tests.dataplane.bank.agents import Tools, openai_agent
from tests.dataplane.bank.servers import EXAMPLE, Bank, Server, start_bank


def documents(name: str) -> list[dict[str, Any]]:
    """Return the Kubernetes objects of one of the example's files."""
    return list(yaml.safe_load_all((EXAMPLE / name).read_text("utf-8")))


EXPECTED = yaml.safe_load((EXAMPLE / "expect.yaml").read_text("utf-8"))
RUNS: dict[str, Any] = EXPECTED["runs"]
MODEL_OF = {agent["metadata"]["name"]: agent["spec"]["model"]["name"] for agent in documents("agents.yaml")}
TOLD_TO_THE_END = [name for name, run in RUNS.items() if run["status"]["reason"] == "Succeeded"]


@pytest.fixture(scope="module")
def fresh_bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    database = tmp_path_factory.mktemp("fresh") / "bank.db"
    server = start_bank(database)
    yield Bank(server, database)
    server.kill()


def governed(client: Client) -> Tools:
    """The bank's tools behind the limit of expect.yaml."""
    limit = EXPECTED["policy"]["credit_limit_cents"]

    async def use(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if name == "issue_provisional_credit" and arguments["amount_cents"] > limit:
            return {"error": {"reason": "PolicyDenied", "message": f"At most {limit} cents."}}
        answer: dict[str, Any] = (await client.call_tool(name, arguments)).structured_content
        return answer

    return use


def missing(expected: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[object]:
    """Return what differs: rows by their place, fields by what is named."""
    if len(expected) != len(found):
        return [f"{len(expected)} rows expected", found]
    pairs = zip(expected, found, strict=True)
    return [(want, row) for want, row in pairs if not want.items() <= row.items()]


def decided(name: str, result: dict[str, Any]) -> dict[str, str]:
    """Return a call as expect.yaml writes it."""
    if "error" in result:
        return {"tool": name, "decision": "Deny", "reason": result["error"]["reason"]}
    return {"tool": name, "decision": "Allow"}


@pytest.mark.parametrize("name", TOLD_TO_THE_END)
async def test_a_run_does_what_is_expected(fresh_bank: Bank, model: Server, name: str) -> None:
    run = RUNS[name]
    (order,) = documents(f"runs/{name}.yaml")
    task, agent = order["spec"]["input"], order["spec"]["agent"]
    async with fresh_bank.client() as client:
        story = await openai_agent(model, MODEL_OF[agent], task, governed(client))
    found = fresh_bank.contents(run["account"])
    assert {table: missing(rows, found[table]) for table, rows in run["bank"].items()} == {
        table: [] for table in run["bank"]
    }
    assert run["status"]["result"].items() <= story.result.items()
    calls = [decided(*call) for call in zip(story.calls, story.results, strict=True)]
    assert (calls, len(calls) + 1) == (run["evidence"]["tool_calls"], run["evidence"]["model_calls"])


def test_the_run_that_is_stopped_leaves_the_bank_alone(fresh_bank: Bank) -> None:
    run = RUNS["dispute-budget"]
    found = fresh_bank.contents(run["account"])
    assert all(missing(rows, found[table]) == [] for table, rows in run["bank"].items())


async def test_the_grant_asks_of_arguments_what_the_bank_asks(fresh_bank: Bank) -> None:
    (grant,) = (entry for entry in documents("grants.yaml") if "mcp" in entry["spec"]["upstream"])
    async with fresh_bank.client() as client:
        offered = {tool.name: tool.input_schema for tool in (await client.list_tools()).tools}
    granted = {tool["name"]: tool["inputSchema"] for tool in grant["spec"]["tools"]}
    assert granted == {name: offered[name] for name in granted}
