"""The decisions about connections, without any."""

from app.serving.admission import (
    Admission,
    ConnectionLimits,
    RateLimit,
    connections_for,
)


class Connection:
    """One that notes how it was ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def abort(self) -> None:
        self.ended.append("abort")

    def overflow(self) -> None:
        self.ended.append("overflow")


def test_an_established_connection_is_never_the_one_that_goes() -> None:
    admission = Admission(ConnectionLimits(max_pending=1))
    session, patient, polite = Connection(), Connection(), Connection()
    assert admission.admit(session, 0)
    admission.establish(session)
    assert admission.admit(patient, 0)
    assert admission.admit(polite, 0)
    assert (session.ended, patient.ended, polite.ended) == ([], ["abort"], [])


def test_a_connection_that_left_is_not_established() -> None:
    admission = Admission(ConnectionLimits())
    gone = Connection()
    admission.admit(gone, 0)
    admission.leave(gone)
    admission.establish(gone)
    assert admission.counts() == {"pending": 0, "established": 0}


def test_buffered_bytes_are_given_back() -> None:
    admission = Admission(ConnectionLimits(max_buffered_bytes=10))
    one, other = Connection(), Connection()
    admission.buffer(one, 6)
    admission.buffer(one, 10)
    admission.buffer(one, 0)
    admission.buffer(other, 10)
    assert (one.ended, other.ended) == ([], [])
    admission.buffer(one, 1)
    assert (one.ended, other.ended) == ([], ["overflow"])
    admission.leave(one)
    admission.buffer(other, 10)
    assert other.ended == ["overflow"]


def test_a_rate_lets_twice_its_number_through_at_once() -> None:
    rate = RateLimit(10, now=0)
    assert [rate.wait_s(0) for _ in range(21)] == [0.0] * 20 + [0.1]
    assert rate.wait_s(10) == 0


def test_descriptors_are_kept_for_what_is_not_a_client() -> None:
    assert [connections_for(count) for count in (16, 64, 1024, 65_536)] == [1, 16, 768, 65_280]
