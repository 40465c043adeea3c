/** An `m.room.member` event being judged, with what its rules ask about. */
import type { Pdu, StateLookup } from '#protocol/events/pdu.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { PowerLevels } from '#protocol/power-levels.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'

export interface MembershipChange {
  readonly rules: RoomVersionRules
  readonly pdu: Pdu
  /** The *target user*: "the user given by the state_key of the event". */
  readonly target: UserId
  readonly create: Pdu
  readonly state: StateLookup
  readonly levels: PowerLevels
}
