/** What is void in a database that came out of a backup: what may be used once only, and what others told long ago. */

/** Tables that a restored database begins without. */
export const voidAfterRestore: readonly string[] = [
  'login_tokens',
  'interactive_auth_sessions',
  'email_sessions',
  'openid_tokens',
  'rendezvous',
  'remote_keys',
]

/** Runs once for each restore, whose name is `restored` (docs/backup.md). Safe beside others who do the same. */
export async function renewDatabase(db: D1Database, restored: string | undefined): Promise<void> {
  if (!restored) return
  await db.prepare('CREATE TABLE IF NOT EXISTS restores(mark TEXT PRIMARY KEY, at INTEGER NOT NULL)').run()
  const known = await db.prepare('SELECT 1 FROM restores WHERE mark = ?').bind(restored).first()
  if (known) return
  await db.batch([
    ...voidAfterRestore.map((table) => db.prepare(`DELETE FROM ${table}`)),
    db.prepare('INSERT OR IGNORE INTO restores(mark, at) VALUES (?, ?)').bind(restored, Date.now()),
  ])
}
