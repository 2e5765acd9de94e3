/** Draws a turn's latencies as a waterfall in SVG: what ran when, what failed, what was played. */

/** @import { Attempt, TurnMetrics } from "../types" */
/** @import { FinishedTurn } from "./turn-view.js" */
import { draw } from "./elements.js";
import { formatNumber, formatSeconds, isRightToLeft, translate } from "./language.js";

/** @typedef {"wait" | "work" | "selected" | "fault" | "unused"} BarKind */
/** @typedef {{kind: BarKind, from: number, to: number}} Bar times in ms */
/** @typedef {{label: string, lanes: Bar[][], end: number}} Row lanes are drawn under each other */

const LABEL_PX = 78;
const VALUE_PX = 50;
const LANE_PX = 9;
const GAP_PX = 4;
const ROW_GAP_PX = 13;
const TOP_PX = 22;

/** The least that the time axis spans, so that a very short turn does not look long. */
const MIN_SPAN_MS = 100;

/** @param {Attempt} attempt */
export function outcomeOf(attempt) {
  if (attempt.fault !== null) return "fault";
  return attempt.heard ? "selected" : "unused";
}

/** @param {TurnMetrics} metrics */
function rowsOf(metrics) {
  const { stt_ms: stt, agent_first_token_ms: firstToken, agent_done_ms: done } = metrics;
  const pause = metrics.endpointing_ms ?? 0;
  /** @type {Row[]} */
  const rows = [];
  const add = (/** @type {string} */ name, /** @type {Bar[]} */ ...bars) =>
    rows.push({ label: translate(name), lanes: [bars], end: bars[bars.length - 1].to });
  if (pause > 0) add("row-pause", { kind: "wait", from: 0, to: pause });
  if (stt !== null) add("row-stt", { kind: "work", from: pause, to: stt });
  if (firstToken !== null || done !== null) {
    const from = stt ?? 0;
    const end = done ?? metrics.total_ms;
    const writing = firstToken ?? end;
    add("row-agent", { kind: "wait", from, to: writing }, { kind: "work", from: writing, to: end });
  }
  for (const { index, attempt_log: attempts } of metrics.sentences) {
    const label = translate("row-sentence", { number: formatNumber(index + 1) });
    const lanes = attempts.map((attempt) => barsOf(attempt, metrics));
    const end = Math.max(...attempts.map((attempt) => endOf(attempt, metrics)));
    rows.push({ label, lanes, end });
  }
  return rows;
}

/**
 * Return when an attempt ended: with its turn, if it was still running then.
 *
 * @param {Attempt} attempt @param {TurnMetrics} metrics
 */
export function endOf({ started_ms: from, total_ms: length }, { total_ms: end }) {
  return length === null ? Math.max(from, end) : from + length;
}

/** @param {Attempt} attempt @param {TurnMetrics} metrics @returns {Bar[]} */
function barsOf(attempt, metrics) {
  const { started_ms: from, ttfb_ms: ttfb } = attempt;
  const end = endOf(attempt, metrics);
  const kind = outcomeOf(attempt);
  if (kind === "fault") return [{ kind, from, to: end }];
  // An attempt starts with the wait for a connection; the first byte is counted from the request.
  const firstByte = Math.min(end, from + (ttfb ?? 0));
  return [{ kind: "wait", from, to: firstByte }, { kind, from: firstByte, to: end }];
}

/** @param {FinishedTurn} turn @param {number} width of the drawing, in px */
export function waterfall(turn, width) {
  const rows = rowsOf(turn.metrics);
  const { first_sentence_ms: sentence, first_audio_ms: sent, total_ms: total } = turn.metrics;
  const ends = rows.map((row) => row.end).filter(Number.isFinite);
  const spanMs = Math.max(total, turn.firstSoundMs ?? 0, ...ends, MIN_SPAN_MS);
  const scale = new TimeScale(spanMs, width);
  const heights = rows.map(({ lanes }) =>
    Math.max(1, lanes.length) * (LANE_PX + GAP_PX) + ROW_GAP_PX);
  const height = TOP_PX + heights.reduce((sum, each) => sum + each, 0);
  const svg = draw("svg", {
    class: "waterfall",
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "img",
    "aria-label": translate("chart"),
  });
  svg.append(...ticks(scale, height));
  for (const [kind, ms] of Object.entries({ sentence, sent, played: turn.firstSoundMs })) {
    if (ms !== null) svg.append(marker(kind, ms, scale, height));
  }
  let top = TOP_PX;
  rows.forEach((row, index) => {
    svg.append(...drawRow(row, scale, top));
    top += heights[index];
  });
  return svg;
}

