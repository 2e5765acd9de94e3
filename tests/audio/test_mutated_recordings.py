"""Mutated recordings through real decoder processes: each is decoded or refused, nothing else."""

import asyncio
import logging
import os
from collections import Counter
from contextlib import aclosing

import pytest

from app.audio.decoder_pool import DecoderPool
from app.audio.decoder_process import DecoderLimits
from app.audio.decoding import Decoder
from app.errors import BadInputError
from tests.audio.mutations import mutations, with_ogg_checksums
from tests.audio.recordings import recorded
from tests.processes import children, resident_bytes

MUTANTS = 300
"""Of each container."""

PROCESSES = 2
MOST_BYTES = 90 * 1024 * 1024
"""Of a decoder as it starts, and what it may grow."""

REFUSALS = {"undecodable-audio", "empty-audio", "utterance-too-long"}


async def outcome_of(decoder: Decoder, data: bytes, session_id: str) -> str:
    """Decode, and return `decoded` or the code of the refusal."""
    try:
        pcm = await decoder.decode(data, session_id)
    except BadInputError as error:
        return error.code
    assert len(pcm) % 2 == 0
    return "decoded"


@pytest.mark.parametrize("container", ["wav", "webm", "ogg", "mp3", "m4a", "flac"])
async def test_each_is_decoded_or_refused_with_its_code(
    container: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    outcomes: Counter[str] = Counter()
    before = set(children(os.getpid()))
    pool = DecoderPool(DecoderLimits(timeout_s=3), processes=PROCESSES)
    recording = recorded(container, seconds=0.25)
    mutants = mutations(recording, MUTANTS, seed=container)
    if container == "ogg":
        mutants = map(with_ogg_checksums, mutants)

    async def feed(session_id: str) -> None:
        decoder = Decoder(pool)
        for mutant in mutants:
            outcomes[await outcome_of(decoder, mutant, session_id)] += 1
            decoders = set(children(os.getpid())) - before
            assert len(decoders) <= PROCESSES
            assert all(resident_bytes(pid) < MOST_BYTES for pid in decoders)

    with caplog.at_level(logging.WARNING):
        async with aclosing(pool), asyncio.TaskGroup() as tasks:
            for number in range(PROCESSES):
                tasks.create_task(feed(f"session-{number}"))
        assert outcomes.total() == MUTANTS
        assert set(outcomes) - {"decoded"} <= REFUSALS
        assert min(outcomes["decoded"], outcomes["undecodable-audio"]) > MUTANTS / 20
    assert set(children(os.getpid())) <= before
    assert caplog.records == []
    assert "Traceback" not in capfd.readouterr().err
