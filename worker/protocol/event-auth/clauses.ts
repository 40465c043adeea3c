/**
 * The authorisation rules by name, and the number that each has in a room version.
 *
 * Spec: rooms/vN "Authorisation rules". Versions add and remove rules, which renumbers what follows: "the sender is not
 * joined" is rule 6 in version 1, 5 in version 6 and 6 again in version 12. The table below lists every rule that can
 * reject, and those it must count past, in the spec's order. Numbers are those of the rendered page; where the text of
 * version 12 counts two items as 10.10 or skips 3.4, the page does not.
 */
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'

type AppliesTo = (rules: RoomVersionRules) => boolean
const always: AppliesTo = () => true
const restricted: AppliesTo = (rules) => rules.restrictedJoins
const knocking: AppliesTo = (rules) => rules.knocking
const integers: AppliesTo = (rules) => rules.integerPowerLevels
const creators: AppliesTo = (rules) => rules.privilegedCreators
const hashedRoomId: AppliesTo = (rules) => rules.roomIdIsCreateHash

const clauses = {
  create: always,
  'create.prevEvents': always,
  'create.roomId': always,
  'create.roomVersion': always,
  'create.creator': (rules) => !rules.creatorIsSender,
  'create.additionalCreators': creators,

  roomId: hashedRoomId,

  authEvents: always,
  'authEvents.duplicate': always,
  'authEvents.notSelected': always,
  'authEvents.rejected': always,
  'authEvents.noCreate': (rules) => !rules.roomIdIsCreateHash,
  'authEvents.otherRoom': always,

  federate: always,

  aliases: (rules) => rules.specialAliasesRule,
  'aliases.stateKey': always,
  'aliases.server': always,

  member: always,
  'member.envelope': always,
  'member.authoriser': restricted,
  'member.authoriser.unsigned': always,
  'member.join': always,
  'member.join.creator': always,
  'member.join.sender': always,
  'member.join.banned': always,
  'member.join.invited': always,
  'member.join.restricted': restricted,
  'member.join.restricted.member': always,
  'member.join.restricted.authoriser': always,
  'member.join.public': always,
  'member.join.otherwise': always,
  'member.invite': always,
  'member.invite.thirdParty': always,
  'member.invite.thirdParty.banned': always,
  'member.invite.thirdParty.noSigned': always,
  'member.invite.thirdParty.fields': always,
  'member.invite.thirdParty.mxid': always,
  'member.invite.thirdParty.noEvent': always,
  'member.invite.thirdParty.sender': always,
  'member.invite.thirdParty.signature': always,
  'member.invite.thirdParty.otherwise': always,
  'member.invite.sender': always,
  'member.invite.target': always,
  'member.invite.level': always,
  'member.invite.otherwise': always,
  'member.leave': always,
  'member.leave.own': always,
  'member.leave.sender': always,
  'member.leave.unban': always,
  'member.leave.level': always,
  'member.leave.otherwise': always,
  'member.ban': always,
  'member.ban.sender': always,
  'member.ban.level': always,
  'member.ban.otherwise': always,
  'member.knock': knocking,
  'member.knock.joinRule': always,
  'member.knock.sender': always,
  'member.knock.membership': always,
  'member.knock.otherwise': always,
  'member.otherwise': always,

  joined: always,

  thirdPartyInvite: always,
  'thirdPartyInvite.level': always,

  requiredLevel: always,

  stateKey: always,

  powerLevels: always,
  'powerLevels.integers': integers,
  'powerLevels.maps': integers,
  'powerLevels.users': always,
  'powerLevels.creators': creators,
  'powerLevels.first': always,
  'powerLevels.levels': always,
  'powerLevels.levels.current': always,
  'powerLevels.levels.new': always,
  'powerLevels.currentEntries': always,
  'powerLevels.currentEntries.level': always,
  'powerLevels.newEntries': always,
  'powerLevels.newEntries.level': always,
  'powerLevels.currentUsers': always,
  'powerLevels.currentUsers.level': always,
  'powerLevels.newUsers': always,
  'powerLevels.newUsers.level': always,

  redaction: (rules) => rules.specialRedactionRule,
  'redaction.level': always,
  'redaction.sameServer': always,
  'redaction.otherwise': always,
} satisfies Record<string, AppliesTo>

export type Clause = keyof typeof clauses

/** The number of a rule, such as `4.3.5.2`, in a room version. */
export function clauseNumber(rules: RoomVersionRules, clause: Clause): string {
  const path = clause.split('.')
  return path.map((_, depth) => positionOf(rules, path.slice(0, depth + 1))).join('.')
}

/** A rule's place among those with the same parent which the version has. */
function positionOf(rules: RoomVersionRules, path: readonly string[]): number {
  const name = path.join('.')
  const parent = path.slice(0, -1).join('.')
  let position = 0
  for (const [sibling, applies] of Object.entries(clauses)) {
    if (sibling.slice(0, Math.max(0, sibling.lastIndexOf('.'))) !== parent) continue
    if (applies(rules)) position += 1
    if (sibling === name) break
  }
  return position
}
