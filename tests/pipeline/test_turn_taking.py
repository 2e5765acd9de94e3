"""Turn-taking, as a table: what happens, and what is decided."""

import re

import pytest

from app.pipeline.timeline import Timeline
from app.pipeline.turn_taking import (
    AskAgent,
    Begin,
    Interrupt,
    Interruption,
    TurnTaking,
    YieldTurn,
)

WORDS = "one two three four"
"""What each turn speaks; it takes as long as the table says."""

CASES = {
    "a question is asked, answered, and followed by another": """
        0.0  input             begin 1
        0.1  1 asks            ask
        0.5  1 plays 2000 ms
        0.6  1 completes
        5.0  input             begin 2
        5.1  2 asks            ask
    """,
    "an utterance begins a turn as typed text does": """
        0.0  listen
        1.0  speech starts     new utterance
        2.0  speech stops      begin 1
        2.3  1 asks            ask
    """,
    "speech during a response is a barge-in, and the agent is told what was played": """
        0.0  listen
        0.0  input             begin 1
        0.1  1 asks            ask
        1.0  1 plays 2000 ms
        2.0  speech starts     interrupt 1 (barge_in) after 1000 ms: one two; new utterance
        3.0  speech stops      begin 2
        3.3  2 asks            ask: interrupted 1 after "one two"
        9.0  input             interrupt 2 (barge_in) after 0 ms; begin 3
        9.1  3 asks            ask: interrupted 2 after ""
    """,
    "another input is a barge-in as well": """
        0.0  input             begin 1
        0.1  1 asks            ask
        1.0  input             interrupt 1 (barge_in) after 0 ms; begin 2
        1.1  2 asks            ask: interrupted 1 after ""
    """,
    "the client may interrupt, and the next request tells of it, once": """
        0.0  input             begin 1
        0.1  1 asks            ask
        1.0  1 plays 2000 ms
        1.5  interrupt         interrupt 1 (client) after 500 ms: one
        1.6  interrupt         -
        9.0  input             begin 2
        9.1  2 asks            ask: interrupted 1 after "one"
        9.2  2 completes
        9.3  input             begin 3
        9.4  3 asks            ask
    """,
    "a user who goes on before the agent was asked has only paused": """
        0.0  listen
        0.0  speech starts     new utterance
        1.0  speech stops      begin 1
        1.2  mergeable?        1
        1.2  speech starts     interrupt 1 (barge_in) after 0 ms; merge 1
        1.3  1 asks            refuse
        2.0  speech stops      begin 2
        2.2  speech starts     interrupt 2 (barge_in) after 0 ms; merge 2
        3.0  speech stops      begin 3
        3.3  3 asks            ask
        3.4  mergeable?        None
    """,
    "once the agent was asked, what follows is a new utterance": """
        0.0  listen
        1.0  speech stops      begin 1
        1.1  1 asks            ask
        1.2  speech starts     interrupt 1 (barge_in) after 0 ms; new utterance
    """,
    "a turn that failed before the agent was asked is not continued": """
        0.0  listen
        1.0  speech stops      begin 1
        1.5  1 completes
        1.6  mergeable?        None
        2.0  speech starts     new utterance
    """,
    "speech does not continue typed text": """
        0.0  listen
        1.0  input             begin 1
        1.1  speech starts     interrupt 1 (barge_in) after 0 ms; new utterance
    """,
    "speech does not continue an utterance over a typed turn": """
        0.0  listen
        1.0  speech stops      begin 1
        1.1  input             interrupt 1 (barge_in) after 0 ms; begin 2
        1.2  speech starts     interrupt 2 (barge_in) after 0 ms; new utterance
    """,
    "an utterance belongs to its input stream": """
        0.0  listen
        1.0  speech stops      begin 1
        1.1  stop listening
        1.2  listen
        1.3  speech starts     interrupt 1 (barge_in) after 0 ms; new utterance
    """,
    "a turn that never asked leaves it to the next to tell of the interruption": """
        0.0  listen
        0.0  input             begin 1
        0.1  1 asks            ask
        1.0  1 plays 2000 ms
        2.5  speech starts     interrupt 1 (barge_in) after 1500 ms: one two three; new utterance
        2.6  speech stops      begin 2
        2.7  speech starts     interrupt 2 (barge_in) after 0 ms; merge 2
        3.0  speech stops      begin 3
        3.2  3 completes
        4.0  input             begin 4
        4.1  4 asks            ask: interrupted 1 after "one two three"
    """,
    "an interruption is told until an agent takes the request that tells it": """
        0.0  input             begin 1
        0.1  1 asks            ask
        1.0  1 plays 2000 ms
        1.5  interrupt         interrupt 1 (client) after 500 ms: one
        2.0  input             begin 2
        2.1  2 asks            ask: interrupted 1 after "one"
        2.2  2 is not taken
        2.3  2 completes
        3.0  input             begin 3
        3.1  3 asks            ask: interrupted 1 after "one"
        3.2  3 is not taken
        3.3  interrupt         interrupt 3 (client) after 0 ms
        4.0  input             begin 4
        4.1  4 asks            ask: interrupted 1 after "one"
        4.2  4 is not taken
        4.3  4 is taken
        4.4  interrupt         interrupt 4 (client) after 0 ms
        5.0  input             begin 5
        5.1  5 asks            ask: interrupted 4 after ""
    """,
    "interrupting a turn that never asked is no interruption of the agent": """
        0.0  input             begin 1
        0.5  interrupt         interrupt 1 (client) after 0 ms
        1.0  input             begin 2
        1.1  2 asks            ask
    """,
    "a complete response is interrupted while it is still played": """
        0.0  listen
        0.0  input             begin 1
        0.1  1 asks            ask
        1.0  1 plays 2000 ms
        1.1  1 completes
        1.5  responding?       True
        1.5  speech starts     interrupt 1 (barge_in) after 500 ms: one; new utterance
        2.0  speech stops      begin 2
        2.1  2 asks            ask: interrupted 1 after "one"
    """,
    "a response that was played to its end is not interrupted": """
        0.0  listen
        0.0  input             begin 1
        0.1  1 asks            ask
        1.0  1 plays 2000 ms
        1.1  1 completes
        3.1  responding?       False
        3.1  speech starts     new utterance
        4.0  speech stops      begin 2
        4.1  2 asks            ask
    """,
    "reports on playback count more than the clock": """
        0.0  input             begin 1
        0.1  1 asks            ask
        1.0  1 plays 2000 ms
        1.1  1 completes
        1.2  1 played 2000 ms
        1.3  responding?       False
        1.3  interrupt         -
    """,
    "a client that is not known to play audio has nothing left to interrupt": """
        0.0  input             begin 1
        0.1  1 asks            ask
        1.0  1 plays 2000 ms
        1.1  1 completes
        1.2  responding?       False
        1.2  input             begin 2
        1.3  2 asks            ask
    """,
    "a client whose input stream has ended shows only the texts again": """
        0.0  listen
        0.0  input             begin 1
        0.1  1 asks            ask
        1.0  1 plays 2000 ms
        1.1  1 completes
        1.2  responding?       True
        1.3  stop listening
        1.4  responding?       False
    """,
    "a report on any turn shows that the client plays audio": """
        0.0  input             begin 1
        0.1  1 asks            ask
        0.2  1 completes
        0.3  input             begin 2
        0.4  2 asks            ask
        1.0  2 plays 2000 ms
        1.1  2 completes
        1.2  1 played 100 ms
        1.3  responding?       True
        1.5  interrupt         interrupt 2 (client) after 500 ms: one
    """,
    "what is interrupted says nothing any more": """
        0.0  input             begin 1
        0.1  1 may speak?      True
        0.2  interrupt         interrupt 1 (client) after 0 ms
        0.2  1 may speak?      False
        0.3  1 completes
        0.4  1 asks            refuse
        0.5  responding?       False
    """,
    "the late end of an interrupted turn does not end the next": """
        0.0  input             begin 1
        0.1  input             interrupt 1 (barge_in) after 0 ms; begin 2
        0.2  1 completes
        0.3  responding?       True
    """,
    "the end of a session silences its turn, which is still to be cancelled": """
        0.0  input             begin 1
        0.1  end
        0.2  1 asks            refuse
        0.2  1 may speak?      False
        0.3  input             interrupt 1 (barge_in) after 0 ms; begin 2
        0.4  2 may speak?      False
    """,
}


