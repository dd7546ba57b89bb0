/** Blocks of internet addresses as people write them: "169.254.0.0/16", "fe80::/10". */
import { BlockList, isIP } from "node:net";

export function isAddressBlock(text: string): boolean {
  const match = /^([^/%]+)\/([0-9]{1,3})$/.exec(text);
  const version = isIP(match?.[1] ?? "");
  return version !== 0 && Number(match?.[2]) <= (version === 4 ? 32 : 128);
}

/** Whether one of the blocks holds an address. */
export function isInOneOf(blocks: readonly string[], address: string): boolean {
  const list = new BlockList();
  for (const block of blocks) {
    const [network = "", length] = block.split("/");
    list.addSubnet(network, Number(length), isIP(network) === 4 ? "ipv4" : "ipv6");
  }
  return list.check(address, isIP(address) === 4 ? "ipv4" : "ipv6");
}
