/**
 * The tables of db/cloister.sqlite: what is our own. A migration is applied once, in its order, in a transaction of its
 * own; the number of those that were is the file's user_version. Never changed once released, only added to.
 */
export const cloisterMigrations: readonly string[] = [
  // 1: records of builds, sync barriers, what indirect roots pointed to when they could be read last
  `
  create table BuildRecords (
    id text primary key not null,
    drvPath text not null,
    name text not null,
    status text not null,
    startedAtMs integer not null,
    body text not null -- JSON; outputs as they are to be, also before the status is "done"
  ) without rowid;
  create index BuildRecordsByDerivation on BuildRecords(drvPath);
  create index BuildRecordsByName on BuildRecords(name);
  create index BuildRecordsByStart on BuildRecords(startedAtMs);
  create index BuildRecordsUnsettled on BuildRecords(status) where status in ('building', 'sealing');

  create table BuildRecordOutputs (
    path text not null,
    record text not null references BuildRecords(id) on delete cascade,
    primary key (path, record)
  ) without rowid;
  create index BuildRecordOutputsByRecord on BuildRecordOutputs(record);

  create table SyncBarrier (
    one integer primary key not null check (one = 1),
    bootId text not null,
    coveredId integer not null -- the highest ValidPaths.id whose files are surely on disk
  );

  create table IndirectRoots (
    name text primary key not null, -- in gcroots/auto
    link text not null,
    target text not null -- the base name of the store path that the link pointed to
  ) without rowid;
  `,

  // 2: a build that runs is one row at the end of a small table, and comes among the others, with all that they are found
  // by, when it has ended. Numbers are given in the order of the starts and never again, so they order the records, too.
  `
  create table RunningBuilds (
    number integer primary key not null,
    body text not null -- JSON; outputs as they are to be
  );
  insert into RunningBuilds (number, body)
    select row_number() over (order by startedAtMs, id), body from BuildRecords where status in ('building', 'sealing');

  create table EndedBuilds (
    number integer primary key not null,
    id text unique not null,
    drvPath text not null,
    name text not null,
    status text not null,
    body text not null -- JSON
  );
  insert into EndedBuilds (number, id, drvPath, name, status, body)
    select (select count(*) from RunningBuilds) + row_number() over (order by startedAtMs, id), id, drvPath, name, status, body
    from BuildRecords where status not in ('building', 'sealing');
  create index EndedBuildsByDerivation on EndedBuilds(drvPath);
  create index EndedBuildsByName on EndedBuilds(name);

  create table EndedBuildOutputs (
    path text not null,
    build integer not null references EndedBuilds(number),
    primary key (path, build)
  ) without rowid;
  insert into EndedBuildOutputs (path, build)
    select o.path, e.number from BuildRecordOutputs o join EndedBuilds e on e.id = o.record;

  drop table BuildRecordOutputs;
  drop table BuildRecords;
  `,

  // 3: requests that go on without their client, and what has happened in them
  `
  create table KeptRequests (
    id text primary key not null,
    uid integer not null,
    gid integer not null,
    startedAtMs integer not null,
    endedAtMs integer, -- null until it has ended
    asked blob not null, -- what was asked for
    ending blob -- with endedAtMs: what it ended with
  ) without rowid;

  create table KeptEvents (
    request text not null references KeptRequests(id) on delete cascade,
    number integer not null,
    event blob not null,
    primary key (request, number)
  ) without rowid;
  `,

  // 4: ended builds can be searched by who asked and when they started; of the states "done" is most, and found without
  `
  alter table EndedBuilds add column uid integer;
  alter table EndedBuilds add column startedAtMs integer;
  update EndedBuilds set uid = json_extract(body, '$.user.uid'), startedAtMs = json_extract(body, '$.startedAtMs');
  create index EndedBuildsByUser on EndedBuilds(uid, number);
  create index EndedBuildsByStart on EndedBuilds(startedAtMs);
  create index EndedBuildsNotDone on EndedBuilds(status, number) where status <> 'done';
  `,
];
