"""The error tree: every failure has a stable code and knows whether a retry can help.

NabraError
├── ConfigurationError           a setting is wrong; the process does not start
├── BadInputError                the client sent something we cannot use
│   ├── InvalidJSONError  InvalidMessageError  UnknownMessageError
│   ├── InvalidBase64Error  UnexpectedBinaryError  EmptyTextError  TextTooLongError
│   ├── EmptyAudioError  UndecodableAudioError  UtteranceTooLongError
│   └── UnsupportedConfigurationError
├── NoSpeechError                nothing was said that could be understood
├── ProviderError                speech to text or text to speech failed
│   ├── retryable: ConnectError  ConnectionLostError  ProviderTimeoutError  RateLimitedError
│   │              ProviderUnavailableError  IncompleteAudioError  ProtocolError  PoolExhaustedError
│   └── final:     AuthenticationError  QuotaExceededError  RefusedError
├── AgentError                   the agent did not answer, or not to the end
│   └── AgentUnreachableError  AgentRefusedError  AgentFailedError  AgentEmptyError
│       AgentCutError  AgentTimeoutError
└── InternalError                our own fault; the log holds the cause
"""

from typing import ClassVar


class NabraError(Exception):
    """Base of all failures that Nabra names.

    The text is for operators and never holds a credential. What people read is made from `code`,
    in their language, at the edge (`api/language.py`).
    """

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False
    """Whether the same request may succeed on another attempt."""


class ConfigurationError(NabraError):
    """A setting is wrong."""

    code = "configuration"


class InternalError(NabraError):
    """A fault of our own."""


class BadInputError(NabraError):
    """The client sent something unusable; the session goes on."""

    code = "bad-input"


class InvalidJSONError(BadInputError):
    """A text frame is not JSON."""

    code = "invalid-json"


class InvalidMessageError(BadInputError):
    """A text frame is JSON of the wrong shape."""

    code = "invalid-message"


class UnknownMessageError(BadInputError):
    """A message has a type that we do not know."""

    code = "unknown-message-type"


class InvalidBase64Error(BadInputError):
    """`audio_base64` is not base64."""

    code = "invalid-base64"


class UnexpectedBinaryError(BadInputError):
    """A binary frame arrived that nobody asked for."""

    code = "unexpected-binary"


class EmptyTextError(BadInputError):
    """A typed turn holds no text."""

    code = "empty-text"


class TextTooLongError(BadInputError):
    """A typed turn exceeds the limit of characters."""

    code = "text-too-long"


class EmptyAudioError(BadInputError):
    """An utterance holds no audio."""

    code = "empty-audio"


class UndecodableAudioError(BadInputError):
    """An utterance is in no format that we can decode."""

    code = "undecodable-audio"


class UtteranceTooLongError(BadInputError):
    """An utterance exceeds the limit of bytes or of seconds."""

    code = "utterance-too-long"


class UnsupportedConfigurationError(BadInputError):
    """`configure` asks for something that this gateway cannot do."""

    code = "unsupported-configuration"


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
    """Speech to text heard no words."""

    code = "no-speech"


class ProviderError(NabraError):
    """The speech provider failed."""

    code = "provider-error"


class ConnectError(ProviderError):
    """No connection to the provider could be opened."""

    code = "provider-unreachable"
    retryable = True


class ConnectionLostError(ProviderError):
    """The connection broke in the middle of a request."""

    code = "provider-connection-lost"
    retryable = True


class ProviderTimeoutError(ProviderError):
    """The provider was silent for too long."""

    code = "provider-timeout"
    retryable = True


class ProviderUnavailableError(ProviderError):
    """The provider says that it cannot serve now (5xx, or an error frame of its own)."""

    code = "provider-unavailable"
    retryable = True


class RateLimitedError(ProviderError):
    """The provider asks us to slow down."""

    code = "provider-rate-limited"
    retryable = True

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class IncompleteAudioError(ProviderError):
    """An answer is far shorter than its text needs, whatever its `end` said."""

    code = "incomplete-audio"
    retryable = True


class ProtocolError(ProviderError):
    """The provider sent what its protocol does not allow."""

    code = "provider-protocol"
    retryable = True


class PoolExhaustedError(ProviderError):
    """No socket came free in time, and the budget allows no new one."""

    code = "provider-pool-exhausted"
    retryable = True


class AuthenticationError(ProviderError):
    """The provider refused the key."""

    code = "provider-authentication"


class QuotaExceededError(ProviderError):
    """The account is out of funds or over its usage limit."""

    code = "provider-quota"


class RefusedError(ProviderError):
    """The provider refuses this request (voice, text, format); repeating it cannot help."""

    code = "provider-refused"


class AgentError(NabraError):
    """The agent did not answer, or not to the end."""

    code = "agent-error"


class AgentUnreachableError(AgentError):
    """No connection to the agent could be opened."""

    code = "agent-unreachable"


class AgentRefusedError(AgentError):
    """The agent answered with an HTTP error."""

    code = "agent-refused"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class AgentFailedError(AgentError):
    """The agent's own run failed."""

    code = "agent-failed"


class AgentEmptyError(AgentError):
    """The agent answered nothing."""

    code = "agent-empty"


class AgentCutError(AgentError):
    """The agent's answer ended before its end."""

    code = "agent-cut"


class AgentTimeoutError(AgentError):
    """The agent was silent, or kept writing, for too long."""

    code = "agent-timeout"
