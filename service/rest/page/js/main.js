/** Puts the page together. */

import { mountChoices } from "./choices.js";
import { mountCompare } from "./compare.js";
import { mountEvents } from "./events.js";
import { mountHealth } from "./health.js";
import { mountHistory } from "./history.js";
import { mountIntake } from "./intake.js";
import { mountKey } from "./key.js";
import { mountLive } from "./live.js";
import { mountObjects } from "./objects.js";
import { mountReport } from "./report.js";
import { mountResponse } from "./response.js";
import { mountRouter } from "./router.js";
import { Session } from "./session.js";
import { mountSketch } from "./sketch.js";
import { mountStage } from "./stage.js";
import { initialState } from "./state.js";
import { mountStatus } from "./status.js";
import { createStore } from "./store.js";

const store = createStore(initialState());
const session = new Session(store);

mountKey();
mountStage(store, session);
mountIntake(session);
mountChoices(store, session);
mountObjects(store, session);
mountReport(store);
mountResponse(store, session);
mountCompare(store, session);
mountSketch(store, session);
mountEvents(store, session);
mountHistory(store, session);
mountHealth(() => session.retry());
mountRouter(mountStatus());

let live = false;
store.watch(
  ({ models }) => [models],
  ({ models }) => {
    if (live || !models.length) return; // only then is it known that this server lets us in
    live = true;
    mountLive(store, session);
  },
);
session.loadModels();
