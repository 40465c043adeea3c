/**
 * Who may copy the whole server out, or fill an empty one: whoever has `BACKUP_SECRET`, which `npm run backup` and
 * `npm run restore` put there for the time of their work.
 *
 * No administrator's token is enough: what a backup holds are the server's signing key and everybody's password hashes. The
 * secret says itself what it is for and until when; one that was left behind opens nothing.
 */
import { sameText } from '../client-server/synapse-register.ts'
import type { Env } from '../env.ts'
import { refuse } from '../refusal.ts'

export type BackupPurpose = 'backup' | 'restore'

/** Refuses, as if there were no such path, whoever does not bring the secret for this purpose. */
export function demandBackupSecret({ BACKUP_SECRET }: Env, request: Request, purpose: BackupPurpose): void {
  const [meant, until, random = ''] = (BACKUP_SECRET ?? '').split('.')
  const isOpen = meant === purpose && random.length >= 32 && Number(until) > Date.now()
  if (!BACKUP_SECRET || !isOpen) refuse('unrecognized')
  const given = request.headers.get('Authorization') ?? ''
  if (!sameText(given, `Bearer ${BACKUP_SECRET}`)) refuse('forbidden', 'That is not the secret of this backup')
}
