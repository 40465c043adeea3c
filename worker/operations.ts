/** Every operation this server answers, by the spec's API files. Order matters only where a literal path segment meets a parameter. */
import * as accountData from './client-server/account-data.ts'
import * as capabilities from './client-server/capabilities.ts'
import * as filter from './client-server/filter.ts'
import * as listJoinedRooms from './client-server/list-joined-rooms.ts'
import * as login from './client-server/login.ts'
import * as logout from './client-server/logout.ts'
import * as readMarkers from './client-server/read-markers.ts'
import * as receipts from './client-server/receipts.ts'
import * as refresh from './client-server/refresh.ts'
import * as registration from './client-server/registration.ts'
import * as sync from './client-server/sync.ts'
import * as tags from './client-server/tags.ts'
import * as typing from './client-server/typing.ts'
import * as versions from './client-server/versions.ts'
import * as wellknown from './client-server/wellknown.ts'
import * as whoami from './client-server/whoami.ts'
import type { Operation } from './operation.ts'

export const operations: readonly Operation[] = [
  // versions.ts, wellknown.ts, capabilities.ts
  versions.getVersions,
  wellknown.getWellknown,
  capabilities.getCapabilities,
  // registration.ts
  registration.register,
  registration.checkUsernameAvailability,
  registration.registrationTokenValidity,
  // login.ts, refresh.ts, logout.ts, whoami.ts
  login.getLoginFlows,
  login.login,
  refresh.refresh,
  logout.logout,
  logout.logoutAll,
  whoami.getTokenOwner,
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
