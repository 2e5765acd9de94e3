import { find } from "./elements.js";
import { TurnView } from "./turn-view.js";

/** The turns on the page, and which of them the gateway has not taken up yet. */
export class TurnList {
  #onSelect;
  /** @type {TurnView[]} */
  #turns = [];
  /** Each connection counts turns from 1, and audio is played after its connection is lost. */
  #connection = 0;
  /** By connection and number. @type {Map<string, TurnView>} */
  #byNumber = new Map();
  /** Utterances that the gateway has not taken up, oldest first. @type {TurnView[]} */
  #pending = [];

  /** @param {(turn: TurnView) => void} onSelect */
  constructor(onSelect) {
    this.#onSelect = onSelect;
  }

  beginConnection() {
    this.#connection++;
  }

  /** The newest utterance that the gateway has not taken up. */
  get lastPending() {
    return this.#pending.at(-1) ?? null;
  }

  /** @param {string | null} userText null while it is spoken */
  addPending(userText) {
    const turn = this.#add(userText);
    this.#pending.push(turn);
    return turn;
  }

  /** Remove the newest pending turn from the page. @returns {boolean} whether there was one */
  removePending() {
    const turn = this.#pending.pop();
    if (turn !== undefined) this.remove(turn);
    return turn !== undefined;
  }

  /** Take the oldest pending turns: the gateway will not take them up. */
  takePending(count = Infinity) {
    return this.#pending.splice(0, count);
  }

  /** @param {number} number @param {number} [connection] default: the current one */
  find(number, connection = this.#connection) {
    return this.#byNumber.get(`${connection}.${number}`);
  }

  /** Begin a turn of this connection with the oldest utterance. @param {number} number */
  begin(number) {
    const turn = this.#pending.shift() ?? this.#add("");
    this.#byNumber.set(`${this.#connection}.${number}`, turn);
    return turn;
  }

  /** @param {TurnView} turn */
  remove(turn) {
    turn.element.remove();
    this.#turns = this.#turns.filter((each) => each !== turn);
  }

  render() {
    for (const turn of this.#turns) turn.render();
  }

  /** @param {string | null} userText */
  #add(userText) {
    const turn = new TurnView(userText, this.#onSelect);
    this.#turns.push(turn);
    find("turns").append(turn.element);
    find("welcome").hidden = true;
    return turn;
  }
}
