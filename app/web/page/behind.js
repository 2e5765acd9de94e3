/** What lies behind the conversation, "What happened" and the workbench: loaded once one starts. */

import { Report } from "./report.js";
import { Workbench } from "./workbench.js";

export function lookBehind(nabra, conversation, about) {
  const report = new Report();
  const workbench = new Workbench(nabra, about, () => report.turns);
  conversation.addEventListener("turn", ({ detail: { turn } }) => {
    report.add(turn);
    workbench.refresh();
  });
  conversation.addEventListener("select", ({ detail: { turn } }) => report.select(turn));
}
