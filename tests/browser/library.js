// A page that has nothing but the library, and keeps every event that it emits.
import { Nabra, NabraProblem } from "/nabra.js";

const KINDS = ["message", "state", "playing", "idle", "problem", "level"];
const TIMEOUT_MS = 12000;

globalThis.NabraProblem = NabraProblem;

globalThis.createClient = (settings = {}) => {
  const nabra = new Nabra(settings);
  const events = [];
  const waiting = new Set();
  for (const kind of KINDS) {
    nabra.addEventListener(kind, ({ detail }) => {
      events.push({ kind, at: performance.now(), ...detail });
      for (const check of [...waiting]) check();
    });
  }
  // Resolves with the first event, from the `from`-th on, that has these fields.
  const waitForEvent = (wanted, from = 0) =>
    new Promise((resolve, reject) => {
      const check = () => {
        const found = events.slice(from).find((event) =>
          Object.entries(wanted).every(([name, value]) => event[name] === value),
        );
        if (!found) return;
        waiting.delete(check);
        resolve(found);
      };
      waiting.add(check);
      const last = () => JSON.stringify(events.filter(({ kind }) => kind !== "level").slice(-5));
      setTimeout(
        () => reject(`no event ${JSON.stringify(wanted)}; the last were ${last()}`),
        TIMEOUT_MS,
      );
      check();
    });
  Object.assign(globalThis, { nabra, events, waitForEvent });
  return nabra.sessionId;
};

document.querySelector("button").onclick = () => {
  globalThis.unlocked = nabra.unlock();
};
