"""The plan of the agent's response: tokens and their times."""

from itertools import pairwise

import pytest

from app.simulator.agent_plan import plan_response, split_into_tokens
from app.simulator.profiles import PROFILES
from app.simulator.transcripts import built_in_lines, canned_response

RESPONSE = canned_response(built_in_lines()[0])


def test_tokens_are_words_and_lose_nothing() -> None:
    assert "".join(split_into_tokens(RESPONSE)) == RESPONSE
    assert split_into_tokens(RESPONSE).count("") >= 3


def test_the_measured_profile_spreads_a_response_evenly_over_6400_ms() -> None:
    steps = plan_response(RESPONSE, PROFILES["measured"], (), 5)
    times = [step.at_s for step in steps if step.action == "item"]
    gaps = [b - a for a, b in pairwise(times)]
    assert times[0] == 1.0
    assert times[-1] == pytest.approx(6.4)
    assert max(gaps) - min(gaps) < 1e-9
