/** Says what is wrong with a jail's spec. */
import { SandboxError } from "./errors.ts";
import { type JailSpec, jailSpecSchema } from "./jail-spec.ts";

/** Throws JAIL_SPEC_INVALID. */
export function assertJailSpec(spec: JailSpec): void {
  const checked = jailSpecSchema.safeParse(spec);
  if (checked.success) return;
  const issue = checked.error.issues[0];
  throw new SandboxError("JAIL_SPEC_INVALID", {
    path: issue?.path.map(String).join(".") ?? "",
    reason: issue?.message ?? "",
  });
}
