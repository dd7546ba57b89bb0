/** A program: starts a launcher and a build in it, says where and waits. usage: build-and-wait.ts STRENGTH SCRIPT */
import type { Strength } from "../../sandbox-native/launcher.ts";
import { makeTemporaryLauncher, shellSpec } from "./temporary-launcher.ts";

const [strength, script] = process.argv.slice(2) as [Strength, string];
const { launcher, folder } = await makeTemporaryLauncher({ strength });
const say = () => process.stdout.write(JSON.stringify({ folder, pid: launcher.pid }));
await launcher.build({ spec: shellSpec(script, { outputs: [] }), candidates: [], outputs: [] }, { onLog: say });
