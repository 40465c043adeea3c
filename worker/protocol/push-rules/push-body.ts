/**
 * What a push gateway is sent. Pure.
 *
 * Spec: push-gateway-api/#post_matrixpushv1notify; "If the `event_id_only` format is used, only the `event_id`, `room_id`,
 * `counts`, and `devices` are required to be populated". One device a request: what a gateway says of it is of that pusher.
 */
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

export interface PushedEvent {
  readonly event_id: string
  readonly room_id: string
  readonly type: string
  readonly sender: string
  readonly sender_display_name?: string | undefined
  readonly room_name?: string | undefined
  readonly room_alias?: string | undefined
  readonly user_is_target: boolean
  readonly content: JsonObject
  readonly tweaks: JsonObject
}

export interface Push {
  /** Null: only the count changed. */
  readonly notification: PushedEvent | null
  /** Unread events in all rooms. */
  readonly unread: number
  readonly pusher: { readonly app_id: string; readonly pushkey: string; readonly data: JsonObject }
  /** When the pusher was set, in seconds since 1970. */
  readonly setAt: number
}

export function pushBody({ notification, unread, pusher, setAt }: Push): JsonObject {
  const { app_id, pushkey, data } = pusher
  const device = {
    app_id,
    pushkey,
    pushkey_ts: setAt,
    // "The `data` dictionary passed in at pusher creation minus the `url` key."
    data: Object.fromEntries(Object.entries(data).filter(([name]) => name !== 'url')),
    ...(notification ? { tweaks: notification.tweaks } : {}),
  }
  return {
    notification: {
      ...(notification ? eventFields(notification, own(data, 'format') === 'event_id_only') : {}),
      // "Counts whose value is zero should be omitted", but for a count that comes alone: it would say nothing.
      counts: unread > 0 || !notification ? { unread } : {},
      devices: [device],
    },
  }
}

function eventFields(event: PushedEvent, idOnly: boolean): JsonObject {
  const { event_id, room_id, user_is_target, tweaks: _, ...rest } = event
  const prio = isUrgent(event) ? 'high' : 'low'
  if (idOnly) return { event_id, room_id, prio }
  const known = Object.entries(rest).filter(([, value]) => value !== undefined)
  return { event_id, room_id, prio, ...Object.fromEntries(known), ...(user_is_target ? { user_is_target } : {}) }
}

/** "Less time-sensitive" is what makes no sound and is not about the user; of encrypted events nobody here can tell. */
export function isUrgent({ type, tweaks }: PushedEvent): boolean {
  return type === 'm.room.encrypted' || own(tweaks, 'highlight') === true || isAudible(own(tweaks, 'sound'))
}

function isAudible(sound: unknown): boolean {
  return sound !== undefined && sound !== null && sound !== '' && !isObject(sound)
}
