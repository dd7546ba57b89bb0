// Runs a program in this one's place, as far as a process can that has no execve (Node 20): the same standard streams,
// signals handed on, the same ending.
import { spawn } from "node:child_process";

/** Runs it to its end, and sets this process's exit status to its; ends by the same signal if it did. */
export async function runProgram(file, args, options = {}) {
  const child = spawn(file, args, { stdio: "inherit", ...options });
  // Ctrl-C reaches every process of the terminal's foreground group: handing it on would make it two.
  const handOn = (signal) => {
    if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"];
  for (const signal of signals) process.on(signal, handOn);
  const [status, signal] = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (...ending) => resolve(ending));
  });
  for (const name of signals) process.off(name, handOn);
  if (signal) process.kill(process.pid, signal);
  else process.exitCode = status;
}
