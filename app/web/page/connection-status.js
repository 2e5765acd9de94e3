/** @import { Nabra } from "../nabra.js" */
import { find } from "./elements.js";
import { formatSeconds, onLanguageChange, translate } from "./language.js";

/** Show the state of the connection, with the time until the next attempt. @param {Nabra} nabra */
export function showConnectionStatus(nabra) {
  let state = "idle";
  /** @type {string | undefined} */
  let reason;
  let retryAt = 0;
  /** @type {number | undefined} */
  let timer;

  const render = () => {
    const left = Math.max(0, Math.ceil((retryAt - performance.now()) / 1000));
    const values = { seconds: formatSeconds(left * 1000, 0) };
    find("connection").dataset.state = state;
    const key = state === "waiting" && reason === "too-busy" ? "full" : state;
    find("connection-text").textContent = translate(`state-${key}`, values);
  };
  nabra.on("state", (change) => {
    ({ state, reason } = change);
    retryAt = performance.now() + (change.retryInMs ?? 0);
    clearInterval(timer);
    if (state === "waiting") timer = setInterval(render, 1000);
    render();
  });
  onLanguageChange(render);
}
