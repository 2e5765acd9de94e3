"""Whether a text says again what was said: n8n's Respond node often repeats the agent's answer."""


def repeats(text: str, spoken: str) -> bool:
    """Return whether `text` repeats `spoken`, or its end, whatever the punctuation and Markdown.

    One that holds the other and is at most twice as long repeats it, too. A text without letters
    and digits adds nothing.
    """
    if len(text) > 4 * len(spoken) + 1000:
        return False  # not worth the time: no Markdown makes so much of an answer
    text, spoken = _letters(text), _letters(spoken)
    if spoken.endswith(text):
        return True
    shorter, longer = sorted((text, spoken), key=len)
    return shorter in longer and 2 * len(shorter) >= len(longer)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
