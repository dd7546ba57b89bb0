/** What a request's priority may be; 0 is usual. Each step is as good as having waited for six seconds. */
export const priorities = { least: -100, most: 100, stepMs: 6000 } as const;
