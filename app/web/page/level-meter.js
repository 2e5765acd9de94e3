/** @import { Nabra } from "../nabra.js" */
import { find, make } from "./elements.js";

const BARS = 7;

/** The peak of loud speech, which fills the meter. */
const FULL_LEVEL = 0.5;

/**
 * Move the meter's bars with the voice: the user's while the microphone is on, else the agent's.
 *
 * @param {Nabra} nabra
 */
export function showLevels(nabra) {
  const meter = find("meter");
  const bars = Array.from({ length: BARS }, () => meter.appendChild(make("i")));
  const button = find("microphone");
  /** @type {number[]} newest first */
  let history = Array(BARS).fill(0);

  nabra.on("level", ({ input, output }) => {
    const level = Math.min(1, Math.sqrt(Math.max(input, output) / FULL_LEVEL));
    history = level === 0 ? history.fill(0) : [level, ...history.slice(0, BARS - 1)];
    // From the middle outwards, so that it looks the same in both reading directions.
    bars.forEach((bar, index) => {
      const age = Math.abs(index - (BARS - 1) / 2);
      bar.style.transform = `scaleY(${Math.max(0.12, history[age])})`;
    });
    meter.dataset.who = input > 0 ? "user" : "agent";
    button.style.setProperty("--level", input > 0 ? level.toFixed(2) : "0");
  });
}
