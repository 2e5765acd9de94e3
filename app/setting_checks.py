"""The types of settings, and their checks.

No message shows a credential. Of a URL, whose query, user or path may hold one, only the scheme,
the host and the port are shown.
"""

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import SplitResult, urlsplit

import httpx
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import NoDecode

from app.setting_errors import shown

MIN_KEY_CHARS = 16
"""Shortest client key: 64 random bits in hexadecimal digits."""

MIN_SECRET_CHARS = 32
"""Shortest secret of HS256, in bytes (RFC 7518)."""

BUILT_IN_NAMES = ("websocket", "rest", "auto", "webhook", "openai", "none")
"""Names that stand beside those of plug-ins."""


def _parse_url(value: str) -> SplitResult:
    """Return the parts of a URL that can be connected to.

    Raises `ValueError` for what URL parsers accept and sockets do not: a port out of range, a name
    that IDNA cannot encode.
    """
    example = "for example https://api.example.com"
    try:
        parts = urlsplit(value)
    except ValueError:
        raise ValueError(f"must be a URL, {example}") from None
    if set(parts.netloc) & set(" \\") or not value.isprintable():
        wrong = "spaces, backslashes or invisible characters"
        raise ValueError(f"must be a URL without {wrong}, {example}")
    _check_port(parts)
    try:
        httpx.URL(value).host.encode("idna").decode("idna")
    except (httpx.InvalidURL, ValueError):
        raise ValueError(f"host name is not valid: {parts.hostname!r}") from None
    return parts


def _check_port(parts: SplitResult) -> None:
    try:
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        port = parts.netloc.rpartition(":")[2]
        # What is not a number may be a password whose `@` is missing.
        got = f", got {port}" if port.isdecimal() else ""
        raise ValueError(f"port must be 0 to 65535{got}") from None


def _url_check(*schemes: str) -> AfterValidator:
    """Return the check of a URL with one of these schemes; it shows no part that may be secret."""
    beginnings = " or ".join(f"{scheme}://" for scheme in schemes)

    def check(value: str) -> str:
        parts = _parse_url(value)
        if parts.scheme not in schemes:
            got = f", got '{parts.scheme}://…'" if parts.netloc else ""
            raise ValueError(f"must begin with {beginnings}{got}")
        if not parts.hostname:
            raise ValueError(f"must have a host name after {beginnings}")
        if "api_key" in parts.query.lower() or "@" in parts.netloc:
            raise ValueError("must hold no key or password: set it in its own variable")
        return value

    return AfterValidator(check)


def _check_origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.path.strip("/") or parts.query:
        origin = f"{parts.scheme}://{parts.netloc}"
        raise ValueError(f"must be scheme and host only, for example {origin}")
    return value.rstrip("/")


def _check_credential(value: SecretStr) -> SecretStr:
    """Refuse what no header may hold: it would fail each request, or add another header."""
    text = value.get_secret_value()
    if not (text.isascii() and text.isprintable()):
        raise ValueError(
            "holds a character that no HTTP header can carry, such as a curly quote or a line "
            "break: copy it again"
        )
    return value


def split_list(value: object) -> object:
    """Split a list that is written with commas between its items."""
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value


