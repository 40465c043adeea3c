/** Every operation this server answers, by the spec's API files. Order matters only where a literal path segment meets a parameter. */
import * as accountData from './client-server/account-data.ts'
import * as filter from './client-server/filter.ts'
import * as listJoinedRooms from './client-server/list-joined-rooms.ts'
import * as readMarkers from './client-server/read-markers.ts'
import * as receipts from './client-server/receipts.ts'
import * as sync from './client-server/sync.ts'
import * as tags from './client-server/tags.ts'
import * as typing from './client-server/typing.ts'
import type { Operation } from './operation.ts'

export const operations: readonly Operation[] = [
  // account-data.ts
  accountData.setGlobalAccountData,
  accountData.getGlobalAccountData,
  accountData.setAccountDataPerRoom,
  accountData.getAccountDataPerRoom,
  // filter.ts
  filter.defineFilter,
  filter.getFilter,
  // list-joined-rooms.ts
  listJoinedRooms.getJoinedRooms,
  // read-markers.ts
  readMarkers.setReadMarker,
  // receipts.ts
  receipts.postReceipt,
  // sync.ts
  sync.sync,
  // tags.ts
  tags.getRoomTags,
  tags.setRoomTag,
  tags.deleteRoomTag,
  // typing.ts
  typing.setTyping,
]
