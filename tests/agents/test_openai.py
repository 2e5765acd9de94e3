"""The agent that is a model, over real sockets."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from app.agents.base import AgentRequest
from app.agents.chat_history import ChatHistoryStore
from app.agents.openai import OpenAIAgent
from app.agents.registry import make_agent as choose_agent
from app.agents.webhook import WebhookAgent
from app.errors import (
    AgentCutError,
    AgentError,
    AgentFailedError,
    AgentRefusedError,
    AgentTimeoutError,
    ConfigurationError,
)
from app.options import agent_options
from app.settings import Settings
from tests.agents.conftest import END, Exchange, MakeClient, MakeSource, Webhook, chunk, serve
from tests.agents.lines import data, delta

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
STOP = data(delta(finish="stop"), "[DONE]")
SYSTEM = {"role": "system", "content": "تكلم"}

MakeModel = Callable[..., OpenAIAgent]


@pytest.fixture
def make_model(make_source: MakeSource) -> MakeModel:
    def make(url: str, **kwargs: object) -> OpenAIAgent:
        source = make_source(url, **kwargs)
        histories = ChatHistoryStore(turns=20, sessions=10)
        return OpenAIAgent(source, histories, model="m", system_prompt="تكلم")

    return make


async def say(exchange: Exchange, *pieces: str) -> None:
    await exchange.send(HEAD, chunk(data(*(delta(piece) for piece in pieces)) + STOP), END)


async def ask(agent: OpenAIAgent, text: str, session: str = "s", **told: Any) -> str:
    async with agent.answer(AgentRequest(text, session, **told)) as pieces:
        return "".join([piece async for piece in pieces])


def asked(webhook: Webhook, nth: int = -1) -> list[tuple[str, str]]:
    """The messages of a request, after the system's."""
    messages = json.loads(webhook.exchanges[nth].body)["messages"]
    assert messages[0] == SYSTEM
    return [(message["role"], message["content"]) for message in messages[1:]]


async def test_an_answer_comes_while_it_is_written(make_model: MakeModel) -> None:
    heard = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(data(delta(role="assistant"), delta("نعم"))))
        await heard.wait()
        await exchange.send(chunk(data(delta(" لا")) + STOP), END)

    async with serve(script) as webhook:
        async with make_model(webhook.url).answer(AgentRequest("أين؟", "s")) as pieces:
            assert await anext(pieces) == "نعم"
            heard.set()
            assert [piece async for piece in pieces] == [" لا"]


async def test_the_request_is_what_the_api_takes(make_model: MakeModel) -> None:
    async with serve(lambda exchange: say(exchange, "نعم")) as webhook:
        model = make_model(webhook.url, headers={"Authorization": "Bearer t"})
        assert await ask(model, "أين شحنتي؟") == "نعم"
    (exchange,) = webhook.exchanges
    assert json.loads(exchange.body) == {
        "model": "m",
        "stream": True,
        "messages": [SYSTEM, {"role": "user", "content": "أين شحنتي؟"}],
    }
    assert b"authorization: bearer t\r\n" in exchange.head.lower()


async def test_a_session_is_remembered_and_others_are_apart(make_model: MakeModel) -> None:
    async with serve(lambda exchange: say(exchange, "نعم", ".")) as webhook:
        model = make_model(webhook.url)
        await ask(model, "a")
        await ask(model, "b")
        assert asked(webhook) == [("user", "a"), ("assistant", "نعم."), ("user", "b")]
        await ask(model, "c", session="other")
        assert asked(webhook) == [("user", "c")]
    assert [exchange.nth_on_connection for exchange in webhook.exchanges] == [1, 2, 3]


async def test_after_an_interruption_only_what_was_heard_was_said(make_model: MakeModel) -> None:
    async def script(exchange: Exchange) -> None:
        if len(webhook.exchanges) == 1:
            await exchange.send(HEAD, chunk(data(delta("نعم"), delta(" يا"))))
            await exchange.gone()
        else:
            await say(exchange, "لا بأس")

    async with serve(script) as webhook:
        model = make_model(webhook.url)
        async with model.answer(AgentRequest("a", "s")) as pieces:
            assert [await anext(pieces), await anext(pieces)] == ["نعم", " يا"]
        await ask(model, "b", interrupted=True, played_text="نعم")
        assert asked(webhook) == [("user", "a"), ("assistant", "نعم"), ("user", "b")]
        await ask(
            model, "c", interrupted=True, played_text=""
        )  # it was written, but nobody heard it
        assert asked(webhook) == [("user", "a"), ("assistant", "نعم"), ("user", "b\nc")]


