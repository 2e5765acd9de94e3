"""What was said in each conversation, for agents that do not remember it themselves."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

_MAX_CHARS = 8000  # of one message that is remembered; some ten minutes of speech


@dataclass(slots=True, eq=False)
class Exchange:
    """One question, and as much of the answer as there is."""

    user: str
    pieces: list[str] = field(default_factory=list)
    failed: bool = False
    """Whether the agent failed; if it said nothing, it shall not be asked this again."""

    @property
    def assistant(self) -> str:
        """The answer as it was said, and after an interruption as it was heard."""
        return "".join(self.pieces)


class Conversation:
    """The last exchanges of one session: at most `turns`, besides the one under way."""

    def __init__(self, turns: int) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=turns + 1)

    def begin(self, user: str, heard: str | None) -> Exchange:
        """Begin an exchange; `heard` is what was heard of the last answer if it was interrupted."""
        if self._exchanges:
            self._settle(self._exchanges[-1], heard)
        exchange = Exchange(user)
        self._exchanges.append(exchange)
        return exchange

    def messages(self) -> list[dict[str, str]]:
        """Return all of it in the words of OpenAI's API.

        Roles alternate, as some models insist: questions that got no answer are put together.
        """
        messages: list[dict[str, str]] = []
        for exchange in self._exchanges:
            if messages and messages[-1]["role"] == "user":
                messages[-1]["content"] += f"\n{exchange.user}"
            else:
                messages.append({"role": "user", "content": exchange.user})
            if exchange.assistant:
                messages.append({"role": "assistant", "content": exchange.assistant})
        return messages

    def _settle(self, last: Exchange, heard: str | None) -> None:
        """Bring the exchange that is over into the form in which it is remembered."""
        answer = last.assistant if heard is None else heard
        last.user = last.user[:_MAX_CHARS]
        last.pieces = [answer[:_MAX_CHARS]]
        if last.failed and not answer:
            self._exchanges.pop()


class Histories:
    """The conversations of all sessions; of more than `sessions`, the longest unused is gone."""

    def __init__(self, *, turns: int, sessions: int) -> None:
        self._turns = turns
        self._sessions = sessions
        self._conversations: OrderedDict[str, Conversation] = OrderedDict()

    def of(self, session_id: str) -> Conversation:
        """Return the conversation of a session, which may be a new one."""
        conversation = self._conversations.setdefault(session_id, Conversation(self._turns))
        self._conversations.move_to_end(session_id)
        if len(self._conversations) > self._sessions:
            self._conversations.popitem(last=False)
        return conversation
