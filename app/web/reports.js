/** Time between two reports; an interrupted answer is cut where the last one says. */
const REPORT_MS = 250;

export const REPORT_ID = "playback";

/** Tells the server how much of each turn has been heard. */
export class Reports {
  #send;
  #connection = 0;
  #now = null;
  #sent = { turn: 0, playedMs: 0 };
  #isWanted = true;

  /** @param {(message: object) => boolean} send */
  constructor(send) {
    this.#send = send;
  }

  /** Learn that turns are counted anew: what still sounds is of no turn that the server knows. */
  begin(connection) {
    this.#connection = connection;
    this.#now = null;
    this.#sent = { turn: 0, playedMs: 0 };
  }

  /** @param {{connection: number, turn: number, playedMs: number}} now */
  take(now) {
    this.#now = now.connection === this.#connection ? now : null;
    const { turn, playedMs } = this.#sent;
    if (now.turn !== turn || now.playedMs - playedMs >= REPORT_MS) this.report();
  }

  /** Report at once: the turn ends here. */
  report() {
    if (this.#now === null || !this.#isWanted) return;
    const { turn, playedMs } = this.#now;
    if (turn === this.#sent.turn && playedMs === this.#sent.playedMs) return;
    this.#sent = { turn, playedMs };
    this.#send({ type: "playback", id: REPORT_ID, turn, played_ms: Math.round(playedMs) });
  }

  finish(now) {
    this.take(now);
    this.report();
    this.#now = null;
  }

  /** Learn that this server is too old for reports. */
  refused() {
    this.#isWanted = false;
  }
}
