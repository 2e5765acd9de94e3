import { make } from "./elements.js";
import { translate } from "./language.js";

/** @typedef {{text: string, start: number, end: number}} Sentence not located yet: `end` is 0 */

/** The text of a response: as it is written, spoken, and, once interrupted, as far as played. */
export class ResponseText {
  element = make("p", { class: "response-text", dir: "auto" });
  #text = "";
  /** By their index. @type {Sentence[]} */
  #sentences = [];
  #speaking = -1;
  /** Where playback ended. @type {number | null} */
  #playedEnd = null;
  /** Holds what follows the last located sentence, so that appending a token is cheap. */
  #tail = this.element.appendChild(new Text());

  get isInterrupted() {
    return this.#playedEnd !== null;
  }

  get text() {
    return this.#text;
  }

  /** @param {string} token */
  append(token) {
    this.#text += token;
    if (this.#sentences.some((sentence) => sentence.end === 0)) this.#render();
    else this.#tail.appendData(token);
  }

  /**
   * Add a sentence of the audio; it may come before the last of its words is written.
   *
   * @param {number} index @param {string} text
   */
  addSentence(index, text) {
    this.#sentences[index] = { text, start: 0, end: 0 };
    this.#render();
  }

  /** Mark the sentence that sounds; -1 for none. @param {number} index */
  setSpeaking(index) {
    if (index === this.#speaking) return;
    this.#speaking = index;
    this.#render();
  }

  get speakingElement() {
    return this.element.querySelector(".speaking");
  }

  /**
   * Grey out what was not played.
   *
   * @param {string} playedText
   * @returns {boolean} whether there is any
   */
  markInterrupted(playedText) {
    let left = withoutSpaces(playedText).length;
    this.#playedEnd = 0;
    for (const { text, start, end } of this.#sentences.filter((sentence) => sentence?.end)) {
      if (left <= 0) break;
      const length = withoutSpaces(text).length;
      this.#playedEnd = left >= length ? end : skipCharacters(this.#text, start, left);
      left -= length;
    }
    this.#speaking = -1;
    this.#render();
    return this.#text.slice(this.#playedEnd).trim() !== "";
  }

  /**
   * Do the same by how much audio was played.
   *
   * @param {number} playedMs @param {number[]} sentenceMs the duration of each sentence
   */
  markInterruptedAt(playedMs, sentenceMs) {
    /** @type {string[]} */
    const played = [];
    let leftMs = playedMs;
    this.#sentences.forEach(({ text }, index) => {
      const share = Math.min(1, Math.max(0, leftMs / (sentenceMs[index] || 1)));
      const words = text.split(/\s+/);
      played.push(...words.slice(0, Math.round(words.length * share)));
      leftMs -= sentenceMs[index] ?? 0;
    });
    return this.markInterrupted(played.join(" "));
  }

  #render() {
    let from = 0;
    /** @type {Node[]} */
    const parts = [];
    this.#sentences.forEach((sentence, index) => {
      if (sentence.end === 0) Object.assign(sentence, locate(this.#text, sentence.text, from));
      const { start, end } = sentence;
      if (end === 0) return;
      parts.push(...this.#nodes(from, start), ...this.#nodes(start, end, index));
      from = end;
    });
    if (this.isInterrupted) parts.push(...this.#nodes(from, this.#text.length));
    this.#tail = new Text(this.isInterrupted ? "" : this.#text.slice(from));
    this.element.replaceChildren(...parts, this.#tail);
  }

  /**
   * @param {number} start @param {number} end @param {number} [index] of the sentence
   * @returns {Node[]}
   */
  #nodes(start, end, index) {
    if (start >= end) return [];
    const playedEnd = this.#playedEnd ?? end;
    if (playedEnd > start && playedEnd < end) {
      return [...this.#nodes(start, playedEnd, index), ...this.#nodes(playedEnd, end, index)];
    }
    const text = this.#text.slice(start, end);
    if (playedEnd <= start) return [notPlayed(text, start === playedEnd)];
    if (index === undefined) return [new Text(text)];
    const look = index === this.#speaking ? "sentence speaking" : "sentence";
    return [make("span", { class: look }, text)];
  }
}

/** @param {string} text @param {boolean} isFirst */
function notPlayed(text, isFirst) {
  const label = make("span", { class: "visually-hidden" }, ` ${translate("not-played")} `);
  return make("span", { class: "not-played" }, ...(isFirst ? [label] : []), text);
}

/** @param {string} text */
const withoutSpaces = (text) => text.replace(/\s+/g, "");

/**
 * Find a part in a text, whatever the spaces in both.
 *
 * @param {string} text @param {string} part @param {number} from
 */
function locate(text, part, from) {
  /** Of each character that is no space. @type {number[]} */
  const positions = [];
  let stripped = "";
  for (let at = from; at < text.length; at++) {
    if (/\s/.test(text[at])) continue;
    stripped += text[at];
    positions.push(at);
  }
  const wanted = withoutSpaces(part);
  const found = wanted ? stripped.indexOf(wanted) : -1;
  if (found < 0) return { start: 0, end: 0 };
  return { start: positions[found], end: positions[found + wanted.length - 1] + 1 };
}

/**
 * Return the position after so many characters that are no spaces.
 *
 * @param {string} text @param {number} start @param {number} count
 */
function skipCharacters(text, start, count) {
  let at = start;
  for (let left = count; at < text.length && left > 0; at++) if (!/\s/.test(text[at])) left--;
  return at;
}
