"""The agent's response: what is displayed of it, and what is synthesized."""

import pytest

from app.errors import AgentCutError
from app.pipeline import events
from app.pipeline.components import PipelineComponents
from app.pipeline.session import Session
from app.text.sentence_splitter import FIRST_CHARS
from tests.pipeline.fakes import STYLE, FakeAgent, FakeTranscriber, Recorder
from tests.pipeline.sessions import audio_of_sentences
from tests.steps import longest_step
from tests.text.sentence_corpus import LONG
from tests.transports.fakes import PlainSynthesizer


async def respond(
    response: str, *, first_chunk_min_chars: int = FIRST_CHARS
) -> tuple[list[str], list[str]]:
    """Run a turn with this response; return its sentences as displayed and as synthesized."""
    recorder, transport = Recorder(), audio_of_sentences(2)
    components = PipelineComponents(
        FakeTranscriber(),
        FakeAgent([response]),
        PlainSynthesizer(transport),
        max_utterance_s=120,
        first_chunk_min_chars=first_chunk_min_chars,
    )
    async with Session("s", components, STYLE, recorder.emit) as session:
        await session.start_turn("أين شحنتي؟")
        await recorder.until(events.TurnDone)
    return [event.text for event in recorder.of(events.SentenceStarted)], transport.texts


async def test_a_sentence_is_displayed_as_written_and_synthesized_without_markup() -> None:
    displayed, synthesized = await respond(f"**{LONG}.** 😊\n- [تتبع](https://x.sa/t)")
    assert displayed == [f"**{LONG}.**", "😊\n- [تتبع](https://x.sa/t)"]
    assert synthesized == [f"{LONG}.", "تتبع"]


async def test_a_sentence_without_speakable_text_is_not_synthesized() -> None:
    assert await respond(f"{LONG}\nhttps://naqel.com.sa/track") == ([LONG], [LONG])


async def test_speech_begins_with_the_clause_that_the_components_allow() -> None:
    text = "أهلاً بك في خدمة العملاء، كيف يمكنني أن أخدمك اليوم؟"
    assert await respond(text, first_chunk_min_chars=0) == ([text], [text])
    assert (await respond(text))[0] == ["أهلاً بك في خدمة العملاء،", text.partition("، ")[2]]


async def test_a_response_that_is_too_long_is_spoken_so_far_and_reported() -> None:
    recorder, transport = Recorder(), audio_of_sentences(2)
    components = PipelineComponents(
        FakeTranscriber(),
        FakeAgent([LONG, "\n", LONG, "\n", LONG]),
        PlainSynthesizer(transport),
        max_utterance_s=120,
        max_response_chars=2 * len(LONG) + 2,
    )
    async with Session("s", components, STYLE, recorder.emit) as session:
        await session.start_turn("أين شحنتي؟")
        await recorder.until(events.TurnDone)
    assert transport.texts == [LONG, LONG]
    assert [event.text for event in recorder.of(events.AgentResponded)] == [f"{LONG}\n{LONG}\n"]
    (failed,) = recorder.of(events.Failed)
    assert isinstance(failed.error, AgentCutError)
    assert "MAX_RESPONSE_CHARS" in str(failed.error)


@pytest.mark.parametrize(
    "unit", ["!", "ً", "<", "[", "*", "😊", ".", "<!--", "«", "ا", "-\n", "5 م. "]
)
async def test_a_piece_of_any_length_leaves_the_loop_to_others(unit: str) -> None:
    recorder = Recorder()
    components = PipelineComponents(
        FakeTranscriber(),
        FakeAgent([(unit * 20_000)[:20_000]]),
        PlainSynthesizer(audio_of_sentences(1000)),
        max_utterance_s=120,
    )
    async with Session("s", components, STYLE, recorder.emit) as session, longest_step() as steps:
        await session.start_turn("أين شحنتي؟")
        await recorder.until(events.AgentResponded)
    assert steps.count > 10
    assert steps.longest_s < 1
