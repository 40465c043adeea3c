/**
 * Every migration of D1, oldest first. Append only: a line that was ever merged never changes, nor does its file.
 * They are applied in this order, and by nothing else than worker/set-up.ts; in the order of their names they lead to the
 * same (test/spec/migrations.test.ts).
 *
 * The files travel inside the bundle as text (wrangler.toml: Text rule), so that the Worker can apply them by itself.
 */
import accounts from './0000_accounts.sql'
import knownRooms from './0003_known_rooms.sql'
import encryptionKeys from './0004_encryption_keys.sql'
import loginTokens from './0008_login_tokens.sql'
import media from './0005_media.sql'
import mediaCare from './0012_media_care.sql'
import mediaOnce from './0022_media_once.sql'
import openIdTokens from './0006_openid_tokens.sql'
import people from './0009_people.sql'
import policyLists from './0015_policy_lists.sql'
import pushers from './0007_pushers.sql'
import profileWords from './0018_profile_words.sql'
import remoteKeyNews from './0023_remote_key_news.sql'
import remoteKeys from './0014_remote_keys.sql'
import remoteServerKeys from './0001_remote_server_keys.sql'
import rendezvous from './20261121112158_rendezvous.sql'
import retentionRound from './20261121113747_retention_round.sql'
import roomDirectory from './0002_room_directory.sql'
import vapidKey from './0019_vapid_key.sql'

export interface Migration {
  readonly name: string
  /** Statements between `--> statement-breakpoint`, as drizzle-kit writes them. */
  readonly sql: string
}

export const migrations: readonly Migration[] = [
  { name: '0000_accounts', sql: accounts },
  { name: '0001_remote_server_keys', sql: remoteServerKeys },
  { name: '0002_room_directory', sql: roomDirectory },
  { name: '0003_known_rooms', sql: knownRooms },
  { name: '0004_encryption_keys', sql: encryptionKeys },
  { name: '0005_media', sql: media },
  { name: '0006_openid_tokens', sql: openIdTokens },
  { name: '0008_login_tokens', sql: loginTokens },
  { name: '0009_people', sql: people },
  { name: '0007_pushers', sql: pushers },
  { name: '0012_media_care', sql: mediaCare },
  { name: '0014_remote_keys', sql: remoteKeys },
  { name: '0019_vapid_key', sql: vapidKey },
  { name: '0022_media_once', sql: mediaOnce },
  { name: '0015_policy_lists', sql: policyLists },
  { name: '0023_remote_key_news', sql: remoteKeyNews },
  { name: '0018_profile_words', sql: profileWords },
  { name: '20261121112158_rendezvous', sql: rendezvous },
  { name: '20261121113747_retention_round', sql: retentionRound },
]
