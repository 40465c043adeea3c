/** Events of a state or auth chain that another server told, stored together: those whose place in the DAG is not known. */
import { authOrder } from '#protocol/events/auth-order.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { createEventIdOf } from '#protocol/identifiers/room-id.ts'

import type { Room } from '../room.ts'
import { receiveOutlier } from './receive-pdu.ts'

/** Stores them in one turn, auth events first; those whose auth events do not come are left out. */
export function storeOutliers(room: Room, pdus: readonly Pdu[]): void {
  room.transactor.turn(() => {
    for (const pdu of authOrder(pdus, createEventIdOf(room.reader.header().roomId))) receiveOutlier(room, pdu)
    return { ok: true }
  })
}
