/** What clients do to a daemon: the patient, the fickle, the vanishing, the slow, the broken. Each over a connection of its own. */
import { setTimeout as sleep } from "node:timers/promises";
import { encodeFrame } from "../../daemon/api/frames.ts";
import { Client } from "../../daemon/client/client.ts";
import { openConnection } from "../../daemon/client/connection.ts";
import { LastingConnection } from "../../daemon/client/lasting-connection.ts";
import type { BuildEvent, StorePath } from "../../daemon/library.ts";
import { collectBytes } from "../support/collect.ts";
import { options } from "../support/local-builds.ts";
import { hello, RawConnection } from "../support/raw-connection.ts";
import { fileNar } from "../support/temporary-store.ts";
import type { Node } from "./graph.ts";

export interface Situation {
  readonly socket: string;
  readonly nodes: readonly Node[];
  readonly random: () => number;
  /** Resolves when the patient have what they wanted. */
  readonly over: Promise<unknown>;
  readonly report: (problem: string) => void;
}

/** Resolves when it is through with the daemon. */
export type Behaviour = (situation: Situation) => Promise<void>;

const pick = ({ nodes, random }: Situation): Node => nodes[Math.floor(random() * nodes.length)] as Node;
const moment = ({ random }: Situation, mostMs: number) => sleep(random() * mostMs);

async function connected(socket: string): Promise<Client> {
  return new Client(new LastingConnection(await openConnection(socket)));
}

function buildRequest(node: Node): object {
  const { drvPath } = node.derived;
  const params = { ...options, targets: [{ kind: "built", drvPath, outputs: "all" }], events: true };
  return { kind: "request", id: 1, method: "build", params };
}

/** Waits for its builds, and looks at everything that it is told. */
const patient: Behaviour = async (situation) => {
  const { socket, random, report } = situation;
  await using client = await connected(socket);
  for (let count = 1 + Math.floor(random() * 2); count > 0; count -= 1) {
    const node = pick(situation);
    const { drvPath, target } = node.derived;
    const events: BuildEvent[] = [];
    const [result] = await client.build([target], { ...options, onEvent: (event) => events.push(event) });
    if (result === undefined || (result.status !== "built" && result.status !== "already-valid")) {
      report(`${drvPath} is ${result?.status}: ${result?.error?.message}`);
      continue;
    }
    const contents = Buffer.from(await collectBytes(client.readFile(result.outputs["out"] as StorePath, "")));
    if (contents.toString() !== node.contents) report(`${drvPath} holds ${JSON.stringify(contents.toString())}`);
    lookAtEvents(situation, node, events);
  }
};

function lookAtEvents({ nodes, report }: Situation, node: Node, events: readonly BuildEvent[]): void {
  const [plan] = events;
  if (plan?.kind !== "plan") {
    report(`the first event of ${node.derived.drvPath} is ${plan?.kind}`);
    return;
  }
  for (const { drvPath } of plan.toBuild) {
    if (!node.closure.has(drvPath))
      report(`${drvPath} was planned for ${node.derived.drvPath}, which does not need it`);
    const ends = events.filter((event) => event.kind === "build-finished" && event.drvPath === drvPath);
    if (ends.length !== 1) report(`${ends.length} ends of ${drvPath} were told`);
    const started = events.some((event) => event.kind === "build-started" && event.drvPath === drvPath);
    const log = Buffer.concat(
      events.flatMap((event) => (event.kind === "build-log" && event.drvPath === drvPath ? [event.bytes] : [])),
    );
    const expected = nodes.find(({ derived }) => derived.drvPath === drvPath)?.logBytes ?? 0;
    const isCut = log.includes("[cloister: ");
    if (started && !isCut && log.length !== expected) report(`${log.length} bytes of the log of ${drvPath} were told`);
  }
}

/** Changes its mind after a moment; then it may have had its answer, or not. */
const fickle: Behaviour = async (situation) => {
  const { socket, report } = situation;
  await using client = await connected(socket);
  const reason = new Error("changed my mind");
  const abort = new AbortController();
  const build = client.build([pick(situation).derived.target], { ...options, onEvent: () => {}, signal: abort.signal });
  const [ended] = await Promise.all([
    build.then(
      () => undefined,
      (error: unknown) => error,
    ),
    moment(situation, 150).then(() => abort.abort(reason)),
  ]);
  if (ended !== undefined && ended !== reason) report(`a cancelled build gave ${String(ended)}`);
};

/** Is gone in the middle of a build, without a word, as a killed process is. */
const vanishing: Behaviour = async (situation) => {
  using connection = await RawConnection.open(situation.socket);
  connection.send(hello, buildRequest(pick(situation)));
  await moment(situation, 150);
};

/** Sends the beginning of a frame, and goes. */
const broken: Behaviour = async (situation) => {
  using connection = await RawConnection.open(situation.socket);
  const whole = Buffer.concat([hello, buildRequest(pick(situation))].map(encodeFrame));
  connection.write(whole.subarray(0, Math.floor(situation.random() * whole.length)));
  await moment(situation, 50);
};

/** Goes with half of its archive sent. */
const uploading: Behaviour = async (situation) => {
  using connection = await RawConnection.open(situation.socket);
  const params = { name: "half", method: { kind: "source", references: [] } };
  const half = fileNar("half of it ".repeat(5000)).subarray(0, 20_000);
  connection.send(
    hello,
    { kind: "request", id: 1, method: "addSource", params },
    { kind: "chunk", id: 1, bytes: half },
  );
  await moment(situation, 50);
};

/** Asks for the loudest builds and never reads a byte. */
const slow: Behaviour = async (situation) => {
  using connection = await RawConnection.open(situation.socket);
  connection.socket.pause();
  const loud = situation.nodes.filter(({ logBytes }) => logBytes > 0);
  connection.send(hello, ...loud.map((node, index) => ({ ...buildRequest(node), id: index + 1 })));
  await situation.over;
};

/** Asks this and that. */
const curious: Behaviour = async (situation) => {
  await using client = await connected(situation.socket);
  for (let count = 0; count < 10; count += 1) {
    const { drvPath } = pick(situation).derived;
    const [info, closure] = await Promise.all([
      client.queryPathInfo(drvPath),
      client.queryClosure([drvPath], "forward"),
      client.queryBuildRecords({ text: drvPath, limit: 3 }),
      client.status(),
    ]);
    if (info?.path !== drvPath || closure.at(-1) !== drvPath) situation.report(`${drvPath} was not found`);
  }
};

/** How many of a hundred clients are of which kind. */
export const behaviours: readonly { readonly name: string; readonly weight: number; readonly behave: Behaviour }[] = [
  { name: "patient", weight: 40, behave: patient },
  { name: "fickle", weight: 15, behave: fickle },
  { name: "vanishing", weight: 15, behave: vanishing },
  { name: "broken", weight: 8, behave: broken },
  { name: "uploading", weight: 8, behave: uploading },
  { name: "slow", weight: 6, behave: slow },
  { name: "curious", weight: 8, behave: curious },
];
