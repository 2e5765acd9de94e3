"""Espeak: the Arabic voice of espeak-ng, from the library in the `espeakng_loader` wheel."""

import ctypes
import importlib.util
import threading
from functools import cache

# Calibrated at this rate: 3,200 bytes a character (PCM16, 16 kHz) over seven Arabic sentences of 24
# to 159 characters, single ones between 2,707 and 3,655; 3,123 over the sentences of the built-in
# conversation, single ones between 2,829 and 3,967 (the one with a waybill number, read digit by
# digit). The provider was measured at about 3.2 KB, which is ten characters a second.
_WORDS_PER_MINUTE = 160
_OUTPUT_SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: retrieve by callback, inside the call
_DO_NOT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: report missing data, do not end the process
_PARAMETER_RATE = 1
_CHARS_UTF8 = 1
_CONTINUE = 0  # result of the callback; 1 would end the synthesis

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class EspeakError(Exception):
    """espeak-ng could not be started, or could not synthesize a text."""


def is_installed() -> bool:
    """Return whether the optional wheel is installed, without loading it."""
    return importlib.util.find_spec("espeakng_loader") is not None


class Espeak:
    """Synthesize Arabic, one text at a time: the library has one state for the whole process.

    Two syntheses of one text differ in the last bits, because the library adds breath from a
    random generator that it never resets.
    """

    name = "espeak-ng"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._collected = bytearray()
        self._callback = _Callback(self._collect)
        self._library: ctypes.CDLL | None = None
        self._sample_rate_hz = 0

    def synthesize(self, text: str) -> bytes:
        """Return PCM16 at 16 kHz; blocks for some 10 ms a sentence. Raises `EspeakError`."""
        with self._lock:
            library = self._library or self._load()
            self._collected.clear()
            utf8 = text.replace("\0", " ").encode() + b"\0"
            code = library.espeak_Synth(
                utf8, ctypes.c_size_t(len(utf8)), 0, 0, 0, _CHARS_UTF8, None, None
            )
            if code != 0:
                raise EspeakError(f"espeak_Synth returned {code}")
            from app.audio.resample import resample  # noqa: PLC0415 - slow; in its thread

            return resample(bytes(self._collected), self._sample_rate_hz, 16_000)

    def _load(self) -> ctypes.CDLL:
        """Load the library and set it up; the order of its calls is the library's."""
        import espeakng_loader  # noqa: PLC0415 - an optional extra

        library = ctypes.CDLL(espeakng_loader.get_library_path())
        data_path = espeakng_loader.get_data_path().encode()
        self._sample_rate_hz = library.espeak_Initialize(
            _OUTPUT_SYNCHRONOUS, 0, data_path, _DO_NOT_EXIT
        )
        if self._sample_rate_hz <= 0:
            raise EspeakError("espeak_Initialize found no data")
        library.espeak_SetSynthCallback(self._callback)
        if library.espeak_SetVoiceByName(b"ar") != 0:
            raise EspeakError("espeak-ng has no Arabic voice")
        library.espeak_SetParameter(_PARAMETER_RATE, _WORDS_PER_MINUTE, 0)
        self._library = library
        return library

    def _collect(self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, _: object) -> int:
        if samples and count > 0:
            self._collected += ctypes.string_at(samples, count * 2)
        return _CONTINUE


@cache
def shared_espeak() -> Espeak:
    """Return the one instance of this process."""
    return Espeak()
