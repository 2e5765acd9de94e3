"""What was said in each conversation, for agents that do not remember it themselves."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

_MAX_CHARS = 8000  # of one message that is remembered; some ten minutes of speech


@dataclass(slots=True, eq=False)
class ChatTurn:
    """One question, and as much of the answer as there is."""

    user: str
    pieces: list[str] = field(default_factory=list)
    failed: bool = False
    """Whether the agent failed; if it said nothing, it shall not be asked this again."""

    @property
    def assistant(self) -> str:
        """The answer as it was said, and after an interruption as it was heard."""
        return "".join(self.pieces)


class ChatHistory:
    """The last exchanges of one session: at most `turns`, besides the one under way."""

    def __init__(self, turns: int) -> None:
        self._chat_turns: deque[ChatTurn] = deque(maxlen=turns + 1)

    def begin(self, user: str, played_text: str | None) -> ChatTurn:
        """Begin an exchange; `heard` is what was heard of the last answer if it was interrupted."""
        if self._chat_turns:
            self._settle(self._chat_turns[-1], played_text)
        turn = ChatTurn(user)
        self._chat_turns.append(turn)
        return turn

    def messages(self) -> list[dict[str, str]]:
        """Return all of it in the words of OpenAI's API.

        Roles alternate, as some models insist: questions that got no answer are put together.
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

    def _settle(self, last: ChatTurn, played_text: str | None) -> None:
        """Bring the exchange that is over into the form in which it is remembered."""
        answer = last.assistant if played_text is None else played_text
        last.user = last.user[:_MAX_CHARS]
        last.pieces = [answer[:_MAX_CHARS]]
        if last.failed and not answer:
            self._chat_turns.pop()


class ChatHistoryStore:
    """The conversations of all sessions; of more than `sessions`, the longest unused is gone."""

    def __init__(self, *, turns: int, sessions: int) -> None:
        self._turns = turns
        self._sessions = sessions
        self._histories: OrderedDict[str, ChatHistory] = OrderedDict()

    def get(self, session_id: str) -> ChatHistory:
        """Return the conversation of a session, which may be a new one."""
        history = self._histories.setdefault(session_id, ChatHistory(self._turns))
        self._histories.move_to_end(session_id)
        if len(self._histories) > self._sessions:
            self._histories.popitem(last=False)
        return history
