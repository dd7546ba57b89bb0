import { defineConfig } from "vitest/config";

// CI sums the runs from their reports.
const reportFile = process.env.CLOISTER_TEST_REPORT;

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks", // the addon, and children that end with their parent
    maxWorkers: 2, // most of these tests start a daemon, jails or compilers: more of them wait for each other
    testTimeout: 180_000, // against a hang only: no test asserts a duration
    hookTimeout: 120_000,
    teardownTimeout: 20_000,
    reporters: reportFile === undefined ? ["default"] : ["default", ["json", { outputFile: reportFile }]],
  },
});
