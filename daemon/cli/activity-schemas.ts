/** What `ps` and `cancel` print with `--json`. */
import { z } from "zod";

const wanter = z
  .strictObject({ id: z.string(), uid: z.number().optional(), pid: z.number().optional() })
  .meta({ id: "Wanter", description: "a request" });

/** `path` is a store path as all of `--json` prints them. */
export function activityOutputs<Path extends z.ZodType>(path: Path) {
  return {
    ps: z.strictObject({
      requests: z.array(
        z.strictObject({
          ...wanter.shape,
          startedAtMs: z.number(),
          priority: z.number(),
          detached: z.boolean().describe("it goes on without a client"),
          clients: z.number(),
          total: z.number().describe("builds that it takes"),
          done: z.number(),
          failed: z.number(),
        }),
      ),
      builds: z.array(
        z.strictObject({
          drvPath: path,
          name: z.string(),
          state: z.enum(["waiting", "running", "settling"]),
          recordId: z.string().optional().describe("once it has started"),
          sinceMs: z.number().describe("when it came into this state"),
          requests: z.array(z.string()).describe("the ids of those that want it"),
          waitsFor: z
            .object({
              kind: z.enum(["dependencies", "slot", "share", "memory", "cores", "disk", "build-user", "stopping"]),
              names: z.array(z.string()).readonly().optional(),
              count: z.number().optional(),
              neededBytes: z.number().optional(),
              freeBytes: z.number().optional(),
            })
            .optional(),
          expectedWallMs: z.number().optional().describe("from earlier builds of the name"),
          cpuMicroseconds: z.number().optional(),
          memoryBytes: z.number().optional(),
        }),
      ),
    }),
    cancel: z.strictObject({
      kind: z.enum(["request", "build"]).describe("what the id named"),
      builds: z.array(
        z.strictObject({
          drvPath: path,
          name: z.string(),
          recordId: z.string().optional(),
          goesOn: z.boolean().describe("others want it"),
          wantedBy: z.array(wanter),
        }),
      ),
      dropped: z.number().describe("how many others will not be started"),
    }),
  } as const;
}
