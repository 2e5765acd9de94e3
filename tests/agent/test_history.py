"""What is remembered of conversations."""

from app.agent.history import Conversation, Histories


def told(conversation: Conversation) -> list[str]:
    return [f"{message['role'][0]}: {message['content']}" for message in conversation.messages()]


def test_questions_and_answers_alternate() -> None:
    conversation = Conversation(turns=5)
    conversation.begin("a", None).pieces += ["b", "c"]
    conversation.begin("d", None)
    assert told(conversation) == ["u: a", "a: bc", "u: d"]


def test_an_interrupted_answer_is_cut_to_what_was_heard() -> None:
    conversation = Conversation(turns=5)
    conversation.begin("a", None).pieces += ["b c d"]
    conversation.begin("e", "b")
    assert told(conversation) == ["u: a", "a: b", "u: e"]


def test_questions_whose_answer_nobody_heard_become_one() -> None:
    conversation = Conversation(turns=5)
    conversation.begin("a", None).pieces += ["b"]
    conversation.begin("c", "")
    assert told(conversation) == ["u: a\nc"]


def test_a_question_at_which_the_agent_failed_is_forgotten_unless_it_said_something() -> None:
    conversation = Conversation(turns=5)
    conversation.begin("a", None).pieces += ["b"]
    conversation.begin("c", None).failed = True
    # The interruption was of the exchange that failed, not of the one before.
    failed = conversation.begin("d", "")
    assert told(conversation) == ["u: a", "a: b", "u: d"]
    failed.failed = True
    failed.pieces += ["e"]
    conversation.begin("f", None)
    assert told(conversation) == ["u: a", "a: b", "u: d", "a: e", "u: f"]


def test_only_the_last_turns_are_remembered() -> None:
    conversation = Conversation(turns=1)
    for word in "abc":
        conversation.begin(word, None).pieces += [word.upper()]
    assert told(conversation) == ["u: b", "a: B", "u: c", "a: C"]
    alone = Conversation(turns=0)
    alone.begin("a", None)
    alone.begin("b", None)
    assert told(alone) == ["u: b"]


def test_a_message_is_remembered_in_bounds_and_asked_whole() -> None:
    conversation = Conversation(turns=1)
    conversation.begin("a" * 9000, None).pieces += ["b" * 9000]
    assert len(told(conversation)[0]) > 9000
    conversation.begin("c", None)
    assert [len(text) for text in told(conversation)] == [8003, 8003, 4]


def test_the_session_longest_unused_is_forgotten() -> None:
    histories = Histories(turns=1, sessions=2)
    first, second = histories.of("1"), histories.of("2")
    assert histories.of("1") is first
    histories.of("3")
    assert histories.of("1") is first
    assert histories.of("2") is not second
