"""What waits for clients that do not read, counted for all of them together."""

from app.api.unsent import ClientBacklog, UnsentBytes


class Clients:
    """Clients whose messages a test lets wait."""

    def __init__(self, *names: str, max_bytes: int) -> None:
        self.unsent = UnsentBytes(max_bytes)
        self.disconnected: list[str] = []
        self.backlogs = {name: self._backlog(name) for name in names}

    def _backlog(self, name: str) -> ClientBacklog:
        return ClientBacklog(self.unsent, lambda: self.disconnected.append(name))


def test_only_what_waits_is_counted() -> None:
    clients = Clients("ali", max_bytes=100)
    ali = clients.backlogs["ali"]
    ali.hold_audio(60)
    assert clients.unsent.total == 0, "the next sentence of one who reads"
    ali.begin_send(10)
    assert clients.unsent.total == 70
    ali.hold_audio(20)
    ali.hold_audio(-5)
    assert repr(clients.unsent) == "<UnsentBytes 85 of 1 clients>"
    ali.end_send()
    assert clients.unsent.total == 0
    ali.begin_send(1)
    assert clients.unsent.total == 76


def test_whoever_has_taken_nothing_for_longest_is_disconnected_until_it_is_little_enough() -> None:
    clients = Clients("ali", "badr", "dina", max_bytes=100)
    ali, badr, dina = clients.backlogs.values()
    ali.begin_send(40)
    badr.begin_send(40)
    ali.end_send()
    ali.begin_send(40)  # it has read, if slowly
    dina.begin_send(10)
    assert clients.disconnected == []
    dina.hold_audio(20)
    assert (clients.disconnected, clients.unsent.total) == (["badr"], 70)
    dina.hold_audio(75)
    assert (clients.disconnected, clients.unsent.total) == (["badr", "ali", "dina"], 0)
    assert clients.unsent.disconnected == 3


def test_a_client_that_was_disconnected_counts_no_more() -> None:
    clients = Clients("ali", "badr", max_bytes=100)
    ali, badr = clients.backlogs.values()
    ali.begin_send(101)
    ali.hold_audio(50)  # its turn has not ended yet
    ali.hold_audio(-50)
    ali.end_send()
    assert clients.unsent.total == 0
    badr.begin_send(100)
    assert clients.disconnected == ["ali"]
