/**
 * Which of the builds that are ready goes next, between users and for each user. Pure: times and processor time are told.
 *
 * - Between users: whose processor time so far, divided by their share, is the least. A running build counts with what is
 *   expected of it, or with the time that it runs if that is more, and is corrected at its end. Who had nothing to do saves up no time for later.
 * - Of one user's builds: the one that is ready for longest; a priority counts as time that it has waited already, and so
 *   whatever waits is overtaken for a bounded time only.
 * - A build of raised priority (above 0) goes before other users' turns, unless what it overtakes has waited for longer
 *   than it is ahead.
 * - What several users want is paid by them in equal parts, and goes when it is any one's turn.
 */

import { priorities } from "../api/priorities.ts";

/** A user's number; -1 where the daemon itself asks. */
export type User = number;

export interface Wanting {
  readonly user: User;
  /** From `least` to `most` of `priorities`. */
  readonly priority: number;
}

export interface FairQueueOptions<Item> {
  /** Above 0, by user; 1 for all others. */
  readonly shareOf: (user: User) => number;
  /** Whether an item still waits: what was dropped or taken otherwise is forgotten when its turn comes. */
  readonly isWaiting: (item: Item) => boolean;
}

interface Entry<Item> {
  readonly item: Item;
  /** When it became ready, less what its priority is ahead, in milliseconds; then a number of its own. */
  readonly rank: number;
  readonly order: number;
  readonly isRaised: boolean;
}

interface Account<Item> {
  readonly user: User;
  readonly entries: Heap<Entry<Item>>;
  /** Processor time divided by the share, in microseconds. */
  used: number;
  running: number;
}

interface Started {
  readonly users: readonly User[];
  readonly expected: number;
  readonly atMs: number;
}

export class FairQueue<Item> {
  readonly #options: FairQueueOptions<Item>;
  readonly #accounts = new Map<User, Account<Item>>();
  /** Those that have something waiting or running. */
  readonly #busy = new Set<Account<Item>>();
  readonly #started = new Map<Item, Started>();
  #count = 0;
  /** What the least of the busy had used when somebody last had a turn. */
  #floor = 0;

  constructor(options: FairQueueOptions<Item>) {
    this.#options = options;
  }

  /** `item` is ready since `nowMs`, for these; called again when others want it too. */
  push(item: Item, wanting: Iterable<Wanting>, nowMs: number): void {
    for (const { user, priority } of wanting) {
      const account = this.#enter(user);
      const rank = nowMs - priority * priorities.stepMs;
      account.entries.push({ item, rank, order: this.#count++, isRaised: priority > 0 });
    }
  }

  /** What goes next, without taking it. */
  peek(nowMs: number): Item | undefined {
    return this.#next(nowMs)?.item;
  }

  /** `item` starts on behalf of these users; `expected` is the processor time that it may take, in microseconds. */
  start(item: Item, users: readonly User[], expected: number, nowMs: number): void {
    this.#started.set(item, { users, expected, atMs: nowMs });
    for (const user of users) {
      const account = this.#enter(user);
      account.running += 1;
      account.used += expected / users.length / this.#options.shareOf(user);
    }
  }

  /** It has ended; `used` is the processor time that it took, in microseconds. */
  end(item: Item, used: number): void {
    const started = this.#started.get(item);
    if (started === undefined) return;
    this.#started.delete(item);
    const { users, expected } = started;
    for (const user of users) {
      const account = this.#enter(user);
      account.running -= 1;
      account.used += (used - expected) / users.length / this.#options.shareOf(user);
      this.#leaveIfIdle(account);
    }
  }

  /** Whether it is another user's turn before this item's, wanted by these. */
  isAnothersTurn(users: Iterable<User>, nowMs: number): boolean {
    const next = this.#next(nowMs);
    const mine = new Set(users);
    return next !== undefined && !mine.has(next.account.user);
  }

  #next(nowMs: number): (Entry<Item> & { readonly account: Account<Item> }) | undefined {
    let first: { readonly entry: Entry<Item>; readonly account: Account<Item> } | undefined;
    let turn: { readonly entry: Entry<Item>; readonly account: Account<Item>; readonly used: number } | undefined;
    const overrun = this.#overrun(nowMs);
    for (const account of this.#busy) {
      const entry = this.#head(account);
      if (entry === undefined) continue;
      if (first === undefined || isBefore(entry, first.entry)) first = { entry, account };
      const used = account.used + (overrun.get(account.user) ?? 0);
      if (turn === undefined || used < turn.used) turn = { entry, account, used };
    }
    if (first === undefined || turn === undefined) return undefined;
    this.#floor = Math.max(this.#floor, turn.account.used);
    const { entry, account } = first.entry.isRaised ? first : turn;
    return { ...entry, account };
  }

  /**
   * By user, what running builds took beyond what was expected of them, if each keeps one processor busy: else who has long
   * builds of which nothing is known would get every slot that comes free until the first of them ends.
   */
  #overrun(nowMs: number): ReadonlyMap<User, number> {
    const found = new Map<User, number>();
    for (const { users, expected, atMs } of this.#started.values()) {
      const beyond = (nowMs - atMs) * 1000 - expected;
      if (beyond <= 0) continue;
      for (const user of users)
        found.set(user, (found.get(user) ?? 0) + beyond / users.length / this.#options.shareOf(user));
    }
    return found;
  }

  #head(account: Account<Item>): Entry<Item> | undefined {
    for (let entry = account.entries.first; entry !== undefined; entry = account.entries.first) {
      if (this.#options.isWaiting(entry.item)) return entry;
      account.entries.shift();
    }
    this.#leaveIfIdle(account);
    return undefined;
  }

  #enter(user: User): Account<Item> {
    const account = this.#accounts.get(user) ?? { user, entries: new Heap<Entry<Item>>(isBefore), used: 0, running: 0 };
    this.#accounts.set(user, account);
    if (!this.#busy.has(account)) {
      this.#busy.add(account);
      account.used = Math.max(account.used, this.#floor);
    }
    return account;
  }

  #leaveIfIdle(account: Account<Item>): void {
    if (account.running === 0 && account.entries.first === undefined) this.#busy.delete(account);
  }
}

function isBefore(left: Entry<unknown>, right: Entry<unknown>): boolean {
  return left.rank === right.rank ? left.order < right.order : left.rank < right.rank;
}

/** The least first; a binary heap. */
class Heap<Item> {
  readonly #items: Item[] = [];
  readonly #isBefore: (left: Item, right: Item) => boolean;

  constructor(isBefore: (left: Item, right: Item) => boolean) {
    this.#isBefore = isBefore;
  }

  get first(): Item | undefined {
    return this.#items[0];
  }

  push(item: Item): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!this.#isBefore(item, items[above] as Item)) break;
      items[at] = items[above] as Item;
      at = above;
    }
    items[at] = item;
  }

  shift(): void {
    const items = this.#items;
    const last = items.pop();
    if (last === undefined || items.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= items.length) break;
      if (below + 1 < items.length && this.#isBefore(items[below + 1] as Item, items[below] as Item)) below += 1;
      if (!this.#isBefore(items[below] as Item, last)) break;
      items[at] = items[below] as Item;
      at = below;
    }
    items[at] = last;
  }
}
