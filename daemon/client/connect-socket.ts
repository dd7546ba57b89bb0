/** Connects to a socket at a path of any length. */
import { connect, type Socket } from "node:net";
import { openSocketPlace } from "../api/socket-place.ts";

/** Throws the system's error: ENOENT, ECONNREFUSED, EACCES … */
export async function connectTo(socket: string): Promise<Socket> {
  using place = openSocketPlace(socket);
  const raw = connect(place.path);
  await new Promise<void>((resolve, reject) => {
    raw.once("error", reject);
    raw.once("connect", () => {
      raw.off("error", reject);
      resolve();
    });
  });
  return raw;
}
