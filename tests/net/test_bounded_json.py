"""JSON is counted before it is parsed: what holds too many values is refused."""

from collections.abc import Callable

import orjson
import pytest

from app.net.bounded_json import MAX_VALUES, TooManyValuesError, check_values

TYPES: list[Callable[[str], bytes | bytearray | str]] = [
    str,
    str.encode,
    lambda text: bytearray(text.encode()),
]


def leaves(value: object) -> int:
    """Count a value and all that it holds."""
    if isinstance(value, dict):
        return 1 + sum(map(leaves, value.values()))
    return 1 + sum(map(leaves, value)) if isinstance(value, list) else 1


@pytest.mark.parametrize("as_type", TYPES, ids=["str", "bytes", "bytearray"])
@pytest.mark.parametrize(
    "value",
    [
        "[" + "[]," * MAX_VALUES + "0]",
        "[" + '{"a":1},' * MAX_VALUES + "0]",
        "[" * (MAX_VALUES + 1) + "]" * (MAX_VALUES + 1),
        "[" + "1," * MAX_VALUES + "1]",
    ],
    ids=["lists", "objects", "nested", "numbers"],
)
def test_a_document_of_too_many_values_is_refused(
    value: str, as_type: Callable[[str], bytes | bytearray | str]
) -> None:
    with pytest.raises(TooManyValuesError, match="more than 30000 values"):
        check_values(as_type(value))


@pytest.mark.parametrize("as_type", TYPES, ids=["str", "bytes", "bytearray"])
def test_a_long_text_and_a_long_list_are_not(
    as_type: Callable[[str], bytes | bytearray | str],
) -> None:
    check_values(as_type('{"output": "' + "كلمة، كلمة " * 100_000 + '"}'))
    check_values(as_type("[" + "1," * (MAX_VALUES - 1) + "1]"))


@pytest.mark.parametrize("document", ["[[],{},[1,2]]", '{"a":{"b":[1,2,{"c":[]}]},"d":0}', "[]"])
def test_no_document_holds_more_values_than_are_counted(document: str) -> None:
    counted = document.count(",") + document.count("[") + document.count("{")
    assert leaves(orjson.loads(document)) <= counted + 1
