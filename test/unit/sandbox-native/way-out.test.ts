import { expect, test } from "vitest";
import { isAddressBlock, isInOneOf } from "../../../sandbox-native/address-block.ts";
import {
  defaultBlockedNetworks,
  findNameservers,
  findWhyNoWayOut,
  parseNameservers,
} from "../../../sandbox-native/way-out.ts";

test.each([
  ["10.0.0.0/8", true],
  ["10.1.2.3/32", true],
  ["::/0", true],
  ["fe80::/10", true],
  ["10.0.0.0", false],
  ["10.0.0.0/33", false],
  ["fe80::/129", false],
  ["fe80::%eth0/10", false],
  ["10.0.0/8", false],
  ["example.org/8", false],
])("%s is a network: %s", (block, is) => {
  expect(isAddressBlock(block)).toBe(is);
});

test("the metadata services of the clouds are blocked, private and public networks are not", () => {
  const blocked = (address: string) => isInOneOf(defaultBlockedNetworks, address);
  const metadata = ["169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192"];
  for (const address of [...metadata, "fd00:ec2::254", "fd20:ce::254", "fe80::1", "::1", "127.0.0.1", "0.0.0.0"])
    expect([address, blocked(address)]).toEqual([address, true]);
  for (const address of ["10.0.0.1", "192.168.1.1", "fd00::1", "1.1.1.1", "2606:4700::1111", "100.100.100.201"])
    expect([address, blocked(address)]).toEqual([address, false]);
});

test("name servers are read as resolv.conf(5) has them", () => {
  const text =
    "# nameserver 1.1.1.1\nsearch example.org\nnameserver 10.0.0.53\nnameserver\tfd00::53 # ours\nnameserver fe80::1%eth0\nnameserver ada\n";
  expect(parseNameservers(text)).toEqual(["10.0.0.53", "fd00::53"]);
});

test("a name server that is blocked is not given to builds", () => {
  expect(findNameservers(["0.0.0.0/0", "::/0"])).toEqual([]);
});

test("without pasta there is no way out, and the remedy is a command", () => {
  expect(findWhyNoWayOut("", "single")).toEqual({
    reason: "pasta is not installed",
    remedy: "sudo apt-get install passt",
  });
  expect(findWhyNoWayOut("/nowhere/pasta", "root")?.reason).toBe("/nowhere/pasta cannot be executed");
});
