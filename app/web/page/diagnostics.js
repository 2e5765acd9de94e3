/** @import { Nabra } from "../nabra.js" */
/** @import { About } from "../types" */
/** @import { ConversationView } from "./conversation-view.js" */
import { TurnReport } from "./turn-report.js";
import { Workbench } from "./workbench.js";

/**
 * Fill the side panel: what happened in each turn, and the workbench.
 *
 * @param {Nabra} nabra @param {ConversationView} view @param {About} about
 */
export function startDiagnostics(nabra, view, about) {
  const report = new TurnReport();
  const workbench = new Workbench(nabra, about, () => report.turns);
  view.on("turn", (turn) => {
    report.add(turn);
    workbench.refresh();
  });
  view.on("select", (turn) => report.select(turn));
}
