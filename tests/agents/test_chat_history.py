"""`ChatHistory` and `ChatHistoryStore`: what is remembered of sessions."""

from app.agents.chat_history import ChatHistory, ChatHistoryStore


def messages(history: ChatHistory) -> list[str]:
    return [f"{message['role'][0]}: {message['content']}" for message in history.messages()]


def test_messages_of_user_and_assistant_alternate() -> None:
    history = ChatHistory(turns=5)
    history.begin("a", None).pieces += ["b", "c"]
    history.begin("d", None)
    assert messages(history) == ["u: a", "a: bc", "u: d"]


def test_an_interrupted_response_is_cut_to_what_was_played() -> None:
    history = ChatHistory(turns=5)
    history.begin("a", None).pieces += ["b c d"]
    history.begin("e", "b")
    assert messages(history) == ["u: a", "a: b", "u: e"]


def test_user_messages_whose_response_was_not_played_are_joined() -> None:
    history = ChatHistory(turns=5)
    history.begin("a", None).pieces += ["b"]
    history.begin("c", "")
    assert messages(history) == ["u: a\nc"]


def test_a_turn_in_which_the_agent_failed_is_forgotten_unless_it_sent_text() -> None:
    history = ChatHistory(turns=5)
    history.begin("a", None).pieces += ["b"]
    history.begin("c", None).failed = True
    # What was interrupted is the turn that failed, not the one before it.
    failed = history.begin("d", "")
    assert messages(history) == ["u: a", "a: b", "u: d"]
    failed.failed = True
    failed.pieces += ["e"]
    history.begin("f", None)
    assert messages(history) == ["u: a", "a: b", "u: d", "a: e", "u: f"]


def test_only_the_last_turns_are_remembered() -> None:
    history = ChatHistory(turns=1)
    for word in "abc":
        history.begin(word, None).pieces += [word.upper()]
    assert messages(history) == ["u: b", "a: B", "u: c", "a: C"]
    alone = ChatHistory(turns=0)
    alone.begin("a", None)
    alone.begin("b", None)
    assert messages(alone) == ["u: b"]


def test_a_message_is_sent_whole_and_remembered_shortened() -> None:
    history = ChatHistory(turns=1)
    history.begin("a" * 9000, None).pieces += ["b" * 9000]
    assert len(messages(history)[0]) > 9000
    history.begin("c", None)
    assert [len(text) for text in messages(history)] == [8003, 8003, 4]


def test_the_least_recently_used_session_is_forgotten() -> None:
    histories = ChatHistoryStore(turns=1, sessions=2)
    first, second = histories.get("1"), histories.get("2")
    assert histories.get("1") is first
    histories.get("3")
    assert histories.get("1") is first
    assert histories.get("2") is not second
