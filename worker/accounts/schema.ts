/**
 * The tables of D1: people, devices and what is looked up across users and rooms.
 *
 * A change here needs a migration: `npx drizzle-kit generate --name what_it_does`, then its line in d1-migrations/index.ts.
 * Times are milliseconds since 1970. Secrets never stand here in clear: tokens as SHA-256, passwords as hashes.
 */
import type { EmailAddress } from '#protocol/identifiers/email-address.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { MediaId } from '#protocol/identifiers/mxc-uri.ts'
import type { RoomAlias } from '#protocol/identifiers/room-alias.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { sql } from 'drizzle-orm'
import { check, foreignKey, index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core'

export const users = sqliteTable('users', {
  userId: text('user_id').$type<UserId>().primaryKey(),
  /** PHC string; null for guests and the deactivated, whom no password lets in. */
  passwordHash: text('password_hash'),
  isGuest: integer('is_guest', { mode: 'boolean' }).notNull().default(false),
  isAdmin: integer('is_admin', { mode: 'boolean' }).notNull().default(false),
  createdAt: integer('created_at').notNull(),
  /** Set once, never taken back: the name stays taken. */
  deactivatedAt: integer('deactivated_at'),
  /** Spec: client-server-api/#account-locking. */
  isLocked: integer('is_locked', { mode: 'boolean' }).notNull().default(false),
  /** Spec: client-server-api/#account-suspension. */
  isSuspended: integer('is_suspended', { mode: 'boolean' }).notNull().default(false),
  /** JSON: the version of each policy document that was accepted with the registration. */
  acceptedTerms: text('accepted_terms'),
})

export const devices = sqliteTable(
  'devices',
  {
    userId: text('user_id')
      .$type<UserId>()
      .notNull()
      .references(() => users.userId),
    deviceId: text('device_id').notNull(),
    displayName: text('display_name'),
    createdAt: integer('created_at').notNull(),
    /** Some minutes behind, so that a request does not cost a write. */
    lastSeenAt: integer('last_seen_at'),
    lastSeenIp: text('last_seen_ip'),
  },
  (table) => [primaryKey({ columns: [table.userId, table.deviceId] })],
)

/** A token lives no longer than its device. */
export const accessTokens = sqliteTable(
  'access_tokens',
  {
    hash: text('hash').primaryKey(),
    userId: text('user_id').$type<UserId>().notNull(),
    deviceId: text('device_id').notNull(),
    /** Counts the refreshes of a device. The first use of a generation ends the earlier ones. */
    generation: integer('generation').notNull(),
    /** Whether the earlier generations have been ended. */
    isSettled: integer('is_settled', { mode: 'boolean' }).notNull(),
    createdAt: integer('created_at').notNull(),
    /** Null: until logged out. */
    expiresAt: integer('expires_at'),
  },
  (table) => [
    index('access_tokens_by_device').on(table.userId, table.deviceId),
    foreignKey({
      columns: [table.userId, table.deviceId],
      foreignColumns: [devices.userId, devices.deviceId],
    }).onDelete('cascade'),
  ],
)

export const refreshTokens = sqliteTable(
  'refresh_tokens',
  {
    hash: text('hash').primaryKey(),
    userId: text('user_id').$type<UserId>().notNull(),
    deviceId: text('device_id').notNull(),
    generation: integer('generation').notNull(),
    createdAt: integer('created_at').notNull(),
  },
  (table) => [
    index('refresh_tokens_by_device').on(table.userId, table.deviceId),
    foreignKey({
      columns: [table.userId, table.deviceId],
      foreignColumns: [devices.userId, devices.deviceId],
    }).onDelete('cascade'),
  ],
)

/** One row per user who has a profile; `fields` is the JSON object that GET /profile answers. */
export const profiles = sqliteTable('profiles', {
  userId: text('user_id')
    .$type<UserId>()
    .primaryKey()
    .references(() => users.userId),
  fields: text('fields').notNull(),
})

/** Words of the names of local users (profile-words.ts). */
export const profileWords = sqliteTable(
  'profile_words',
  { word: text('word').notNull(), userId: text('user_id').$type<UserId>().notNull() },
  (table) => [primaryKey({ columns: [table.word, table.userId] }), index('profile_words_by_user').on(table.userId)],
)

/** Spec: client-server-api/#token-authenticated-registration. */
export const registrationTokens = sqliteTable(
  'registration_tokens',
  {
    token: text('token').primaryKey(),
    /** Null: any number. */
    usesAllowed: integer('uses_allowed'),
    uses: integer('uses').notNull().default(0),
    createdAt: integer('created_at').notNull(),
    expiresAt: integer('expires_at'),
  },
  // Makes the registration that is one too many fail as a whole.
  (table) => [check('uses_within_allowed', sql`${table.usesAllowed} IS NULL OR ${table.uses} <= ${table.usesAllowed}`)],
)

/** Sessions of the User-Interactive Authentication API. Holds which stages passed, never what passed them. */
export const interactiveAuthSessions = sqliteTable(
  'interactive_auth_sessions',
  {
    session: text('session').primaryKey(),
    /** What the session may be used for: operation, user and a hash of the request without its secrets. */
    purpose: text('purpose').notNull(),
    /** JSON array of the stages completed, in order. */
    completed: text('completed').notNull(),
    /** The registration token to be used up when the registration succeeds. */
    registrationToken: text('registration_token'),
    /** The validated e-mail session that passed `m.login.email.identity`. */
    emailSession: text('email_session'),
    createdAt: integer('created_at').notNull(),
  },
  (table) => [index('interactive_auth_sessions_by_age').on(table.createdAt)],
)

/** Third-party identifiers of accounts. The primary key lets an address belong to one account only. */
export const threepids = sqliteTable(
  'threepids',
  {
    medium: text('medium').$type<'email'>().notNull(),
    address: text('address').$type<EmailAddress>().notNull(),
    userId: text('user_id')
      .$type<UserId>()
      .notNull()
      .references(() => users.userId),
    validatedAt: integer('validated_at').notNull(),
    addedAt: integer('added_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.medium, table.address] }), index('threepids_by_user').on(table.userId)],
)

/** Who is about to prove that they read an e-mail address. One row per purpose, address and client secret. */
export const emailSessions = sqliteTable(
  'email_sessions',
  {
    sid: text('sid').primaryKey(),
    /** What the proof is good for. */
    purpose: text('purpose').$type<'add' | 'register' | 'password'>().notNull(),
    address: text('address').$type<EmailAddress>().notNull(),
    clientSecretHash: text('client_secret_hash').notNull(),
    sendAttempt: integer('send_attempt').notNull(),
    /** Of the link in the newest letter; null where the letter had none. */
    tokenHash: text('token_hash').unique(),
    nextLink: text('next_link'),
    lettersSent: integer('letters_sent').notNull(),
    validatedAt: integer('validated_at'),
    createdAt: integer('created_at').notNull(),
    expiresAt: integer('expires_at').notNull(),
  },
  (table) => [
    uniqueIndex('email_sessions_by_attempt').on(table.purpose, table.address, table.clientSecretHash),
    index('email_sessions_by_address').on(table.address),
    index('email_sessions_by_expiry').on(table.expiresAt),
  ],
)

/** The keys this server signs with. Old ones stay, since events signed by them do. */
export const signingKeys = sqliteTable('signing_keys', {
  keyId: text('key_id').primaryKey(),
  /** Unpadded base64 of the 32 bytes; null where only the public half is kept. */
  seed: text('seed'),
  publicKey: text('public_key').notNull(),
  /** 1 for the key in use, else null: the unique index lets only one be made. */
  current: integer('current').unique(),
  createdAt: integer('created_at').notNull(),
  /** When the key stopped signing; null while in use. */
  expiredAt: integer('expired_at'),
})

/** Keys of other servers, as they published them themselves. May be lost: they are asked for again. */
export const remoteServerKeys = sqliteTable(
  'remote_server_keys',
  {
    serverName: text('server_name').$type<ServerName>().notNull(),
    keyId: text('key_id').notNull(),
    /** Unpadded base64 of the 32 bytes. */
    publicKey: text('public_key').notNull(),
    validUntilTs: integer('valid_until_ts').notNull(),
    /** From `old_verify_keys`. */
    expired: integer('expired', { mode: 'boolean' }).notNull(),
    fetchedAt: integer('fetched_at').notNull(),
    /** The server's signed answer, which a notary passes on; null for old keys. */
    response: text('response'),
  },
  (table) => [primaryKey({ columns: [table.serverName, table.keyId] })],
)

/** The aliases of this server. The primary key lets an alias lead to one room only. */
export const roomAliases = sqliteTable(
  'room_aliases',
  {
    alias: text('alias').$type<RoomAlias>().primaryKey(),
    roomId: text('room_id').$type<RoomId>().notNull(),
    /** Who made it, and so may delete it. */
    creator: text('creator').$type<UserId>().notNull(),
    createdAt: integer('created_at').notNull(),
  },
  (table) => [index('room_aliases_by_room').on(table.roomId)],
)

/** Published rooms. All but the room ID is a copy of what the room says, made when last asked. */
export const publicRooms = sqliteTable(
  'public_rooms',
  {
    roomId: text('room_id').$type<RoomId>().primaryKey(),
    name: text('name'),
    topic: text('topic'),
    canonicalAlias: text('canonical_alias'),
    avatarUrl: text('avatar_url'),
    joinedMembers: integer('joined_members').notNull(),
    joinRule: text('join_rule'),
    roomType: text('room_type'),
    worldReadable: integer('world_readable', { mode: 'boolean' }).notNull(),
    guestCanJoin: integer('guest_can_join', { mode: 'boolean' }).notNull(),
    /** Name, topic and alias in small letters. */
    searchText: text('search_text').notNull(),
    checkedAt: integer('checked_at').notNull(),
  },
  // No index by size: the total is counted over the same rows.
  (table) => [index('public_rooms_by_check').on(table.checkedAt)],
)

/** What people reported: an event (with its room), a room, or a user. */
export const reports = sqliteTable(
  'reports',
  {
    id: integer('id').primaryKey({ autoIncrement: true }),
    reporter: text('reporter').$type<UserId>().notNull(),
    roomId: text('room_id').$type<RoomId>(),
    eventId: text('event_id').$type<EventId>(),
    userId: text('user_id').$type<UserId>(),
    reason: text('reason').notNull(),
    receivedAt: integer('received_at').notNull(),
  },
  (table) => [index('reports_by_time').on(table.receivedAt)],
)

/** Rooms that live on this server: Durable Objects cannot be listed. */
export const knownRooms = sqliteTable(
  'known_rooms',
  {
    roomId: text('room_id').$type<RoomId>().primaryKey(),
    addedAt: integer('added_at').notNull(),
  },
  (table) => [index('known_rooms_by_age').on(table.addedAt)],
)

/** Identity keys of devices, as their clients signed them. They go with their device. */
export const deviceKeys = sqliteTable(
  'device_keys',
  {
    userId: text('user_id').$type<UserId>().notNull(),
    deviceId: text('device_id').notNull(),
    json: text('json').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.deviceId] }),
    foreignKey({
      columns: [table.userId, table.deviceId],
      foreignColumns: [devices.userId, devices.deviceId],
    }).onDelete('cascade'),
  ],
)