/** Maps time to x, in the direction of reading. */
class TimeScale {
  /** @param {number} spanMs @param {number} width */
  constructor(spanMs, width) {
    this.spanMs = spanMs;
    this.width = width;
    this.pxPerMs = (width - LABEL_PX - VALUE_PX) / spanMs;
  }

  /** @param {number} ms */
  x(ms) {
    const offset = LABEL_PX + ms * this.pxPerMs;
    return isRightToLeft() ? this.width - offset : offset;
  }

  get start() {
    return isRightToLeft() ? this.width : 0;
  }
}

/** @param {Row} row @param {TimeScale} scale @param {number} top */
function drawRow({ label, lanes, end }, scale, top) {
  const middle = top + (lanes.length * (LANE_PX + GAP_PX)) / 2 + 2;
  /** @type {SVGElement[]} */
  const parts = [draw("text", { class: "row", x: scale.start, y: middle }, label)];
  lanes.forEach((bars, lane) => {
    const y = top + lane * (LANE_PX + GAP_PX);
    parts.push(...bars.flatMap((bar) => drawBar(bar, scale, y)));
  });
  if (Number.isFinite(end)) {
    const x = scale.x(end) + (isRightToLeft() ? -5 : 5);
    parts.push(draw("text", { class: "value", x, y: middle }, formatSeconds(end)));
  }
  return parts;
}

/** @param {Bar} bar @param {TimeScale} scale @param {number} y */
function drawBar({ kind, from, to }, scale, y) {
  // Even a bar of no length is drawn if it is the outcome of an attempt.
  if (to <= from && (kind === "wait" || kind === "work")) return [];
  const [a, b] = [scale.x(from), scale.x(to)];
  const [x, width] = [Math.min(a, b), Math.max(2, Math.abs(b - a))];
  const bar = draw("rect", { class: `bar ${kind}`, x, y, width, height: LANE_PX, rx: 2.5 });
  if (kind !== "fault") return [bar];
  // With a cross, because not everybody sees the red.
  const [cx, cy] = [b + (isRightToLeft() ? -7 : 7), y + LANE_PX / 2];
  return [bar, draw("path", { class: "cross", d: `M${cx - 3} ${cy - 3}l6 6m0 -6l-6 6` })];
}

/** @param {TimeScale} scale @param {number} height */
function ticks(scale, height) {
  const step = roundStep(scale.spanMs / 4);
  const parts = [];
  for (let ms = 0; ms <= scale.spanMs; ms += step) {
    const x = scale.x(ms);
    parts.push(draw("line", { class: "tick", x1: x, x2: x, y1: TOP_PX - 6, y2: height }));
    const text = formatSeconds(ms, step < 100 ? 2 : 1);
    parts.push(draw("text", { class: "tick", x, y: 10, "text-anchor": "middle" }, text));
  }
  return parts;
}

/** Return the next of 1, 2, 5, 10, 20… above a length. @param {number} ms */
function roundStep(ms) {
  const power = 10 ** Math.floor(Math.log10(ms));
  return [1, 2, 5].map((factor) => factor * power).find((step) => step >= ms) ?? 10 * power;
}

/** @param {string} kind @param {number} ms @param {TimeScale} scale @param {number} height */
function marker(kind, ms, scale, height) {
  const x = scale.x(ms);
  return draw("line", { class: `mark ${kind}`, x1: x, x2: x, y1: TOP_PX - 6, y2: height });
}