class Table:
    """Plays the lines of one case. A turn starts as soon as it has begun."""

    def __init__(self) -> None:
        self._turn_taking = TurnTaking()
        self._timelines: dict[int, Timeline] = {}

    def decide(self, what: str, now: float) -> str:
        """Take one input; return what is decided, in words; empty if nothing is asked."""
        if match := re.fullmatch(r"(\d+) (\D+)(?:(\d+) ms)?", what):
            return self._of_turn(int(match[1]), match[2].strip(), float(match[3] or 0), now)
        taking = self._turn_taking
        match what:
            case "input" | "speech stops":
                begin = taking.on_input(now) if what == "input" else taking.on_speech_stopped(now)
                self._timelines[begin.turn] = Timeline(now)
                started = taking.on_turn_started(begin.turn, self._timelines[begin.turn])
                assert started is taking.is_current(begin.turn)
                return in_words(begin)
            case "speech starts":
                return in_words(taking.on_speech_started(now))
            case "interrupt":
                return in_words(taking.on_interrupt("client", now))
            case "listen" | "stop listening":
                taking.on_listening(listens=what == "listen")
            case "end":
                taking.on_session_end()
            case "mergeable?":
                return str(taking.mergeable_turn)
            case "responding?":
                return str(taking.is_responding(now))
            case _:
                pytest.fail(f"no such input: {what}")
        return ""

    def _of_turn(self, turn: int, what: str, ms: float, now: float) -> str:
        timeline = self._timelines[turn]
        match what:
            case "asks":
                ask = self._turn_taking.on_agent_needed(turn)
                if ask is None:
                    return "refuse"
                self._turn_taking.on_agent_told(turn, f"question {turn}")
                return in_words(ask)
            case "is not taken":
                self._turn_taking.on_agent_not_told(turn)
            case "is taken":
                self._turn_taking.on_agent_told(turn, f"question {turn}")
            case "plays":
                timeline.on_audio_sent(timeline.add_sentence(WORDS), ms, now)
            case "played":
                self._turn_taking.on_playback_report()
                timeline.on_playback_report(ms, now)
            case "completes":
                self._turn_taking.on_turn_complete(turn)
            case "may speak?":
                return str(self._turn_taking.is_current(turn))
            case _:
                pytest.fail(f"no such input of a turn: {what}")
        return ""


