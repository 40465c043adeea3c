/** Creating rooms. Spec: client-server-api/#creation, data/api/client-server/create_room.yaml. */
import { planRoom } from '#protocol/create-room-plan.ts'
import { parseRoomAlias } from '#protocol/identifiers/room-alias.ts'
import { rulesOf } from '#protocol/room-versions/rules.ts'
import * as v from 'valibot'

import { profileOf } from '../accounts/profiles.ts'
import { refuseBlockedInvites, tryInvite } from '../memberships.ts'
import { makeRoom } from '../new-rooms.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuse, unwrap } from '../refusal.ts'
import { succeedPredecessor } from '../room-succession.ts'
import { thirdPartyInvite } from './inviting.ts'
import { jsonObject, jsonObjectWith, userIdFrom } from './parameters.ts'

/** Invites and events that one request may ask for: each invite is a call, each event is authorised in one turn. */
const mostInvites = 100
const mostEvents = 500
/** Of every invite. MSC4491 (unstable): "If the field is empty or omitted, no reason is attached". */
const inviteReasonKey = 'uk.timedout.msc4491.invite_reason'

const wishes = v.looseObject({
  visibility: v.optional(v.picklist(['public', 'private']), 'private'),
  preset: v.optional(v.picklist(['private_chat', 'public_chat', 'trusted_private_chat'])),
  room_alias_name: v.optional(v.string()),
  name: v.optional(v.string()),
  topic: v.optional(v.string()),
  invite: v.optional(v.pipe(v.array(v.string()), v.maxLength(mostInvites)), []),
  invite_3pid: v.optional(v.array(thirdPartyInvite), []),
  room_version: v.optional(v.string()),
  creation_content: v.optional(jsonObjectWith({ 'm.federate': 'boolean', type: 'string' }), {}),
  initial_state: v.optional(
    v.pipe(
      v.array(v.looseObject({ type: v.string(), state_key: v.optional(v.string(), ''), content: jsonObject })),
      v.maxLength(mostEvents),
    ),
    [],
  ),
  is_direct: v.optional(v.boolean(), false),
  power_level_content_override: v.optional(jsonObject, {}),
  [inviteReasonKey]: v.optional(v.string(), ''),
})

/** Spec: client-server-api/#post_matrixclientv3createroom */
export const createRoom = operation(
  'POST /_matrix/client/v3/createRoom',
  { id: 'createRoom', auth: 'accessToken', body: wishes, bodyOptional: true, r0: true },
  async ({ env, settings, requester: { userId: creator }, body }) => {
    limitUser('newRoom', creator, settings)
    const rules = rulesOf(body.room_version ?? settings.defaultRoomVersion) ?? refuse('unsupported_room_version')
    if (body.invite_3pid.length > 0) refuse('server_not_trusted')
    const name = body.room_alias_name
    const alias = name === undefined ? undefined : parseRoomAlias(`#${name}:${settings.serverName}`)
    // The name is a local part: a colon in it would move the rest into the server name.
    if (name !== undefined && (alias === undefined || name.includes(':'))) refuse('invalid_param', 'room_alias_name')
    const invite = body.invite.map(userIdFrom)
    const { plan } = unwrap(
      planRoom({
        rules,
        creator,
        profile: await profileOf(env, creator),
        visibility: body.visibility,
        preset: body.preset,
        alias,
        name: body.name,
        topic: body.topic,
        invite,
        creationContent: body.creation_content,
        initialState: body.initial_state.map(({ type, state_key, content }) => ({ type, state_key, content })),
        powerLevelContentOverride: body.power_level_content_override,
      }),
    )
    await refuseBlockedInvites(env, creator, plan.invites)
    const roomId = await makeRoom(env, { rules, creator, plan, alias, published: body.visibility === 'public' })
    // A client that replaces a room by itself says so here.
    if (body.creation_content['predecessor'] !== undefined) await succeedPredecessor(env, creator, roomId)
    // The room exists: an invite that fails must not keep its ID from its creator.
    const reason = body[inviteReasonKey] === '' ? undefined : body[inviteReasonKey]
    for (const target of plan.invites) {
      await tryInvite(env, { roomId, sender: creator, target, isDirect: body.is_direct, reason })
    }
    return { room_id: roomId }
  },
)
