import { constants } from "node:os";
import { expect, test } from "vitest";
import { loadBinding } from "../../../sandbox-native/binding.ts";
import { strengthsToTest } from "../../support/granted-strengths.ts";
import { makeTemporaryLauncher, storeName } from "../../support/temporary-launcher.ts";

const [granted] = (await strengthsToTest()).filter(({ missing }) => missing === "");
const missing = granted === undefined ? "needs a machine that grants some strength" : "";

test("what cannot be sent is refused, and no order waits for an answer that cannot come", async ({ skip }) => {
  skip(granted === undefined, missing);
  await using here = await makeTemporaryLauncher({ strength: granted?.strength ?? "auto" });
  const text = storeName("1", "text");
  await expect(here.launcher.writeText(text, Buffer.alloc(256 << 20))).rejects.toMatchObject({
    code: "POSIX_CALL_FAILED",
    details: { step: "send-order", errnoName: "EMSGSIZE" },
  });
  await here.launcher.writeText(text, Buffer.from("the launcher is still there"));
  const ended = Promise.withResolvers<void>();
  const channel = new (loadBinding().LauncherChannel)("/bin/sleep", ["sleep", "60"], () => undefined, ended.resolve);
  const refusal = (descriptors: number[]): unknown => {
    try {
      channel.send(1, 1, new Uint8Array(), descriptors);
    } catch (failure) {
      return failure;
    }
    return undefined;
  };
  expect(refusal([-1])).toMatchObject({ step: "fcntl", errno: constants.errno.EBADF });
  expect(refusal(Array.from({ length: 8 }, () => 0))).toMatchObject({ step: "send-order" });
  expect(refusal(Array.from({ length: 7 }, () => 0))).toBeUndefined();
  channel.close();
  await ended.promise;
});