/** The cross-signing keys of users of this server. */
export const crossSigningKeys = sqliteTable(
  'cross_signing_keys',
  {
    userId: text('user_id').$type<UserId>().notNull(),
    usage: text('usage').$type<'master' | 'self_signing' | 'user_signing'>().notNull(),
    json: text('json').notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.usage] })],
)

/** Signatures that users of this server put on keys later. Who may see one depends on its signer. */
export const keySignatures = sqliteTable(
  'key_signatures',
  {
    /** Whose key was signed: a device ID, or the public part of a cross-signing key. */
    targetUser: text('target_user').$type<UserId>().notNull(),
    targetKey: text('target_key').notNull(),
    signer: text('signer').$type<UserId>().notNull(),
    signerKeyId: text('signer_key_id').notNull(),
    signature: text('signature').notNull(),
  },
  (table) => [primaryKey({ columns: [table.targetUser, table.targetKey, table.signer, table.signerKeyId] })],
)

/** In which rooms users of other servers are joined, where news of their devices matters to somebody here. */
export const remoteMembers = sqliteTable(
  'remote_members',
  {
    userId: text('user_id').$type<UserId>().notNull(),
    roomId: text('room_id').$type<RoomId>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.roomId] }), index('remote_members_by_room').on(table.roomId)],
)

