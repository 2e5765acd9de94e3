import { NabraProblem } from "./problem.js";

const failures = new Map();

/** Load a worklet of ours into a context; it may be in no cache when the network is away. */
export async function addWorklet(context, name) {
  const url = new URL(name, import.meta.url);
  const failed = failures.get(name) ?? 0;
  if (failed > 0) url.search = `again=${failed}`; // browsers remember by the address what failed
  try {
    await context.audioWorklet.addModule(url);
  } catch (error) {
    failures.set(name, failed + 1);
    throw new NabraProblem("connection-lost", String(error));
  }
}