def in_words(decision: Begin | YieldTurn | Interrupt | AskAgent | None) -> str:
    match decision:
        case None:
            return "-"
        case Begin(turn, interrupt):
            return "; ".join([*([in_words(interrupt)] if interrupt else []), f"begin {turn}"])
        case YieldTurn(interrupt, merged):
            user = f"merge {merged}" if merged is not None else "new utterance"
            return "; ".join([*([in_words(interrupt)] if interrupt else []), user])
        case Interrupt(turn, reason, text, ms):
            played = f"after {ms:.0f} ms" + (f": {text}" if text else "")
            return f"interrupt {turn} ({reason}) {played}"
        case AskAgent(None):
            return "ask"
        case AskAgent(Interruption(question, text)):
            return f'ask: interrupted {question.removeprefix("question ")} after "{text}"'
    raise AssertionError(decision)


@pytest.mark.parametrize("lines", CASES.values(), ids=CASES)
def test_the_turn_goes_as_the_table_says(lines: str) -> None:
    table = Table()
    for line in lines.strip().splitlines():
        at, what, *expected = re.split(r"\s{2,}", line.strip())
        assert table.decide(what, float(at)) == "".join(expected), line.strip()


def test_a_turn_that_is_interrupted_before_it_has_started_never_starts() -> None:
    """Its beginning is decided at once, but carrying that out may wait for the client."""
    taking = TurnTaking()
    assert taking.on_input(0.0) == Begin(1)
    assert taking.on_input(0.1) == Begin(2, Interrupt(1, "barge_in"))
    assert not taking.on_turn_started(1, Timeline(0.2))
    assert taking.on_turn_started(2, Timeline(0.3))
