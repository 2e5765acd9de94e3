"""Whether a request that no agent has taken is sent again. Pure: no I/O, no clock."""

from app.errors import AgentError, AgentNotReadyError, AgentRefusedError

_FIRST_PAUSE_S = 0.1  # n8n shows its starting page for so long at an ordinary restart
_LONGEST_PAUSE_S = 1.0
_NO_WEBHOOK = ("is not registered", "Cannot POST")
"""n8n's 404: it knows no such webhook, or while it starts not even that there are webhooks."""

_NO_DATABASE = "Database is not ready"  # n8n's 503 before it looks at a request


class RetryPolicy:
    """Decides for one turn how long to wait for an agent that is starting, `retry_s` at most.

    Only what no run can have begun from is sent again: a second run would do everything twice.
    `has_worked` says whether the agent has answered before: n8n answers 404 for some seconds until
    it has registered its webhooks, and always where the address is wrong.
    """

    def __init__(self, retry_s: float, *, has_worked: bool) -> None:
        self._retry_s = retry_s
        self._may_be_starting = has_worked
        self._next_pause_s = _FIRST_PAUSE_S

    def pause_s(self, error: AgentError, waited_s: float) -> float | None:
        """Return how long to wait, in seconds, before the next request; None to give up.

        `waited_s` is the time since the first request.
        """
        if isinstance(error, AgentNotReadyError) or _NO_DATABASE in str(error):
            self._may_be_starting = True
        elif not (self._may_be_starting and is_not_registered(error)):
            return None
        if waited_s >= self._retry_s:
            return None
        pause_s = min(self._next_pause_s, self._retry_s - waited_s)
        self._next_pause_s = min(2 * self._next_pause_s, _LONGEST_PAUSE_S)
        return pause_s


def was_run(error: AgentError) -> bool:
    """Return whether a run may have begun before the error: n8n's runs that fail are a 500."""
    is_refusal = isinstance(error, AgentRefusedError) and error.status >= 500
    return is_refusal and _NO_DATABASE not in str(error)


def is_not_registered(error: AgentError) -> bool:
    """Return whether n8n does not know the webhook: it is inactive, or not registered yet."""
    is_missing = isinstance(error, AgentRefusedError) and error.status == 404
    return is_missing and any(text in str(error) for text in _NO_WEBHOOK)
