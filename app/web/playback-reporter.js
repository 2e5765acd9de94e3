/** @import { PlaybackPosition } from "./types" */

/** Time between reports: how precisely the gateway knows what of a response was played. */
const REPORT_INTERVAL_MS = 250;

export const REPORT_ID = "playback";

/** Tells the gateway how much of each turn has been played. */
export class PlaybackReporter {
  #send;
  #connection = 0;
  /** @type {PlaybackPosition | null} */
  #position = null;
  #reported = { turn: 0, playedMs: 0 };
  #enabled = true;

  /** @param {(message: object) => boolean} send */
  constructor(send) {
    this.#send = send;
  }

  /** Begin a connection: the gateway knows no turn of an earlier one. @param {number} connection */
  reset(connection) {
    this.#connection = connection;
    this.#position = null;
    this.#reported = { turn: 0, playedMs: 0 };
  }

  /** Report the position if the last report is old enough. @param {PlaybackPosition} position */
  update(position) {
    this.#position = position.connection === this.#connection ? position : null;
    const { turn, playedMs } = this.#reported;
    const isNew = position.turn !== turn;
    if (isNew || position.playedMs - playedMs >= REPORT_INTERVAL_MS) this.reportNow();
  }

  reportNow() {
    if (this.#position === null || !this.#enabled) return;
    const { turn, playedMs } = this.#position;
    if (turn === this.#reported.turn && playedMs === this.#reported.playedMs) return;
    this.#reported = { turn, playedMs };
    this.#send({ type: "playback", id: REPORT_ID, turn, played_ms: Math.round(playedMs) });
  }

  /** Report where the turn's playback ended. @param {PlaybackPosition} position */
  finish(position) {
    this.update(position);
    this.reportNow();
    this.#position = null;
  }

  /** Stop reporting: this gateway is too old to know the message. */
  disable() {
    this.#enabled = false;
  }
}
