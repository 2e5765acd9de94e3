"""The three limits on how long to wait for a response that is being written."""


class ResponseTimeouts:
    """Count down the time to the first text, to the next text, and for the whole response.

    Only time spent waiting for the agent counts, in seconds. A reader who takes the response
    slowly, as speech is played, must not make it time out.
    """

    def __init__(
        self,
        *,
        first_token_timeout_s: float,
        between_tokens_timeout_s: float,
        total_timeout_s: float,
    ) -> None:
        self._first_token_timeout_s = first_token_timeout_s
        self._between_tokens_timeout_s = between_tokens_timeout_s
        self._total_timeout_s = total_timeout_s
        self._text_left_s = first_token_timeout_s
        self._total_left_s = total_timeout_s
        self._linger_left_s: float | None = None
        self._has_text = False

    @property
    def lingering(self) -> bool:
        """Return whether only the end of the body is awaited."""
        return self._linger_left_s is not None

    @property
    def left_s(self) -> float:
        """Return how long the next wait may last."""
        left_s = min(self._text_left_s, self._total_left_s)
        if self._linger_left_s is not None:
            left_s = min(left_s, self._linger_left_s)
        return max(0.0, left_s)

    def spend(self, waited_s: float) -> None:
        """Deduct the length of a wait that is over."""
        self._text_left_s -= waited_s
        self._total_left_s -= waited_s
        if self._linger_left_s is not None:
            self._linger_left_s -= waited_s

    def on_text(self) -> None:
        """Take note of text: from now on the limit is that between two texts."""
        self._has_text = True
        self._linger_left_s = None
        self._text_left_s = self._between_tokens_timeout_s

    def on_progress(self) -> None:
        """Take note of progress, which before the first text gains no time.

        Progress after an error means that the error was not the end.
        """
        self._linger_left_s = None
        if self._has_text:
            self._text_left_s = self._between_tokens_timeout_s

    def start_linger(self, linger_s: float) -> None:
        """Wait at most `linger_s` for the end of the body."""
        self._linger_left_s = linger_s

    def reason(self) -> str:
        """Return which limit ran out, with the name of its setting."""
        if self._total_left_s <= self._text_left_s:
            limit = f"{self._total_timeout_s:g} s (AGENT_TOTAL_TIMEOUT_S)"
            return f"agent did not finish its response within {limit}"
        if self._has_text:
            limit = f"{self._between_tokens_timeout_s:g} s (AGENT_BETWEEN_TOKENS_TIMEOUT_S)"
            return f"agent sent no further text for {limit}"
        limit = f"{self._first_token_timeout_s:g} s (AGENT_FIRST_TOKEN_TIMEOUT_S)"
        return f"agent sent no text within {limit}"
