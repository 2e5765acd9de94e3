/** The answer's text: as it is written, as it is spoken, and as far as it was heard. */

import { make } from "./elements.js";
import { words } from "./language.js";

export class Answer {
  element = make("p", { class: "answer-text", dir: "auto" });
  #text = "";
  /** @type {{text: string, start: number, end: number}[]} by their index; not found: end 0 */
  #sentences = [];
  #speaking = -1;
  #heardEnd = null;
  /** Holds what follows the last sentence that was found, so that a token costs next to nothing. */
  #tail = this.element.appendChild(new Text());

  get isCut() {
    return this.#heardEnd !== null;
  }

  get text() {
    return this.#text;
  }

  write(piece) {
    this.#text += piece;
    if (this.#sentences.some((sentence) => sentence.end === 0)) this.#render();
    else this.#tail.appendData(piece);
  }

  /** Learn that audio says this. It may come before the last of its words is written. */
  addSentence(index, text) {
    this.#sentences[index] = { text, start: 0, end: 0 };
    this.#render();
  }

  /** Mark the sentence that sounds now; none by -1. */
  speak(index) {
    if (index === this.#speaking) return;
    this.#speaking = index;
    this.#render();
  }

  get spokenElement() {
    return this.element.querySelector(".speaking");
  }

  /** Grey what was not heard; tell whether there is any. */
  cut(heardText) {
    let left = bare(heardText).length;
    this.#heardEnd = 0;
    for (const { text, start, end } of this.#sentences.filter((each) => each?.end)) {
      if (left <= 0) break;
      const length = bare(text).length;
      this.#heardEnd = left >= length ? end : after(this.#text, start, left);
      left -= length;
    }
    this.#speaking = -1;
    this.#render();
    return this.#text.slice(this.#heardEnd).trim() !== "";
  }

  /** The same, from how much audio was played and how long each sentence is. */
  cutAfter(playedMs, lengthsMs) {
    const heard = [];
    this.#sentences.forEach(({ text }, index) => {
      const share = Math.min(1, Math.max(0, playedMs / (lengthsMs[index] || 1)));
      const all = text.split(/\s+/);
      heard.push(...all.slice(0, Math.round(all.length * share)));
      playedMs -= lengthsMs[index] ?? 0;
    });
    return this.cut(heard.join(" "));
  }

  #render() {
    let at = 0;
    const parts = [];
    this.#sentences.forEach((sentence, index) => {
      if (sentence.end === 0) Object.assign(sentence, locate(this.#text, sentence.text, at));
      if (sentence.end === 0) return;
      parts.push(...this.#part(at, sentence.start), ...this.#part(sentence.start, sentence.end, index));
      at = sentence.end;
    });
    if (this.isCut) parts.push(...this.#part(at, this.#text.length));
    this.#tail = new Text(this.isCut ? "" : this.#text.slice(at));
    this.element.replaceChildren(...parts, this.#tail);
  }

  #part(start, end, index) {
    if (start >= end) return [];
    const heardEnd = this.#heardEnd ?? end;
    if (heardEnd > start && heardEnd < end) {
      return [...this.#part(start, heardEnd, index), ...this.#part(heardEnd, end, index)];
    }
    const text = this.#text.slice(start, end);
    if (heardEnd <= start) return [unheard(text, start === heardEnd)];
    if (index === undefined) return [new Text(text)];
    return [make("span", { class: index === this.#speaking ? "sentence speaking" : "sentence" }, text)];
  }
}

function unheard(text, isFirst) {
  const label = isFirst ? [make("span", { class: "unseen" }, ` ${words("unheard")} `)] : [];
  return make("span", { class: "unheard" }, ...label, text);
}

const bare = (text) => text.replace(/\s+/g, "");

/** Find a part in a text, whatever the spaces in both. */
function locate(text, part, from) {
  const places = [];
  let stripped = "";
  for (let at = from; at < text.length; at++) {
    if (/\s/.test(text[at])) continue;
    stripped += text[at];
    places.push(at);
  }
  const wanted = bare(part);
  const found = wanted ? stripped.indexOf(wanted) : -1;
  if (found < 0) return { start: 0, end: 0 };
  return { start: places[found], end: places[found + wanted.length - 1] + 1 };
}

/** The place after so many characters that are no spaces. */
function after(text, start, count) {
  let at = start;
  for (; at < text.length && count > 0; at++) if (!/\s/.test(text[at])) count--;
  return at;
}
