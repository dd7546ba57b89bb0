import { expect, test } from "vitest";
import { type MethodName, methods } from "../../../../daemon/api/msgpack-messages.ts";
import { admit, admitsOthers, authorise, makeTrustPolicy } from "../../../../daemon/server/trust.ts";

const peer = (uid: number) => ({ uid, gid: 100, pid: 42 });
const users = (...uids: readonly number[]) => ({ uids, gids: [] });
const groups = (...gids: readonly number[]) => ({ uids: [], gids });
const nobody = users();

test("a store of one's own is for its owner and root alone", () => {
  const policy = makeTrustPolicy(1000, { allowed: nobody, trusted: nobody });
  expect(admit(policy, peer(1000)).trusted).toBe(true);
  expect(admit(policy, peer(0)).trusted).toBe(true);
  expect(() => admit(policy, peer(1001))).toThrow(
    expect.objectContaining({ code: "CALLER_NOT_ALLOWED", details: { uid: 1001 } }),
  );
  expect(admitsOthers(policy, 1000)).toBe(false);
});

test("allowed is not trusted", () => {
  const policy = makeTrustPolicy(1000, { allowed: users(1001), trusted: users(1002) });
  expect(admit(policy, peer(1001))).toEqual({ ...peer(1001), trusted: false });
  expect(admit(policy, peer(1002)).trusted).toBe(true);
  expect(() => admit(policy, peer(1003))).toThrow();
  expect(admitsOthers(policy, 1000)).toBe(true);
  expect(admit(makeTrustPolicy(1000, { allowed: "all", trusted: nobody }), peer(1003)).trusted).toBe(false);
});

test("a group counts as the one that a process has and as one of its others, and for nobody else", () => {
  const policy = makeTrustPolicy(1000, { allowed: groups(100), trusted: groups(27) });
  expect(admit(policy, peer(1001)).trusted).toBe(false);
  expect(admit(policy, { ...peer(1001), gid: 5, groups: [7, 100] }).trusted).toBe(false);
  expect(admit(policy, { ...peer(1001), gid: 5, groups: [7, 27] }).trusted).toBe(true);
  expect(admit(policy, { ...peer(1001), gid: 27 }).trusted).toBe(true);
  expect(() => admit(policy, { ...peer(1001), gid: 5, groups: [7] })).toThrow("may not use");
  expect(() => admit(policy, { ...peer(100), gid: 5 })).toThrow("may not use");
  expect(admitsOthers(policy, 1000)).toBe(true);
});

test("who is not trusted may do what changes nothing of others'", () => {
  const refused = (Object.keys(methods) as MethodName[]).filter((method) => {
    try {
      authorise(method, { ...peer(1001), trusted: false });
      return false;
    } catch (error) {
      expect(error).toMatchObject({ code: "OPERATION_NOT_ALLOWED", details: { method, uid: 1001 } });
      return true;
    }
  });
  expect(refused.sort()).toEqual(["addPermanentRoot", "reload", "removeRoot", "shutdown"]);
  for (const method of Object.keys(methods) as MethodName[]) authorise(method, { ...peer(1000), trusted: true });
});
