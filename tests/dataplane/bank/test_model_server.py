"""The scripted model's HTTP: its key, its bounds, its counting, and that it always says the same."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from tests.dataplane.bank.servers import EXAMPLE, MODEL_KEY, Server, start

TASK = {"role": "user", "content": 'Input: {"account": "ACC-4711"}'}
HAND_OVER = {"role": "user", "content": "Your budget has ended. Please hand over: give a summary."}
PREFIXED = [{"type": "function", "function": {"name": "bank__get_account", "parameters": {"type": "object"}}}]
MODELS = ["crash", "dispute", "malformed", "overlimit", "slow", "spender"]


def ask(server: Server, model: str = "scripted-dispute", **more: Any) -> httpx2.Response:
    body = {"model": model, "messages": [TASK], **more}
    headers = {"Authorization": f"Bearer {MODEL_KEY}"}
    return httpx2.post(f"{server.origin}/v1/chat/completions", json=body, headers=headers, timeout=10)


def test_lists_its_models_to_both_sdks(model: Server) -> None:
    with openai.OpenAI(api_key=MODEL_KEY, base_url=f"{model.origin}/v1") as client:
        names = [entry.id for entry in client.models.list()]
    with anthropic.Anthropic(api_key=MODEL_KEY, base_url=model.origin) as other:
        assert [entry.id for entry in other.models.list()] == names
    assert names == [f"scripted-{name}" for name in MODELS]


def test_health_needs_no_key(model: Server) -> None:
    assert httpx2.get(f"{model.origin}/healthz").status_code == 200


def test_openai_without_the_key_is_refused(model: Server) -> None:
    client = openai.OpenAI(api_key="wrong", base_url=f"{model.origin}/v1", max_retries=0)
    with client, pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model="scripted-dispute", messages=[{"role": "user", "content": "{}"}])


def test_anthropic_without_the_key_is_refused(model: Server) -> None:
    client = anthropic.Anthropic(api_key="wrong", base_url=model.origin, max_retries=0)
    with client, pytest.raises(anthropic.AuthenticationError):
        client.messages.create(model="scripted-dispute", max_tokens=9, messages=[{"role": "user", "content": "x"}])


def test_the_same_request_gets_the_same_bytes(model: Server) -> None:
    assert ask(model).content == ask(model).content


def test_a_call_keeps_its_id_when_asked_again_with_less_room(model: Server) -> None:
    answers = [ask(model, max_tokens=bound).json()["choices"][0]["message"] for bound in (500, 400)]
    assert answers[0]["tool_calls"][0]["id"] == answers[1]["tool_calls"][0]["id"]


def test_tokens_are_bytes_over_four(model: Server) -> None:
    answer = ask(model)
    usage = answer.json()["usage"]
    assert usage["prompt_tokens"] == -(-len(answer.request.content) // 4)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_tool_is_called_by_the_name_under_which_it_is_offered(model: Server) -> None:
    message = ask(model, tools=PREFIXED).json()["choices"][0]["message"]
    assert message["tool_calls"][0]["function"] == {
        "name": "bank__get_account",
        "arguments": '{"account": "ACC-4711"}',
    }


def test_the_bound_cuts_the_talk_before_the_calls(model: Server) -> None:
    choice = ask(model, "scripted-spender", max_tokens=20).json()
    assert choice["usage"]["completion_tokens"] == 20
    assert choice["choices"][0]["finish_reason"] == "tool_calls"


def test_a_bound_too_small_for_the_call_ends_by_length(model: Server) -> None:
    choice = ask(model, max_completion_tokens=2).json()["choices"][0]
    assert (choice["finish_reason"], "tool_calls" in choice["message"]) == ("length", False)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "slow"])
def test_asked_to_hand_over_it_gives_a_summary(model: Server, name: str) -> None:
    talk = [TASK, {"role": "assistant", "content": "well"}, HAND_OVER]
    choice = ask(model, f"scripted-{name}", messages=talk, max_tokens=60).json()["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["content"].startswith("Handed over. ")


def test_the_slow_model_takes_a_second(model: Server) -> None:
    assert ask(model, "scripted-slow").elapsed.total_seconds() >= 1


def test_a_conversation_off_the_script_ends_with_an_error(model: Server) -> None:
    talk = [TASK, {"role": "assistant", "content": "well"}, {"role": "user", "content": "go on"}]
    content = ask(model, messages=talk).json()["choices"][0]["message"]["content"]
    assert json.loads(content)["error"]["reason"] == "NoScriptedTurn"


def test_an_unknown_model_is_not_found(model: Server) -> None:
    assert ask(model, "gpt-unheard-of").status_code == 404


WRONG: dict[str, bytes] = {
    "no JSON": b"{",
    "a list": b"[]",
    "no messages": b'{"model": "scripted-dispute"}',
    "an unknown role": b'{"model": "scripted-dispute", "messages": [{"role": "crow", "content": ""}]}',
    "two choices": b'{"model": "scripted-dispute", "n": 2, "messages": []}',
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("path", ["chat/completions", "messages"])
def test_a_malformed_request_is_refused(model: Server, case: str, path: str) -> None:
    headers = {"X-Api-Key": MODEL_KEY}
    answer = httpx2.post(f"{model.origin}/v1/{path}", content=WRONG[case], headers=headers)
    assert answer.status_code == 400


def test_a_dialogue_with_an_unknown_word_does_not_start(tmp_path: Path) -> None:
    wrong = "model: m\nabout: x\nturns: [{when: {weather: fine}, say: hello}]\n"
    (tmp_path / "wrong.yaml").write_text(wrong, "utf-8")
    with pytest.raises(AssertionError, match=r"wrong\.yaml: .*weather"):
        start("model", "--port", "0", "--dialogues", str(tmp_path))


def test_a_model_without_a_key_does_not_start() -> None:
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLE), "MODEL_KEY": ""}
    ended = subprocess.run(
        [sys.executable, "-m", "model"], check=False, capture_output=True, text=True, env=environment
    )
    assert (ended.returncode, "no API key" in ended.stderr) == (2, True)
