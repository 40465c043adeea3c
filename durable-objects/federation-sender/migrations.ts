/**
 * The tables of a federation sender. Append only: a migration that was ever merged never changes.
 *
 * Nothing here is a row per event and destination. A room with unsent news has one row however many servers are to hear
 * it; only a server that cannot be reached gets rows of its own, once per room.
 */
export const migrations: readonly string[] = [
  `
  -- Rooms with events that not every destination has: those after "after", up to "pos".
  CREATE TABLE pending(
    room_id TEXT PRIMARY KEY,
    after INTEGER NOT NULL,
    pos INTEGER NOT NULL,
    destinations TEXT NOT NULL       -- JSON array of server names
  ) WITHOUT ROWID;

  -- What a server that could not be reached has not heard.
  CREATE TABLE behind(
    destination TEXT NOT NULL,
    room_id TEXT NOT NULL,
    after INTEGER NOT NULL,
    PRIMARY KEY (destination, room_id)
  ) WITHOUT ROWID;

  -- Servers that could not be reached, and when to try again (milliseconds since 1970).
  CREATE TABLE failing(
    destination TEXT PRIMARY KEY,
    failures INTEGER NOT NULL,
    retry_at INTEGER NOT NULL
  ) WITHOUT ROWID;

  -- EDUs that must arrive: one row each, with those who still lack it.
  CREATE TABLE edus(
    id INTEGER PRIMARY KEY,
    json TEXT NOT NULL,
    destinations TEXT NOT NULL,      -- JSON array of server names
    created_at INTEGER NOT NULL
  );
  `,
]
