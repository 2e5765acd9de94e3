"""Which URLs are taken before anything is sent."""

import pytest

from app.errors import ConfigurationError
from app.net.client import http1_transport, http2_transport
from app.net.url import web_url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "n8n",
        "ftp://n8n.test/",
        "http://",
        "http://n8n.test:port/",
        "http://xn--/",
        "http://n8n..test",
        "http://1.2.3.400/",
        "http://a\\b/",
        "http://[n8n/",
        "http://n8n.test:65536/",
        "http://n8n.test:-1/",
        f"http://{'a' * 64}.test/",
    ],
)
async def test_a_url_that_is_not_valid_is_refused_and_not_quoted(url: str) -> None:
    for create in (http1_transport, http2_transport):
        with pytest.raises(ConfigurationError) as caught:
            create(url, keep_alive_s=1, max_connections=1)
        assert not url or url not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://127.0.0.1:8000/a?b=c", b"127.0.0.1"),
        ("https://[::1]/", b"::1"),
        ("https://بيت.test/", b"xn--ngbe9g.test"),
        ("https://n8n.test./", b"n8n.test."),
        ("http://n8n_main/", b"n8n_main"),
    ],
)
def test_a_url_that_is_valid_is_taken(url: str, host: bytes) -> None:
    assert web_url(url).raw_host == host
