"""The agent's response to one turn, read while it is being written."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from app.agents.base import AgentRequest, NodeText, ResponseObserver
from app.errors import AgentCutError, AgentError, NabraError, UsageLimitError
from app.pipeline import events
from app.pipeline.client_data import ClientData
from app.pipeline.components import PipelineComponents
from app.pipeline.quota import Quota
from app.pipeline.timeline import Timeline
from app.pipeline.token_batcher import TokenBatcher
from app.text.sentence_splitter import SentenceSplitter
from app.text.tts_text import SentenceText, sentence_text

SLICE_CHARS = 1024
"""Text that is split in one step of the loop: a piece may be as long as a line, and 2,000
characters of markup alone take up to 20 ms."""

MAX_QUEUED_SENTENCES = 64
"""Sentences that wait for playout: some minutes of speech. Beyond it the agent is not read."""


class AgentResponse(ResponseObserver):
    """Reads the agent's response: emits its tokens and data, and queues its sentences for playout.

    `on_taken` is told whether the agent takes the request.
    """

    def __init__(
        self,
        turn: int,
        components: PipelineComponents,
        timeline: Timeline,
        emit: events.Emit,
        quota: Quota,
        *,
        on_taken: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self.text = ""
        """The whole response, once it has been read."""
        self.error: NabraError | None = None
        """Why the response is incomplete; reported after the playout of what did arrive."""
        self.unspoken: tuple[NodeText, ...] = ()
        """The nodes of a workflow whose text is not spoken."""
        self._turn = turn
        self._on_taken = on_taken
        self._data = ClientData(turn, emit)
        self._agent = components.agent
        self._max_chars = self._chars_left = components.max_response_chars
        self._splitter = SentenceSplitter(
            first_chars=components.first_chunk_min_chars, max_chars=components.max_sentence_chars
        )
        self._timeline = timeline
        self._emit = emit
        self._quota = quota
        self._sentences: asyncio.Queue[SentenceText | None] = asyncio.Queue(MAX_QUEUED_SENTENCES)

    async def read(self, request: AgentRequest) -> None:
        """Request the response and read it to its end. An `AgentError` is kept in `error`."""
        pieces: list[str] = []
        tokens = TokenBatcher(lambda text: self._emit(events.Token(self._turn, text)))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(tokens.run(), name="tokens")
            tasks.create_task(self._data.run(), name="data")
            try:
                async with self._agent.answer(request) as stream:
                    async for piece in stream:
                        if not pieces:
                            self._timeline.metrics.agent_first_token_ms = self._now_ms()
                        part = piece[: self._chars_left]
                        self._chars_left -= len(part)
                        pieces.append(part)
                        tokens.put(part)
                        await self._split(part)
                        if len(part) < len(piece):
                            raise AgentCutError(
                                f"more than {self._max_chars} characters (MAX_RESPONSE_CHARS)"
                            )
            except AgentError as error:
                self.error = error
            self._timeline.metrics.agent_done_ms = self._now_ms()
            await self._queue_sentences(self._splitter.flush())
            tokens.end()
            self._data.end()
            self.error = self.error or self._data.error
        if pieces:
            self.text = "".join(pieces)
            await self._emit(events.AgentResponded(self._turn, self.text))
        await self.end()

    def on_accepted(self) -> None:
        """Take note that the agent has taken the request."""
        self._on_taken(True)

    def on_refused(self) -> None:
        """Take note that nobody has taken the request."""
        self._on_taken(False)

    def on_data(self, data: object, source: str) -> None:
        """Take data for the client."""
        self._data.put(data, source)

    def on_nodes(self, nodes: Sequence[NodeText]) -> None:
        """Take what each node of a workflow sent."""
        self.unspoken = tuple(node for node in nodes if not node.is_spoken)

    async def end(self) -> None:
        """End `sentences` after those that are queued."""
        await self._sentences.put(None)

    async def sentences(self) -> AsyncIterator[SentenceText]:
        """Iterate over the sentences as they are completed."""
        while (sentence := await self._sentences.get()) is not None:
            yield sentence

    async def _split(self, piece: str) -> None:
        """Queue the sentences that a piece completes; yield between parts of a long one."""
        for start in range(0, len(piece), SLICE_CHARS):
            if start:
                await asyncio.sleep(0)
            if sentences := self._splitter.feed(piece[start : start + SLICE_CHARS]):
                await self._queue_sentences(sentences)

    async def _queue_sentences(self, sentences: list[str]) -> None:
        for displayed in sentences:
            sentence = sentence_text(displayed)
            if not sentence.speakable_chars:
                continue
            if self._timeline.metrics.first_sentence_ms is None:
                self._timeline.metrics.first_sentence_ms = self._now_ms()
            if await self._may_speak(displayed):
                await self._sentences.put(sentence)

    async def _may_speak(self, sentence: str) -> bool:
        """Count a sentence; when the quota is used up, the rest of the response is only shown."""
        try:
            if not isinstance(self.error, UsageLimitError):
                await self._quota.take_chars(len(sentence))
        except UsageLimitError as error:
            self.error = error
        return not isinstance(self.error, UsageLimitError)

    def _now_ms(self) -> float:
        return self._timeline.since_start_ms(asyncio.get_running_loop().time())
