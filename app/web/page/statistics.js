/** What the turns of this visit took, and how they spread. */

/** The value that a share `p` of all values does not exceed (nearest rank); null without any. */
export function percentile(values, p) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)];
}

/** Times to the first sound of all turns: as heard in this browser, and as the server sent it. */
export function firstSounds(turns) {
  const known = (values) => values.filter((value) => value !== null && value !== undefined);
  return {
    heard: known(turns.map((turn) => turn.heardMs)),
    sent: known(turns.map((turn) => turn.metrics.first_audio_ms)),
  };
}

/** How many sentences there were, how many of them were spoken, and how many attempts failed. */
export function wholeness(turns) {
  // Of a turn that was cut short the sentences that had not begun are not missed.
  const sentences = turns.flatMap(({ metrics, isCutShort }) =>
    metrics.sentences.filter((sentence) => sentence.audio_ms > 0 || !isCutShort));
  const unspoken = sentences.filter((sentence) => !isSpoken(sentence));
  const faults = sentences.reduce((sum, sentence) => sum + sentence.faults.length, 0);
  return { count: sentences.length, missing: unspoken.length, faults };
}

/** The last attempt of a sentence that could not be spoken has failed. */
function isSpoken({ attempt_log: attempts, audio_ms: audioMs }) {
  return audioMs > 0 && attempts.some((attempt) => attempt.fault === null);
}
