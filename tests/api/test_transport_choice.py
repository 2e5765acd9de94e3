"""A client that chooses the transport of its sentences."""

from websockets.asyncio.client import connect

from app.simulator import Simulator
from tests.gateway import Caller, calling, running_gateway, settings_for


async def transports_of_a_turn(caller: Caller) -> set[str]:
    await caller.send({"type": "text", "text": "أين شحنتي؟"})
    done = (await caller.until("done"))[-1]
    return {row["transport"] for row in done["metrics"]["sentences"]}


async def test_each_session_uses_the_transport_that_it_chose_from_the_next_turn_on(
    simulator: Simulator,
) -> None:
    settings = settings_for(simulator, allow_client_transport=True, tts_fallback="none")
    async with running_gateway(settings) as url, calling(url) as one, calling(url) as other:
        assert await transports_of_a_turn(one) == {"websocket"}
        configured = await one.configure(transport="rest")
        assert configured["transport"] == "rest"
        assert configured["transports"] == ["websocket", "rest", "auto"]
        assert await transports_of_a_turn(one) == {"rest"}
        assert await transports_of_a_turn(other) == {"websocket"}
        assert (await one.configure(transport="websocket"))["transport"] == "websocket"
        assert await transports_of_a_turn(one) == {"websocket"}
        assert (await other.configure(transport="auto"))["transport"] == "auto"
        assert await transports_of_a_turn(other)


async def test_a_client_may_not_choose_unless_the_operator_allows_it(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url:
        async with connect(url, compression=None) as socket:
            session = (await Caller(socket).until("session"))[0]
            assert (session["transport"], session["transports"]) == ("websocket", [])
        async with calling(url) as caller:
            refused = await caller.configure(transport="rest")
            assert (refused["type"], refused["code"]) == ("error", "unsupported-configuration")
            assert "transport" in refused["message"]
            assert await transports_of_a_turn(caller) == {"websocket"}


async def test_an_unknown_transport_is_refused_and_the_known_ones_are_named(
    simulator: Simulator,
) -> None:
    settings = settings_for(simulator, allow_client_transport=True)
    async with running_gateway(settings) as url, calling(url) as caller:
        refused = await caller.configure(transport="pigeon")
        assert refused["code"] == "unsupported-configuration"
        assert "websocket, rest, auto" in refused["message"]


async def test_attempts_have_their_start_in_the_metrics(simulator: Simulator) -> None:
    simulator.configure({"faults": {"truncated": {"times": 1}}})
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send({"type": "text", "text": "أين شحنتي؟"})
        metrics = (await caller.until("done"))[-1]["metrics"]
    first, second = metrics["sentences"][0]["attempt_log"][:2]
    assert metrics["first_sentence_ms"] <= first["started_ms"] <= second["started_ms"]
    assert first["started_ms"] + first["total_ms"] <= second["started_ms"] + 2
    assert second["started_ms"] <= metrics["first_audio_ms"] <= metrics["total_ms"]