async def test_a_request_that_was_cancelled_before_a_word_is_remembered(
    make_model: MakeModel,
) -> None:
    arrived = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if len(webhook.exchanges) == 1:
            arrived.set()
            await exchange.gone()
        else:
            await say(exchange, "نعم")

    async with serve(script) as webhook:
        model = make_model(webhook.url)
        asking = asyncio.create_task(ask(model, "a"))
        await arrived.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await ask(model, "b", interrupted=True)
    assert asked(webhook) == [("user", "a\nb")]


@pytest.mark.parametrize(
    ("reply", "fault", "reason", "kept"),
    [
        ([HEAD, chunk(data(delta("نعم"))), END], AgentCutError, "ended before", True),
        ([HEAD, chunk(data(delta("نعم")))], AgentCutError, "broke off", True),
        (
            [HEAD, chunk(data(delta("نعم"), '{"error":{"message":"boom"}}')), END],
            AgentFailedError,
            "boom",
            True,
        ),
        ([HEAD, chunk(b'{"error":{"message":"boom"}}'), END], AgentFailedError, "boom", False),
        (
            [HEAD.replace(b"200 OK", b"401 No"), chunk(b'{"error":{"message":"key"}}'), END],
            AgentRefusedError,
            "HTTP 401: key",
            False,
        ),
    ],
)
async def test_an_answer_that_fails(
    make_model: MakeModel, reply: list[bytes], fault: type[AgentError], reason: str, kept: bool
) -> None:
    async def script(exchange: Exchange) -> None:
        if len(webhook.exchanges) == 1:
            await exchange.send(*reply)
            exchange.writer.close()
        else:
            await say(exchange, "لا")

    async with serve(script) as webhook:
        model = make_model(webhook.url)
        with pytest.raises(fault, match=reason):
            await ask(model, "a")
        await ask(model, "b")
    earlier = [("user", "a"), ("assistant", "نعم")] if kept else []
    assert asked(webhook) == [*earlier, ("user", "b")]


async def test_silence_is_bounded_and_comments_buy_no_time(make_model: MakeModel) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(data(delta("نعم"))))
        while not exchange.writer.is_closing():
            await exchange.send(chunk(b": ping\n\n"))
            await asyncio.sleep(0.005)

    async with serve(script) as webhook:
        with pytest.raises(AgentTimeoutError, match="silent"):
            await ask(make_model(webhook.url, between_tokens_timeout_s=0.05), "a")


async def test_a_body_that_never_ends_after_the_last_word_is_closed(make_model: MakeModel) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(data(delta("نعم", "stop"))))
        await exchange.gone()

    async with serve(script) as webhook:
        assert await ask(make_model(webhook.url, error_linger_s=0.02), "a") == "نعم"


def settings_of(**values: object) -> Settings:
    return Settings(_env_file=None, agent_webhook_url="http://agent.test/v1", **values)  # type: ignore[arg-type,call-arg]


async def test_the_settings_choose(connect: MakeClient) -> None:
    webhook = choose_agent(
        agent_options(settings_of()), connect("http://agent.test/v1"), "http://agent.test/v1"
    )
    assert isinstance(webhook, WebhookAgent)
    chosen = settings_of(agent_kind="openai", agent_model="m", agent_token="Bearer t")
    async with serve(lambda exchange: say(exchange, "نعم")) as served:
        model = choose_agent(agent_options(chosen), connect(served.url), served.url)
        assert isinstance(model, OpenAIAgent)
        assert await ask(model, "a") == "نعم"
    question = json.loads(served.exchanges[0].body)
    assert question["model"] == "m"
    assert question["messages"][0]["content"] == chosen.agent_system_prompt
    assert b"authorization: bearer t\r\n" in served.exchanges[0].head.lower()


async def test_a_model_without_a_name_cannot_be_asked(connect: MakeClient) -> None:
    nameless = settings_of().model_copy(update={"agent_kind": "openai"})
    with pytest.raises(ConfigurationError, match="AGENT_MODEL"):
        choose_agent(
            agent_options(nameless), connect("http://agent.test/v1"), "http://agent.test/v1"
        )
