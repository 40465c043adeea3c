/**
 * The tables of a room's object. Append only: a migration that was ever merged never changes. They run when the room is
 * created, joined, or first heard of by an invite or knock; an object for a room nobody knows has no table at all.
 *
 * `nid` numbers events in order of arrival. An event is stored after its auth events, so `nid` is also a topological order
 * of the auth graph. `pos` is the room's version: every live event and every receipt takes the next one.
 * A partial index serves only queries that repeat its WHERE clause word for word.
 */
export const migrations: readonly string[] = [
  `
  -- One row: the room's header.
  CREATE TABLE room(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    room_id TEXT NOT NULL,
    room_version TEXT NOT NULL,
    extremities TEXT NOT NULL,       -- JSON [nid], the forward extremities, oldest first
    current_group INTEGER,           -- state group after all extremities; NULL while the room is known by invite only
    pos INTEGER NOT NULL,            -- newest pos given out
    told_pos INTEGER NOT NULL        -- users have been told of everything up to here
  );

  CREATE TABLE events(
    nid INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    state_key TEXT,
    sender TEXT NOT NULL,
    depth INTEGER NOT NULL,
    origin_server_ts INTEGER NOT NULL,
    pos INTEGER,                     -- NULL: never shown by sync (outlier, rejected, soft-failed, backfilled)
    outcome INTEGER NOT NULL,        -- 0 accepted, 1 soft-failed, 2 rejected, 3 outlier
    state_before INTEGER,            -- state groups; NULL for outliers
    state_after INTEGER,
    auth TEXT NOT NULL,              -- JSON [nid] of auth_events
    redacted_by INTEGER,             -- nid of the redaction; json is then the redacted form
    reject_reason TEXT,
    txn_device TEXT,                 -- own events: the device that sent it and its transaction ID
    txn_id TEXT,
    json TEXT NOT NULL               -- the signed wire form, without unsigned
  );
  CREATE UNIQUE INDEX events_by_pos ON events(pos) WHERE pos IS NOT NULL;
  CREATE INDEX events_by_depth ON events(depth, nid) WHERE outcome = 0;
  CREATE INDEX events_by_transaction ON events(txn_id, sender, txn_device) WHERE txn_id IS NOT NULL;

  -- prev_events of stored events that are not stored themselves (or as outliers): where backfill begins.
  CREATE TABLE missing_events(event_id TEXT PRIMARY KEY, depth INTEGER NOT NULL) WITHOUT ROWID;

  -- Redactions that arrived before the event they redact.
  CREATE TABLE waiting_redactions(
    event_id TEXT NOT NULL,          -- of the event to redact
    nid INTEGER NOT NULL,            -- of the redaction
    PRIMARY KEY (event_id, nid)
  ) WITHOUT ROWID;

  -- Skip-delta chains, see state-groups.ts. delta is JSON {stateMapKey: nid}; nid 0 takes the key away.
  CREATE TABLE state_groups(
    id INTEGER PRIMARY KEY,
    base INTEGER,
    height INTEGER NOT NULL,
    delta TEXT NOT NULL
  );

  -- The state of current_group, spread out.
  CREATE TABLE current_state(
    type TEXT NOT NULL,
    state_key TEXT NOT NULL,
    event_nid INTEGER NOT NULL,
    membership TEXT,                 -- of m.room.member
    PRIMARY KEY (type, state_key)
  ) WITHOUT ROWID;

  -- Local users who were invited to, or knocked on, a room this server is not in.
  CREATE TABLE outside_memberships(
    user_id TEXT PRIMARY KEY,
    membership TEXT NOT NULL,
    event_nid INTEGER NOT NULL,      -- the member event, an outlier
    pos INTEGER NOT NULL,
    stripped_state TEXT NOT NULL     -- JSON, invite_room_state or knock_room_state
  ) WITHOUT ROWID;

  CREATE TABLE receipts(
    user_id TEXT NOT NULL,
    receipt_type TEXT NOT NULL,
    thread_id TEXT NOT NULL,         -- '' for an unthreaded receipt
    event_id TEXT NOT NULL,
    ts INTEGER NOT NULL,
    pos INTEGER NOT NULL,
    PRIMARY KEY (user_id, receipt_type, thread_id)
  ) WITHOUT ROWID;
  CREATE INDEX receipts_by_pos ON receipts(pos);

  -- Local users who were told of news and have not read since: not told again until they read.
  CREATE TABLE quiet(user_id TEXT PRIMARY KEY) WITHOUT ROWID;
  CREATE TABLE forgotten(user_id TEXT PRIMARY KEY) WITHOUT ROWID;

  -- Named alarms, see shared/alarm-scheduler.ts.
  CREATE TABLE alarms(name TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
  `,
  `
  -- The room's state once the event at pos was appended, where that is not the state after the event: there were other
  -- forward extremities beside it.
  CREATE TABLE merged_states(pos INTEGER PRIMARY KEY, state_group INTEGER NOT NULL);

  -- Live events right before which others are missing: the timeline has a hole there, filled or not.
  CREATE TABLE timeline_gaps(pos INTEGER PRIMARY KEY);
  `,
  `
  -- Events of other servers that wait for what they build on, see federation/staged.ts.
  CREATE TABLE staged(
    event_id TEXT PRIMARY KEY,
    depth INTEGER NOT NULL,
    json TEXT NOT NULL,
    origin TEXT NOT NULL,            -- the server that sent it
    tries INTEGER NOT NULL DEFAULT 0
  ) WITHOUT ROWID;

  -- Positions of events of other servers that we let into the room, and so have to pass on.
  CREATE TABLE relayed(pos INTEGER PRIMARY KEY);
  `,
  `
  -- Up to which position D1 knows who of other servers is here (federation/remote-member-index.ts).
  CREATE TABLE member_list(id INTEGER PRIMARY KEY CHECK (id = 1), pos INTEGER NOT NULL);
  `,
  `
  -- Accepted events that relate to another (relations.ts): those that say so in m.relates_to and are not redacted.
  CREATE TABLE relations(
    child INTEGER PRIMARY KEY,       -- nid
    parent TEXT NOT NULL,            -- event ID; the event may be unknown
    rel_type TEXT NOT NULL,
    child_depth INTEGER NOT NULL
  );
  CREATE INDEX relations_by_parent ON relations(parent, child_depth, child);
  CREATE INDEX thread_events ON relations(child_depth, child) WHERE rel_type = 'm.thread';
  INSERT INTO relations(child, parent, rel_type, child_depth)
    SELECT nid, json_extract(json, '$.content."m.relates_to".event_id'), json_extract(json, '$.content."m.relates_to".rel_type'), depth
    FROM events
    WHERE outcome = 0 AND json_type(json, '$.content."m.relates_to".event_id') = 'text'
      AND json_type(json, '$.content."m.relates_to".rel_type') = 'text';
  `,
  `
  -- The words of messages, names and topics (search/search-index.ts), without the texts. rowid: the event's nid; negative for
  -- what was fetched to fill the past, so that the order by rowid is about that of time.
  CREATE VIRTUAL TABLE search USING fts5(
    body, name, topic, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
  );
  -- One row: events with a nid below this may not be in it yet.
  CREATE TABLE search_progress(id INTEGER PRIMARY KEY CHECK (id = 1), below INTEGER NOT NULL);
  INSERT INTO search_progress(id, below) SELECT 1, coalesce(max(nid) + 1, 0) FROM events;
  `,
  `
  -- Events that their senders want sent later (delayed/delayed-events.ts), and for a day what became of them.
  CREATE TABLE delayed_events(
    delay_id TEXT PRIMARY KEY,
    sender TEXT NOT NULL,
    device_id TEXT NOT NULL,
    txn_id TEXT,
    type TEXT NOT NULL,
    state_key TEXT,
    content TEXT NOT NULL,
    delay INTEGER NOT NULL,          -- ms
    send_at INTEGER NOT NULL,
    finalised_at INTEGER,            -- NULL: waits
    outcome TEXT,                    -- send, cancel
    reason TEXT,                     -- delay, action, error
    event_id TEXT,
    error TEXT                       -- JSON
  ) WITHOUT ROWID;
  CREATE INDEX delayed_by_time ON delayed_events(send_at) WHERE finalised_at IS NULL;
  CREATE INDEX delayed_by_sender ON delayed_events(sender, finalised_at);
  CREATE INDEX delayed_state ON delayed_events(type, state_key) WHERE finalised_at IS NULL AND state_key IS NOT NULL;
  `,
  `
  -- Blocks of 256 nids with the earliest and latest origin_server_ts in each (time-index.ts), noted when somebody asks.
  CREATE TABLE time_blocks(block INTEGER PRIMARY KEY, earliest INTEGER NOT NULL, latest INTEGER NOT NULL);
  `,
  `
  -- Local users with pushers: see ringer.ts.
  CREATE TABLE ringing(user_id TEXT PRIMARY KEY) WITHOUT ROWID;
  `,
  `
  -- Senders whose account was erased (erasures.ts), with the state of the room at that time.
  CREATE TABLE erased_senders(user_id TEXT PRIMARY KEY, state_group INTEGER NOT NULL) WITHOUT ROWID;
  `,
  `
  -- How often a missing event was asked for in vain: see federation/holes.ts.
  ALTER TABLE missing_events ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
  `,
  `
  -- One row: since when, and until when, the room's members were not all known here (partial-state.ts).
  CREATE TABLE partial_span(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    from_pos INTEGER NOT NULL,       -- of the first join that was told without members
    to_pos INTEGER,                  -- since this one the state is whole; NULL: not yet
    replay TEXT                      -- JSON, how far the replay is (federation/replay.ts)
  );
  -- Joins of which the state before them is not whole yet.
  CREATE TABLE partial_joins(
    nid INTEGER PRIMARY KEY,
    server TEXT NOT NULL,            -- joined over
    servers TEXT NOT NULL,           -- JSON [name], in the room before the join, as that server says
    tries INTEGER NOT NULL DEFAULT 0,
    whole_group INTEGER              -- the whole state before the join, once it is here
  );
  -- Events that were given their place on an incomplete state, in that order; and what they come to on the whole one.
  CREATE TABLE provisional(
    seq INTEGER PRIMARY KEY,
    nid INTEGER NOT NULL UNIQUE,
    given INTEGER,                   -- the group they stand on, where that is not what their prev_events lead to
    is_live INTEGER NOT NULL,
    is_cited INTEGER NOT NULL,       -- others cited it before it came
    outcome INTEGER,                 -- NULL: not judged anew yet
    state_before INTEGER,
    state_after INTEGER,
    reason TEXT
  );
  `,
  `
  -- Full blocks of 256 positions (history-bounds.ts): the lowest live event in each by (depth, nid), the lowest from there on
  -- in blocks that are noted, and the highest up to there.
  CREATE TABLE history_blocks(
    block INTEGER PRIMARY KEY,
    low_depth INTEGER NOT NULL,
    low_nid INTEGER NOT NULL,
    floor_depth INTEGER NOT NULL,
    floor_nid INTEGER NOT NULL,
    peak_depth INTEGER NOT NULL,
    peak_nid INTEGER NOT NULL
  );
  -- What was fetched to fill the past.
  CREATE INDEX filled_events ON events(depth, nid) WHERE outcome = 0 AND pos IS NULL;
  `,
  `
  -- Words of the names and IDs of joined members of other servers (member-names.ts), by the nid of their member event.
  CREATE VIRTUAL TABLE member_names USING fts5(
    name, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
  );
  -- No row: nobody looked for members yet. Then: members up to this ID are in it.
  CREATE TABLE member_names_progress(id INTEGER PRIMARY KEY CHECK (id = 1), up_to TEXT NOT NULL);
  `,
  `
  -- In a room of many: how many members it has, of which servers, and who is of this one (member-tally.ts). No row: not counted.
  CREATE TABLE member_tally(
    id INTEGER PRIMARY KEY CHECK (id = 1), joined INTEGER NOT NULL, invited INTEGER NOT NULL, known INTEGER NOT NULL
  );
  CREATE TABLE joined_servers(server TEXT PRIMARY KEY, members INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE local_joined(user_id TEXT PRIMARY KEY) WITHOUT ROWID;
  `,
  `
  -- Blocks of 256 nids with the time of the earliest message in each that was not taken away because of its age
  -- (retention/purge.ts); NULL: all were. events.redacted_by is 0 where one was.
  CREATE TABLE retention_blocks(block INTEGER PRIMARY KEY, earliest INTEGER);
  -- One row: the lifetime of messages, in ms, for which the purge was timed; NULL: they are kept (retention/purger.ts).
  CREATE TABLE retention_timing(id INTEGER PRIMARY KEY CHECK (id = 1), lifetime INTEGER);
  `,
  `
  -- Until when, in ms since 1970, anything in the room may be sticky; and what is (sticky/sticky-events.ts).
  ALTER TABLE room ADD COLUMN sticky_until INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE sticky_events(
    nid INTEGER PRIMARY KEY,
    pos INTEGER,                     -- from which position on clients hear of it; NULL: soft-failed
    expires_at INTEGER NOT NULL      -- ms since 1970
  );
  CREATE INDEX sticky_by_pos ON sticky_events(pos);
  ALTER TABLE delayed_events ADD COLUMN sticky_duration INTEGER;
  `,
  `
  -- Events that wait (federation/staged.ts) with their size, and with what is looked at each time before their JSON.
  ALTER TABLE staged RENAME TO staged_before;
  CREATE TABLE staged(
    event_id TEXT PRIMARY KEY,
    depth INTEGER NOT NULL,
    origin TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    size INTEGER NOT NULL,           -- characters of json
    head TEXT,                       -- JSON: sender, authEvents, prevEvents
    json TEXT NOT NULL
  ) WITHOUT ROWID;
  INSERT INTO staged(event_id, depth, origin, tries, size, json)
    SELECT event_id, depth, origin, tries, length(json), json FROM staged_before;
  DROP TABLE staged_before;
  `,
  `
  -- Kicks and bans that redact what the removed user sent during a stay (removals.ts): "by" is the nid of one, "member" of the
  -- member events by which the user was in the room.
  CREATE TABLE removed_stays(member INTEGER PRIMARY KEY, by INTEGER NOT NULL);
  -- Those that have not redacted everything yet: what has a nid from "first" to before "below" is still to be looked at.
  CREATE TABLE removals(by INTEGER PRIMARY KEY, sender TEXT NOT NULL, below INTEGER NOT NULL, first INTEGER NOT NULL);
  `,
]
