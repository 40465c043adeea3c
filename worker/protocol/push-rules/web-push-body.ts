/**
 * What a client gets by web push: the plain text that is encrypted for it alone. Pure.
 *
 * MSC4174, which leaves the form open: flat fields, as existing clients read them. One record of RFC 8188 with 4096 bytes is
 * all that push services must take (RFC 8291, section 4), so what is too long goes without its content.
 */
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

import { isUrgent, type PushedEvent } from './push-body.ts'

/** 4096 bytes less the header (86), the delimiter (1) and the tag (16). */
export const maxPlaintext = 3993

export interface WebPushMessage {
  readonly text: string
  /** RFC 8030, section 5.3. */
  readonly urgency: 'normal' | 'high'
  /** RFC 8030, section 5.4: replaces an undelivered message of the same topic. */
  readonly topic?: string
}

interface Wanted {
  /** Null: only the count changed. */
  readonly notification: PushedEvent | null
  readonly unread: number
  /** Of the pusher: `format`, and `default_payload`, which the rest is laid over. */
  readonly data: JsonObject
}

export function webPushMessage({ notification, unread, data }: Wanted): WebPushMessage {
  const given = own(data, 'default_payload')
  const base = { ...(isObject(given) ? given : {}) }
  if (!notification) {
    return { text: shortest([{ ...base, unread }, { unread }]), urgency: 'normal', topic: 'unread' }
  }
  const { event_id, room_id, user_is_target, tweaks, content, ...rest } = notification
  const ids = { event_id, room_id, unread }
  const known = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined))
  const named = { ...known, ...ids, ...(user_is_target ? { user_is_target } : {}), tweaks }
  const isIdOnly = own(data, 'format') === 'event_id_only'
  const forms = [
    ...(isIdOnly
      ? []
      : [
          { ...base, ...named, content },
          { ...base, ...named },
        ]),
    { ...base, ...ids },
    ids,
  ]
  return { text: shortest(forms), urgency: isUrgent(notification) ? 'high' : 'normal' }
}

/** By which a client proves that it gets what is sent: MSC4174, "a message containing `app_id` and `ack_token`". */
export function activationMessage(appId: string, token: string): WebPushMessage {
  return { text: JSON.stringify({ app_id: appId, ack_token: token }), urgency: 'high' }
}

/** The first form that fits, else the last. */
function shortest(forms: readonly JsonObject[]): string {
  const texts = forms.map((form) => JSON.stringify(form))
  return texts.find((text) => byteLength(text) <= maxPlaintext) ?? texts.at(-1) ?? '{}'
}

function byteLength(text: string): number {
  let bytes = 0
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
  }
  return bytes
}
