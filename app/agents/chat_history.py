"""The turns of each session, for agents that keep no history themselves."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

_MAX_CHARS = 8000  # of one remembered message; about ten minutes of speech


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


class ChatHistory:
    """The last turns of one session: at most `turns`, besides the current one."""

    def __init__(self, turns: int) -> None:
        self._chat_turns: deque[ChatTurn] = deque(maxlen=turns + 1)

    def begin(self, user: str, played_text: str | None) -> ChatTurn:
        """Begin a turn with the user's message.

        `played_text` is the part of the previous response that was played if it was interrupted,
        and None if it was not.
        """
        if self._chat_turns:
            self._finish(self._chat_turns[-1], played_text)
        turn = ChatTurn(user)
        self._chat_turns.append(turn)
        return turn

    def messages(self) -> list[dict[str, str]]:
        """Return all turns as messages of OpenAI's chat completions API.

        Roles alternate, as some models insist: user messages without a response between them are
        joined by line breaks.
        """
        messages: list[dict[str, str]] = []
        for turn in self._chat_turns:
            if messages and messages[-1]["role"] == "user":
                messages[-1]["content"] += f"\n{turn.user}"
            else:
                messages.append({"role": "user", "content": turn.user})
            if turn.assistant:
                messages.append({"role": "assistant", "content": turn.assistant})
        return messages

    def _finish(self, last: ChatTurn, played_text: str | None) -> None:
        """Replace the response by what was played, shorten both texts, or drop a failed turn."""
        response = last.assistant if played_text is None else played_text
        last.user = last.user[:_MAX_CHARS]
        last.pieces = [response[:_MAX_CHARS]]
        if last.failed and not response:
            self._chat_turns.pop()


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