/** Keys of users of other servers as they were told last. See remote-keys.ts. */
export const remoteKeys = sqliteTable('remote_keys', {
  userId: text('user_id').$type<UserId>().primaryKey(),
  /** `{ device_keys, master_keys, self_signing_keys }`, each of this user alone; `{}` until they were told. */
  json: text('json').notNull(),
  /** When their server was asked for that, and when it last said that something changed, in ms. */
  toldAt: integer('told_at').notNull().default(0),
  changedAt: integer('changed_at').notNull().default(0),
})

/** Media uploaded here, and media of other servers of which a copy is kept. The bytes are in R2. */
export const media = sqliteTable(
  'media',
  {
    serverName: text('server_name').$type<ServerName>().notNull(),
    mediaId: text('media_id').$type<MediaId>().notNull(),
    /** Null for media of other servers. */
    uploader: text('uploader').$type<UserId>(),
    /** Key of the bytes in R2; null until they were uploaded. */
    storageKey: text('storage_key'),
    contentType: text('content_type').notNull(),
    fileName: text('file_name'),
    /** Bytes. */
    size: integer('size').notNull(),
    /** Unpadded URL-safe base64; null until the bytes were uploaded. */
    sha256: text('sha256'),
    createdAt: integer('created_at').notNull(),
    /** When the upload, or the fetch of a copy, must have been done; null for media that is there. */
    expiresAt: integer('expires_at'),
    /** When somebody last asked for it, up to a day behind. */
    lastAccessAt: integer('last_access_at').notNull().default(0),
    /** False: uploaded before the freeze, so the paths without a token give it out too. */
    needsToken: integer('needs_token', { mode: 'boolean' }).notNull().default(true),
    /** The picture of a URL preview: of this server, and fetched again when it is lost. */
    isPreview: integer('is_preview', { mode: 'boolean' }).notNull().default(false),
    /** The admin who forbade it to be given out. The row stays, so that a copy is not fetched again. */
    quarantinedBy: text('quarantined_by').$type<UserId>(),
    /** An admin keeps it from being quarantined along with others. */
    isProtected: integer('is_protected', { mode: 'boolean' }).notNull().default(false),
    /** JSON: what was seen when a thumbnail was wanted first (r2-media/picture-look.ts); null until then. */
    picture: text('picture'),
  },
  (table) => [
    primaryKey({ columns: [table.serverName, table.mediaId] }),
    index('media_awaited')
      .on(table.uploader, table.expiresAt)
      .where(sql`${table.storageKey} IS NULL`),
    index('media_by_uploader').on(table.uploader, table.createdAt, table.size),
    index('media_by_storage_key').on(table.storageKey),
    index('media_by_hash')
      .on(table.sha256, table.size)
      .where(sql`${table.storageKey} IS NOT NULL`),
    index('media_copies')
      .on(table.lastAccessAt)
      .where(sql`${table.uploader} IS NULL`),
    index('media_of_previews')
      .on(table.sha256)
      .where(sql`${table.isPreview} = 1`),
  ],
)

