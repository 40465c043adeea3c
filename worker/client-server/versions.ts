/** Which versions of the specification this server speaks. Spec: client-server-api/#api-versions, versions.yaml. */
import { operation } from '../operation.ts'

/**
 * Clients of before v1.1 look for an `r0`. What is not here of these versions (application services, signing in by OAuth 2.0
 * or another site) is optional, and clients are told so by `M_UNRECOGNIZED` and by the list of login flows.
 */
const versions = ['r0.6.1', ...Array.from({ length: 19 }, (_, index) => `v1.${index + 1}`)]

/** Only what is not in the specification yet, or was asked for by this name before it was. */
const unstableFeatures = {
  // Sliding sync.
  'org.matrix.simplified_msc3575': true,
  // Rooms that two users share, by the name of before v1.19.
  'uk.half-shot.msc2666.query_mutual_rooms': true,
  'uk.half-shot.msc2666.query_mutual_rooms.stable': true,
  // What has been in the specification for long, and clients look for by these names: cross-signing, private receipts,
  // threads (their list, their order, receipts and counts), the directory by types of rooms, summaries, media with tokens,
  // redactions that are sent as events.
  'org.matrix.e2e_cross_signing': true,
  'org.matrix.msc2285.stable': true,
  'org.matrix.msc3440.stable': true,
  'org.matrix.msc3715.stable': true,
  'org.matrix.msc3856.stable': true,
  'org.matrix.msc3771': true,
  'org.matrix.msc3773': true,
  'org.matrix.msc3827.stable': true,
  'org.matrix.msc3266': true,
  'org.matrix.msc3916': true,
  'org.matrix.msc3916.stable': true,
  'com.beeper.msc4169': true,
  // `?org.matrix.msc3981.recurse`, and tokens to sign in another client.
  'org.matrix.msc3981': true,
  'org.matrix.msc3882': true,
  // Sticky events, over both ways of syncing.
  'org.matrix.msc4354': true,
  // Events that are sent later.
  'org.matrix.msc4140': true,
  // Account data can be deleted; the settings of a device go with it; histories are filtered by relations.
  'org.matrix.msc3391': true,
  'org.matrix.msc3890': true,
  'org.matrix.msc3874': true,
  // What relates to an event is redacted with it.
  'org.matrix.msc3912': true,
  // Whose invites one takes.
  'org.matrix.msc4155': true,
  'org.matrix.msc4380.stable': true,
  // Where calls are held.
  'org.matrix.msc4143': true,
  // Threads that one follows, and what of them rings.
  'org.matrix.msc4306': true,
  // Dehydrated devices.
  'org.matrix.msc3814': true,
  // Pushers may be switched off from another device.
  'org.matrix.msc3881': true,
  // Web push, without a gateway.
  'org.matrix.msc4174': true,
  // Extended profiles, under their names of before v1.16.
  'uk.tcpip.msc4133': true,
  'uk.tcpip.msc4133.stable': true,
  // What changes in other people's profiles, over `/sync` and sliding sync.
  'org.matrix.msc4429': true,
  'org.matrix.msc4262': true,
  // The fully read marker can be moved back; those who are invited to a new room can be told why.
  'com.beeper.msc4446': true,
  'uk.timedout.msc4491.create_room_invite_reasons': true,
  // `?org.matrix.msc4069.propagate=false`: a profile change that does not touch rooms.
  'org.matrix.msc4069': true,
}

/** Spec: client-server-api/#get_matrixclientversions */
export const getVersions = operation(
  'GET /_matrix/client/versions',
  { id: 'getVersions', auth: 'none' },
  ({ settings: { retention, presence, pushesEncrypted } }) => ({
    versions,
    unstable_features: {
      ...unstableFeatures,
      // Messages are taken away after a time, where the owner wants that.
      ...(retention ? { 'org.matrix.msc1763': true } : {}),
      // Devices are told of every encrypted event, and find out themselves what mentions their user.
      'org.matrix.msc4028': pushesEncrypted,
      // Who is there may be busy.
      'org.matrix.msc3026.busy_presence': presence,
    },
  }),
)
