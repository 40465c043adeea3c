/**
 * The tables of a user's object. Append only: a migration that was ever merged never changes.
 *
 * Positions are positions in this user's stream (stream.ts); `pos` and `typing` are a room's own versions, as the room
 * tells them.
 */
export const migrations: readonly string[] = [
  `
  -- One row. Positions up to "reserved" may have been given out; "epoch" names this stream in tokens.
  CREATE TABLE stream(id INTEGER PRIMARY KEY CHECK (id = 1), epoch TEXT NOT NULL, reserved INTEGER NOT NULL);
  -- Where the stream stood when a day (since 1970, UTC) began: how old a position is, for pruning.
  CREATE TABLE days(day INTEGER PRIMARY KEY, position INTEGER NOT NULL);

  -- Every room this user has to do with, and the newest that is known of it.
  CREATE TABLE rooms(
    room_id TEXT PRIMARY KEY,
    membership TEXT NOT NULL,
    membership_pos INTEGER NOT NULL, -- the room's pos when it told of this membership
    membership_at INTEGER NOT NULL,  -- position at which it changed
    pos INTEGER NOT NULL,
    typing INTEGER NOT NULL,
    changed_at INTEGER NOT NULL      -- position of the newest change of anything here
  ) WITHOUT ROWID;
  CREATE INDEX rooms_by_change ON rooms(changed_at);

  -- What was known of a room from position "at" on; and, where an answer went further or less far, what it served.
  CREATE TABLE marks(
    room_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    pos INTEGER NOT NULL,
    typing INTEGER NOT NULL,
    served_pos INTEGER,              -- -1: nothing of this room reached the holder
    served_typing INTEGER,
    PRIMARY KEY (room_id, at)
  ) WITHOUT ROWID;

  -- room_id '' is global.
  CREATE TABLE account_data(
    room_id TEXT NOT NULL,
    type TEXT NOT NULL,
    content TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (room_id, type)
  );
  CREATE INDEX account_data_by_position ON account_data(position);

  CREATE TABLE to_device(
    position INTEGER PRIMARY KEY,
    device_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    type TEXT NOT NULL,
    content TEXT NOT NULL
  );
  CREATE INDEX to_device_by_device ON to_device(device_id, position);

  -- The newest change per user: their devices or keys changed, or (has_left) no encrypted room is shared any more.
  CREATE TABLE device_list_changes(
    user_id TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    has_left INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX device_list_changes_by_position ON device_list_changes(position);

  CREATE TABLE devices(
    device_id TEXT PRIMARY KEY,
    seen_day INTEGER NOT NULL,       -- when it last read, in days since 1970
    ended INTEGER NOT NULL DEFAULT 0,
    one_time_keys TEXT NOT NULL DEFAULT '{}',         -- unclaimed keys by algorithm: {"signed_curve25519": 50}
    unused_fallback_keys TEXT NOT NULL DEFAULT '[]'   -- algorithms
  ) WITHOUT ROWID;

  CREATE TABLE filters(id INTEGER PRIMARY KEY, json TEXT NOT NULL UNIQUE);
  `,
  `
  -- Named alarms (shared/alarm-scheduler.ts).
  CREATE TABLE alarms(name TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;

  -- Others are told of devices with identity keys only.
  ALTER TABLE devices ADD COLUMN has_keys INTEGER NOT NULL DEFAULT 0;
  -- One-time keys in order of arrival. One that was claimed stays a while: an upload that is repeated must not bring it back.
  CREATE TABLE one_time_keys(
    id INTEGER PRIMARY KEY,
    device_id TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    key_id TEXT NOT NULL,
    json TEXT NOT NULL,              -- canonical
    is_claimed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (device_id, algorithm, key_id)
  );
  CREATE INDEX one_time_keys_in_order ON one_time_keys(device_id, algorithm, is_claimed, id);
  CREATE TABLE fallback_keys(
    device_id TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    key_id TEXT NOT NULL,
    json TEXT NOT NULL,
    is_used INTEGER NOT NULL,
    PRIMARY KEY (device_id, algorithm)
  ) WITHOUT ROWID;

  -- What others have not been told yet: kind "device" (name: its ID), "signing" (name empty), "joined" (name: a room ID).
  CREATE TABLE device_changes(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (kind, name)
  );
  -- One row: the stream_id of the newest m.device_list_update, and the servers that follow this user's devices, as JSON.
  CREATE TABLE device_list_stream(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    newest INTEGER NOT NULL,
    followers TEXT NOT NULL
  );

  -- Messages to devices that have come already.
  CREATE TABLE to_device_seen(
    sender TEXT NOT NULL,
    message_id TEXT NOT NULL,
    day INTEGER NOT NULL,
    PRIMARY KEY (sender, message_id)
  ) WITHOUT ROWID;

  -- Key backups, newest version last. A deleted one keeps its number.
  CREATE TABLE backups(
    version INTEGER PRIMARY KEY AUTOINCREMENT,
    algorithm TEXT NOT NULL,
    auth_data TEXT NOT NULL,
    etag INTEGER NOT NULL,
    is_deleted INTEGER NOT NULL DEFAULT 0
  );
  CREATE TABLE backup_keys(
    version INTEGER NOT NULL,
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    first_message_index INTEGER NOT NULL,
    forwarded_count INTEGER NOT NULL,
    is_verified INTEGER NOT NULL,
    session_data TEXT NOT NULL,
    PRIMARY KEY (version, room_id, session_id)
  ) WITHOUT ROWID;
  `,
  `
  -- MSC3814, one row at most: which of the devices has no client, and what brings it to life (JSON).
  CREATE TABLE dehydrated_device(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    device_id TEXT NOT NULL,
    device_data TEXT NOT NULL
  );
  `,
  `
  -- What lists of sliding sync go by (sliding/room-facts.ts), as each room told it last, at its own "pos".
  CREATE TABLE room_facts(
    room_id TEXT PRIMARY KEY,
    pos INTEGER NOT NULL,
    bump INTEGER NOT NULL,           -- time of the last activity, in ms
    bumped_at INTEGER NOT NULL,      -- position at which that became known
    state INTEGER NOT NULL,          -- another number with every change of the room's state
    state_at INTEGER NOT NULL,       -- position at which that became known
    by_user TEXT,                    -- who invited, kicked or banned this user
    about TEXT,                      -- JSON: name, type, encryption, children; NULL while nothing is known
    stale INTEGER NOT NULL           -- 1: the room may have moved on without telling
  ) WITHOUT ROWID;

  -- Connections of sliding sync (sliding/connections.ts). "acked": the answer that the client has shown to have; "sent":
  -- the newest one, 0 where it has that; each with the position where the stream was read.
  CREATE TABLE connections(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id TEXT NOT NULL,
    conn_id TEXT NOT NULL,
    acked INTEGER NOT NULL,
    acked_read INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    sent_read INTEGER NOT NULL,
    used_day INTEGER NOT NULL,
    params TEXT NOT NULL,            -- the newest request, JSON
    idle TEXT NOT NULL,              -- JSON: up to which position there was nothing for that request
    UNIQUE (device_id, conn_id)
  );
  -- What a client was given of a room, by answer: the newest row up to "acked" counts.
  CREATE TABLE connection_rooms(
    connection INTEGER NOT NULL,
    room_id TEXT NOT NULL,
    answer INTEGER NOT NULL,
    pos INTEGER NOT NULL,
    typing INTEGER NOT NULL,
    membership TEXT NOT NULL,
    account_at INTEGER NOT NULL,     -- account data up to this position went out
    config INTEGER NOT NULL,         -- room_configs.id
    PRIMARY KEY (connection, room_id, answer)
  ) WITHOUT ROWID;
  CREATE TABLE room_configs(id INTEGER PRIMARY KEY, json TEXT NOT NULL UNIQUE);
  `,
  `
  -- Rooms in which events of this user may wait to be sent (MSC4140).
  CREATE TABLE delayed_rooms(room_id TEXT PRIMARY KEY) WITHOUT ROWID;
  `,
  `
  -- Pushers (pushers.ts).
  CREATE TABLE pushers(
    id INTEGER PRIMARY KEY,
    app_id TEXT NOT NULL,
    pushkey TEXT NOT NULL,
    device_id TEXT NOT NULL,
    json TEXT NOT NULL,              -- as the client set it
    enabled INTEGER NOT NULL,
    set_at INTEGER NOT NULL,         -- seconds since 1970
    badge INTEGER NOT NULL DEFAULT 0,    -- the count that its gateway was told last
    failures INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER NOT NULL DEFAULT 0,  -- not tried before, in ms
    UNIQUE (app_id, pushkey)
  );
  -- Notifications on their way, in order; JSON null for a count alone.
  CREATE TABLE push_queue(
    id INTEGER PRIMARY KEY,
    pusher_id INTEGER NOT NULL,
    queued_at INTEGER NOT NULL,
    json TEXT NOT NULL
  );
  -- While there are pushers: how far each room was looked through (push-rooms.ts).
  CREATE TABLE push_rooms(
    room_id TEXT PRIMARY KEY,
    pos INTEGER NOT NULL,            -- the room's; -1: it begins with what comes next
    unread INTEGER NOT NULL,
    rules_at INTEGER NOT NULL        -- position of the rules that "unread" goes by
  ) WITHOUT ROWID;
  `,
  `
  -- What each user was last said to be, this one among them; only where presence is on (presence.ts).
  CREATE TABLE presence(user_id TEXT PRIMARY KEY, json TEXT NOT NULL, position INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX presence_by_position ON presence(position);
  `,
  `
  -- One row while the account has ended and something is left to do (departure.ts).
  CREATE TABLE departure(id INTEGER PRIMARY KEY CHECK (id = 1), erase INTEGER NOT NULL, attempts INTEGER NOT NULL);
  `,
  `
  -- Rooms to ask how they stand; among them those that told of nothing but their position yet.
  INSERT INTO room_facts(room_id, pos, bump, bumped_at, state, state_at, stale)
    SELECT room_id, 0, 0, 0, 0, membership_at, 1 FROM rooms
    WHERE membership = 'join' AND room_id NOT IN (SELECT room_id FROM room_facts);
  UPDATE room_facts SET stale = 0 WHERE stale = 1
    AND room_id NOT IN (SELECT room_id FROM rooms WHERE membership = 'join');
  CREATE INDEX stale_rooms ON room_facts(bump) WHERE stale = 1;
  `,
  `
  -- MSC4306: threads that are followed, or (subscribed 0) not any more; "ended_at": where the room stood then.
  CREATE TABLE thread_subscriptions(
    room_id TEXT NOT NULL,
    root TEXT NOT NULL,
    position INTEGER NOT NULL,
    subscribed INTEGER NOT NULL,
    automatic INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    PRIMARY KEY (room_id, root)
  ) WITHOUT ROWID;
  CREATE INDEX thread_subscriptions_by_position ON thread_subscriptions(position);
  `,
  `
  -- Web push that is not active yet has a token (secret) for its client, e-mail has one that ends it (pushers.ts).
  ALTER TABLE pushers ADD COLUMN active INTEGER NOT NULL DEFAULT 1;
  ALTER TABLE pushers ADD COLUMN secret TEXT;
  ALTER TABLE pushers ADD COLUMN secret_until INTEGER NOT NULL DEFAULT 0;  -- in ms; of web push
  -- When a letter was about a room last, and how long there is none after that, in ms (mail-digest.ts).
  CREATE TABLE mailed_rooms(
    pusher_id INTEGER NOT NULL,
    room_id TEXT NOT NULL,
    sent_at INTEGER NOT NULL,
    gap INTEGER NOT NULL,
    PRIMARY KEY (pusher_id, room_id)
  ) WITHOUT ROWID;
  `,
  `
  -- 1: this user was in the room until somebody kicked or banned them; lists of sliding sync show it until it is forgotten.
  ALTER TABLE room_facts ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
  `,
  `
  -- JSON: sticky events of the room that the holder of a token was not given yet, though it was served beyond them (marks.ts).
  ALTER TABLE marks ADD COLUMN served_sticky TEXT;
  -- The newest sticky event that a room told of, by its position there; since when that is known; until when any is sticky (ms).
  ALTER TABLE room_facts ADD COLUMN sticky_pos INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE room_facts ADD COLUMN sticky_at INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE room_facts ADD COLUMN sticky_until INTEGER NOT NULL DEFAULT 0;
  CREATE INDEX sticky_rooms ON room_facts(sticky_until) WHERE sticky_until > 0;
  `,
  `
  -- Fields of profiles that this user's clients follow, '*' for all, and from which position on (profile-changes.ts).
  CREATE TABLE profile_fields(field TEXT PRIMARY KEY, since INTEGER NOT NULL, seen_day INTEGER NOT NULL);
  -- The newest change of each of these fields, by user.
  CREATE TABLE profile_changes(
    user_id TEXT NOT NULL,
    field TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (user_id, field)
  ) WITHOUT ROWID;
  CREATE INDEX profile_changes_by_position ON profile_changes(position);
  -- JSON: the fields that the client was told of by the answers "acked" and "sent"; '' for none.
  ALTER TABLE connections ADD COLUMN profiles TEXT NOT NULL DEFAULT '';
  `,
  `
  -- One row while a client of this user follows profiles: all their changes are noted from which position on.
  CREATE TABLE profile_interest(id INTEGER PRIMARY KEY CHECK (id = 1), since INTEGER NOT NULL, seen_day INTEGER NOT NULL);
  DROP TABLE profile_fields;
  `,
]
