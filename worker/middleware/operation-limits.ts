/**
 * The limit that every operation has, whatever further ones its handler draws on: the specification lets nearly each answer
 * M_LIMIT_EXCEEDED. Wide enough for the busiest client, narrow enough that a script in a loop is stopped.
 *
 * Spec: client-server-api/#rate-limiting. Counted in memory, see rate-limit.ts: a request costs no query for this.
 */
import type { Operation, Requester } from '../operation.ts'
import type { Settings } from '../settings.ts'
import { clientAddress } from './client-address.ts'
import { limitAddress, limitUser, type RateLimit } from './rate-limit.ts'

/** Each may ask many rooms, or other servers. */
const heavy: ReadonlySet<string> = new Set([
  'getSpaceHierarchy',
  'getRoomSummary',
  'getEventByTimestamp',
  'searchUserDirectory',
  'queryPublicRooms',
  'getPublicRooms',
  'getUrlPreviewAuthed',
  'getUrlPreview',
  'queryKeys',
  'claimKeys',
  'examineServer',
])

/** Which limit an operation draws on. */
export function limitOf(method: string, operationId: string): RateLimit {
  if (heavy.has(operationId)) return 'heavy'
  return method === 'GET' ? 'read' : 'write'
}

/** Refuses with M_LIMIT_EXCEEDED. Who asks without a token is known by the address alone, where that is known. */
export function limitOperation(
  { method, options }: Operation,
  requester: Requester | undefined,
  request: Request,
  settings: Settings,
): void {
  const limit = limitOf(method, options.id)
  if (requester) limitUser(limit, requester.userId, settings)
  else if (clientAddress(request, settings) !== '') limitAddress(limit, request, settings)
}
