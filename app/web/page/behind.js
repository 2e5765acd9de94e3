/** "What happened", the workbench and the meter: what is loaded only once a conversation starts. */

import { showLevels } from "./meter.js";
import { Report } from "./report.js";
import { Workbench } from "./workbench.js";

export function lookBehind(nabra, conversation, about) {
  showLevels(nabra);
  const report = new Report();
  const workbench = new Workbench(nabra, about, () => report.turns);
  conversation.addEventListener("turn", ({ detail: { turn } }) => {
    report.add(turn);
    workbench.refresh();
  });
  conversation.addEventListener("select", ({ detail: { turn } }) => report.select(turn));
}
