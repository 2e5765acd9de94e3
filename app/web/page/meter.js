/** Bars that move with the voice: the user's while the microphone is on, else the answer's. */

import { find, make } from "./elements.js";

const BARS = 7;

/** Speech is seldom louder than this; so it fills the meter. */
const LOUD = 0.5;

export function showLevels(nabra) {
  const meter = find("meter");
  const bars = Array.from({ length: BARS }, () => meter.appendChild(make("i")));
  const button = find("microphone");
  let history = Array(BARS).fill(0);

  nabra.addEventListener("level", ({ detail: { input, output } }) => {
    const level = Math.min(1, Math.sqrt(Math.max(input, output) / LOUD));
    history = level === 0 ? history.fill(0) : [level, ...history.slice(0, BARS - 1)];
    // From the middle outwards, so that it looks the same in both directions.
    bars.forEach((bar, at) => {
      const age = Math.abs(at - (BARS - 1) / 2);
      bar.style.transform = `scaleY(${Math.max(0.12, history[age])})`;
    });
    meter.dataset.who = input > 0 ? "user" : "agent";
    button.style.setProperty("--level", input > 0 ? level.toFixed(2) : 0);
  });
}
