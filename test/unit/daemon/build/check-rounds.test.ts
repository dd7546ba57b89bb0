import { availableParallelism } from "node:os";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type VariationName, variationNames } from "../../../../daemon/api/variations.ts";
import { missingBusybox } from "../../../support/busybox.ts";
import { LocalBuilds } from "../../../support/local-builds.ts";

let builds: LocalBuilds;

/** What only one variation catches: a script whose output depends on nothing else that is varied. */
const caughtBy: Readonly<Record<VariationName, string>> = {
  uid: 'id -u > $out; test "$(id -un)" = nixbld',
  "build-directory": "pwd > $out",
  cores: "echo $NIX_BUILD_CORES > $out",
  "host-name": "hostname > $out",
  // The shell's own: what it gives to its programs has another order.
  "environment-order": "tr '\\0' '\\n' < /proc/1/environ | cut -d= -f1 | grep -v -e ^LANG -e ^LC_ -e ^TZ > $out",
  "input-order": "grep -o ' /cloister/store/[^ ]*' /proc/self/mountinfo | cut -d- -f2- > $out",
  umask: "mkdir d; tar -cf - d | tar -tvf - | cut -c1-10 > $out",
  locale: "env | grep -c -e ^LANG= -e ^LC_ALL= > $out || true",
  "time-zone": "date -d @0 +%H > $out",
};

/** What this machine grants, and what every machine does. */
const strengths = ["auto", "single"] as const;

describe.skipIf(missingBusybox).each(strengths)(
  "in strength %s (needs a static busybox (busybox-static))",
  (strength) => {
    beforeAll(async () => {
      builds = await LocalBuilds.open({ strength });
    });
    afterAll(() => builds?.[Symbol.asyncDispose]());

    const inputs = () =>
      Promise.all(["one", "two"].map((name) => builds.build({ name, script: `echo ${name} > $out` })));

    test.each(variationNames)("%s makes a difference, and is named as what does", async (name) => {
      const { target, result } = await builds.build({ name, inputs: await inputs(), script: caughtBy[name] });
      expect(result.status).toBe("built");
      const check = await builds.buildAll([target], { mode: "check", vary: variationNames });
      expect(check.result.verdict).toMatchObject({ finding: "depends", causes: [name], varied: variationNames });
      expect(check.result).toMatchObject({
        status: "failed",
        error: {
          code: "BUILD_NOT_DETERMINISTIC",
          message: expect.stringContaining(`differently with another ${name};`),
        },
      });
      const { out } = check.result.verdict?.outputs ?? {};
      expect(out).toMatchObject({ path: result.outputs.out });
      expect(out?.narHash).not.toBe(out?.otherNarHash);

      const others = variationNames.filter((other) => other !== name);
      const without = await builds.buildAll([target], { mode: "check", vary: others });
      expect(without.result, "nothing else catches it").toMatchObject({
        status: "built",
        verdict: { finding: "same" },
      });
    });

    test("another number of processors to run on is one of them", async ({ skip }) => {
      skip(availableParallelism() < 2, "needs two processors");
      const script = "grep Cpus_allowed_list /proc/self/status > $out";
      const { target } = await builds.build({ name: "processors", script });
      const check = await builds.buildAll([target], { mode: "check", vary: ["umask", "cores"] });
      expect(check.result.verdict).toMatchObject({ finding: "depends", causes: ["cores"] });
    });

    test("what depends on none of it is the same in each of many builds", async () => {
      const { target } = await builds.build({
        name: "steady",
        inputs: await inputs(),
        script: "mkdir $out; echo 1 > $out/x",
      });
      const check = await builds.buildAll([target], { mode: "check", rounds: 3, vary: variationNames });
      expect(check.result).toMatchObject({ status: "built", verdict: { finding: "same", rounds: 3, causes: [] } });
    });

    test("several causes are all named, and so is what only several together make", async () => {
      const two = await builds.build({ name: "two", script: "hostname > $out; umask >> $out" });
      const found = await builds.buildAll([two.target], { mode: "check", vary: ["umask", "locale", "host-name"] });
      expect(found.result.verdict).toMatchObject({ finding: "depends", causes: ["umask", "host-name"] });

      const script = 'test "$(hostname)$(umask)" = elsewhere0027 && echo both > $out || echo 1 > $out';
      const both = await builds.build({ name: "both", script });
      const together = await builds.buildAll([both.target], { mode: "check", vary: ["umask", "host-name"] });
      expect(together.result.verdict).toMatchObject({ finding: "combination", causes: ["umask", "host-name"] });
    });

    test("a builder that fails under a variation is told why", async () => {
      const { target } = await builds.build({ name: "fails", script: 'test "$(umask)" = 0022; echo 1 > $out' });
      const check = await builds.buildAll([target], { mode: "check", vary: ["umask", "locale"] });
      expect(check.result).toMatchObject({
        error: { code: "BUILD_FAILED_EXIT" },
        verdict: { finding: "depends", causes: ["umask"], outputs: {} },
      });
    });

    test("what differs by itself is blamed on no variation, nor is what the store has from other times", async () => {
      const random = await builds.build({ name: "random", script: "cat /proc/sys/kernel/random/uuid > $out" });
      const unsteady = await builds.buildAll([random.target], { mode: "check", vary: ["umask", "uid"] });
      expect(unsteady.result.verdict).toMatchObject({ finding: "unsteady", causes: [] });

      const cores = await builds.build({ name: "cores", script: "echo $NIX_BUILD_CORES > $out" }, { cores: 3 });
      const other = await builds.buildAll([cores.target], { mode: "check", vary: ["umask", "uid"], cores: 5 });
      expect(other.result.verdict).toMatchObject({ finding: "store-differs", causes: [] });
    });

    test("a check that is cancelled ends in the midst of its builds", async () => {
      const { target } = await builds.build({ name: "cancelled", script: "echo 1 > $out" });
      const abort = new AbortController();
      let started = 0;
      const onEvent = ({ kind }: { kind: string }) => {
        if (kind !== "build-started") return;
        started += 1;
        if (started === 3) abort.abort(new Error("enough"));
      };
      const check = builds.buildAll([target], { mode: "check", rounds: 1000, signal: abort.signal, onEvent });
      await expect(check).rejects.toThrow("enough");
      expect(started).toBe(3);
    });

    test("builds that only look for a cause leave nothing, and are not what made the output", async () => {
      const { target, result } = await builds.build({ name: "left", script: "umask > $out" });
      await builds.buildAll([target], { mode: "check", vary: ["umask", "uid"] });
      const [out] = Object.values(result.outputs);
      const details = out && (await builds.service.queryPathDetails(out));
      expect(details?.record?.id).toBe(result.recordId);
    });
  },
);
