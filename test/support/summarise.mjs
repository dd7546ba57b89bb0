// Sums the reports of vitest's runs and prints what failed and what was skipped, the totals last.
// usage: node test/support/summarise.mjs STEPS_FILE REPORT.json…   STEPS_FILE: lines "passed NAME" or "failed NAME"
import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";

const [stepsFile, ...reportFiles] = process.argv.slice(2);
const totals = { passed: 0, failed: 0, skipped: 0 };
const failed = [];
/** Test → in how many runs it ran, and in which it was skipped. */
const tests = new Map();

for (const line of readFileSync(stepsFile, "utf8").split("\n").filter(Boolean)) {
  const [outcome, ...name] = line.split(" ");
  totals[outcome] += 1;
  if (outcome === "failed") failed.push(`step: ${name.join(" ")}`);
}
for (const file of reportFiles) addReport(basename(file, ".json"), file);

const skipped = [...tests].filter(([, { skippedIn }]) => skippedIn.length > 0);
for (const [name, { ran, skippedIn }] of skipped) {
  console.log(`skipped in ${skippedIn.join(", ")}${ran === 0 ? " (so it ran nowhere)" : ""}: ${name}`);
}
for (const name of failed) console.log(`FAILED ${name}`);
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exitCode = totals.failed === 0 && totals.passed > 0 ? 0 : 1;

function addReport(run, file) {
  if (!existsSync(file)) {
    fail(`${run}: it wrote no report`);
    return;
  }
  for (const { name: path, status, message, assertionResults } of JSON.parse(readFileSync(file, "utf8")).testResults) {
    const suite = path.slice(path.lastIndexOf("/test/") + 1);
    if (status === "failed" && assertionResults.every((result) => result.status !== "failed")) {
      fail(`${run}: ${suite}: ${message.split("\n")[0]}`); // it could not be loaded, or its clean-up failed
    }
    for (const { fullName, status: outcome } of assertionResults) addTest(run, `${suite}: ${fullName}`, outcome);
  }
}

function addTest(run, name, outcome) {
  const test = tests.get(name) ?? { ran: 0, skippedIn: [] };
  tests.set(name, test);
  if (outcome === "passed" || outcome === "failed") test.ran += 1;
  else test.skippedIn.push(run);
  if (outcome === "passed") totals.passed += 1;
  else if (outcome === "failed") fail(`${run}: ${name}`);
  else totals.skipped += 1;
}

function fail(name) {
  totals.failed += 1;
  failed.push(name);
}
