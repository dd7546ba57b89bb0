/**
 * The way out that builds of fixed outputs get: whether this machine has one, which name servers they ask, and what they
 * never reach. How it is made: src/launcher/network-helper.h.
 */
import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { isIP } from "node:net";
import { isInOneOf } from "./address-block.ts";
import type { Strength } from "./launcher-messages.ts";

/**
 * What no build reaches, whatever its spec says the host has: each address here means something to the machine that asks
 * and nothing to the world. Private networks (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7) are not among them:
 * mirrors, proxies and name servers have such addresses. Sources: IANA's special-purpose address registries; the
 * metadata services' addresses from the manuals of their clouds (Amazon's fd00:ec2::254, Google's fd20:ce::254,
 * Alibaba's 100.100.100.200, Oracle's 192.0.0.192, Azure's 168.63.129.16; 169.254.0.0/16 has all others).
 */
export const defaultBlockedNetworks: readonly string[] = [
  ...["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"],
  ...["100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32"],
  ...["::/127", "fe80::/10", "ff00::/8", "fd00:ec2::254/128", "fd20:ce::254/128"],
];

export interface WayOutOptions {
  /**
   * "auto": builds of fixed outputs have a way out where this machine has one, and else none; "required": they fail where
   * it has none; "none": they have none.
   */
  readonly mode: "auto" | "required" | "none";
  /** Networks, such as "10.0.0.0/8". */
  readonly blocked: readonly string[];
  /** In place of the host's own. */
  readonly nameservers?: readonly string[];
  /** The program pasta; "" is none. By default it is looked for. */
  readonly pasta?: string;
}

export const defaultWayOut: WayOutOptions = { mode: "auto", blocked: defaultBlockedNetworks };

/** Why there is no way out, and the command that makes one. */
export interface NoWayOut {
  readonly reason: string;
  readonly remedy: string;
}

const places = ["/usr/bin", "/usr/local/bin", "/bin", "/run/current-system/sw/bin"];
const tunDevice = "/dev/net/tun";

/** The full path of pasta, or "". */
export function findPasta(): string {
  return places.map((place) => `${place}/pasta`).find((path) => canUse(path, constants.X_OK)) ?? "";
}

/** Undefined if this machine has a way out for the builds of a launcher. It may change, so it is asked for each build. */
export function findWhyNoWayOut(pasta: string, strength: Strength): NoWayOut | undefined {
  if (pasta === "") return { reason: "pasta is not installed", remedy: "sudo apt-get install passt" };
  if (!canUse(pasta, constants.X_OK))
    return { reason: `${pasta} cannot be executed`, remedy: "sudo apt-get install --reinstall passt" };
  const tun = findWhyNoTun(strength);
  if (tun !== undefined) return tun;
  if (hasDefaultRoute()) return undefined;
  return { reason: "this machine has no default route", remedy: "ip route add default via GATEWAY (as root)" };
}

/** The launcher's root makes a device of its own where there is one at all; in range strength pasta is not this user. */
function findWhyNoTun(strength: Strength): NoWayOut | undefined {
  const mode = statSync(tunDevice, { throwIfNoEntry: false })?.mode;
  if (mode === undefined) return { reason: `there is no ${tunDevice}`, remedy: "sudo modprobe tun" };
  const may = strength === "single" ? canUse(tunDevice, constants.R_OK | constants.W_OK) : (mode & 0o006) === 0o006;
  if (strength === "root" || may) return undefined;
  return { reason: `${tunDevice} is closed to this user`, remedy: `sudo chmod 0666 ${tunDevice}` };
}

/** Source: Linux's net/ipv4/fib_trie.c (fib_route_seq_show) and net/ipv6/route.c (rt6_info_route). */
function hasDefaultRoute(): boolean {
  const v4 = readText("/proc/net/route").split("\n");
  if (v4.some((line) => line.split("\t")[1] === "00000000")) return true;
  return readText("/proc/net/ipv6_route")
    .split("\n")
    .some((line) => line.startsWith(`${"0".repeat(32)} 00 `) && !line.endsWith(" lo"));
}

/**
 * The host's name servers as a build can ask them: not those on the host's loopback, whose own are asked instead where
 * systemd-resolved tells them, and none that is blocked. Source: resolv.conf(5), systemd-resolved.service(8).
 */
export function findNameservers(blocked: readonly string[]): string[] {
  for (const file of ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"]) {
    const found = parseNameservers(readText(file)).filter((address) => !isInOneOf(loopback.concat(blocked), address));
    if (found.length > 0) return found;
  }
  return [];
}

const loopback = ["127.0.0.0/8", "::1/128"];

export function parseNameservers(text: string): string[] {
  return text
    .split("\n")
    .map((line) => /^nameserver\s+(\S+)/.exec(line)?.[1] ?? "")
    .filter((address) => isIP(address) !== 0 && !address.includes("%"));
}

function canUse(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // it is not there: no such version of the protocol, or no such service
  }
}
