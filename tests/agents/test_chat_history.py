"""What is remembered of conversations."""

from app.agents.chat_history import ChatHistory, ChatHistoryStore


def told(history: ChatHistory) -> list[str]:
    return [f"{message['role'][0]}: {message['content']}" for message in history.messages()]


def test_questions_and_answers_alternate() -> None:
    history = ChatHistory(turns=5)
    history.begin("a", None).pieces += ["b", "c"]
    history.begin("d", None)
    assert told(history) == ["u: a", "a: bc", "u: d"]


def test_an_interrupted_answer_is_cut_to_what_was_heard() -> None:
    history = ChatHistory(turns=5)
    history.begin("a", None).pieces += ["b c d"]
    history.begin("e", "b")
    assert told(history) == ["u: a", "a: b", "u: e"]


def test_questions_whose_answer_nobody_heard_become_one() -> None:
    history = ChatHistory(turns=5)
    history.begin("a", None).pieces += ["b"]
    history.begin("c", "")
    assert told(history) == ["u: a\nc"]


def test_a_question_at_which_the_agent_failed_is_forgotten_unless_it_said_something() -> None:
    history = ChatHistory(turns=5)
    history.begin("a", None).pieces += ["b"]
    history.begin("c", None).failed = True
    # The interruption was of the exchange that failed, not of the one before.
    failed = history.begin("d", "")
    assert told(history) == ["u: a", "a: b", "u: d"]
    failed.failed = True
    failed.pieces += ["e"]
    history.begin("f", None)
    assert told(history) == ["u: a", "a: b", "u: d", "a: e", "u: f"]


def test_only_the_last_turns_are_remembered() -> None:
    history = ChatHistory(turns=1)
    for word in "abc":
        history.begin(word, None).pieces += [word.upper()]
    assert told(history) == ["u: b", "a: B", "u: c", "a: C"]
    alone = ChatHistory(turns=0)
    alone.begin("a", None)
    alone.begin("b", None)
    assert told(alone) == ["u: b"]


def test_a_message_is_remembered_in_bounds_and_asked_whole() -> None:
    history = ChatHistory(turns=1)
    history.begin("a" * 9000, None).pieces += ["b" * 9000]
    assert len(told(history)[0]) > 9000
    history.begin("c", None)
    assert [len(text) for text in told(history)] == [8003, 8003, 4]


def test_the_session_longest_unused_is_forgotten() -> None:
    histories = ChatHistoryStore(turns=1, sessions=2)
    first, second = histories.get("1"), histories.get("2")
    assert histories.get("1") is first
    histories.get("3")
    assert histories.get("1") is first
    assert histories.get("2") is not second
