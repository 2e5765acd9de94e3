import { NabraProblem } from "./problem.js";

/** How often each worklet failed to load. @type {Map<string, number>} */
const failures = new Map();

/**
 * Load one of our worklets into a context.
 *
 * @param {AudioContext} context @param {string} name of its file
 */
export async function addWorklet(context, name) {
  const url = new URL(name, import.meta.url);
  const failed = failures.get(name) ?? 0;
  if (failed > 0) url.search = `again=${failed}`; // browsers do not retry an address that failed
  try {
    await context.audioWorklet.addModule(url);
  } catch (error) {
    failures.set(name, failed + 1);
    throw new NabraProblem("connection-lost", String(error));
  }
}
