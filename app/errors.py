"""The error tree: every failure has a stable code, and says whether a retry can help.

NabraError
├── ConfigurationError           a setting is wrong; the process does not start
├── BadInputError                the client sent something that cannot be used
│   ├── InvalidJSONError  InvalidMessageError  UnknownMessageError
│   ├── InvalidBase64Error  UnexpectedBinaryError  EmptyTextError  TextTooLongError
│   ├── EmptyAudioError  UndecodableAudioError  UtteranceTooLongError
│   └── UnsupportedConfigurationError
├── DecoderBusyError             all decoders have work, and enough recordings wait
├── NoSpeechError                the recording holds no words
├── ProviderError                STT or TTS failed
│   ├── retryable: ConnectError  ConnectionLostError  ProviderTimeoutError  RateLimitedError
│   │              ProviderUnavailableError  IncompleteAudioError  ProtocolError  PoolExhaustedError
│   │              StrategyFailedError
│   └── final:     AuthenticationError  QuotaExceededError  RefusedError
├── AgentError                   the agent sent no response, or an incomplete one
│   ├── AgentUnreachableError    nobody has taken the request: AgentNotReadyError
│   └── AgentRefusedError  AgentFailedError  AgentEmptyError  AgentCutError  AgentTimeoutError
│       AgentDataLimitError
└── InternalError                a bug of the gateway; the log has the cause
"""

from typing import ClassVar


class NabraError(Exception):
    """Base of all errors of this tree.

    The text is for operators and never holds a credential. What users read is made from `code`, in
    their language, by `app/api/localization.py`.
    """

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False
    """Whether another attempt at the same request may succeed."""
    host: str | None = None
    """Who failed, as `host:port`, where that is known; for the log."""
    request_id: str | None = None
    """The id that they gave the request, where they sent one; for the log."""


class ConfigurationError(NabraError):
    """A setting is wrong. The text has a line `NAME: reason` for each."""

    code = "configuration"


class InternalError(NabraError):
    """A bug of the gateway."""


class BadInputError(NabraError):
    """The client sent something that cannot be used; the session goes on."""

    code = "bad-input"
    message_id: str | int | None = None
    """The `id` of the message that caused it, where that could be read."""


class MessageTooLargeError(BadInputError):
    """A message without a recording is too large."""

    code = "message-too-large"


class InvalidJSONError(BadInputError):
    """A text frame is not JSON."""

    code = "invalid-json"


class InvalidMessageError(BadInputError):
    """A text frame is JSON, but no valid message."""

    code = "invalid-message"


class UnknownMessageError(BadInputError):
    """A message has an unknown type."""

    code = "unknown-message-type"


class InvalidBase64Error(BadInputError):
    """`audio_base64` is not base64."""

    code = "invalid-base64"


class UnexpectedBinaryError(BadInputError):
    """A binary frame arrived in a state that expects none."""

    code = "unexpected-binary"


class EmptyTextError(BadInputError):
    """A typed turn has no text."""

    code = "empty-text"


class TextTooLongError(BadInputError):
    """A typed turn has more characters than `MAX_TEXT_CHARS`."""

    code = "text-too-long"


class EmptyAudioError(BadInputError):
    """An utterance has no audio."""

    code = "empty-audio"


class UndecodableAudioError(BadInputError):
    """An utterance is in a format that cannot be decoded."""

    code = "undecodable-audio"


class UtteranceTooLongError(BadInputError):
    """An utterance exceeds `MAX_UTTERANCE_BYTES` or `MAX_UTTERANCE_S`."""

    code = "utterance-too-long"


class UnsupportedConfigurationError(BadInputError):
    """`configure` asks for something that this gateway does not support."""

    code = "unsupported-configuration"


class DecoderBusyError(NabraError):
    """All decoders have work, and as many recordings wait as may."""

    code = "decoder-busy"
    retryable = True


class SessionExpiredError(NabraError):
    """The session was idle for too long, or has reached its longest time."""

    code = "session-expired"


