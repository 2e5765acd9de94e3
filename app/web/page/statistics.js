/** Statistics over the turns of this visit. */

/** @import { SentenceMetrics } from "../types" */
/** @import { FinishedTurn } from "./turn-view.js" */

/**
 * Return the smallest value that a share `p` of all values does not exceed (nearest rank).
 *
 * @param {number[]} values @param {number} p
 * @returns {number | null} null without values
 */
export function percentile(values, p) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)];
}

/**
 * Return the times to first audio: as played in this browser, and as the gateway sent it.
 *
 * @param {FinishedTurn[]} turns
 */
export function firstAudioTimes(turns) {
  const known = (/** @type {(number | null)[]} */ values) => values.filter((ms) => ms !== null);
  return {
    played: known(turns.map((turn) => turn.firstSoundMs)),
    sent: known(turns.map((turn) => turn.metrics.first_audio_ms)),
  };
}

/**
 * Count the sentences, those that were not spoken whole, and the failed attempts.
 *
 * @param {FinishedTurn[]} turns
 */
export function countSentences(turns) {
  // Of an interrupted turn, sentences that had not begun are not missed.
  const sentences = turns.flatMap(({ metrics, isIncomplete }) =>
    metrics.sentences.filter((sentence) => sentence.audio_ms > 0 || !isIncomplete));
  const missing = sentences.filter((sentence) => !isSpoken(sentence));
  const faults = sentences.reduce((sum, sentence) => sum + sentence.faults.length, 0);
  return { count: sentences.length, missing: missing.length, faults };
}

/** Tell whether an attempt succeeded. @param {SentenceMetrics} sentence */
function isSpoken({ attempt_log: attempts, audio_ms: audioMs }) {
  return audioMs > 0 && attempts.some((attempt) => attempt.fault === null);
}
