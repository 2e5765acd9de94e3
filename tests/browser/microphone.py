"""The browser's microphone: what it picks up, and how it fails."""

from pathlib import Path

from playwright.async_api import Page

from app.audio import PCM16_16K, wav

TRACK = """() => {
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  globalThis.openedTracks = [];
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await open(wanted);
    openedTracks.push(stream.getAudioTracks()[0]);
    return stream;
  };
}"""

FAIL = """error => {
  if (!navigator.mediaDevices) return;
  navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("", error));
}"""


def feed_microphone(file: Path, pcm: bytes) -> None:
    """Make the microphone pick up this 16 kHz PCM16, from when it is opened next."""
    file.write_bytes(wav(pcm, PCM16_16K))


async def track_microphones(page: Page) -> None:
    """Keep what the page opens in its `openedTracks`."""
    await page.evaluate(TRACK)


async def fail_microphone(page: Page, error: str) -> None:
    """Make every attempt to open a microphone fail with this error."""
    await page.evaluate(FAIL, error)


async def unplug(page: Page, index: int) -> None:
    """End one of the tracks that were opened since `track_microphones`."""
    await page.evaluate("index => openedTracks[index].dispatchEvent(new Event('ended'))", index)
