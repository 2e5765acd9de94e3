// A page that has nothing but the library, and remembers all that it tells.
import { Nabra, NabraProblem } from "/nabra.js";

const KINDS = ["message", "state", "playing", "idle", "problem", "level"];
const PATIENCE_MS = 12000;

globalThis.NabraProblem = NabraProblem;

globalThis.start = (how = {}) => {
  const nabra = new Nabra(how);
  const told = [];
  for (const kind of KINDS) {
    nabra.addEventListener(kind, ({ detail }) => {
      told.push({ kind, at: performance.now(), ...detail });
      for (const check of [...waiting]) check();
    });
  }
  const waiting = new Set();
  Object.assign(globalThis, { nabra, told });
  // the first that is so, from the `from`-th on
  globalThis.until = (wanted, from = 0) =>
    new Promise((resolve, reject) => {
      const check = () => {
        const found = told.slice(from).find((one) =>
          Object.entries(wanted).every(([name, value]) => one[name] === value),
        );
        if (!found) return;
        waiting.delete(check);
        resolve(found);
      };
      waiting.add(check);
      const last = () => JSON.stringify(told.filter(({ kind }) => kind !== "level").slice(-5));
      setTimeout(() => reject(`never ${JSON.stringify(wanted)}, at last ${last()}`), PATIENCE_MS);
      check();
    });
  return nabra.sessionId;
};

document.querySelector("button").onclick = () => {
  globalThis.unlocked = nabra.unlock();
};
