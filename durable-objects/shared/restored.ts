/**
 * What an object does first when all that it holds came out of a backup.
 *
 * `RESTORED` names the restore (docs/backup.md); each object compares it with the one it has seen, when it wakes. Whatever it
 * gave out after the backup was made is forgotten here and known elsewhere: to give it out again would be worse than to leave
 * it out. So positions leap ahead.
 */

/** Further than any stream or room moves between a backup and its restore. */
export const leap = 1_000_000_000

const seen = 'restored'

interface KeptValues {
  get(key: string): unknown
  put(key: string, value: string): void
}

/** Runs `begin` once for each restore, in one turn with the note that it ran. Costs nothing on a server never restored. */
export function afterRestore(
  storage: { readonly kv: KeptValues; transactionSync<T>(turn: () => T): T },
  restored: string | undefined,
  begin: () => void,
): void {
  if (!restored || storage.kv.get(seen) === restored) return
  storage.transactionSync(() => {
    begin()
    storage.kv.put(seen, restored)
  })
}
