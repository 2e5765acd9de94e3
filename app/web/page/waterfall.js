/** A turn's latencies as a waterfall, in SVG: what ran when, what failed, what was heard. */

import { draw } from "./elements.js";
import { isRightToLeft, number, seconds, words } from "./language.js";

const LABEL_PX = 78;
const VALUE_PX = 50;
const LANE_PX = 9;
const GAP_PX = 4;
const ROW_GAP_PX = 13;
const TOP_PX = 22;

/** A turn that was over in no time is not drawn as if it had taken long. */
const SHORTEST_MS = 100;

/** Attempts of one kind of outcome look alike, in the chart, in its key and in the table. */
export function outcomeOf(attempt) {
  if (attempt.fault !== null) return "fault";
  return attempt.heard ? "heard" : "unused";
}

/** What is drawn: rows of lanes of bars, `{kind, from, to}` in ms. */
export function rowsOf({ metrics }) {
  const { stt_ms: stt, agent_first_token_ms: first, agent_done_ms: done } = metrics;
  const pause = metrics.endpointing_ms ?? 0;
  const rows = [];
  const add = (name, ...bars) => rows.push({ label: words(name), lanes: [bars], at: bars.at(-1).to });
  if (pause > 0) add("row-pause", { kind: "wait", from: 0, to: pause });
  if (stt !== null) add("row-stt", { kind: "work", from: pause, to: stt });
  const asked = stt ?? 0;
  if (first !== null || done !== null) {
    const end = done ?? metrics.total_ms;
    const begins = first ?? end;
    add("row-agent", { kind: "wait", from: asked, to: begins }, { kind: "work", from: begins, to: end });
  }
  for (const { index, attempt_log: attempts } of metrics.sentences) {
    const lanes = attempts.map((attempt) => barsOf(attempt, metrics));
    const at = Math.max(...attempts.map((attempt) => endOf(attempt, metrics)));
    rows.push({ label: words("row-sentence", { number: number(index + 1) }), lanes, at });
  }
  return rows;
}

/** When an attempt ended; one that was under way when the turn was interrupted, with the turn. */
export function endOf({ started_ms: from, total_ms: length }, { total_ms: end }) {
  return length === null ? Math.max(from, end) : from + length;
}

function barsOf(attempt, metrics) {
  const { started_ms: from, ttfb_ms: ttfb } = attempt;
  const end = endOf(attempt, metrics);
  const kind = outcomeOf(attempt);
  if (kind === "fault") return [{ kind, from, to: end }];
  // The wait for a socket lies before the request, of which the first byte is counted.
  const sound = Math.min(end, from + (ttfb ?? 0));
  return [{ kind: "wait", from, to: sound }, { kind, from: sound, to: end }];
}

/** @param {TurnView} turn one that is over @param {number} width of the drawing, in px */
export function waterfall(turn, width) {
  const rows = rowsOf(turn);
  const { first_sentence_ms: sentence, first_audio_ms: sent, total_ms: total } = turn.metrics;
  const ends = rows.map((row) => row.at).filter(Number.isFinite);
  const scale = new Scale(Math.max(total, turn.heardMs ?? 0, ...ends, SHORTEST_MS), width);
  const heights = rows.map((row) => Math.max(1, row.lanes.length) * (LANE_PX + GAP_PX) + ROW_GAP_PX);
  const height = TOP_PX + heights.reduce((sum, each) => sum + each, 0);
  const svg = draw("svg", {
    class: "waterfall",
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "img",
    "aria-label": words("chart"),
  });
  svg.append(...ticks(scale, height));
  for (const [kind, ms] of Object.entries({ sentence, sent, heard: turn.heardMs })) {
    svg.append(...marker(kind, ms, scale, height));
  }
  let top = TOP_PX;
  rows.forEach((row, at) => {
    svg.append(...drawRow(row, scale, top));
    top += heights[at];
  });
  return svg;
}

/** Where a moment lies: from left to right, or from right to left, as one reads. */
class Scale {
  constructor(longestMs, width) {
    this.longestMs = longestMs;
    this.width = width;
    this.perMs = (width - LABEL_PX - VALUE_PX) / longestMs;
  }

  x(ms) {
    const along = LABEL_PX + ms * this.perMs;
    return isRightToLeft() ? this.width - along : along;
  }

  get start() {
    return isRightToLeft() ? this.width : 0;
  }
}

function drawRow({ label, lanes, at }, scale, top) {
  const middle = top + (lanes.length * (LANE_PX + GAP_PX)) / 2 + 2;
  const parts = [draw("text", { class: "row", x: scale.start, y: middle }, label)];
  lanes.forEach((bars, lane) => {
    const y = top + lane * (LANE_PX + GAP_PX);
    parts.push(...bars.flatMap((bar) => drawBar(bar, scale, y)));
  });
  if (Number.isFinite(at)) {
    const x = scale.x(at) + (isRightToLeft() ? -5 : 5);
    parts.push(draw("text", { class: "value", x, y: middle }, seconds(at)));
  }
  return parts;
}

function drawBar({ kind, from, to }, scale, y) {
  // What was over at once is drawn all the same if it says how an attempt came out.
  if (to <= from && (kind === "wait" || kind === "work")) return [];
  const [a, b] = [scale.x(from), scale.x(to)];
  const [x, width] = [Math.min(a, b), Math.max(2, Math.abs(b - a))];
  const bar = draw("rect", { class: `bar ${kind}`, x, y, width, height: LANE_PX, rx: 2.5 });
  if (kind !== "fault") return [bar];
  // A cross too: red alone is not seen by everyone.
  const [cx, cy] = [b + (isRightToLeft() ? -7 : 7), y + LANE_PX / 2];
  return [bar, draw("path", { class: "cross", d: `M${cx - 3} ${cy - 3}l6 6m0 -6l-6 6` })];
}

function ticks(scale, height) {
  const step = niceStep(scale.longestMs / 4);
  const parts = [];
  for (let ms = 0; ms <= scale.longestMs; ms += step) {
    const x = scale.x(ms);
    parts.push(draw("line", { class: "tick", x1: x, x2: x, y1: TOP_PX - 6, y2: height }));
    const text = seconds(ms, step < 100 ? 2 : 1);
    parts.push(draw("text", { class: "tick", x, y: 10, "text-anchor": "middle" }, text));
  }
  return parts;
}

/** The next of 1, 2, 5, 10, 20… above a length. */
function niceStep(ms) {
  const power = 10 ** Math.floor(Math.log10(ms));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= ms);
}

function marker(kind, ms, scale, height) {
  if (ms === null || ms === undefined) return [];
  const x = scale.x(ms);
  return [draw("line", { class: `mark ${kind}`, x1: x, x2: x, y1: TOP_PX - 6, y2: height })];
}
