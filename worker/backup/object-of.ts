/** Objects by the names that a backup gives them. PASSWORD is not among them: it stores nothing. */
import type { Portion } from '../../durable-objects/shared/load.ts'
import type { FederationSenderDO } from '../../durable-objects/federation-sender/federation-sender-do.ts'
import type { Env } from '../env.ts'
import { refuse } from '../refusal.ts'
import { remote } from '../remote.ts'

interface Copied {
  dump(name: string): Promise<Response>
  load(portion: Portion): Promise<boolean>
  end(): Promise<void>
}

export function objectOf(env: Env, query: URLSearchParams): { object: Copied; name: string } {
  const name = query.get('name') ?? refuse('missing_param', 'name is missing')
  const kind = query.get('kind')
  if (kind === 'ROOM') return { object: remote(env.ROOM, name), name }
  if (kind === 'USER_SYNC') return { object: remote(env.USER_SYNC, name), name }
  if (kind === 'FEDERATION_SENDER') return { object: remote<FederationSenderDO>(env.FEDERATION_SENDER, name), name }
  return refuse('invalid_param', 'kind must be ROOM, USER_SYNC or FEDERATION_SENDER')
}
