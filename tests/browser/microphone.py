"""The browser's microphone: what it picks up, and how it fails."""

import base64
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


PLAYABLE = """() => {
  let context, into;
  navigator.mediaDevices.getUserMedia = async () => {
    context ??= new AudioContext();
    into ??= context.createMediaStreamDestination();
    await context.resume();
    return into.stream;
  };
  globalThis.playIntoMicrophone = async (base64) => {
    const wav = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)).buffer;
    const source = new AudioBufferSourceNode(context);
    source.buffer = await context.decodeAudioData(wav);
    source.connect(into);
    const ended = new Promise((resolve) => (source.onended = resolve));
    source.start();
    await ended;
  };
}"""


async def make_microphone_playable(page: Page) -> None:
    """Give the page a microphone that is silent but for `play_into_microphone`."""
    await page.evaluate(PLAYABLE)


async def play_into_microphone(page: Page, pcm: bytes) -> None:
    """Let the microphone pick up this 16 kHz PCM16, once it is open; return when it is over."""
    recording = base64.b64encode(wav(pcm, PCM16_16K)).decode()
    await page.evaluate("recording => playIntoMicrophone(recording)", recording)


async def track_microphones(page: Page) -> None:
    """Keep what the page opens in its `openedTracks`."""
    await page.evaluate(TRACK)


async def fail_microphone(page: Page, error: str) -> None:
    """Make every attempt to open a microphone fail with this error."""
    await page.evaluate(FAIL, error)


async def unplug(page: Page, index: int) -> None:
    """End one of the tracks that were opened since `track_microphones`."""
    await page.evaluate("index => openedTracks[index].dispatchEvent(new Event('ended'))", index)
