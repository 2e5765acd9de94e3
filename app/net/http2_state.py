"""The `h2` state machine as a client needs it: more tolerant, cheaper, and bounded."""

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame, RstStreamFrame

from app.net.limits import HttpLimits

Outcome = tuple[list[Frame], list[h2.events.Event]]
"""Frames to send, and events that happened."""


class ControlFrameFloodError(h2.exceptions.ProtocolError):
    """The server keeps the connection busy with frames that carry nothing."""

    error_code = h2.errors.ErrorCodes.ENHANCE_YOUR_CALM


class StateMachine(h2.connection.H2Connection):
    """A client's side of one connection."""

    def __init__(self, stream_window_bytes: int, limits: HttpLimits) -> None:
        # headers stay bytes: one that cannot be decoded must not end the connection
        super().__init__(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self.limits = limits
        self.local_settings = h2.settings.Settings(
            client=True,
            initial_values={
                h2.settings.SettingCodes.ENABLE_PUSH: 0,
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: stream_window_bytes,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: limits.max_head_bytes,
            },
        )
        self.decoder.max_header_list_size = limits.max_head_bytes
        self._control_frames = 0

    def start_second(self) -> None:
        """Count control frames from zero again."""
        self._control_frames = 0

    def _receive_frame(self, frame: Frame) -> list[h2.events.Event]:
        """Raise `ProtocolError` after too many control frames within a second.

        DATA is taken as it is: h2 first writes each frame out in hexadecimal for a log it has not,
        a fifth of what a sentence costs.
        """
        is_response = isinstance(frame, HeadersFrame) or (
            isinstance(frame, DataFrame) and ("END_STREAM" in frame.flags or frame.data)
        )
        if not is_response:
            self._control_frames += 1
            if self._control_frames > (limit := self.limits.max_control_frames_per_s):
                raise ControlFrameFloodError(f"more than {limit} frames a second")
        if not isinstance(frame, DataFrame):
            return super()._receive_frame(frame)
        frames, events = self._receive_data_frame(frame)
        self._prepare_for_sending(frames)
        return events

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> Outcome:
        """Stay open: the server still answers the streams that it accepted before GOAWAY."""
        before = self.state_machine.state
        try:
            return super()._receive_goaway_frame(frame)
        finally:
            self.state_machine.state = before

    def clear_outbound_data_buffer(self) -> None:
        """Keep what GOAWAY would drop: replies to what came with it, such as a ping."""

    def _handle_data_on_closed_stream(
        self,
        events: list[h2.events.Event],
        exc: h2.exceptions.StreamClosedError,
        frame: DataFrame,
    ) -> Outcome:
        """Return the window, but do not reset the stream again for each frame that still comes.

        Servers count resets, and disconnect clients that send too many.
        """
        frames, events = super()._handle_data_on_closed_stream(events, exc, frame)
        return [frame for frame in frames if not isinstance(frame, RstStreamFrame)], events
