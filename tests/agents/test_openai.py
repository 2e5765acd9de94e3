"""`OpenAIAgent`, and the choice of an agent, over real sockets."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from app.agents.base import AgentRequest
from app.agents.built_in import make_agent as choose_agent
from app.agents.chat_history import ChatHistoryStore
from app.agents.openai import OpenAIAgent
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
from tests.agents.asking import ask
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


async def respond(exchange: Exchange, *pieces: str) -> None:
    await exchange.send(HEAD, chunk(data(*(delta(piece) for piece in pieces)) + STOP), END)


def request(text: str, *, session_id: str = "s", played_text: str | None = None) -> AgentRequest:
    """A request; `played_text` means that the response before it was interrupted."""
    return AgentRequest(text, session_id, played_text is not None, played_text or "")


def messages_sent(webhook: Webhook) -> list[tuple[str, str]]:
    """The messages of the last request, after the system's."""
    messages = json.loads(webhook.exchanges[-1].body)["messages"]
    assert messages[0] == SYSTEM
    return [(message["role"], message["content"]) for message in messages[1:]]


async def test_a_response_is_passed_on_while_it_is_written(make_model: MakeModel) -> None:
    received = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(data(delta(role="assistant"), delta("نعم"))))
        await received.wait()
        await exchange.send(chunk(data(delta(" لا")) + STOP), END)

    async with serve(script) as webhook:
        async with make_model(webhook.url).answer(request("أين؟")) as pieces:
            assert await anext(pieces) == "نعم"
            received.set()
            assert [piece async for piece in pieces] == [" لا"]


async def test_the_request_is_what_the_api_takes(make_model: MakeModel) -> None:
    async with serve(lambda exchange: respond(exchange, "نعم")) as webhook:
        model = make_model(webhook.url, headers={"Authorization": "Bearer t"})
        asked = replace(request("أين شحنتي؟"), headers={"X-Request-Id": "r-1"})
        assert await ask(model, asked) == "نعم"
    (exchange,) = webhook.exchanges
    assert json.loads(exchange.body) == {
        "model": "m",
        "stream": True,
        "messages": [SYSTEM, {"role": "user", "content": "أين شحنتي؟"}],
    }
    assert b"authorization: bearer t\r\n" in exchange.head.lower()
    assert exchange.fields("x-request-id") == ["r-1"]


async def test_each_session_has_a_history_of_its_own(make_model: MakeModel) -> None:
    async with serve(lambda exchange: respond(exchange, "نعم", ".")) as webhook:
        model = make_model(webhook.url)
        await ask(model, request("a"))
        await ask(model, request("b"))
        assert messages_sent(webhook) == [("user", "a"), ("assistant", "نعم."), ("user", "b")]
        await ask(model, request("c", session_id="other"))
        assert messages_sent(webhook) == [("user", "c")]
    assert [exchange.nth_on_connection for exchange in webhook.exchanges] == [1, 2, 3]


async def test_after_an_interruption_the_history_ends_with_what_was_played(
    make_model: MakeModel,
) -> None:
    async def script(exchange: Exchange) -> None:
        if len(webhook.exchanges) == 1:
            await exchange.send(HEAD, chunk(data(delta("نعم"), delta(" يا"))))
            await exchange.gone()
        else:
            await respond(exchange, "لا بأس")

    async with serve(script) as webhook:
        model = make_model(webhook.url)
        async with model.answer(request("a")) as pieces:
            assert [await anext(pieces), await anext(pieces)] == ["نعم", " يا"]
        await ask(model, request("b", played_text="نعم"))
        assert messages_sent(webhook) == [("user", "a"), ("assistant", "نعم"), ("user", "b")]
        await ask(model, request("c", played_text=""))  # it was received, but not played
        assert messages_sent(webhook) == [("user", "a"), ("assistant", "نعم"), ("user", "b\nc")]


async def test_a_request_that_was_cancelled_before_any_text_is_remembered(
    make_model: MakeModel,
) -> None:
    arrived = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if len(webhook.exchanges) == 1:
            arrived.set()
            await exchange.gone()
        else:
            await respond(exchange, "نعم")

    async with serve(script) as webhook:
        model = make_model(webhook.url)
        asking = asyncio.create_task(ask(model, request("a")))
        await arrived.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await ask(model, request("b", played_text=""))
    assert messages_sent(webhook) == [("user", "a\nb")]


@pytest.mark.parametrize(
    ("sent", "failure", "reason", "is_remembered"),
    [
        ([HEAD, chunk(data(delta("نعم"))), END], AgentCutError, "ended without", True),
        ([HEAD, chunk(data(delta("نعم")))], AgentCutError, "connection lost", True),
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
async def test_a_response_that_fails(
    make_model: MakeModel,
    sent: list[bytes],
    failure: type[AgentError],
    reason: str,
    is_remembered: bool,
) -> None:
    async def script(exchange: Exchange) -> None:
        if len(webhook.exchanges) == 1:
            await exchange.send(*sent)
            exchange.writer.close()
        else:
            await respond(exchange, "لا")

    async with serve(script) as webhook:
        model = make_model(webhook.url)
        with pytest.raises(failure, match=reason):
            await ask(model, request("a"))
        await ask(model, request("b"))
    earlier = [("user", "a"), ("assistant", "نعم")] if is_remembered else []
    assert messages_sent(webhook) == [*earlier, ("user", "b")]


async def test_silence_is_limited_and_comments_do_not_extend_it(make_model: MakeModel) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(data(delta("نعم"))))
        while not exchange.writer.is_closing():
            await exchange.send(chunk(b": ping\n\n"))
            await asyncio.sleep(0.005)

    async with serve(script) as webhook:
        with pytest.raises(AgentTimeoutError, match="no further text"):
            await ask(make_model(webhook.url, between_tokens_timeout_s=0.05), request("a"))


async def test_a_body_that_never_ends_after_the_finish_reason_is_closed(
    make_model: MakeModel,
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(data(delta("نعم", "stop"))))
        await exchange.gone()

    async with serve(script) as webhook:
        assert await ask(make_model(webhook.url, error_linger_s=0.02), request("a")) == "نعم"


def settings_of(**values: object) -> Settings:
    return Settings(_env_file=None, agent_webhook_url="http://agent.test/v1", **values)  # type: ignore[arg-type,call-arg]


async def test_the_settings_choose_the_agent(connect: MakeClient) -> None:
    webhook = choose_agent(
        agent_options(settings_of()), connect("http://agent.test/v1"), "http://agent.test/v1"
    )
    assert isinstance(webhook, WebhookAgent)
    chosen = settings_of(agent_kind="openai", agent_model="m", agent_token="Bearer t")
    async with serve(lambda exchange: respond(exchange, "نعم")) as served:
        model = choose_agent(agent_options(chosen), connect(served.url), served.url)
        assert isinstance(model, OpenAIAgent)
        assert await ask(model, request("a")) == "نعم"
    payload = json.loads(served.exchanges[0].body)
    assert payload["model"] == "m"
    assert payload["messages"][0]["content"] == chosen.agent_system_prompt
    assert b"authorization: bearer t\r\n" in served.exchanges[0].head.lower()


async def test_a_model_must_have_a_name(connect: MakeClient) -> None:
    nameless = settings_of().model_copy(update={"agent_kind": "openai"})
    with pytest.raises(ConfigurationError, match="AGENT_MODEL"):
        choose_agent(
            agent_options(nameless), connect("http://agent.test/v1"), "http://agent.test/v1"
        )
