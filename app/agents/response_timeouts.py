"""How long to wait for an answer that is being written."""


class ResponseTimeouts:
    """Count down the wait for the first word, for the next one, and for all of them.

    Only time spent waiting counts, in seconds: a listener who takes the answer slowly, as speech
    is played, must not make it late.
    """

    def __init__(
        self,
        *,
        first_token_timeout_s: float,
        between_tokens_timeout_s: float,
        total_timeout_s: float,
    ) -> None:
        self._between_tokens_timeout_s = between_tokens_timeout_s
        self._step_left_s = first_token_timeout_s
        self._total_left_s = total_timeout_s
        self._linger_left_s: float | None = None
        self._begun = False

    @property
    def lingering(self) -> bool:
        """Tell whether there was an error and only the end of the body is awaited."""
        return self._linger_left_s is not None

    @property
    def left_s(self) -> float:
        """Give how long the next wait may last."""
        left_s = min(self._step_left_s, self._total_left_s)
        if self._linger_left_s is not None:
            left_s = min(left_s, self._linger_left_s)
        return max(0.0, left_s)

    def spend(self, waited_s: float) -> None:
        """Take off what a wait has cost."""
        self._step_left_s -= waited_s
        self._total_left_s -= waited_s
        if self._linger_left_s is not None:
            self._linger_left_s -= waited_s

    def spoke(self) -> None:
        """Note words to be spoken: from now on the wait is for the next ones."""
        self._begun = True
        self.worked()

    def worked(self) -> None:
        """Note a sign of work; before the first word none buys more time.

        Work after an error means that the error was not the end.
        """
        self._linger_left_s = None
        if self._begun:
            self._step_left_s = self._between_tokens_timeout_s

    def linger(self, linger_s: float) -> None:
        """Note an error: the body should end soon."""
        self._linger_left_s = linger_s

    def complaint(self) -> str:
        """Say which of the waits ran out."""
        if self._total_left_s <= self._step_left_s:
            return "the agent was still writing when its total time was over"
        return "the agent fell silent" if self._begun else "no word came from the agent in time"