/** What URL previews said, by URL and language. May be lost. */
export const urlPreviews = sqliteTable(
  'url_previews',
  {
    url: text('url').notNull(),
    language: text('language').notNull(),
    /** JSON: the Open Graph object, or `{"failure": reason}`; null until the first answer is there. */
    answer: text('answer'),
    expiresAt: integer('expires_at').notNull(),
    /** Until when somebody is expected to be fetching it. */
    claimedUntil: integer('claimed_until').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.url, table.language] }),
    index('url_previews_by_expiry').on(table.expiresAt),
  ],
)

/** One row: how far the search for bytes without a row has come. */
export const mediaSweep = sqliteTable('media_sweep', {
  id: integer('id').primaryKey(),
  /** The last key in R2 that was looked at; null: begin at the first. */
  after: text('after'),
})

/** Tokens by which other services learn who a user is. Spec: client-server-api/#openid. */
export const openIdTokens = sqliteTable(
  'openid_tokens',
  {
    hash: text('hash').primaryKey(),
    userId: text('user_id').$type<UserId>().notNull(),
    expiresAt: integer('expires_at').notNull(),
  },
  (table) => [index('openid_tokens_by_expiry').on(table.expiresAt)],
)

/** Tokens by which a further client signs in, once. Spec: client-server-api/#post_matrixclientv1loginget_token. */
export const loginTokens = sqliteTable(
  'login_tokens',
  {
    hash: text('hash').primaryKey(),
    userId: text('user_id').$type<UserId>().notNull(),
    expiresAt: integer('expires_at').notNull(),
  },
  (table) => [index('login_tokens_by_expiry').on(table.expiresAt)],
)