class UsageLimitError(BadInputError):
    """The client has used what it may use in this time; the session goes on."""

    code = "usage-limit"


class AccessDeniedError(NabraError):
    """A client may not open a session; `status` is that of the HTTP response."""

    code = "access-denied"

    def __init__(
        self, text: str, *, status: int, code: str, retry_after_s: int | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.code = code  # type: ignore[misc]  # each has its own
        self.retry_after_s = retry_after_s
        """When to come back, in seconds; None where that does not help."""


class NoSpeechError(NabraError):
    """STT found no words."""

    code = "no-speech"


class ProviderError(NabraError):
    """The speech provider failed."""

    code = "provider-error"


class ConnectError(ProviderError):
    """No connection to the provider could be opened."""

    code = "provider-unreachable"
    retryable = True


class ConnectionLostError(ProviderError):
    """The connection was lost within a request."""

    code = "provider-connection-lost"
    retryable = True


class ProviderTimeoutError(ProviderError):
    """The provider sent nothing for too long."""

    code = "provider-timeout"
    retryable = True


class ProviderUnavailableError(ProviderError):
    """The provider cannot serve now, by a status 5xx or an error frame."""

    code = "provider-unavailable"
    retryable = True


class RateLimitedError(ProviderError):
    """The provider limits the rate of requests.

    `retry_after_s` is how long it asks to wait; None if it does not say.
    """

    code = "provider-rate-limited"
    retryable = True

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class IncompleteAudioError(ProviderError):
    """The audio is far too short for its text, in spite of a regular end (`docs/hamsa.md`)."""

    code = "incomplete-audio"
    retryable = True


class ProtocolError(ProviderError):
    """The provider violated its protocol."""

    code = "provider-protocol"
    retryable = True


class PoolExhaustedError(ProviderError):
    """No socket became free in time, and the budget allows no new one."""

    code = "provider-pool-exhausted"
    retryable = True


class StrategyFailedError(ProviderError):
    """A transport or transcriber raised what is no error of this tree; the log has the cause."""

    code = "provider-failed"
    retryable = True


class AuthenticationError(ProviderError):
    """The provider rejected the key."""

    code = "provider-authentication"


class QuotaExceededError(ProviderError):
    """The account has no funds, or has reached its usage limit."""

    code = "provider-quota"


ACCOUNT_ERRORS = (AuthenticationError, QuotaExceededError)
"""By these the provider refuses every request of the account."""


class RefusedError(ProviderError):
    """The provider rejected this request (voice, text, format); a retry cannot help."""

    code = "provider-refused"


class AgentError(NabraError):
    """The agent sent no response, or an incomplete one."""

    code = "agent-error"


class AgentUnreachableError(AgentError):
    """The agent cannot be reached, or something else answered in its place."""

    code = "agent-unreachable"


class AgentNotReadyError(AgentUnreachableError):
    """Nothing has taken the request: no run can have begun, so that it is safe to send it again."""

    retryable = True


class AgentRefusedError(AgentError):
    """The agent responded with an HTTP error; `status` is its code."""

    code = "agent-refused"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class AgentFailedError(AgentError):
    """The agent reported that it failed, or sent what cannot be a response."""

    code = "agent-failed"


class AgentEmptyError(AgentError):
    """The response holds no text."""

    code = "agent-empty"


class AgentCutError(AgentError):
    """The response ended before it was complete."""

    code = "agent-cut"


class AgentDataLimitError(AgentError):
    """The agent sent more data for the client than is passed on; its words are spoken."""

    code = "agent-data-limit"


class AgentTimeoutError(AgentError):
    """The response did not begin, go on or end within its timeouts."""

    code = "agent-timeout"


def codes_below(base: type[NabraError], *without: type[NabraError]) -> list[str]:
    """Return the codes of `base` and of all errors under it, but for those `without`."""
    found = [] if base in without else [base.code]
    for error in base.__subclasses__():
        found += codes_below(error, *without)
    return list(dict.fromkeys(found))