def _check_client_keys(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    """Refuse keys that can be guessed, and names that occur twice; no key is shown."""
    names: set[str] = set()
    for number, each in enumerate(keys, start=1):
        name, colon, key = each.get_secret_value().partition(":")
        name, key = (name, key) if colon else (str(number), name)
        if len(key) < MIN_KEY_CHARS:
            raise ValueError(
                f"key {number} is too short: write {MIN_KEY_CHARS} or more random characters, for "
                "example from `openssl rand -hex 24`"
            )
        if not name or name in names:
            raise ValueError(f"key {number} needs a name of its own, for example shop:KEY")
        names.add(name)
    return keys


def _check_signing_secret(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < MIN_SECRET_CHARS:
        raise ValueError(
            f"is too short: write {MIN_SECRET_CHARS} or more random characters, for example from "
            "`openssl rand -hex 32`"
        )
    return value


def _check_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for each in origins:
        parts = urlsplit(each)
        if each == "*" or (parts.scheme and parts.netloc and not parts.path.strip("/")):
            continue
        raise ValueError(f"must be origins such as https://shop.example, or *, got {shown(each)}")
    return tuple(each.rstrip("/").lower() for each in origins)


def _check_networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    for each in networks:
        try:
            ip_network(each)
        except ValueError:
            raise ValueError(
                f"must be addresses or networks such as 10.0.0.0/8, got {shown(each)}"
            ) from None
    return networks


def _consists_of(value: str, others: str) -> bool:
    return value.isascii() and all(char.isalnum() or char in others for char in value)


def _check_header_name(value: str) -> str:
    """Refuse a name without showing it, as the token may have been written behind it."""
    if not (value and _consists_of(value, "-")):
        raise ValueError("must have letters A-Z, digits and - only, for example X-Api-Key")
    return value


def _check_root_path(value: str) -> str:
    """Refuse what is no path of names, and our own names: requests could not be told apart."""
    if not value.strip("/"):
        return ""
    names = value.strip("/").split("/")
    if not all(_consists_of(name, "._~-") and name.strip(".") for name in names):
        raise ValueError(f"must be a path such as /voice, got {shown(value)}")
    if names[0] in ("ws", "v1", "page"):
        raise ValueError(f"must not begin with a path of the gateway's own, got {shown(value)}")
    return "/" + "/".join(names)


def _check_strategy_name(value: str) -> str:
    if not (0 < len(value) <= 64 and _consists_of(value, "_.-")):
        raise ValueError(f"must have 1 to 64 letters A-Z, digits and _ . -, got {shown(value)}")
    return value


def _split_names(value: object) -> object:
    """Split a list of names; `none` is the empty one."""
    names = split_list(value)
    if isinstance(names, list | tuple):
        names = tuple(map(_built_in_name, names))
    return () if names == ("none",) else names


def _check_names(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        _check_strategy_name(name)
        if name == "none":
            raise ValueError("none stands for no fallback, and beside no other name")
    return names


def _read_client_choice(value: object) -> object:
    """Read yes, no, or a list of names: `true` stands for the choice that is made without one."""
    if isinstance(value, bool):
        return ("true",) if value else ()
    if isinstance(value, str) and value.lower() in ("false", "no", "off", "0"):
        return ()
    if isinstance(value, str) and value.lower() in ("true", "yes", "on", "1"):
        return ("true",)
    return _split_names(value)


def choice_in_any_case(value: object, field: FieldInfo) -> object:
    """Return the choice of a field that the text `value` stands for, else `value` as it is.

    `REST` stands for `rest`, and `8000` for the number.
    """
    return _in_any_case(value, _choices(field.annotation))


def _choices(annotation: Any) -> Iterator[object]:
    """Iterate over the choices that a type lists, also one that may be None."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for each in get_args(annotation):
            yield from _choices(each)


def _in_any_case(value: object, choices: Iterable[object]) -> object:
    if not isinstance(value, str):
        return value
    return next((each for each in choices if str(each).lower() == value.lower()), value)


def _built_in_name(value: object) -> object:
    """Accept the names of what is built in in any case; those of plug-ins have one."""
    return _in_any_case(value, BUILT_IN_NAMES)


WebSocketUrl = Annotated[str, _url_check("ws", "wss")]
HttpUrl = Annotated[str, _url_check("http", "https")]
HttpOrigin = Annotated[HttpUrl, AfterValidator(_check_origin)]
"""Scheme and host of a web server; a slash at the end is removed."""

Credential = Annotated[SecretStr, AfterValidator(_check_credential)]
SigningSecret = Annotated[Credential, AfterValidator(_check_signing_secret)]
ClientKeys = Annotated[
    tuple[Credential, ...],
    NoDecode,
    BeforeValidator(split_list),
    AfterValidator(_check_client_keys),
]
"""Keys separated by commas, each with or without a name before a colon."""
Origins = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(split_list), AfterValidator(_check_origins)
]
Networks = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(split_list), AfterValidator(_check_networks)
]
RootPath = Annotated[str, AfterValidator(_check_root_path)]
"""A path without a slash at its end; empty for none."""
HeaderName = Annotated[str, AfterValidator(_check_header_name)]
StrategyName = Annotated[str, BeforeValidator(_built_in_name), AfterValidator(_check_strategy_name)]
"""A built-in strategy, or that of an installed plug-in."""
StrategyNames = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(_split_names), AfterValidator(_check_names)
]
"""Names separated by commas; `none` for none."""
ClientChoice = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(_read_client_choice), AfterValidator(_check_names)
]
"""What a client may choose: nothing, what there is by default (`true`), or these names."""
Seconds = Annotated[float, Field(gt=0, le=3600)]
SampleRate = Literal[8000, 16000]
