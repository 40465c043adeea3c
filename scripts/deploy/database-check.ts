/** What is in a database that bears our name: nothing, ours, or somebody else's. Read before anything is sent there. */
import type { Wrangler } from './wrangler.ts'
import { DeployError, query, textIn } from './account.ts'
import { type KnownMigration, pastFault } from '../../worker/migration-past.ts'
import { own } from '../../worker/protocol/json/json.ts'

export interface DatabaseState {
  readonly empty: boolean
  readonly hasAdmin: boolean
  /** Events were signed with the owner's key of the secret SIGNING_KEY. */
  readonly wantsSigningKey: boolean
}

export interface Expected {
  readonly database: string
  readonly serverName: string
  readonly migrations: readonly KnownMigration[]
}

const fresh: DatabaseState = { empty: true, hasAdmin: false, wantsSigningKey: false }

/** Throws DeployError where the database is not this server's, or not this version's. */
export async function checkDatabase(wrangler: Wrangler, expected: Expected): Promise<DatabaseState> {
  const { database, serverName, migrations } = expected
  const list = `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_cf_%' AND name <> 'd1_migrations'`
  const tables = (await query(wrangler, database, list)).map((row) => textIn(row, 'name'))
  if (tables.length === 0) return fresh
  if (!tables.includes('applied_migrations')) {
    throw new DeployError({
      what: `the database ${database} in this account belongs to something else: it has the table ${tables[0]}`,
      next: 'give --worker NAME, after which database and bucket are named too; nothing was changed',
    })
  }
  const applied = await query(
    wrangler,
    database,
    'SELECT position, name, hash FROM applied_migrations ORDER BY position',
  )
  const fault = pastFault(
    migrations,
    applied.map((row) => ({
      position: Number(own(row, 'position')),
      name: textIn(row, 'name'),
      hash: textIn(row, 'hash'),
    })),
  )
  if (fault !== undefined) {
    throw new DeployError({ what: fault, next: 'git pull, npm install, npm run deploy; nothing was changed' })
  }
  if (applied.length === 0) return fresh
  const foreign = `SELECT user_id FROM users WHERE substr(user_id, instr(user_id, ':') + 1) <> '${serverName}' LIMIT 1`
  const [stranger] = await query(wrangler, database, foreign)
  if (stranger) {
    const other = textIn(stranger, 'user_id').replace(/^[^:]*:/, '')
    throw new DeployError({
      what: `the database ${database} belongs to the server ${other}, and a server cannot change its name`,
      next: `npm run deploy -- --server-name ${other}, or a second server beside it: --worker NAME`,
    })
  }
  const count = `SELECT (SELECT count(*) FROM users WHERE is_admin = 1 AND deactivated_at IS NULL) AS admins,
    (SELECT count(*) FROM signing_keys WHERE current = 1 AND seed IS NULL) AS lent`
  const [counted] = await query(wrangler, database, count)
  return {
    empty: false,
    hasAdmin: Number(counted && own(counted, 'admins')) > 0,
    wantsSigningKey: Number(counted && own(counted, 'lent')) > 0,
  }
}

/** Ends the lost key, so that the Worker makes another one. Events signed by the old one stay good. */
export async function retireLostKey(wrangler: Wrangler, database: string, now: number): Promise<void> {
  const end = `UPDATE signing_keys SET current = NULL, expired_at = ${now} WHERE current = 1 AND seed IS NULL`
  await query(wrangler, database, end)
}