/** The one key by which push services know this server. */
export const vapidKeys = sqliteTable('vapid_keys', {
  /** Always 1: only one can be made. */
  id: integer('id').primaryKey(),
  /** JSON Web Key with the private half. */
  jwk: text('jwk').notNull(),
  createdAt: integer('created_at').notNull(),
})

/** Who has a pusher with an app ID and pushkey; the pushers themselves are in the users' objects. */
export const pushers = sqliteTable(
  'pushers',
  {
    appId: text('app_id').notNull(),
    pushkey: text('pushkey').notNull(),
    userId: text('user_id').$type<UserId>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.appId, table.pushkey, table.userId] })],
)

/** Rooms whose policy rules this server applies to invites and joins. Spec: client-server-api/#moderation-policy-lists. */
export const policyLists = sqliteTable('policy_lists', {
  roomId: text('room_id').$type<RoomId>().primaryKey(),
  addedBy: text('added_by').$type<UserId>().notNull(),
  addedAt: integer('added_at').notNull(),
})

/** Places where two devices of a user leave each other messages while one signs the other in: worker/accounts/rendezvous.ts. */
export const rendezvous = sqliteTable('rendezvous', {
  id: text('id').primaryKey(),
  /** Which form it was made in, and is read in. */
  protocol: text('protocol').$type<'msc4108' | 'msc4388'>().notNull(),
  data: text('data').notNull(),
  /** Names this data: another one each time that something is written. */
  token: text('token').notNull(),
  previousToken: text('previous_token'),
  changedAt: integer('changed_at').notNull(),
  expiresAt: integer('expires_at').notNull(),
})

/** One row: which rules of retention rooms are told of, and how many were: worker/retention-round.ts. */
export const retentionRound = sqliteTable('retention_round', {
  id: integer('id').primaryKey(),
  /** JSON. */
  rules: text('rules').notNull(),
  /** The last room that was told; null: all were. */
  after: text('after').$type<RoomId>(),
})
