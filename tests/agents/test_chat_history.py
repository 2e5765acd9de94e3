"""`ChatHistory` and `ChatHistoryStore`: what is remembered of sessions."""

from app.agents.base import AgentRequest
from app.agents.chat_history import ChatHistory, ChatHistoryStore


def messages(history: ChatHistory) -> list[str]:
    return [f"{message['role'][0]}: {message['content']}" for message in history.messages()]


def asked(text: str, played_text: str | None = None, interrupted_text: str = "") -> AgentRequest:
    """A request; `played_text` is what was played of an interrupted response."""
    return AgentRequest(
        text,
        "s1",
        interrupted=played_text is not None,
        played_text=played_text or "",
        interrupted_text=interrupted_text,
    )


def test_messages_of_user_and_assistant_alternate() -> None:
    history = ChatHistory(turns=5)
    history.begin(asked("a")).pieces += ["b", "c"]
    history.begin(asked("d"))
    assert messages(history) == ["u: a", "a: bc", "u: d"]


def test_an_interrupted_response_is_cut_to_what_was_played() -> None:
    history = ChatHistory(turns=5)
    history.begin(asked("a")).pieces += ["b c d"]
    history.begin(asked("e", "b"))
    assert messages(history) == ["u: a", "a: b", "u: e"]


def test_user_messages_whose_response_was_not_played_are_joined() -> None:
    history = ChatHistory(turns=5)
    history.begin(asked("a")).pieces += ["b"]
    history.begin(asked("c", ""))
    assert messages(history) == ["u: a\nc"]


def test_a_turn_in_which_the_agent_failed_is_forgotten_unless_it_sent_text() -> None:
    history = ChatHistory(turns=5)
    history.begin(asked("a")).pieces += ["b"]
    history.begin(asked("c")).failed = True
    # What was interrupted is the turn that failed, not the one before it.
    failed = history.begin(asked("d", ""))
    assert messages(history) == ["u: a", "a: b", "u: d"]
    failed.failed = True
    failed.pieces += ["e"]
    history.begin(asked("f"))
    assert messages(history) == ["u: a", "a: b", "u: d", "a: e", "u: f"]


def test_only_the_last_turns_are_remembered() -> None:
    history = ChatHistory(turns=1)
    for word in "abc":
        history.begin(asked(word)).pieces += [word.upper()]
    assert messages(history) == ["u: b", "a: B", "u: c", "a: C"]
    alone = ChatHistory(turns=0)
    alone.begin(asked("a"))
    alone.begin(asked("b"))
    assert messages(alone) == ["u: b"]


def test_the_interrupted_turn_is_cut_even_if_a_request_between_reached_nobody() -> None:
    history = ChatHistory(turns=5)
    history.begin(asked("a")).pieces += ["b c d"]
    history.begin(asked("e", "b", interrupted_text="a")).failed = True
    history.begin(asked("f", "b", interrupted_text="a"))
    assert messages(history) == ["u: a", "a: b", "u: f"]
    unanswered = history.begin(asked("g"))
    history.begin(asked("h", "b", interrupted_text="a"))
    assert unanswered.pieces == [""]
    assert messages(history) == ["u: a", "a: b", "u: f\ng\nh"]


def test_the_earlier_messages_are_those_before_the_current_turn() -> None:
    history = ChatHistory(turns=5)
    turn = history.begin(asked("a"))
    assert history.earlier_messages() == []
    turn.pieces += ["b"]
    history.begin(asked("c"))
    assert [message["content"] for message in history.earlier_messages()] == ["a", "b"]


def test_all_messages_together_are_bounded() -> None:
    history = ChatHistory(turns=100)
    for number in range(12):
        history.begin(asked(str(number) * 8000))
    kept = history.earlier_messages()[0]["content"].split("\n")
    assert [text[:2] for text in kept] == ["33", "44", "55", "66", "77", "88", "99", "10"]


def test_a_message_is_sent_whole_and_remembered_shortened() -> None:
    history = ChatHistory(turns=1)
    history.begin(asked("a" * 9000)).pieces += ["b" * 9000]
    assert len(messages(history)[0]) > 9000
    history.begin(asked("c"))
    assert [len(text) for text in messages(history)] == [8003, 8003, 4]


def test_the_least_recently_used_session_is_forgotten() -> None:
    histories = ChatHistoryStore(turns=1, sessions=2)
    first, second = histories.get("1"), histories.get("2")
    assert histories.get("1") is first
    histories.get("3")
    assert histories.get("1") is first
    assert histories.get("2") is not second
