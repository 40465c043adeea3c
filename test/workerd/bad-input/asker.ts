/** Who asks, where it is not that which is wrong: a user in a room of theirs, and an administrator for what is for those. */
import { vi } from 'vitest'

import type { Operation } from '../../../worker/operation.ts'
import { type Answer, registerUser } from '../client.ts'
import { registerAdmin } from '../people/admins.ts'
import { createRoom } from '../rooms/rooms.ts'
import { ask, clientOperations, differing, nameOf, type Params } from './table.ts'

export const withBody = clientOperations.filter(({ options }) => options.body !== undefined)

export interface Asker {
  readonly tokenFor: (op: Operation) => string | undefined
  /** A room they are in; but who left it would learn nothing more. */
  readonly paramsFor: (op: Operation) => Params
  /** Every operation with a body, or these, asked with this one: what is not answered rightly. */
  readonly asked: (
    body: unknown,
    isRight: (answer: Answer, op: Operation) => boolean,
    all?: readonly Operation[],
  ) => Promise<Record<string, string>>
}

/** From now on no other server answers, and nothing is looked up. */
export async function newAsker(name: string): Promise<Asker> {
  vi.spyOn(globalThis, 'fetch').mockImplementation(() => Promise.reject(new TypeError('nothing listens there')))
  const [user, admin] = [await registerUser(name), await registerAdmin(`${name}-admin`)]
  const roomId = await createRoom(user)
  const isForAdmins = ({ path }: Operation) => /^\/_(?:synapse|hearth)\//.test(path)
  const tokenFor = (op: Operation) =>
    op.options.auth === 'none' ? undefined : isForAdmins(op) ? admin.accessToken : user.accessToken
  return {
    tokenFor,
    paramsFor: (op) => (op.options.id === 'leaveRoom' || isForAdmins(op) ? {} : { roomId }),
    asked: (body, isRight, all = withBody) =>
      differing(all, nameOf, (op) => ask(op, { token: tokenFor(op), body }), isRight),
  }
}
