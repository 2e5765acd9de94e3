"""The turns of each session, for agents that keep no history themselves."""

from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field

from app.agents.base import AgentRequest
from app.errors import AgentError

_MAX_CHARS = 8000  # of one remembered message; about ten minutes of speech
_MAX_TOTAL_CHARS = 64_000  # of all earlier messages; models read about a token for each two

Message = dict[str, str]
"""A message of OpenAI's chat completions API: `role` and `content`."""


@dataclass(slots=True, eq=False)
class ChatTurn:
    """One message of the user, and the response as far as it has come."""

    user: str
    pieces: list[str] = field(default_factory=list)
    failed: bool = False
    """Whether the agent failed. Such a turn is forgotten if the agent sent no text."""

    @property
    def assistant(self) -> str:
        """The response as it was sent, or after an interruption as it was played."""
        return "".join(self.pieces)

    async def record(self, pieces: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
        """Record each piece before it is passed on, as the turn may be cancelled at any of them."""
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    self.pieces.append(piece)
                    yield piece
        except AgentError:
            self.failed = True
            raise

    def shorten(self) -> None:
        """Keep only so much of both texts as is remembered."""
        self.user = self.user[:_MAX_CHARS]
        self.pieces = [self.assistant[:_MAX_CHARS]]


class ChatHistory:
    """The last turns of one session: at most `turns`, besides the current one."""

    def __init__(self, turns: int) -> None:
        self._chat_turns: deque[ChatTurn] = deque(maxlen=turns + 1)

    def begin(self, request: AgentRequest) -> ChatTurn:
        """Begin a turn with the user's message.

        A response that was interrupted is cut to what of it was played.
        """
        if request.interrupted and (turn := self._interrupted_turn(request.interrupted_text)):
            turn.pieces = [request.played_text]
        if self._chat_turns:
            last = self._chat_turns[-1]
            last.shorten()
            if last.failed and not last.assistant:
                self._chat_turns.pop()
        self._forget_oldest()
        turn = ChatTurn(request.text)
        self._chat_turns.append(turn)
        return turn

    def messages(self) -> list[Message]:
        """Return all turns as messages; roles alternate, as some models insist."""
        return _messages(self._chat_turns)

    def earlier_messages(self) -> list[Message]:
        """Return the turns before the current one as messages."""
        return _messages(list(self._chat_turns)[:-1])

    def _interrupted_turn(self, user: str) -> ChatTurn | None:
        """Return the turn that began with the text `user`; without one, the last.

        It need not be the last: a request between may never have reached the agent.
        """
        turns = reversed(self._chat_turns)
        return next((turn for turn in turns if turn.user.startswith(user)), None)

    def _forget_oldest(self) -> None:
        sizes = [len(turn.user) + len(turn.assistant) for turn in self._chat_turns]
        while sum(sizes) > _MAX_TOTAL_CHARS:
            self._chat_turns.popleft()
            del sizes[0]


class ChatHistoryStore:
    """The histories of at most `sessions` sessions; the least recently used is dropped."""

    def __init__(self, *, turns: int, sessions: int) -> None:
        self._turns = turns
        self._sessions = sessions
        self._histories: OrderedDict[str, ChatHistory] = OrderedDict()

    def get(self, session_id: str) -> ChatHistory:
        """Return the history of a session; begin one if there is none."""
        history = self._histories.setdefault(session_id, ChatHistory(self._turns))
        self._histories.move_to_end(session_id)
        if len(self._histories) > self._sessions:
            self._histories.popitem(last=False)
        return history


def _messages(turns: Iterable[ChatTurn]) -> list[Message]:
    """Return turns as messages.

    User messages without a response between them are joined by line breaks.
    """
    messages: list[Message] = []
    for turn in turns:
        if messages and messages[-1]["role"] == "user":
            messages[-1]["content"] += f"\n{turn.user}"
        else:
            messages.append({"role": "user", "content": turn.user})
        if turn.assistant:
            messages.append({"role": "assistant", "content": turn.assistant})
    return messages
