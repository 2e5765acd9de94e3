"""What can be configured, and what a patch changes."""

import re
from typing import Any, get_args

import pytest

from app.simulator.config import SimulatorConfig
from app.simulator.profiles import TimingField


def test_timing_can_be_overridden_value_by_value() -> None:
    config = SimulatorConfig(profile="measured", timing={"stt_ms": 5})
    assert config.effective_timing.stt_ms == 5
    assert config.effective_timing.first_audio_ms == 440
    assert set(get_args(TimingField)) == set(type(config.effective_timing).__slots__)


def test_the_old_name_of_the_measured_profile_is_accepted_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = SimulatorConfig.validated({"profile": "seed"})
    assert config.patched({"timing": {"stt_ms": 5}}).profile == "measured"
    assert caplog.messages == ["profile 'seed' is deprecated; use 'measured'"]


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"faults": {"truncated": 2}}, "faults.truncated.probability: Input should be less"),
        ({"faults": {"nonsense": 1}}, "faults.nonsense: Input should be"),
        ({"faults": [1]}, "faults: Input should be a valid dictionary"),
        ({"timing": {"stt_ms": -1}}, "timing.stt_ms: Input should be greater"),
        ({"stall_ms": float("inf")}, "stall_ms: Input should be a finite number"),
        ({"profile": "slow"}, "profile: Input should be 'fast', 'instant' or 'measured'"),
        ({"throttle": {"limit": 4}}, "throttle.window_s: Field required"),
        ({"voice": "hum"}, "voice: fixed when the simulator starts"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"script": []}, "script: Tuple should have at least 1 item"),
    ],
)
def test_a_bad_patch_names_the_field(patch: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        SimulatorConfig().patched(patch)


def test_faults_and_timing_are_patched_entry_by_entry() -> None:
    config = SimulatorConfig.validated({"faults": {"drop": 1, "riff": 1}, "timing": {"stt_ms": 5}})
    changed = config.patched(
        {"faults": {"drop": None, "stall": 0.5}, "timing": {"handshake_ms": 9}}
    )
    assert {name: spec.probability for name, spec in changed.faults.items()} == {
        "riff": 1,
        "stall": 0.5,
    }
    assert changed.timing == {"stt_ms": 5, "handshake_ms": 9}
    assert changed.patched({"faults": None}).faults == {}
