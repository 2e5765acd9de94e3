"""Which container a recording is, told by its first bytes, without opening it."""

from app.errors import UndecodableAudioError

_MAGIC = (
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"ID3", "mp3"),
)
_MOV_BOXES = (b"ftyp", b"moov", b"mdat", b"styp", b"free", b"skip", b"wide")
_ID3_BYTES = 10  # of a tag's header, and of its footer


def is_wav(data: bytes) -> bool:
    """Tell whether `data` begins as a WAVE file, which may be longer than 4 GiB (RF64)."""
    return data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE"


def container_of(data: bytes) -> str:
    """Name FFmpeg's demuxer for what `data` begins with.

    Raises `UndecodableAudioError` for what is none of the seven that recorders write.
    """
    if is_wav(data):
        return "wav"
    if data[4:8] in _MOV_BOXES:
        return "mov"
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    # Both begin each frame with at least eleven set bits; ADTS alone has layer 0.
    if len(data) >= 2 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0:
        return "mp3" if data[1] & 0x06 else "aac"
    raise UndecodableAudioError("not the beginning of any audio file that we know")


def without_tags(data: bytes) -> tuple[str, bytes]:
    """Name the demuxer, and drop the ID3 tags that `data` begins with.

    FFmpeg would inflate their frames, and nobody reads them.
    """
    start = 0
    while size := _id3_bytes(data[start : start + _ID3_BYTES]):
        start += size
    container = container_of(data)
    if start == 0:
        return container, data
    data = data[start:]
    try:
        inner = container_of(data)
    except UndecodableAudioError:
        inner = container  # padding before the first frame, perhaps
    return inner if inner in ("flac", "aac") else container, data


def _id3_bytes(head: bytes) -> int:
    """Return how long the tag is that begins with `head`; 0 when none does."""
    is_tag = len(head) == _ID3_BYTES and head.startswith(b"ID3") and 0xFF not in head[3:5]
    if not is_tag or any(byte & 0x80 for byte in head[6:]):
        return 0
    size = 0
    for byte in head[6:]:
        size = size << 7 | byte
    has_footer = head[5] & 0x10
    return _ID3_BYTES + size + (_ID3_BYTES if has_footer else 0)
