/** Which directories a store has. */
import { expect, test } from "vitest";
import { parseStoreDirectory, parseStorePath } from "../../../derivations/store-path.ts";
import { makeLayout, mountPointOf } from "../../../store/layout.ts";

const path = parseStorePath("00000000000000000000000000000000-x");

test("a user's store lies below its root, the system's where its paths say", () => {
  const own = makeLayout({
    storeDirectory: parseStoreDirectory("/cloister/store"),
    root: "/home/ada/.local/share/cloister",
  });
  expect(own.realPath(path)).toBe(`/home/ada/.local/share/cloister/cloister/store/${path}`);
  expect(own.stateDirectory).toBe("/home/ada/.local/share/cloister/cloister/var/cloister");
  expect(own.stagingDirectory).toBe(`${own.stateDirectory}/staging`);
  const system = makeLayout({
    storeDirectory: parseStoreDirectory("/nix/store"),
    root: "/",
    stateDirectory: "/nix/var/nix",
  });
  expect(system.realPath(path)).toBe(`/nix/store/${path}`);
  expect(system.databaseDirectory).toBe("/nix/var/nix/db");
});

test("where the store is a mount of its own, staging and trash lie in it", () => {
  const layout = makeLayout({ storeDirectory: parseStoreDirectory("/nix/store"), root: "/", stagingInStore: true });
  expect(layout.stagingDirectory).toBe("/nix/store/.cloister/staging");
  expect(layout.trashDirectory).toBe("/nix/store/.cloister/trash");
  expect(layout.databaseDirectory).toBe("/nix/var/cloister/db");
});

test("the mount point of a path is the longest that covers it, with escapes read", () => {
  const mountInfo = [
    "21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw",
    "30 21 8:2 / /nix rw - ext4 /dev/sdb1 rw",
    "31 30 8:2 /store /nix/store ro - ext4 /dev/sdb1 rw",
    "32 21 8:3 / /mnt/a\\040b rw - ext4 /dev/sdc1 rw",
    "",
  ].join("\n");
  expect(mountPointOf(mountInfo, "/nix/store")).toBe("/nix/store");
  expect(mountPointOf(mountInfo, "/nix/storage")).toBe("/nix");
  expect(mountPointOf(mountInfo, "/nix/var/nix")).toBe("/nix");
  expect(mountPointOf(mountInfo, "/nixos")).toBe("/");
  expect(mountPointOf(mountInfo, "/mnt/a b/store")).toBe("/mnt/a b");
});
